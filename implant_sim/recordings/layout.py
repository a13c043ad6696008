"""Files of any layout: the user says in which data set what is, and this reads it."""

from __future__ import annotations

import fnmatch
import re
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from implant_sim.recordings import attached
from implant_sim.recordings.assemble import Draft, Piece, assemble
from implant_sim.recordings.clocked import events_table
from implant_sim.recordings.fields import Layout, Scan
from implant_sim.recordings.files import ArrayFile, digest, find, near
from implant_sim.recordings.scanning import bin_in_frame, scanned
from implant_sim.recordings.scope import Scope
from implant_sim.recordings.tables import counts_table
from sbtt_models.signals import Recording
from sbtt_models.spec import DataError

__all__ = ["LayoutSource"]


class LayoutSource(Layout):
    """A file of named arrays; a format only says how to open it."""

    @property
    def bins_per_row(self) -> int:
        """Bins that a row of the file becomes."""
        rule = self.fluorescence
        return 1 if rule is None or rule.scan is None else rule.scan.bins_per_frame

    @abstractmethod
    def _open(self, path: Path) -> ArrayFile:
        """Open the file."""

    @override
    def load(self, root: Path) -> Recording:
        path = find(self.path, root)
        pieces: list[Piece] = []
        continuous, widths = True, []
        with self._open(path) as file:
            for group in _groups(self.group, file):
                scope = Scope(self, file, group)
                widths.append(scope.bin_width())
                more, whole = _pieces(scope, widths[-1], len(pieces))
                pieces += [_scanned(scope, piece) for piece in more]
                continuous &= whole
        if max(widths) - min(widths) > 1e-9 * max(widths):
            raise DataError(
                f"{path.name}: bins of {min(widths):g} s and of {max(widths):g} s; load groups "
                "of different bins as recordings of their own"
            )
        named = isinstance(self.group, str) and self.group
        label = (self.behaviour.name, self.behaviour.unit) if self.behaviour else ("", "")
        draft = Draft(
            name=f"{path.stem}:{self.group}" if named else path.stem,
            bin_s=widths[0] / self.bins_per_row,
            pieces=pieces,
            continuous=continuous,
            behaviour=label,
            sources=(digest(path),),
            file=path.name,
        )
        return assemble(draft, self.split, self.window_s)


def _scanned(scope: Scope, piece: Piece) -> Piece:
    """Put each frame's values into the bins in which their lines were scanned."""
    rule = scope.layout.fluorescence
    if rule is None or rule.scan is None:
        return piece
    heights = _heights(scope, rule.scan, piece.counts.shape[1])
    place = bin_in_frame(heights, rule.scan.bins_per_frame, row_times=True)
    return scanned(piece, place, rule.scan.bins_per_frame)


def _heights(scope: Scope, scan: Scan, n_channels: int) -> Float[np.ndarray, " channel"]:
    """Where in the image each channel's cell lies: as the file says, or drawn."""
    if scan.rows is None:
        drawn: Float[np.ndarray, " channel"] = np.random.default_rng(scan.seed).random(n_channels)
        return drawn
    where, heights = scope.where(scan.rows), scope.numbers(scan.rows).ravel().astype(np.float64)
    heights = heights[attached.columns(scope, heights.size)]
    if len(heights) != n_channels:
        raise DataError(
            f"{where}: rows of {len(heights)} of the channels kept, which are {n_channels}; give "
            "one for each channel of the file"
        )
    if not ((heights >= 0) & (heights < 1)).all():
        raise DataError(
            f"{where}: rows must lie in [0, 1), got {heights.min():g} to {heights.max():g}; "
            "divide the line of each cell by the number of lines"
        )
    return heights


def _groups(wanted: str | tuple[str, ...], file: ArrayFile) -> list[str]:
    """Groups that a list or a pattern names; numbers in names sort as numbers."""
    patterns = (wanted,) if isinstance(wanted, str) else wanted
    if not any(mark in pattern for pattern in patterns for mark in "*?["):
        return [pattern.strip("/") for pattern in patterns] or [""]
    parents = {
        "/".join(parts[:n])
        for parts in (name.split("/") for name in file.names())
        for n in range(1, len(parts))
    }
    chosen: list[str] = []
    for pattern in patterns:
        depth, pattern = pattern.strip("/").count("/"), pattern.strip("/")
        level = [p for p in parents if p.count("/") == depth and fnmatch.fnmatchcase(p, pattern)]
        if not level:
            raise DataError(f"{file.name}: no group {pattern!r}; {near(pattern, sorted(parents))}")
        chosen += sorted(level, key=_natural)
    return list(dict.fromkeys(chosen))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(n or 0), text) for text, n in re.findall(r"(\D*)(\d{0,18})", name)]


def _pieces(scope: Scope, bin_s: float, offset: int) -> tuple[list[Piece], bool]:
    """Trials or segments of one group, and whether they make up one continuous recording."""
    spec = scope.layout.events
    table = counts_table(scope, bin_s) if spec is None else events_table(scope, spec, bin_s)
    rows = table.rows
    if rows.starts.size == 0:
        raise DataError(f"{scope.file.name}: no trials in group {scope.group!r}")
    condition = attached.condition(scope, rows)
    columns = attached.columns(scope, table.counts.shape[1])
    moved = attached.behaviour(scope, table, bin_s)
    driven = attached.external(scope, table)
    trains = attached.trains(scope, rows)
    recorded = table.recorded
    if recorded is None and rows.slots is not None:
        recorded = np.ones(table.counts.shape, bool)  # so that skipped bins can be False
    flat: dict[str, Any] = {"counts": table.counts, "recorded": recorded}
    flat |= attached.truth(scope, table, condition, bin_s)
    made = []
    for i in map(int, np.flatnonzero(attached.kept(scope, rows))):
        cut: dict[str, Any] = {
            k: None if v is None else rows.take(v, i, 0)[:, columns] for k, v in flat.items()
        }
        piece = Piece(
            **cut,
            behaviour=None if moved is None else moved[i],
            external=None if driven is None else driven[i],
            condition=None if condition is None else int(condition[i]),
            part=None if trains is None else ("train" if trains[i] else "valid"),
            origin=(offset + i, 0),
        )
        made.append(piece)
    return made, rows.continuous

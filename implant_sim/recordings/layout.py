"""Files of any layout: the user says in which data set what is, and this reads it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from typing_extensions import override

from implant_sim.recordings import attached
from implant_sim.recordings.assemble import Draft, Piece, assemble
from implant_sim.recordings.clocked import events_table
from implant_sim.recordings.fields import Layout, Scan
from implant_sim.recordings.files import ArrayFile, digest, find, is_pattern, matching, near
from implant_sim.recordings.scanning import bin_in_frame, scanned
from implant_sim.recordings.scope import Scope
from implant_sim.recordings.tables import counts_table
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording

__all__ = ["LayoutSource"]

_TELLING, _FACTOR = 10_000, 8
"""Spikes from which on their number speaks; a unit that is wrong is wrong by more than this
factor (Hz or spikes/ms: 1,000; spikes in bins below 100 ms: more than 10)."""


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
            scopes = [Scope(self, file, group) for group in _groups(self.group, file)]
            names = attached.condition_names(scopes)
            for scope in scopes:
                widths.append(scope.bin_width())
                more, whole = _pieces(scope, widths[-1], len(pieces), names)
                pieces += [_scanned(scope, piece) for piece in more]
                continuous &= whole
            _refuse_silence_and_units(scopes[0], pieces, widths[0])
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


def _refuse_silence_and_units(scope: Scope, pieces: list[Piece], bin_s: float) -> None:
    """Refuse behaviour that is known nowhere, and true rates that the counts contradict."""
    layout = scope.layout
    moved = [piece.behaviour for piece in pieces if piece.behaviour is not None]
    known = any(np.isfinite(values).all(axis=1).any() for values in moved)
    if layout.behaviour is not None and pieces and not known:
        raise DataError(
            f"{scope.where(layout.behaviour.data)}: no bin has a finite value in each of its "
            "dimensions, so there is no behaviour to score; choose other `behaviour.columns`, "
            "or leave out `behaviour`"
        )
    if layout.truth is None or layout.truth.rates is None:
        return
    expected = sum(float(p.rates_hz.sum()) * bin_s for p in pieces if p.rates_hz is not None)
    found = sum(float(piece.counts.sum()) for piece in pieces)
    if (
        max(expected, found) > _TELLING
        and not 1 / _FACTOR < (expected + 1) / (found + 1) < _FACTOR
    ):
        raise DataError(
            f"{scope.where(layout.truth.rates)}: as rates in {layout.truth.unit} they make "
            f"{expected:.3g} spikes, but the counts hold {found:.3g}; mend `truth.unit` or `bin`"
        )


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
    if not any(map(is_pattern, patterns)):
        return [pattern.strip("/") for pattern in patterns] or [""]
    parents = {
        "/".join(parts[:n])
        for parts in (name.split("/") for name in file.names())
        for n in range(1, len(parts))
    }
    chosen: list[str] = []
    for pattern in patterns:
        pattern = pattern.strip("/")
        level = matching(pattern, parents)
        if not level:
            raise DataError(f"{file.name}: no group {pattern!r}; {near(pattern, sorted(parents))}")
        chosen += level
    return list(dict.fromkeys(chosen))


def _pieces(
    scope: Scope, bin_s: float, offset: int, names: Shaped[np.ndarray, " name"] | None
) -> tuple[list[Piece], bool]:
    """Trials or segments of one group, and whether they make up one continuous recording."""
    spec = scope.layout.events
    table = counts_table(scope, bin_s) if spec is None else events_table(scope, spec, bin_s)
    rows = table.rows
    if rows.starts.size == 0:
        where = scope.where(scope.layout.segments or scope.layout.start or "")
        raise DataError(f"{where}: lists no trials; leave it out for one long recording")
    condition = attached.condition(scope, rows, names)
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

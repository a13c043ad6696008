"""The one way out of every reader: contiguous pieces in, a checked and split Recording out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Shaped

from implant_sim.recordings import splits
from implant_sim.recordings.base import FileSplit
from sbtt_models.errors import DataError, LimitError
from sbtt_models.signals import Behaviour, Recording, Split

__all__ = ["MAX_BYTES", "Draft", "Piece", "assemble", "check_size"]

MAX_BYTES = 8 * 2**30
"""The largest array that a reader makes or reads; a larger declared one is refused unread."""

WINDOW_S = 2.0
"""What a decoder sees at once of a continuous recording, where the user does not say. [s]"""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A contiguous stretch of a file: a trial, or a segment of a continuous recording."""

    counts: Int32[np.ndarray, "bin channel"] | Float32[np.ndarray, "bin channel"]
    """Spikes, or real values read by a microscope."""
    recorded: Bool[np.ndarray, "bin channel"] | None = None
    rates_hz: Float[np.ndarray, "bin channel"] | None = None
    expected: Float[np.ndarray, "bin channel"] | None = None
    behaviour: Float[np.ndarray, "bin dim"] | None = None
    """NaN where unknown."""
    external: Float32[np.ndarray, "bin input"] | None = None
    condition: int | None = None
    part: splits.Part | None = None
    """Where the file itself says who trains and who is judged."""
    origin: tuple[int, int] = (0, 0)
    """Trial or segment of the file, and the bin of it that this piece starts with."""

    def cut(self, start: int, stop: int, part: splits.Part) -> Piece:
        """Some bins of the piece, given to one part."""
        names = ("counts", "recorded", "rates_hz", "expected", "behaviour", "external")
        arrays: dict[str, Any] = {
            name: None if (array := getattr(self, name)) is None else array[start:stop]
            for name in names
        }
        first = (self.origin[0], self.origin[1] + start)
        return replace(self, **arrays, part=part, origin=first)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What a reader found, before it is split and padded."""

    name: str
    bin_s: float
    pieces: Sequence[Piece]
    continuous: bool = False
    """Pieces of one long recording, rather than trials."""
    behaviour: tuple[str, str] = ("", "")
    """Name and unit."""
    sources: tuple[str, ...] = ()
    file: str = ""

    @property
    def where(self) -> str:
        """The file, or the name of what is in no file, for errors."""
        return self.file or self.name


def check_size(shape: tuple[int, ...], itemsize: int, where: str) -> None:
    """Refuse an array too large to hold, before it is read or made.

    Raises
    ------
    LimitError
        Above 8 GiB.
    """
    n_bytes = float(itemsize)
    for length in shape:
        n_bytes *= length
    if n_bytes > MAX_BYTES:
        raise LimitError(
            f"{where}: declares shape {shape}, {n_bytes / 2**30:.3g} GiB; the limit is "
            f"{MAX_BYTES / 2**30:g} GiB: cut the recording into several files, or use wider bins"
        )


def assemble(draft: Draft, split: FileSplit, window_s: float | None) -> Recording:
    """Split, pad and check.

    Parameters
    ----------
    draft : Draft
        The pieces, in the order of the file.
    split : FileSplit
        Who trains and who is judged.
    window_s : float or None
        Window of a decoder. [s] None: 2 s for a continuous recording, whole trials otherwise.

    Returns
    -------
    Recording
        One trial for each piece, in their order. Where time is split into blocks, a piece that
        holds a boundary becomes two trials, and `origin` says where each comes from.

    Raises
    ------
    DataError
        Without pieces, with too few for the split, with channels that differ.
    """
    if not draft.pieces:
        raise DataError(f"{draft.where}: no trials; are the trial fields right?")
    _check_channels(draft)
    marked = all(piece.part is not None for piece in draft.pieces)
    in_time = split.by == "blocks" or (split.by == "auto" and draft.continuous and not marked)
    if window_s is None and (in_time or draft.continuous):
        window_s = WINDOW_S
    window = None if window_s is None else max(1, round(window_s / draft.bin_s))
    pieces = draft.pieces
    if in_time:
        pieces = _cut_in_time(draft, split, window or 1)
        chosen = _split_as_marked(pieces, split, draft.where)
    elif marked:
        chosen = _split_as_marked(pieces, split, draft.where)
    else:
        chosen = splits.by_trial(_groups(pieces), split, draft.where)
    return _pad(replace(draft, pieces=pieces), chosen, window)


def _check_channels(draft: Draft) -> None:
    n_channels = draft.pieces[0].counts.shape[1]
    for i, piece in enumerate(draft.pieces):
        n_bins, n = piece.counts.shape
        if n != n_channels:
            raise DataError(
                f"{draft.where}: piece {i} has {n} channels, the first has {n_channels}; load "
                "them as recordings of their own"
            )
        if n_bins == 0:
            raise DataError(f"{draft.where}: piece {i} has no bins; leave it out of the file")


def _groups(pieces: Sequence[Piece]) -> Shaped[np.ndarray, " trial"]:
    return np.array([-1 if piece.condition is None else piece.condition for piece in pieces])


def _cut_in_time(draft: Draft, split: FileSplit, window: int) -> list[Piece]:
    """Blocks are laid out over the pieces as if they followed each other without a break.

    What really passed between two pieces is unknown, so a gap counts recorded bins only.
    """
    stops = np.cumsum([len(piece.counts) for piece in draft.pieces])
    gap = splits.gap_bins(window, draft.bin_s)
    laid = splits.blocks(int(stops[-1]), gap, split, split.rounds, draft.where)
    cut = []
    for block in laid:
        for piece, stop in zip(draft.pieces, stops, strict=True):
            begin = int(stop) - len(piece.counts)
            first, last = max(block.start, begin), min(block.stop, int(stop))
            if first < last:
                cut.append(piece.cut(first - begin, last - begin, block.part))
    return cut


def _split_as_marked(pieces: Sequence[Piece], split: FileSplit, where: str) -> Split:
    """Follow the marks; where one part has none, its neighbour gives up some of its trials."""
    marks = np.array([piece.part for piece in pieces])
    found = {part: np.flatnonzero(marks == part) for part in splits.PARTS}
    if found["test"].size and not found["valid"].size:
        groups, trains = _groups(pieces), marks == "train"
        return splits.held_back(groups, trains, found["test"], split, where)
    if found["test"].size:
        return Split(found["train"], found["valid"], found["test"])
    if split.reuse_valid:
        return Split(found["train"], found["valid"], found["valid"])
    return splits.judged(_groups(pieces), marks == "train", split, where)


def _pad(draft: Draft, split: Split, window: int | None) -> Recording:
    pieces = draft.pieces
    lengths = np.array([len(piece.counts) for piece in pieces])
    shape = (len(pieces), int(lengths.max()), pieces[0].counts.shape[1])
    check_size(shape, 4, f"{draft.where}: padded to its longest trial")

    def stack(
        get: Callable[[Piece], np.ndarray | None], fill: float, unknown: float
    ) -> np.ndarray | None:
        arrays = [get(piece) for piece in pieces]
        first = next((array for array in arrays if array is not None), None)
        if first is None:
            return None
        out = np.full((*shape[:2], first.shape[1]), fill, first.dtype)
        for row, array, length in zip(out, arrays, lengths, strict=True):
            row[:length] = unknown if array is None else array
        return out

    known = all(piece.condition is not None for piece in pieces)
    counts = stack(lambda piece: piece.counts, 0, 0)
    moved = stack(lambda piece: piece.behaviour, np.nan, np.nan)
    return Recording(
        name=draft.name,
        counts=np.zeros(shape, np.int32) if counts is None else counts,
        bin_s=draft.bin_s,
        lengths=lengths,
        split=split,
        recorded=stack(lambda piece: piece.recorded, False, True),
        rates_hz=stack(lambda piece: piece.rates_hz, 0, 0),
        expected=stack(lambda piece: piece.expected, 0, 0),
        behaviour=None if moved is None else _behaviour(draft.behaviour, moved),
        condition=_groups(pieces) if known else None,
        window_bins=None if window is None else min(window, int(lengths.max())),
        sources=draft.sources,
        origin=np.array([piece.origin for piece in pieces]),
        external=stack(lambda piece: piece.external, 0, 0),
    )


def _behaviour(label: tuple[str, str], values: Float[np.ndarray, "trial bin dim"]) -> Behaviour:
    valid = np.isfinite(values).all(axis=2)
    return Behaviour(*label, np.where(valid[:, :, None], values, 0), valid)

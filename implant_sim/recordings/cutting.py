"""Where trials and segments lie in the rows of a file, and what belongs to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, Shaped

from implant_sim.recordings.assemble import check_size
from sbtt_models.errors import DataError

__all__ = [
    "Rows",
    "as_indices",
    "by_label",
    "by_segment",
    "by_start",
    "by_trial_axis",
    "refuse_overlap",
]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Pieces as ranges of the rows (bins) of a flat table."""

    starts: Int[np.ndarray, " piece"]
    stops: Int[np.ndarray, " piece"]
    n_rows: int
    continuous: bool = False
    trial_axis: tuple[int, int] | None = None
    """Trials and bins, where the file has an axis for each."""
    slots: Int[np.ndarray, " row"] | None = None
    """Bin of its piece that each row fills, where bins are missing inside pieces."""

    @property
    def lengths(self) -> Int[np.ndarray, " piece"]:
        """Rows of each piece."""
        return self.stops - self.starts

    def take(
        self, flat: Shaped[np.ndarray, "row dim"], piece: int, fill: float
    ) -> Shaped[np.ndarray, "bin dim"]:
        """Rows of one piece, with `fill` in its missing bins."""
        rows = slice(int(self.starts[piece]), int(self.stops[piece]))
        if self.slots is None:
            return flat[rows]
        slots = self.slots[rows]
        out = np.full((int(slots[-1]) + 1, flat.shape[1]), fill, flat.dtype)
        out[slots] = flat[rows]
        return out

    def flatten(
        self, array: Shaped[np.ndarray, "..."], per: Literal["auto", "bin", "trial"], where: str
    ) -> Shaped[np.ndarray, "row dim"]:
        """Bring values by bin or by trial to one row for each bin.

        Raises
        ------
        DataError
            If the array fits neither the bins nor the trials.
        """
        n_pieces = len(self.starts)
        if per != "trial" and self.trial_axis is not None and array.shape[:2] == self.trial_axis:
            return array.reshape(self.n_rows, -1)
        array = array.reshape(array.shape[0], -1) if array.ndim else array.reshape(1, 1)
        if per != "trial" and array.shape[0] == self.n_rows:
            return array
        if per != "bin" and array.shape[0] == n_pieces:
            flat = np.zeros((self.n_rows, array.shape[1]), array.dtype)
            for piece, (start, stop) in enumerate(zip(self.starts, self.stops, strict=True)):
                flat[start:stop] = array[piece]
            return flat
        kinds = {"auto": "bins or trials", "bin": "bins", "trial": "trials"}[per]
        raise DataError(
            f"{where}: first axis has {array.shape[0]} entries; the counts have {self.n_rows} "
            f"bins in {n_pieces} trials or segments, and it should count {kinds}"
        )

    def by_piece(
        self, array: Shaped[np.ndarray, "..."], where: str
    ) -> Shaped[np.ndarray, " piece"]:
        """One value for each piece, from values by trial, or by bin if they stay the same in it.

        Raises
        ------
        DataError
            If the array fits neither, or changes inside a trial.
        """
        if array.size == len(self.starts) != self.n_rows:
            return array.ravel()
        flat = self.flatten(array, "auto", where)
        if flat.shape[1] != 1:
            raise DataError(
                f"{where}: must hold one value for each trial, got shape {array.shape}"
            )
        values = flat[self.starts, 0]
        for piece, (start, stop) in enumerate(zip(self.starts, self.stops, strict=True)):
            changed = np.flatnonzero(flat[start:stop, 0] != values[piece])
            if changed.size:
                raise DataError(
                    f"{where}: changes inside trial {piece} (at its bin {changed[0]}); it must be "
                    "the same for a whole trial"
                )
        return values

    def with_slots(self, steps: Shaped[np.ndarray, "..."], where: str) -> Rows:
        """Spread the rows of each piece by their bin number, so that skipped numbers are gaps.

        Raises
        ------
        DataError
            If bin numbers do not rise inside a piece.
        """
        if steps.size != self.n_rows:
            raise DataError(f"{where}: has {steps.size} bin numbers for {self.n_rows} bins")
        numbers = as_indices(steps.ravel(), where)
        slots = np.zeros(self.n_rows, np.int64)
        total = 0
        for piece, (start, stop) in enumerate(zip(self.starts, self.stops, strict=True)):
            here = numbers[start:stop]
            falls = np.flatnonzero(np.diff(here) <= 0)
            if falls.size:
                raise DataError(
                    f"{where}: bin numbers must rise inside a trial; in trial {piece}, "
                    f"{here[falls[0]]} is followed by {here[falls[0] + 1]}"
                )
            slots[start:stop] = here - here[0]
            total += int(here[-1] - here[0]) + 1
        check_size((total,), 4096, f"{where}: with its gaps filled")
        return Rows(self.starts, self.stops, self.n_rows, self.continuous, self.trial_axis, slots)


def as_indices(values: Shaped[np.ndarray, "..."], where: str) -> Int[np.ndarray, "..."]:
    """Refuse what is no whole number, and return int64.

    Raises
    ------
    DataError
        For text, fractions, NaN and numbers beyond 64 bits.
    """
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2**53)
        if not whole.all():
            bad = values[~whole].ravel()[0]
            raise DataError(f"{where}: must hold whole numbers, got {float(bad)!r}")
    elif values.dtype.kind not in "biu":
        raise DataError(f"{where}: must hold whole numbers, got dtype {values.dtype}")
    elif values.dtype.kind == "u" and values.size and values.max() > 2**62:
        raise DataError(f"{where}: {int(values.max())} is too large for an index")
    return values.astype(np.int64)


def by_trial_axis(shape: tuple[int, int], lengths: np.ndarray | None, where: str) -> Rows:
    """Trials on an axis of their own, all bins or the first `lengths` of each."""
    n_trials, n_bins = shape
    starts = np.arange(n_trials) * n_bins
    sizes = np.full(n_trials, n_bins) if lengths is None else as_indices(lengths.ravel(), where)
    if sizes.size != n_trials or not ((sizes >= 1) & (sizes <= n_bins)).all():
        raise DataError(
            f"{where}: must hold one length for each of {n_trials} trials, from 1 to {n_bins} bins"
        )
    return Rows(starts, starts + sizes, n_trials * n_bins, trial_axis=shape)


def spans(
    start: np.ndarray, end: np.ndarray, where: str, *, lengths: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops; `end` holds stops or, where `lengths`, how long each lasts."""
    if start.size != end.size:
        raise DataError(
            f"{where}: {start.size} starts, but {end.size} {'lengths' if lengths else 'stops'}"
        )
    return start, start + end if lengths else end


def by_start(
    start: np.ndarray, end: np.ndarray, n_rows: int, where: str, *, lengths: bool
) -> Rows:
    """Trials by their first bin and their number of bins, or the first bin after each."""
    start, end = (as_indices(a.ravel(), where) for a in (start, end))
    return _checked(*spans(start, end, where, lengths=lengths), n_rows, where, continuous=False)


def by_segment(table: np.ndarray, n_rows: int, where: str) -> Rows:
    """Segments of a continuous recording by rows of start and stop (first bin after)."""
    if table.ndim != 2 or table.shape[1] != 2:
        raise DataError(f"{where}: must have rows of start and stop, got shape {table.shape}")
    bounds = as_indices(table, where)
    return _checked(bounds[:, 0], bounds[:, 1], n_rows, where, continuous=True)


def by_label(labels: np.ndarray, n_rows: int, where: str) -> Rows:
    """Trials by a label, number or text, on each bin: a run of bins with the same label."""
    if labels.size != n_rows:
        raise DataError(f"{where}: has {labels.size} labels for {n_rows} bins")
    if labels.dtype.kind != "U":
        labels = as_indices(labels, where)
    labels = labels.ravel()
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    seen, first = np.unique(labels[starts], return_index=True)
    if seen.size < starts.size:
        back = np.setdiff1d(np.arange(starts.size), first)[0]
        raise DataError(
            f"{where}: trial {labels[starts[back]]} comes back at bin {starts[back]}; bins of a "
            "trial must follow each other"
        )
    return Rows(starts, np.append(starts[1:], n_rows), n_rows)


def _checked(
    starts: np.ndarray, stops: np.ndarray, n_rows: int, where: str, *, continuous: bool
) -> Rows:
    bad = np.flatnonzero((starts < 0) | (stops <= starts) | (stops > n_rows))
    if bad.size:
        i = bad[0]
        raise DataError(
            f"{where}: entry {i} spans bins {starts[i]} to {stops[i]}, which is empty or outside "
            f"the {n_rows} bins of the counts (start counts from 0, stop is the first bin after)"
        )
    refuse_overlap(starts, stops, where)
    return Rows(starts, stops, n_rows, continuous)


def refuse_overlap(starts: np.ndarray, stops: np.ndarray, where: str) -> None:
    """Two pieces must not share a moment: it would train and be judged.

    Raises
    ------
    DataError
        Names the first two pieces that overlap.
    """
    order = np.argsort(starts, kind="stable")
    overlap = np.flatnonzero(starts[order][1:] < stops[order][:-1])
    if overlap.size:
        i, j = order[overlap[0]], order[overlap[0] + 1]
        raise DataError(
            f"{where}: entries {i} and {j} overlap; the same bins would train and be judged"
        )

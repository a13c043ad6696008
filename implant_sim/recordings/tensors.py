"""Files with a fixed layout: one tensor (trial, bin, channel) for each part of the split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Shaped

from implant_sim.recordings import traces
from implant_sim.recordings.assemble import Piece
from implant_sim.recordings.files import ArrayFile
from implant_sim.recordings.splits import Part
from sbtt_models.counts import as_counts
from sbtt_models.errors import DataError

__all__ = ["Tensors", "behaviour_tensor", "counts_tensor"]


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """All trials of one part."""

    part: Part
    counts: Int32[np.ndarray, "trial bin channel"]
    recorded: Bool[np.ndarray, "trial bin channel"] | None = None
    rates_hz: Float[np.ndarray, "trial bin channel"] | None = None
    behaviour: Float[np.ndarray, "trial bin dim"] | None = None
    """NaN where unknown."""
    index: Int[np.ndarray, " trial"] | None = None
    """Number of each trial in the source, where the file says."""

    def pieces(self, offset: int, where: str) -> list[Piece]:
        """One piece for each trial; trials without an index are numbered from `offset` on."""
        for name in ("rates_hz", "behaviour"):
            array = getattr(self, name)
            wanted = self.counts.shape[: 3 if name == "rates_hz" else 2]
            if array is not None and array.shape[: len(wanted)] != wanted:
                raise DataError(
                    f"{where}: {self.part} {name} have shape {array.shape}, the counts "
                    f"{self.counts.shape}; they must agree"
                )
        n_trials = len(self.counts)
        index = self.index
        if index is None or len(index) != n_trials:
            index = np.arange(offset, offset + n_trials)
        return [
            Piece(
                counts=self.counts[i],
                recorded=None if self.recorded is None else self.recorded[i],
                rates_hz=None if self.rates_hz is None else self.rates_hz[i],
                behaviour=None if self.behaviour is None else self.behaviour[i],
                part=self.part,
                origin=(int(index[i]), 0),
            )
            for i in range(n_trials)
        ]


def three_axes(array: Shaped[np.ndarray, "..."], where: str) -> Shaped[np.ndarray, "a b c"]:
    """Refuse a tensor without trials, bins and a third axis."""
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(
            f"{where}: must have axes trial, bin and channel (or dimension), none empty; got "
            f"shape {array.shape}"
        )
    return array


def counts_tensor(
    file: ArrayFile, name: str
) -> tuple[Int32[np.ndarray, "trial bin channel"], Bool[np.ndarray, "trial bin channel"] | None]:
    """Counts, and where they were recorded: in these formats NaN means that they were not.

    Raises
    ------
    DataError
        For a missing data set, another shape, values that are no counts.
    """
    raw = three_axes(file.numbers(name), file.where(name))
    flat, recorded = traces.without_missing(raw.reshape(-1, raw.shape[2]), "nan")
    counts = as_counts(flat, file.where(name)).reshape(raw.shape)
    return counts, None if recorded is None else recorded.reshape(raw.shape)


def behaviour_tensor(file: ArrayFile, name: str) -> Float[np.ndarray, "trial bin dim"]:
    """Behaviour by trial, bin and dimension; NaN where unknown."""
    return three_axes(file.numbers(name), file.where(name)).astype(np.float64)

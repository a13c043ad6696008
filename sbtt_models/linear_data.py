"""Windows of a stream side by side, as the linear models take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sbtt_models.signals import MaskedStream, within
from sbtt_models.windows import Windows

__all__ = ["Batch"]

_CHUNK = 2**21  # numbers in the largest array of an E step


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of a stream, side by side."""

    counts: Float[np.ndarray, "sequence bin channel"]
    exposure: Float[np.ndarray, "sequence bin channel"]
    lengths: Int[np.ndarray, " sequence"]
    pattern: Int[np.ndarray, " sequence"]
    """Sequences of one number have the same exposure and length."""
    values: Float[np.ndarray, "sequence bin channel"]
    """The rate that each entry suggests; 0 where missing. [spikes/bin]"""

    @classmethod
    def of(cls, stream: MaskedStream, windows: Windows) -> Batch:
        """Cut windows out of a stream."""
        pad = ((0, 0), (0, windows.n_bins), (0, 0))
        # bins first in memory, because every recursion goes through them in order
        rows = windows.start + np.arange(windows.n_bins)[:, None]
        counts = np.pad(stream.counts, pad)[windows.trial, rows].astype(np.float64)
        exposure = np.pad(stream.exposure, pad)[windows.trial, rows].astype(np.float64)
        lengths = np.minimum(stream.lengths[windows.trial] - windows.start, windows.n_bins)
        return cls.made(counts.swapaxes(0, 1), exposure.swapaxes(0, 1), lengths)

    @classmethod
    def made(
        cls,
        counts: Float[np.ndarray, "sequence bin channel"],
        exposure: Float[np.ndarray, "sequence bin channel"],
        lengths: Int[np.ndarray, " sequence"],
    ) -> Batch:
        """Find which sequences share their exposure."""
        seen: dict[tuple[int, bytes], int] = {}
        keys = zip(lengths.tolist(), exposure, strict=True)
        pattern = [seen.setdefault((n, e.tobytes()), len(seen)) for n, e in keys]
        values = np.divide(counts, exposure, out=np.zeros_like(counts), where=exposure > 0)
        return cls(counts, exposure, lengths, np.array(pattern), values)

    @property
    def inside(self) -> Float[np.ndarray, "sequence bin"]:
        """1 for bins that belong to their sequence."""
        return within(self.lengths, self.counts.shape[1]).astype(np.float64)

    def some(self, rows: Int[np.ndarray, " kept"] | slice) -> Batch:
        """Some of the sequences, without the bins that none of them has."""
        _, pattern = np.unique(self.pattern[rows], return_inverse=True)
        lengths = self.lengths[rows]
        n_bins = int(lengths.max())
        arrays = (self.counts, self.exposure, self.values)
        counts, exposure, values = (_bins_first(array[rows, :n_bins]) for array in arrays)
        return Batch(counts, exposure, lengths, pattern, values)

    def parts(self, size: int) -> list[Batch]:
        """The sequences, so many at a time that matrices of `size` for each bin stay small.

        If they come longest first, the parts have hardly any padding.
        """
        found, first = list[Batch](), 0
        while first < self.lengths.size:
            step = max(_CHUNK // (size * size * int(self.lengths[first:].max())), 1)
            found.append(self.some(slice(first, first + step)))
            first += step
        return found

    def joined(
        self, pieces: Iterable[Float[np.ndarray, "sequence bin told"]]
    ) -> Float[np.ndarray, "sequence bin told"]:
        """What was found for each part, side by side; 0 in bins that a part lacks."""
        n_bins = self.counts.shape[1]
        padded = [
            np.pad(piece, ((0, 0), (0, n_bins - piece.shape[1]), (0, 0))) for piece in pieces
        ]
        return np.concatenate(padded)


def _bins_first(
    array: Float[np.ndarray, "sequence bin channel"],
) -> Float[np.ndarray, "sequence bin channel"]:
    """The same, with bins first in memory, because every recursion goes through them in order."""
    return np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)

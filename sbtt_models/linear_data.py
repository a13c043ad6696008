"""Windows of a stream side by side, as the linear models take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sbtt_models.signals import MaskedStream, within
from sbtt_models.windows import Windows

__all__ = ["Batch"]

_CHUNK = 2**22  # numbers in the largest array of an E step


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
        """Some of the sequences."""
        _, pattern = np.unique(self.pattern[rows], return_inverse=True)
        return Batch(
            self.counts[rows], self.exposure[rows], self.lengths[rows], pattern, self.values[rows]
        )

    def parts(self, size: int) -> Iterator[Batch]:
        """The sequences, so many at a time that matrices of `size` for each bin stay small."""
        step = max(_CHUNK // (size * size * self.counts.shape[1]), 1)
        if step >= self.lengths.size:
            yield self
            return
        for first in range(0, self.lengths.size, step):
            yield self.some(slice(first, first + step))

"""Spike trains: the times at which the unit of each channel fires."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int32

from sbtt_models.errors import DataError

__all__ = ["SpikeTrains"]


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTrains:
    """Times of spikes, channel after channel, rising within each."""

    time_s: Float[np.ndarray, " spike"]
    start: Int[np.ndarray, " edge"]
    """``time_s[start[c]:start[c + 1]]`` are the spikes of channel c."""
    duration_s: float

    def __post_init__(self) -> None:
        """Refuse what is no set of spike trains.

        Raises
        ------
        DataError
            For times outside the duration or out of order, and for edges that do not fit.
        """
        start, time_s = self.start, self.time_s
        if not (np.isfinite(self.duration_s) and self.duration_s > 0):
            raise DataError(f"spike trains: duration_s: {self.duration_s} s has to be above 0")
        fits = len(start) >= 2 and start[0] == 0 and start[-1] == len(time_s)
        if not fits or (np.diff(start) < 0).any():
            raise DataError(
                f"spike trains: start has to rise from 0 to the {len(time_s)} spikes, with one "
                "edge more than there are channels"
            )
        outside = ~((time_s >= 0) & (time_s < self.duration_s))
        if outside.any():
            raise DataError(
                f"spike trains: {int(outside.sum())} spikes lie outside 0 to "
                f"{self.duration_s:g} s, the first at {time_s[outside][0]:g} s"
            )
        falls = np.diff(time_s) < 0
        falls[start[1:-1][(start[1:-1] > 0) & (start[1:-1] < len(time_s))] - 1] = False
        if falls.any():
            raise DataError("spike trains: the spikes of a channel have to be in order; sort them")

    @property
    def n_channels(self) -> int:
        """Channels, one unit each."""
        return len(self.start) - 1

    @classmethod
    def from_counts(
        cls, counts: Int32[np.ndarray, "bin channel"], bin_s: float, rng: np.random.Generator
    ) -> SpikeTrains:
        """Spread the spikes of each bin over it, uniformly.

        Parameters
        ----------
        counts : int32 array, shape (bin, channel)
            Spikes, 0 or more.
        bin_s : float
            Length of a bin. [s]
        rng : numpy.random.Generator
            Draws the times.

        Returns
        -------
        SpikeTrains
            As long as the bins together.

        Raises
        ------
        DataError
            For counts below 0.
        """
        if (counts < 0).any():
            raise DataError(f"spike trains: a count of {int(counts.min())} is below 0")
        flat = counts.T.ravel()
        bins = np.repeat(np.tile(np.arange(len(counts)), counts.shape[1]), flat)
        channel = np.repeat(np.arange(counts.shape[1]), counts.sum(axis=0))
        time_s = (bins + rng.random(len(bins))) * bin_s
        order = np.lexsort((time_s, channel))
        start = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
        duration_s = len(counts) * bin_s
        last_s = np.nextafter(duration_s, 0.0)  # a product may be rounded up to the very end
        return cls(np.minimum(time_s[order], last_s), start.astype(np.int64), duration_s)

    @classmethod
    def poisson(
        cls, rate_hz: Float[np.ndarray, " channel"], duration_s: float, rng: np.random.Generator
    ) -> SpikeTrains:
        """Draw Poisson trains.

        Parameters
        ----------
        rate_hz : float array, shape (channel,)
            Mean rate of each channel. [Hz]
        duration_s : float
            How long. [s]
        rng : numpy.random.Generator
            Draws.

        Returns
        -------
        SpikeTrains
            Without refractory time.
        """
        counts = rng.poisson(rate_hz * duration_s)[None].astype(np.int32)
        return cls.from_counts(counts, duration_s, rng)

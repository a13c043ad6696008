"""A mixture of trajectories: components are rates of whole windows, chosen by a trial's counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped
from typing_extensions import override

from sbtt_models.online import Step
from sbtt_models.signals import within
from sbtt_models.windows import Windows

__all__ = ["Mixture", "MixtureStep"]

_LEAST_SHARE = 1e-3  # of a channel's mean: one spike must not rule a component out for ever
_CHUNK = 2**24  # numbers in the largest array at a time


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    r"""Components of equal probability, and what a window's counts say about them.

    A window with counts :math:`y` and exposure :math:`e` came from component :math:`j` of rates
    :math:`r_j` with log odds :math:`\sum y \ln r_j - e r_j`, summed over its bins and channels.
    """

    components: Float32[np.ndarray, "component bin channel"]
    """Rates, all positive. [spikes/bin]"""

    @classmethod
    def of(
        cls,
        rates: Float32[np.ndarray, "component bin channel"],
        lengths: Int[np.ndarray, " component"],
        means: Float[np.ndarray, " channel"],
    ) -> Mixture:
        """Make components of inferred windows.

        Parameters
        ----------
        rates : numpy.ndarray
            [spikes/bin]
        lengths : numpy.ndarray
            Bins of each window that belong to its trial; of the others only the means are known.
        means : numpy.ndarray
            Of each channel. [spikes/bin]
        """
        inside = within(lengths, rates.shape[1])[:, :, None]
        least = _LEAST_SHARE * means
        return cls(np.where(inside, np.maximum(rates, least), means).astype(np.float32))

    def log_odds(
        self,
        counts: Shaped[np.ndarray, "window bin channel"],
        exposure: Float32[np.ndarray, "window bin channel"],
        bins: slice = slice(None),
    ) -> Float[np.ndarray, "window component"]:
        """What the counts of some bins say about each component. [nat]"""
        rates = self.components[:, bins].reshape(len(self.components), -1).astype(np.float64)
        n = len(counts)
        told = counts[:, bins].reshape(n, -1) @ np.log(rates).T
        told -= exposure[:, bins].reshape(n, -1) @ rates.T
        return told

    def rates(
        self,
        counts: Shaped[np.ndarray, "window bin channel"],
        exposure: Float32[np.ndarray, "window bin channel"],
        wait: int,
    ) -> Float32[np.ndarray, "window bin channel"]:
        """Posterior mean of the rates of each bin, given counts up to `wait` bins later.

        A wait of a window or more uses the whole window for each of its bins. [spikes/bin]
        """
        n_bins = self.components.shape[1]
        rates = np.empty(counts.shape, np.float32)
        for rows in _parts(len(counts), max(self.components.shape[0], n_bins)):
            y, e = counts[rows], exposure[rows]
            if wait >= n_bins:
                weight = weights(self.log_odds(y, e))
                rates[rows] = self._mean(weight, slice(None))
                continue
            told = np.zeros((len(y), len(self.components)))
            for now in range(n_bins + wait):
                if now < n_bins:
                    told += self.log_odds(y, e, slice(now, now + 1))
                if now >= wait:
                    late = slice(now - wait, now - wait + 1)
                    rates[rows, late] = self._mean(weights(told), late)
        return rates

    def shared(
        self,
        counts: Shaped[np.ndarray, "component bin channel"],
        exposure: Float32[np.ndarray, "component bin channel"],
        windows: Windows,
    ) -> Mixture:
        """Replace each component by the mean that the others give it.

        A window says nothing of the bins that it shares with another, so windows that overlap do
        not count for each other. One that has no other stays as it is.

        Parameters
        ----------
        counts, exposure : numpy.ndarray
            What was observed in the windows that the components were inferred from.
        windows : Windows
            Where these lie.
        """
        new = self.components.copy()
        for rows in _parts(len(new), len(new)):
            told = self.log_odds(counts[rows], exposure[rows])
            told[_overlapping(windows, rows)] = -np.inf
            some = np.isfinite(told).any(axis=1)
            new[rows][some] = self._mean(weights(told[some]), slice(None))
        return Mixture(new)

    def _mean(
        self, weight: Float[np.ndarray, "window component"], bins: slice
    ) -> Float32[np.ndarray, "window bin channel"]:
        rates = self.components[:, bins]
        mean = weight @ rates.reshape(len(rates), -1).astype(np.float64)
        return mean.reshape(len(weight), *rates.shape[1:]).astype(np.float32)


class MixtureStep(Step):
    """A mixture within one trial: the log odds begin anew with each window."""

    def __init__(self, mixture: Mixture, lookahead_bins: int) -> None:
        super().__init__(lookahead_bins, mixture.components.shape[2])
        self._mixture, self._heard = mixture, 0
        self._told = np.zeros(len(mixture.components))
        self._before = self._told

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        n_bins = self._mixture.components.shape[1]
        place = self._heard % n_bins
        if place == 0:
            self._before, self._told = self._told, np.zeros_like(self._told)
        rates = self._mixture.components[:, place].astype(np.float64)
        self._told = self._told + np.log(rates) @ counts - rates @ exposure
        late = self._heard - self.lookahead_bins
        self._heard += 1
        if late < 0:
            return None
        told = self._told if late // n_bins == (self._heard - 1) // n_bins else self._before
        mean: Float[np.ndarray, " channel"] = weights(told[None])[0] @ self._mixture.components[
            :, late % n_bins
        ].astype(np.float64)
        return mean


def weights(
    told: Float[np.ndarray, "window component"],
) -> Float[np.ndarray, "window component"]:
    """Probabilities from log odds."""
    odds = np.exp(told - told.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


def _overlapping(windows: Windows, rows: slice) -> Bool[np.ndarray, "row window"]:
    """Pairs of windows that share a bin, each with itself among them."""
    same = windows.trial[rows, None] == windows.trial
    return same & (np.abs(windows.start[rows, None] - windows.start) < windows.n_bins)


def _parts(n: int, width: int) -> Iterator[slice]:
    """Rows, so many at a time that arrays of this width stay small."""
    step = max(_CHUNK // width, 1)
    for first in range(0, n, step):
        yield slice(first, first + step)

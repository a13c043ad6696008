"""Straight lines between samples, then Gaussian smoothing: at once, and as the samples come in."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from typing_extensions import override

from sbtt_models.means import blur, kernel, reach
from sbtt_models.online import Step
from sbtt_models.signals import MaskedStream, within

__all__ = ["InterpolationStep", "interpolate", "interpolate_so_far"]

_LEAST_SHARE = 0.05  # of the mean: between two empty samples a line is 0, a rate is not
_TINY = 1e-6


def interpolate(
    stream: MaskedStream, sd_bins: float, means: Float[np.ndarray, " channel"]
) -> Float32[np.ndarray, "trial bin channel"]:
    """Linear interpolation of each channel, then smoothing within each trial. [spikes/bin]

    Parameters
    ----------
    sd_bins : float
        Standard deviation of the kernel. [bins]
    means : numpy.ndarray
        Rates of channels without a sample in a trial. [spikes/bin]
    """
    n_trials, n_bins, n_channels = stream.counts.shape
    filled = np.broadcast_to(means, stream.counts.shape).astype(np.float32)
    bins = np.arange(n_bins)
    observed, counts = stream.observed, stream.counts
    for trial, channel in product(range(n_trials), range(n_channels)):
        known = np.flatnonzero(observed[trial, :, channel])
        if known.size:
            values = counts[trial, known, channel] / stream.exposure[trial, known, channel]
            filled[trial, :, channel] = np.interp(bins, known, values)
    inside = within(stream.lengths, n_bins).astype(np.float32)[:, :, None]
    rates = blur(filled * inside, sd_bins, None)
    rates /= np.maximum(blur(inside, sd_bins, None), _TINY)
    return np.maximum(rates, _least(stream.real, means)).astype(np.float32)


def interpolate_so_far(
    stream: MaskedStream, sd_bins: float, means: Float[np.ndarray, " channel"], wait: int
) -> Float32[np.ndarray, "trial bin channel"]:
    """What :func:`interpolate` makes of each bin from the samples up to `wait` bins after it."""
    n_trials, n_bins, n_channels = stream.counts.shape
    inside = within(stream.lengths, n_bins)
    running = _Interpolated(sd_bins, means, wait, n_trials, stream.real)
    rates = np.zeros(stream.counts.shape, np.float32)
    nothing, nowhere = np.zeros((n_trials, n_channels)), np.zeros(n_trials, bool)
    for t in range(n_bins + wait):
        seen = (stream.counts[:, t], stream.exposure[:, t]) if t < n_bins else (nothing, nothing)
        running.hear(seen[0], seen[1], inside[:, t] if t < n_bins else nowhere)
        if t >= wait:
            rates[:, t - wait] = running.rates()
    return rates


class InterpolationStep(Step):
    """The same within one trial, bin by bin."""

    def __init__(self, sd_bins: float, means: Float[np.ndarray, " channel"], wait: int) -> None:
        super().__init__(wait, means.size)
        self._running, self._heard = _Interpolated(sd_bins, means, wait, 1), 0

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        self._running.hear(counts[None], exposure[None], np.ones(1, bool))
        self._heard += 1
        return self._running.rates()[0] if self._heard > self.lookahead_bins else None

    @override
    def rest(self) -> Float[np.ndarray, "waiting channel"]:
        nothing, late = np.zeros((1, self.n_channels)), []
        for waited in range(1, self.lookahead_bins + 1):
            self._running.hear(nothing, nothing, np.zeros(1, bool))
            if self._heard + waited > self.lookahead_bins:
                late.append(self._running.rates()[0])
        return np.stack(late) if late else np.zeros((0, self.n_channels))


def _least(real: bool, means: Float[np.ndarray, " channel"]) -> Float[np.ndarray, " channel"]:
    """What is inferred is at least this; real values have no bound."""
    return np.full(means.shape, -np.inf) if real else _LEAST_SHARE * means


class _Interpolated:
    """The last bins of some trials: lines between the samples so far, the last one held."""

    def __init__(
        self,
        sd_bins: float,
        means: Float[np.ndarray, " channel"],
        wait: int,
        n_trials: int,
        real: bool = False,
    ) -> None:
        past = reach(sd_bins)
        ahead = min(wait, past)
        self._least = _least(real, means)
        self._back = np.arange(past + wait, -1, -1)[:, None]  # bins before the newest
        self._weight = np.zeros(past + wait + 1)
        self._weight[: past + ahead + 1] = kernel(sd_bins)[: past + ahead + 1]
        self._inside = np.zeros((n_trials, self._back.size))
        self._held = np.tile(means, (n_trials, 1))
        self._since = np.full(self._held.shape, np.inf)
        self._filled = np.tile(means, (n_trials, self._back.size, 1))

    def hear(
        self,
        counts: Shaped[np.ndarray, "trial channel"],
        exposure: Float[np.ndarray, "trial channel"],
        inside: Bool[np.ndarray, " trial"],
    ) -> None:
        """Take in the next bin of each trial."""
        known = exposure > 0
        values = np.divide(counts, exposure, out=np.zeros(known.shape), where=known)
        self._since += 1
        for array, newest in ((self._filled, self._held), (self._inside, inside)):
            array[:, :-1] = array[:, 1:].copy()
            array[:, -1] = newest
        # from the sample before to this one; where there is none, its value holds for all
        share = self._back / self._since[:, None]
        line = values[:, None] + (self._held - values)[:, None] * share
        between = known[:, None] & (self._back < self._since[:, None])
        np.copyto(self._filled, line, where=between)
        self._held = np.where(known, values, self._held)
        self._since = np.where(known, 0.0, self._since)

    def rates(self) -> Float[np.ndarray, "trial channel"]:
        """Smoothed values of the bin that has waited long enough. [spikes/bin]"""
        weight = self._weight * self._inside
        total = np.einsum("tb,tbc->tc", weight, self._filled)
        return np.maximum(total / np.maximum(weight.sum(1), _TINY)[:, None], self._least)

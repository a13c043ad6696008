"""How uncertain states show in Poisson counts: expected rates, and the M step of the loadings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sbtt_models.chain import Posterior
from sbtt_models.moments import by_bin
from sbtt_models.poisson_dynamics import MOST_LOG_RATE, damped

__all__ = ["ExpectedStates", "better_read_out", "expected_rates", "learned_prior", "read_out_gain"]

_STEPS = 2  # of one M step: the next E step moves everything anyway
_TINY = np.finfo(float).tiny
_ASSUMED_CHANNELS = 5  # without, 18 channels cannot tell the covariance of 12 loadings
_PRIOR_OFFSET = 1e-3  # keeps a channel that never fired from going to minus infinity


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedStates:
    """States of many bins, and what was counted in them; one row for each bin."""

    mean: Float[np.ndarray, "row state"]
    spread: Float[np.ndarray, "row half"]
    """Upper triangles of the covariances."""
    counts: Float[np.ndarray, "row channel"]
    exposure: Float[np.ndarray, "row channel"]

    @classmethod
    def of(
        cls,
        posterior: Posterior,
        counts: Float[np.ndarray, "sequence bin channel"],
        exposure: Float[np.ndarray, "sequence bin channel"],
    ) -> ExpectedStates:
        """All bins of all sequences."""
        mean = np.ascontiguousarray(by_bin(posterior.mean))
        return cls(mean, _half(posterior.covariance), by_bin(counts), by_bin(exposure))

    @classmethod
    def joined(cls, parts: list[ExpectedStates]) -> ExpectedStates:
        """Several one after the other."""
        if len(parts) == 1:
            return parts[0]
        names = ("mean", "spread", "counts", "exposure")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def expected_rates(
    loading: Float[np.ndarray, "channel state"],
    offset: Float[np.ndarray, " channel"],
    mean: Float[np.ndarray, "sequence bin state"],
    covariance: Float[np.ndarray, "sequence bin state state"],
) -> Float[np.ndarray, "sequence bin channel"]:
    r"""Expected rate of each channel, :math:`E \\exp(C x + d)` for Gaussian x. [spikes/bin]"""
    n_sequences, n_bins, _ = mean.shape
    rates = np.exp(_log_mean(by_bin(mean), _half(covariance), loading, offset))
    return rates.reshape(n_bins, n_sequences, -1).swapaxes(0, 1)


def read_out_gain(
    loading: Float[np.ndarray, "channel state"],
    offset: Float[np.ndarray, " channel"],
    states: ExpectedStates,
    prior: Float[np.ndarray, "state state"],
) -> Float[np.ndarray, " channel"]:
    """Expected log likelihood of each channel and log prior of its loadings, but for constants."""
    log_mean = _log_mean(states.mean, states.spread, loading, offset)
    linear = states.mean @ loading.T + offset
    gain = (states.counts * linear - states.exposure * np.exp(log_mean)).sum(0)
    return gain - 0.5 * (((loading @ prior) * loading).sum(1) + _PRIOR_OFFSET * offset**2)


def better_read_out(
    loading: Float[np.ndarray, "channel state"],
    offset: Float[np.ndarray, " channel"],
    states: ExpectedStates,
    prior: Float[np.ndarray, "state state"],
) -> tuple[
    Float[np.ndarray, "channel state"],
    Float[np.ndarray, " channel"],
    Float[np.ndarray, "channel state state"],
]:
    """A few damped Newton steps for all channels at once; no channel gets worse.

    Parameters
    ----------
    prior : numpy.ndarray
        Precision of each channel's loadings about 0. [1/(ln spikes/bin)^2]

    Returns
    -------
    tuple of numpy.ndarray
        Loadings, offsets, and how unsure the loadings are: their covariance (Laplace).
    """
    size = loading.shape[1]
    penalty = np.zeros((size + 1, size + 1))
    penalty[:size, :size], penalty[size, size] = prior, _PRIOR_OFFSET
    mean, both = states.mean, np.concatenate([loading, offset[:, None]], axis=1)
    second = states.spread + _half_of_rows(mean)
    upper, lower = np.triu_indices(size)

    def height_of(both: np.ndarray) -> np.ndarray:
        return read_out_gain(both[:, :size], both[:, size], states, prior)

    height = height_of(both)
    for _ in range(_STEPS):
        c, d = both[:, :size], both[:, size]
        expected = states.exposure * np.exp(_log_mean(mean, states.spread, c, d))
        hessian = np.zeros((d.size, size + 1, size + 1))
        hessian[:, upper, lower] = hessian[:, lower, upper] = expected.T @ second
        # d/dc E exp(c'x + d) = E[x] + V c: the second part from the sums already made
        tilt = (hessian[:, :size, :size] @ c[:, :, None])[:, :, 0]
        tilt = tilt - (expected * (mean @ c.T)).T @ mean
        total = expected.sum(0)
        shown = expected.T @ mean
        pulled = shown + tilt
        # the exact curvature, but that V c is its average: positive definite, and cheap
        for rows, sign in ((pulled, 1.0), (shown, -1.0)):
            weighed = rows / np.maximum(total, _TINY)[:, None]
            hessian[:, :size, :size] += sign * rows[:, :, None] * weighed[:, None, :]
        hessian[:, :size, size] = hessian[:, size, :size] = pulled
        hessian[:, size, size] = total
        left = states.counts - expected
        slope = np.concatenate([left.T @ mean - tilt, left.sum(0)[:, None]], axis=1)
        slope -= both @ penalty
        hessian += penalty
        move = np.linalg.solve(hessian, slope[:, :, None])[:, :, 0]
        both, height = damped(height_of, both, move, height)
    return both[:, :size], both[:, size], np.linalg.inv(hessian)[:, :size, :size]


def learned_prior(
    loading: Float[np.ndarray, "channel state"],
    covariance: Float[np.ndarray, "channel state state"],
    begun: Float[np.ndarray, "state state"],
) -> Float[np.ndarray, "state state"]:
    """Precision of the loadings that all channels together suggest (one step of EM).

    What one channel's few samples leave open, the others tell; states that no channel needs lose
    their loadings. It does not matter in which coordinates the states are written.

    Parameters
    ----------
    begun : numpy.ndarray
        The precision that was assumed; it keeps the weight of a few channels.
    """
    found = loading.T @ loading + covariance.sum(0)
    assumed = _ASSUMED_CHANNELS * np.linalg.inv(begun)
    return np.linalg.inv((found + assumed) / (loading.shape[0] + _ASSUMED_CHANNELS))


def _log_mean(
    mean: Float[np.ndarray, "row state"],
    spread: Float[np.ndarray, "row half"],
    loading: Float[np.ndarray, "channel state"],
    offset: Float[np.ndarray, " channel"],
) -> Float[np.ndarray, "row channel"]:
    """Log of the expected rates."""
    upper, lower = np.triu_indices(loading.shape[1])
    twice = np.where(upper == lower, 0.5, 1.0)  # half of the quadratic form
    quadratic = spread @ (loading[:, upper] * loading[:, lower] * twice).T
    return np.minimum(mean @ loading.T + offset + quadratic, MOST_LOG_RATE)


def _half(
    matrices: Float[np.ndarray, "sequence bin state state"],
) -> Float[np.ndarray, "row half"]:
    """Upper triangles, bin by bin."""
    size = matrices.shape[2]
    upper, lower = np.triu_indices(size)
    return np.take(by_bin(matrices).reshape(-1, size * size), upper * size + lower, axis=1)


def _half_of_rows(mean: Float[np.ndarray, "row state"]) -> Float[np.ndarray, "row half"]:
    upper, lower = np.triu_indices(mean.shape[1])
    return mean[:, upper] * mean[:, lower]

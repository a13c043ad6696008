"""A linear dynamical system whose every step may observe other channels: filter, smoother, EM.

Exact for gaps: a missing entry adds no information, and nothing is filled in. numpy only, batched
over sequences, looped over bins.

References
----------
Shumway & Stoffer, "An approach to time series smoothing and forecasting using the EM algorithm",
J. Time Series Analysis 3:253-264, 1982; missing observations as in their section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["LinearDynamics", "Posterior", "initial_guess", "maximise", "smooth_states"]

_JITTER = 1e-6
_PRIOR = 1.0  # [bins] a pull of each loading towards 0: what one observation at x = 1 would tell


@dataclass(frozen=True, slots=True, eq=False)
class LinearDynamics:
    r"""Parameters of :math:`x_{t+1} = A x_t + q_t`, :math:`y_t = C x_t + d + r_t`."""

    transition: Float[np.ndarray, "state state"]
    """A"""
    innovation: Float[np.ndarray, "state state"]
    """Covariance of q."""
    initial: Float[np.ndarray, "state state"]
    """Covariance of the first state; its mean is 0."""
    loading: Float[np.ndarray, "channel state"]
    """C [spikes/bin]"""
    offset: Float[np.ndarray, " channel"]
    """d [spikes/bin]"""
    noise: Float[np.ndarray, " channel"]
    """Variance of r in a full bin; a bin of exposure e has noise / e. [(spikes/bin)^2]"""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The states given all observations of their sequence."""

    mean: Float[np.ndarray, "sequence bin state"]
    covariance: Float[np.ndarray, "sequence bin state state"]
    lagged: Float[np.ndarray, "sequence next state state"]
    """Covariance of the states at t + 1 and t."""


def smooth_states(
    model: LinearDynamics,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
) -> Posterior:
    """Kalman filter and Rauch–Tung–Striebel smoother in information form.

    Parameters
    ----------
    values : numpy.ndarray
        Count over exposure: the rate that each entry suggests; anything where exposure is 0.
        [spikes/bin]
    exposure : numpy.ndarray
        0 where missing.
    lengths : numpy.ndarray
        Bins of each sequence; what comes after them is padding, and 0 in the result.
    """
    longest_first = np.argsort(-lengths, kind="stable")
    found = _smooth_sorted(
        model, values[longest_first], exposure[longest_first], lengths[longest_first]
    )
    back = np.argsort(longest_first)
    return Posterior(found.mean[back], found.covariance[back], found.lagged[back])


def _smooth_sorted(
    model: LinearDynamics,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
) -> Posterior:
    """The recursion; sequences come longest first, so that those still running are the first k."""
    n_sequences, n_bins, _ = values.shape
    running = (lengths[None, :] > np.arange(n_bins)[:, None]).sum(axis=1)
    size = model.transition.shape[0]
    weight = exposure / model.noise
    outer = (model.loading[:, :, None] * model.loading[:, None, :]).reshape(-1, size * size)
    precision = (weight @ outer).reshape(n_sequences, n_bins, size, size)
    pull = (weight * (values - model.offset)) @ model.loading
    a, eye = model.transition, _JITTER * np.eye(size)
    mean = np.zeros((n_sequences, n_bins, size))
    covariance = np.zeros((n_sequences, n_bins, size, size))
    ahead_mean = np.zeros((n_sequences, size))
    ahead = np.broadcast_to(model.initial, (n_sequences, size, size))
    predicted = np.zeros_like(covariance)
    for t in range(n_bins):
        k = running[t]
        ahead, ahead_mean = ahead[:k], ahead_mean[:k]
        predicted[:k, t] = ahead
        # (P^-1 + J)^-1 = (I + P J)^-1 P: no inverse of P, which may be nearly singular
        gain = np.eye(size) + ahead @ precision[:k, t]
        covariance[:k, t] = _symmetric(np.linalg.solve(gain, ahead))
        residual = pull[:k, t] - (precision[:k, t] @ ahead_mean[:, :, None])[:, :, 0]
        mean[:k, t] = ahead_mean + (covariance[:k, t] @ residual[:, :, None])[:, :, 0]
        ahead_mean = mean[:k, t] @ a.T
        ahead = a @ covariance[:k, t] @ a.T + model.innovation
    lagged = np.zeros((n_sequences, max(n_bins - 1, 0), size, size))
    for t in range(n_bins - 2, -1, -1):
        k = running[t + 1]
        back = np.linalg.solve(predicted[:k, t + 1] + eye, a @ covariance[:k, t])
        back = back.transpose(0, 2, 1)
        surprise = mean[:k, t + 1] - mean[:k, t] @ a.T
        mean[:k, t] += (back @ surprise[:, :, None])[:, :, 0]
        lagged[:k, t] = covariance[:k, t + 1] @ back.transpose(0, 2, 1)
        change = covariance[:k, t + 1] - predicted[:k, t + 1]
        smoothed = covariance[:k, t] + back @ change @ back.transpose(0, 2, 1)
        covariance[:k, t] = _symmetric(smoothed)
    return Posterior(mean, covariance, lagged)


def maximise(
    posterior: Posterior,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    inside: Float[np.ndarray, "sequence bin"],
    least_noise: Float[np.ndarray, " channel"],
) -> LinearDynamics:
    """The parameters that best explain the expected states (the M step).

    Parameters
    ----------
    inside : numpy.ndarray
        1 for bins that belong to their sequence, 0 for padding.
    least_noise : numpy.ndarray
        Floor of the noise variance, so that a silent channel is not infinitely trusted.
    """
    size = posterior.mean.shape[2]
    second = posterior.covariance + posterior.mean[..., :, None] * posterior.mean[..., None, :]
    cross = posterior.lagged + posterior.mean[:, 1:, :, None] * posterior.mean[:, :-1, None, :]
    pair = inside[:, 1:, None, None]
    before, after = (second[:, :-1] * pair).sum((0, 1)), (second[:, 1:] * pair).sum((0, 1))
    moved = (cross * pair).sum((0, 1))
    eye = _JITTER * np.eye(size)
    transition = np.linalg.solve(before + eye, moved.T).T
    innovation = _symmetric(after - transition @ moved.T) / max(float(pair.sum()), 1.0) + eye

    # loading and offset of each channel: weighted regression on [x, 1] over its observed bins
    flat = exposure.reshape(-1, exposure.shape[2])
    state = posterior.mean.reshape(-1, size)
    joint = np.concatenate([state, np.ones((state.shape[0], 1))], axis=1)
    moments = np.zeros((flat.shape[1], size + 1, size + 1))
    moments[:, :size, :size] = (flat.T @ second.reshape(-1, size * size)).reshape(-1, size, size)
    moments[:, :size, size] = moments[:, size, :size] = flat.T @ state
    moments[:, size, size] = flat.sum(0)
    target = (flat * values.reshape(flat.shape)).T @ joint  # (channel, state + 1)
    ridge = np.diag([_PRIOR] * size + [_JITTER])
    solved = np.linalg.solve(moments + ridge, target[:, :, None])[:, :, 0]
    squares = (flat * values.reshape(flat.shape) ** 2).sum(0)
    explained = 2 * (solved * target).sum(1) - np.einsum("ci,cij,cj->c", solved, moments, solved)
    noise = (squares - explained) / np.maximum((flat > 0).sum(0), 1)
    return LinearDynamics(
        transition,
        innovation,
        _symmetric(second[:, 0].mean(0)) + eye,
        solved[:, :size],
        solved[:, size],
        np.maximum(noise, least_noise),
    )


def initial_guess(
    smoothed: Float[np.ndarray, "sequence bin channel"],
    inside: Float[np.ndarray, "sequence bin"],
    size: int,
    least_noise: Float[np.ndarray, " channel"],
) -> LinearDynamics:
    """Principal components of smoothed rates, and how they follow one another."""
    rows = smoothed[inside > 0]
    offset = rows.mean(0)
    _, strength, directions = np.linalg.svd(rows - offset, full_matrices=False)
    size = min(size, directions.shape[0])
    scale = np.maximum(strength[:size] / np.sqrt(max(rows.shape[0], 1)), 1e-3)
    loading = directions[:size].T * scale
    state = ((smoothed - offset) @ directions[:size].T) / scale * inside[..., None]
    now, later = state[:, :-1].reshape(-1, size), state[:, 1:].reshape(-1, size)
    transition = np.linalg.solve(now.T @ now + np.eye(size), now.T @ later).T
    # smoothed states move too slowly: leave room, and let EM find how fast they really are
    transition *= 0.95
    innovation = np.eye(size) - transition @ transition.T
    values, vectors = np.linalg.eigh(_symmetric(innovation))
    innovation = (vectors * np.maximum(values, 0.02)) @ vectors.T
    noise = np.maximum(offset, least_noise)
    return LinearDynamics(transition, innovation, np.eye(size), loading, offset, noise)


def _symmetric(matrix: Float[np.ndarray, "*batch n n"]) -> Float[np.ndarray, "*batch n n"]:
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))

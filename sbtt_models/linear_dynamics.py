"""A linear dynamical system whose every step may observe other channels: smoother, likelihood, EM.

Exact for gaps: a missing entry adds no information, and nothing is filled in. Batched over
sequences, looped over bins.

References
----------
Shumway & Stoffer, "An approach to time series smoothing and forecasting using the EM algorithm",
J. Time Series Analysis 3:253-264, 1982; missing observations as in their section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sbtt_models.chain import Chain, Posterior, smooth_chain
from sbtt_models.moments import LOADING_PRIOR, Moments, by_bin
from sbtt_models.small_matrices import symmetric

__all__ = [
    "LinearDynamics",
    "Posterior",
    "evidence_by_row",
    "evidence_of",
    "initial_guess",
    "log_likelihood",
    "maximise",
    "smooth_states",
]


@dataclass(frozen=True, slots=True, eq=False)
class LinearDynamics:
    r"""Parameters of :math:`x_{t+1} = A x_t + q_t`, :math:`y_t = C x_t + d + r_t`."""

    transition: Float[np.ndarray, "state state"]
    """A"""
    innovation: Float[np.ndarray, "state state"]
    """Covariance of q; positive definite."""
    initial: Float[np.ndarray, "state state"]
    """Covariance of the first state; its mean is 0."""
    loading: Float[np.ndarray, "channel state"]
    """C [spikes/bin]"""
    offset: Float[np.ndarray, " channel"]
    """d [spikes/bin]"""
    noise: Float[np.ndarray, " channel"]
    """Variance of r in a full bin; a bin of exposure e has noise / e. [(spikes/bin)^2]"""

    @property
    def chain(self) -> Chain:
        """The prior of the states."""
        return Chain(self.transition, self.innovation, self.initial)


def smooth_states(
    model: LinearDynamics,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
    pattern: Int[np.ndarray, " sequence"] | None = None,
) -> Posterior:
    """Kalman filter and smoother in information form.

    Parameters
    ----------
    values : numpy.ndarray
        Count over exposure: the rate that each entry suggests; anything where exposure is 0.
        [spikes/bin]
    exposure : numpy.ndarray
        0 where missing.
    lengths : numpy.ndarray
        Bins of each sequence; what comes after them is padding, and 0 in the result.
    pattern : numpy.ndarray, optional
        Sequences of equal number have equal exposure and length, so that their covariances are
        computed once; numbers count up from 0. None: all differ.

    Raises
    ------
    DivergedError
        If a covariance is no longer positive definite.
    """
    pattern = np.arange(lengths.size) if pattern is None else pattern
    _, rows = np.unique(pattern, return_index=True)
    shared = rows if rows.size < lengths.size else slice(None)
    precision, pull = evidence_of(model, values, exposure, shared)
    return smooth_chain(model.chain, precision, pull, lengths, pattern)


def evidence_of(
    model: LinearDynamics,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    rows: Int[np.ndarray, " row"] | slice = slice(None),
) -> tuple[Float[np.ndarray, "row bin state state"], Float[np.ndarray, "sequence bin state"]]:
    """What the observed channels say of the state: precision and pull of a Gaussian factor.

    Parameters
    ----------
    rows : numpy.ndarray or slice
        Sequences for which the precision is wanted.
    """
    size = model.loading.shape[1]
    outer = (model.loading[:, :, None] * model.loading[:, None, :]).reshape(-1, size * size)
    precision = by_bin(exposure[rows]) @ (outer / model.noise[:, None])
    pull = by_bin(exposure * (values - model.offset)) @ (model.loading / model.noise[:, None])
    n_sequences, n_bins, _ = exposure.shape
    return (
        precision.reshape(n_bins, -1, size, size).swapaxes(0, 1),
        pull.reshape(n_bins, n_sequences, size).swapaxes(0, 1),
    )


def evidence_by_row(
    model: LinearDynamics,
) -> Callable[
    [Float[np.ndarray, "sequence channel"], Float[np.ndarray, "sequence channel"]],
    tuple[Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]],
]:
    """Make :func:`evidence_of` one bin, from counts and exposure; what is constant only once."""
    size = model.loading.shape[1]
    weighed = model.loading / model.noise[:, None]
    outer = (weighed[:, :, None] * model.loading[:, None, :]).reshape(-1, size * size)

    def evidence(counts: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        precision = (exposure @ outer).reshape(-1, size, size)
        return precision, (counts - exposure * model.offset) @ weighed

    return evidence


def log_likelihood(
    model: LinearDynamics,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
) -> Float[np.ndarray, " sequence"]:
    """Of the observed entries of each sequence, the states integrated out. [nat]"""
    found = smooth_states(model, values, exposure, lengths)
    seen = exposure > 0
    variance = model.noise / np.where(seen, exposure, 1.0)
    alone = -0.5 * (np.log(2 * np.pi * variance) + (values - model.offset) ** 2 / variance)
    return np.where(seen, alone, 0.0).sum((1, 2)) + found.evidence


def maximise(
    posterior: Posterior,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    inside: Float[np.ndarray, "sequence bin"],
    least_noise: Float[np.ndarray, " channel"],
    prior: float = LOADING_PRIOR,
) -> LinearDynamics:
    """The parameters that best explain the expected states (the M step).

    Parameters
    ----------
    inside : numpy.ndarray
        1 for bins that belong to their sequence, 0 for padding.
    least_noise : numpy.ndarray
        Floor of the noise variance, so that a silent channel is not infinitely trusted.
    prior : float
        Pull of each loading towards 0: what so many observations at x = 1 would tell. [bins]
    """
    return from_moments(Moments.of(posterior, values, exposure, inside), least_noise, prior)


def from_moments(
    moments: Moments, least_noise: Float[np.ndarray, " channel"], prior: float
) -> LinearDynamics:
    """The M step from sums over all sequences."""
    chain, read_out = moments.chain.best(), moments.read_out.best(least_noise, prior)
    return LinearDynamics(
        chain.transition,
        chain.innovation,
        chain.initial,
        read_out.loading,
        read_out.offset,
        read_out.noise,
    )


def initial_guess(
    smoothed: Float[np.ndarray, "sequence bin channel"],
    inside: Float[np.ndarray, "sequence bin"],
    size: int,
    least_noise: Float[np.ndarray, " channel"],
    damping: float = 0.95,
) -> LinearDynamics:
    """Principal components of smoothed rates, and how they follow one another.

    Smoothed states move too slowly: `damping` leaves the transition room, and EM finds how fast
    they really are.
    """
    rows = smoothed[inside > 0]
    offset = rows.mean(0)
    strength, directions = _principal(rows - offset)
    size = min(size, directions.shape[0])
    scale = np.maximum(strength[:size] / np.sqrt(max(rows.shape[0], 1)), 1e-3)
    loading = directions[:size].T * scale
    state = ((smoothed - offset) @ directions[:size].T) / scale * inside[..., None]
    now, later = state[:, :-1].reshape(-1, size), state[:, 1:].reshape(-1, size)
    transition = np.linalg.solve(now.T @ now + np.eye(size), now.T @ later).T
    transition *= damping
    innovation = np.eye(size) - transition @ transition.T
    values, vectors = np.linalg.eigh(symmetric(innovation))
    innovation = (vectors * np.maximum(values, 0.02)) @ vectors.T
    noise = np.maximum(offset, least_noise)
    return LinearDynamics(transition, innovation, np.eye(size), loading, offset, noise)


def _principal(
    rows: Float[np.ndarray, "row channel"],
) -> tuple[Float[np.ndarray, " channel"], Float[np.ndarray, "channel channel"]]:
    """Singular values and right singular vectors, strongest first."""
    squares, vectors = np.linalg.eigh(rows.T @ rows)  # far cheaper than the vectors of all rows
    return np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1].T

"""A linear Gaussian model of a population's rates, fitted by its moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from implant_sim.hardware.schedules.adaptive import InSteps
from sbtt_models.errors import SpecError

__all__ = ["USUAL_SIZE", "LinearModel", "fit_linear_model"]

USUAL_SIZE = 8
"""Latent dimensions, unless said otherwise."""

_LEAST_SHARE = 1e-3  # of the variance within a step, so that a state can be scaled to 1
_LEAST_VARIANCE = 1e-6  # along an axis, in units of Poisson noise
_STABLE = 0.999  # a state remembers at most a thousand steps


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """Counts = mean + loadings x + noise, x' = dynamics x + innovation; x has unit covariance."""

    dynamics: Float[np.ndarray, "latent latent"]
    innovation: Float[np.ndarray, "latent latent"]
    """Covariance of what is new in each step, I - dynamics dynamics': keeps x at covariance I."""
    loadings: Float[np.ndarray, "channel latent"]
    mean: Float[np.ndarray, " channel"]
    """Spikes in a step."""
    noise_ratio: Float[np.ndarray, " channel"]
    """Private variance of a count over its expectation: 1 for Poisson, more where a channel has
    fluctuations of its own."""

    @property
    def n_numbers(self) -> int:
        """How many numbers it consists of."""
        n, size = self.loadings.shape
        return n * (size + 2) + 2 * size * size


def fit_linear_model(data: InSteps, size: int) -> LinearModel:
    r"""Fit by moments: what persists from step to step is the state, all else is noise.

    With each count over the root of its mean, :math:`z = (y - \mu) / \sqrt\mu`, Poisson noise has
    variance 1. Noise of one step knows nothing of the others, so the covariances of z with z one
    and two steps later, :math:`L A S L^T` and :math:`L A^2 S L^T` for a state of covariance `S`,
    have none in them. The leading axes of the first span the state [1]_, which leaves out what
    channels share within a step only; along them :math:`S = (A S) (A^2 S)^{-1} (A S)`, at most
    what the covariance within a step allows. The state is then scaled to covariance 1, which
    bounds the singular values of its dynamics by 1, and those estimated larger are cut. What is
    left of each channel's variance is its own noise, at least 1.

    Parameters
    ----------
    data : InSteps
        Calibration data.
    size : int
        Latent dimensions.

    Returns
    -------
    LinearModel
        In the steps of `data`.

    Raises
    ------
    SpecError
        For more dimensions than channels, or data without three steps in a row.

    References
    ----------
    .. [1] P. Van Overschee, B. De Moor, "Subspace Identification for Linear Systems", 1996.
    """
    n = data.counts.shape[2]
    if size > n:
        raise SpecError(f"schedule.size: {size} latent dimensions of {n} channels; lower it")
    if not (data.recorded[:, :-2] & data.recorded[:, 1:-1] & data.recorded[:, 2:]).any():
        raise SpecError(
            "schedule: the calibration data (training and validation trials) hold no three steps "
            "in a row; use a shorter dwell, or a schedule without a model"
        )
    seen = np.maximum(1, data.recorded.sum(axis=(0, 1)))
    mean = data.counts.sum(axis=(0, 1)) / seen
    active = mean > 0
    root = np.sqrt(np.where(active, mean, 1.0))
    z = np.where(data.recorded & active, (data.counts - mean) / root, 0.0)
    now, later, last = (_second_moment(z, data.recorded, lag) for lag in range(3))
    _, axes = np.linalg.eigh(later + later.T)
    axes = axes[:, ::-1][:, :size]
    now_in, later_in, last_in = (axes.T @ m @ axes for m in (now, later, last))
    scale = _root(_bounded(later_in @ np.linalg.pinv(last_in) @ later_in, now_in))
    whiten = np.linalg.inv(scale)
    left, singular, right = np.linalg.svd(whiten @ later_in @ whiten)
    dynamics = (left * np.minimum(singular, _STABLE)) @ right
    loadings = axes @ scale
    noise_ratio = np.maximum(1.0, np.diag(now) - (loadings**2).sum(axis=1))
    innovation = np.eye(size) - dynamics @ dynamics.T
    return LinearModel(
        dynamics, innovation, np.where(active, root, 0.0)[:, None] * loadings, mean, noise_ratio
    )


def _second_moment(
    z: Float[np.ndarray, "trial step channel"],
    recorded: Bool[np.ndarray, "trial step channel"],
    lag: int,
) -> Float[np.ndarray, "channel channel"]:
    """Mean product of each channel, `lag` steps later, with each; where both were recorded."""
    n_steps, n = z.shape[1:]
    late, early = slice(lag, None), slice(0, n_steps - lag)
    seen = recorded.astype(float)
    both = seen[:, late].reshape(-1, n).T @ seen[:, early].reshape(-1, n)
    return z[:, late].reshape(-1, n).T @ z[:, early].reshape(-1, n) / np.maximum(1.0, both)


def _bounded(
    estimate: Float[np.ndarray, "latent latent"], most: Float[np.ndarray, "latent latent"]
) -> Float[np.ndarray, "latent latent"]:
    """Bring an estimate of a covariance between nearly nothing and the most that it can be."""
    root = _root(most)
    inverse = np.linalg.inv(root)
    share = inverse @ (estimate + estimate.T) @ inverse / 2
    values, axes = np.linalg.eigh(share)
    return root @ (axes * np.clip(values, _LEAST_SHARE, 1.0)) @ axes.T @ root


def _root(matrix: Float[np.ndarray, "latent latent"]) -> Float[np.ndarray, "latent latent"]:
    """Symmetric square root of a covariance, silent directions at nearly nothing."""
    values, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return (axes * np.sqrt(np.maximum(values, _LEAST_VARIANCE))) @ axes.T

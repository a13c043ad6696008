"""Unseen channels read out of inferred rates, by Poisson regression: the model of co-smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from implant_sim.study.ridge import folds, scaling
from sbtt_models import metrics
from sbtt_models.errors import DataError

__all__ = ["GLM_ALPHAS", "GLM_COMPONENTS", "PoissonReadout", "fit_poisson"]

GLM_ALPHAS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Penalties tried, strongest first, each fit starting from the last; losses are bin means."""
GLM_COMPONENTS = 32
"""Principal components of the log rates that enter the regression."""


@dataclass(frozen=True, slots=True, eq=False)
class PoissonReadout:
    """Rates of unseen channels, log-linear in the log rates of the seen ones."""

    channels: Int[np.ndarray, " used"]
    mean: Float[np.ndarray, " used"]
    low: Float[np.ndarray, " used"]
    high: Float[np.ndarray, " used"]
    """Log rates met while fitting; beyond them an exponential readout would run away."""
    basis: Float[np.ndarray, "used component"]
    weights: Float[np.ndarray, "component target"]
    intercept: Float[np.ndarray, " target"]
    alpha: float

    def predict(
        self, rates: Shaped[np.ndarray, "trial bin channel"]
    ) -> Float[np.ndarray, "trial bin target"]:
        """Expected spikes per bin of each unseen channel."""
        log = np.clip(metrics.log_rates(rates[:, :, self.channels]), self.low, self.high)
        z = (log - self.mean) @ self.basis
        # a rate of e^12 a bin is no neuron: keeps extrapolation finite
        return np.exp(np.clip(z @ self.weights + self.intercept, -30.0, 12.0))


def fit_poisson(
    rates: Shaped[np.ndarray, "trial bin channel"],
    counts: Int[np.ndarray, "trial bin target"],
    where: Bool[np.ndarray, "trial bin"],
    *,
    n_folds: int = 3,
    alphas: tuple[float, ...] = GLM_ALPHAS,
    n_components: int = GLM_COMPONENTS,
) -> PoissonReadout:
    """Fit unseen channels' counts to log rates by Poisson regression.

    The features are the standardised log rates, restricted to their first principal components:
    the rates of a latent-variable model span few dimensions, and the ridge penalty in the rotated
    basis is the one in the original. One penalty serves all channels.

    Parameters
    ----------
    rates : numpy.ndarray, shape (trial, bin, channel)
        Inferred rates of the seen channels. [1/bin]
    counts : numpy.ndarray of int, shape (trial, bin, target)
        Full counts of the unseen channels. [1]
    where : numpy.ndarray of bool, shape (trial, bin)
        Bins that the fit may see.
    n_folds, alphas, n_components : int, tuple of float, int
        Of the inner cross-validation and the features.

    Returns
    -------
    PoissonReadout
        A channel silent in these bins gets the rate of half a spike in all of them.

    Raises
    ------
    DataError
        If fewer bins may be seen than there are folds.
    """
    trial, _ = np.nonzero(where)
    if trial.size < 2 * n_folds:
        raise DataError(f"co_bps: {trial.size} bins to fit on, {2 * n_folds} needed")
    log = metrics.log_rates(rates[where])
    mean, scale, channels = scaling(log)
    z = (log[:, channels] - mean) / scale
    _, vectors = np.linalg.eigh(z.T @ z)
    basis = vectors[:, ::-1][:, :n_components]
    x, y = z @ basis, counts[where]
    fold = folds(trial, n_folds)
    loss = np.zeros(len(alphas))
    for i in range(n_folds):
        weights, intercept = _poisson_path(x[fold != i], y[fold != i], alphas)
        for a in range(len(alphas)):
            eta = np.clip(x[fold == i] @ weights[a] + intercept[a], -30.0, 12.0)
            loss[a] += float((np.exp(eta) - y[fold == i] * eta).sum())
    alpha = alphas[int(np.argmin(loss))]
    weights, intercept = _poisson_path(x, y, (alpha,))
    low, high = log[:, channels].min(axis=0), log[:, channels].max(axis=0)
    return PoissonReadout(
        channels, mean, low, high, basis / scale[:, None], weights[0], intercept[0], alpha
    )


def _poisson_path(
    x: Float[np.ndarray, "row component"],
    y: Int[np.ndarray, "row target"],
    alphas: tuple[float, ...],
) -> tuple[Float[np.ndarray, "alpha component target"], Float[np.ndarray, "alpha target"]]:
    """Fit each target at each penalty, strongest first, each starting from the last."""
    n, n_components = x.shape
    weights = np.zeros((len(alphas), n_components, y.shape[1]))
    intercept = np.full((len(alphas), y.shape[1]), np.log(0.5 / n))
    for target in np.flatnonzero(y.any(axis=0)):
        intercept[:, target] = np.log(y[:, target].mean())
        if n_components == 0:
            continue
        from sklearn.linear_model import PoissonRegressor  # seconds to import; see ridge

        model = PoissonRegressor(solver="newton-cholesky", warm_start=True, tol=1e-4)
        for a, alpha in enumerate(alphas):
            model.set_params(alpha=alpha).fit(x, y[:, target])
            weights[a, :, target] = model.coef_
            intercept[a, target] = model.intercept_
    return weights, intercept

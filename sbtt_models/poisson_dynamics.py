r"""Linear dynamics seen through Poisson counts: :math:`k_t \sim P(e_t \exp(C x_t + d))`.

The posterior of the states is taken as Gaussian about its mode (Laplace). The log posterior is
concave, and its Hessian block-tridiagonal; a Newton step is a Kalman smoother on a linearised
observation, O(bins * state^3), and is halved until the log posterior rises. A missing entry has
exposure 0 and drops out of the likelihood.

References
----------
Smith & Brown, "Estimating a state-space model from point process observations", Neural
Computation 15:965-991, 2003. Paninski et al., "A new look at state-space models for neural data",
J. Comput. Neurosci. 29:107-126, 2010. Macke et al., "Empirical models of spiking in neural
populations", NIPS 24, 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sbtt_models.chain import Chain, Posterior, smooth_chain
from sbtt_models.moments import by_bin
from sbtt_models.small_matrices import inverse_positive

__all__ = [
    "MOST_LOG_RATE",
    "PoissonDynamics",
    "damped",
    "filter_evidence",
    "laplace",
    "log_posterior",
]

MOST_LOG_RATE = 12.0  # exp(12) = 163,000 spikes in a bin: more than a recording may hold
_NEWTON = 50  # steps; three to ten are the rule
_CLOSE = 1e-3  # a last step so short leaves an error of about its square
_HALVINGS = 20
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class PoissonDynamics:
    """Parameters of linear dynamics with log-linear Poisson counts."""

    transition: Float[np.ndarray, "state state"]
    """A"""
    innovation: Float[np.ndarray, "state state"]
    """Covariance of q; positive definite."""
    initial: Float[np.ndarray, "state state"]
    """Covariance of the first state; its mean is 0."""
    loading: Float[np.ndarray, "channel state"]
    """C [ln spikes/bin]"""
    offset: Float[np.ndarray, " channel"]
    """d [ln spikes/bin]"""

    @property
    def chain(self) -> Chain:
        """The prior of the states."""
        return Chain(self.transition, self.innovation, self.initial)


def laplace(
    model: PoissonDynamics,
    counts: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
    start: Float[np.ndarray, "sequence bin state"] | None = None,
    steps: int = _NEWTON,
) -> Posterior:
    """The mode of the states and the covariance of a Gaussian about it, by damped Newton.

    Parameters
    ----------
    counts, exposure : numpy.ndarray
        0 where missing, and in padding.
    start : numpy.ndarray, optional
        States to begin with. None: 0.
    steps : int
        The most Newton steps.

    Returns
    -------
    Posterior
        Its evidence is Laplace's approximation, without the terms that no parameter changes.
    """
    own = np.arange(lengths.size)
    state = np.zeros((*counts.shape[:2], model.chain.size)) if start is None else start

    def height_of(state: np.ndarray) -> np.ndarray:
        return log_posterior(model, state, counts, exposure, lengths)

    height = height_of(state)
    for _ in range(steps):
        precision, pull, value = _linearised(model, state, counts, exposure)
        found = smooth_chain(model.chain, precision, pull, lengths, own)
        before = state
        state, height = damped(height_of, state, found.mean - state, height)
        if float(np.abs(state - before).max()) < _CLOSE:
            break
    return Posterior(state, found.covariance, found.lagged, found.evidence + value)


def log_posterior(
    model: PoissonDynamics,
    state: Float[np.ndarray, "sequence bin state"],
    counts: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
    lengths: Int[np.ndarray, " sequence"],
) -> Float[np.ndarray, " sequence"]:
    """Log of prior times likelihood of some states, but for constants. [nat]"""
    log_rates = state @ model.loading.T + model.offset
    likelihood = (counts * log_rates - exposure * _mean_count(log_rates)).sum((1, 2))
    first, _ = inverse_positive(model.initial[None])
    later, _ = inverse_positive(model.innovation[None])
    step = state[:, 1:] - state[:, :-1] @ model.transition.T
    step = step * (np.arange(1, state.shape[1]) < lengths[:, None])[:, :, None]
    prior = ((state[:, 0] @ first[0]) * state[:, 0]).sum(1)
    return likelihood - 0.5 * (prior + ((step @ later[0]) * step).sum((1, 2)))


def filter_evidence(
    model: PoissonDynamics,
    counts: Float[np.ndarray, "sequence channel"],
    exposure: Float[np.ndarray, "sequence channel"],
    known: Float[np.ndarray, "sequence state state"],
    given: Float[np.ndarray, "sequence state"],
) -> tuple[Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]]:
    """What the counts of one bin add to what earlier bins say.

    See :data:`sbtt_models.chain_filter.Look`. The counts are linearised at the mode of the state
    given them and all earlier bins.
    """
    size = known.shape[1]
    before = np.linalg.solve(known, given[:, :, None])[:, :, 0]
    # one bin of a chain of which nothing follows: precision `known` about `before`
    root = np.linalg.cholesky(known)
    turn = np.linalg.inv(root).transpose(0, 2, 1)  # x = before + turn z, z ~ N(0, I)
    loading = model.loading @ turn
    offset = model.offset + before @ model.loading.T
    z = np.zeros((known.shape[0], size))

    def log_rates_of(z: np.ndarray) -> np.ndarray:
        return offset + (loading @ z[:, :, None])[:, :, 0]

    def height_of(z: np.ndarray) -> np.ndarray:
        log_rates = log_rates_of(z)
        likelihood = (counts * log_rates - exposure * _mean_count(log_rates)).sum(1)
        return likelihood - 0.5 * (z**2).sum(1)

    height = height_of(z)
    for _ in range(_NEWTON):
        rates = exposure * _slope(log_rates_of(z))
        hessian = np.eye(size) + loading.transpose(0, 2, 1) @ (rates[:, :, None] * loading)
        slope = ((counts - rates)[:, None, :] @ loading)[:, 0] - z
        move = np.linalg.solve(hessian, slope[:, :, None])[:, :, 0]
        earlier = z
        z, height = damped(height_of, z, move, height)
        if float(np.abs(z - earlier).max()) < _CLOSE:
            break
    state = before + (turn @ z[:, :, None])[:, :, 0]
    precision, pull, _ = _linearised(model, state[:, None], counts[:, None], exposure[:, None])
    return precision[:, 0], pull[:, 0]


def damped(
    height_of: Callable[[np.ndarray], np.ndarray],
    here: Float[np.ndarray, "row ..."],
    move: Float[np.ndarray, "row ..."],
    height: Float[np.ndarray, " row"],
) -> tuple[Float[np.ndarray, "row ..."], Float[np.ndarray, " row"]]:
    """Go the move, in each row halved until the row's height does not fall; or stay.

    Returns
    -------
    tuple of numpy.ndarray
        Where each row went, and its height there.
    """
    share = np.ones(height.size)
    for _ in range(_HALVINGS):
        there = here + share.reshape(-1, *[1] * (here.ndim - 1)) * move
        reached = height_of(there)
        fine = reached >= height - _ROUNDING * np.abs(height)
        if fine.all():
            return there, reached
        share = np.where(fine, share, 0.5 * share)
    fine_too = fine.reshape(-1, *[1] * (here.ndim - 1))
    return np.where(fine_too, there, here), np.where(fine, reached, height)


def _linearised(
    model: PoissonDynamics,
    state: Float[np.ndarray, "sequence bin state"],
    counts: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
) -> tuple[
    Float[np.ndarray, "sequence bin state state"],
    Float[np.ndarray, "sequence bin state"],
    Float[np.ndarray, " sequence"],
]:
    """Second-order expansion of the log likelihood: precision, pull, and value at state 0."""
    n_sequences, n_bins, size = state.shape
    log_ratio = state @ model.loading.T
    log_rates = log_ratio + model.offset
    expected = exposure * _slope(log_rates)
    outer = (model.loading[:, :, None] * model.loading[:, None, :]).reshape(-1, size * size)
    precision = (by_bin(expected) @ outer).reshape(n_bins, n_sequences, size, size).swapaxes(0, 1)
    slope = (counts - expected) @ model.loading
    bent = (expected * log_ratio) @ model.loading  # precision times state
    value = (counts * log_rates - expected * _excess(log_rates)).sum((1, 2))
    value = value - ((slope + 0.5 * bent) * state).sum((1, 2))
    return precision, slope + bent, value


def _mean_count(
    log_rates: Float[np.ndarray, "*lead channel"],
) -> Float[np.ndarray, "*lead channel"]:
    """The exponential, but a straight line above what any recording may hold.

    So no Newton step overflows, and the log posterior stays concave.
    """
    return _slope(log_rates) * _excess(log_rates)


def _excess(log_rates: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Mean count over its derivative: 1 where the mean is the exponential."""
    return 1.0 + np.maximum(log_rates - MOST_LOG_RATE, 0.0)


def _slope(log_rates: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Derivative of the mean count."""
    return np.exp(np.minimum(log_rates, MOST_LOG_RATE))

r"""Matérn Gaussian processes on a regular grid as Markov chains, and how EM moves their scales.

A Gaussian process with kernel of half-integer smoothness is one component of a small linear
stochastic differential equation, so its posterior is exact and costs O(bins) by a Kalman smoother
whatever entries are missing. The squared-exponential kernel has no such form: with per-channel
gaps no two trials share a factorisation, and it would cost O(bins^3) for each. It is the limit of
these kernels for infinite smoothness.

References
----------
Hartikainen & Särkkä, "Kalman filtering and smoothing solutions to temporal Gaussian process
regression models", IEEE MLSP, 2010. Kernels: Rasmussen & Williams, "Gaussian Processes for Machine
Learning", 2006, eq. 4.17.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from sbtt_models.chain import Chain
from sbtt_models.moments import ChainMoments

__all__ = ["MAX_SCALE", "MIN_SCALE", "better_scales", "matern_chain", "matern_kernel"]

MIN_SCALE, MAX_SCALE = 0.3, 100.0  # [bins] longer ones are constant in a window, and ill-posed
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEP = math.log(2.0)  # one M step at most halves or doubles a scale
_EVALUATIONS = 12  # of a golden-section search: to 0.5 % of the step


def matern_kernel(
    lag: Float[np.ndarray, "*lead"], scale: float, order: int
) -> Float[np.ndarray, "*lead"]:
    r"""Covariance of a Matérn process of unit variance at smoothness order - 1/2.

    .. math:: k(r) = e^{-a} \sum_{i=0}^{p} \frac{p!}{(2p)!} \frac{(p+i)!}{i!(p-i)!} (2a)^{p-i},
       \quad a = \sqrt{2p + 1}\, r / \tau, \quad p = \mathrm{order} - 1

    Parameters
    ----------
    lag : numpy.ndarray
        r [bins]
    scale : float
        Time constant. [bins]
    order : int
        1, 2 or 3: smoothness 1/2, 3/2 or 5/2.

    Examples
    --------
    >>> matern_kernel(np.array([0.0, 2.0]), 2.0, 1).round(4)
    array([1.    , 0.3679])
    """
    p = order - 1
    a = math.sqrt(2 * p + 1) * np.abs(lag) / scale
    total = np.zeros_like(a)
    for i in range(p + 1):
        weight = math.factorial(p + i) / (math.factorial(i) * math.factorial(p - i))
        total = total + weight * (2 * a) ** (p - i)
    return np.exp(-a) * total * (math.factorial(p) / math.factorial(2 * p))


def matern_chain(scales: Float[np.ndarray, " latent"], order: int) -> Chain:
    """Independent Matérn processes of unit variance, sampled once a bin.

    The state holds, for each latent, the process and its derivatives by bins, `order` numbers.

    Parameters
    ----------
    scales : numpy.ndarray
        Time constants. [bins]
    order : int
        1, 2 or 3: smoothness 1/2, 3/2 or 5/2.
    """
    size = scales.size * order
    parts = np.zeros((3, size, size))
    for latent, scale in enumerate(scales):
        block = slice(latent * order, (latent + 1) * order)
        parts[:, block, block] = _step(float(scale), order)
    return Chain(*parts)


def better_scales(
    scales: Float[np.ndarray, " latent"], order: int, moments: ChainMoments
) -> Float[np.ndarray, " latent"]:
    """Time constants that better explain the expected states; never worse. [bins]

    The derivatives in the states are by bins, not by time constants: else a smooth state would
    tell its constant exactly, and EM could not move it.
    """
    found = scales.copy()
    for latent, scale in enumerate(scales):
        own = moments.of_block(slice(latent * order, (latent + 1) * order))

        def cost(log_scale: float, own: ChainMoments = own) -> float:
            return own.cost(Chain(*_step(math.exp(log_scale), order)))

        here = math.log(scale)
        low = max(here - _STEP, math.log(MIN_SCALE))
        high = min(here + _STEP, math.log(MAX_SCALE))
        there = _golden_section(cost, low, high)
        if cost(there) < cost(here):
            found[latent] = math.exp(there)
    return found


def _golden_section(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one minimum is least."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(_EVALUATIONS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return 0.5 * (low + high)


def _step(scale: float, order: int) -> Float[np.ndarray, "part=3 order order"]:
    """Transition, innovation over one bin, and stationary covariance."""
    # first in time units in which all poles are at -1
    length = math.sqrt(2 * order - 1) / scale
    feedback = np.diag(np.ones(order - 1), 1)
    feedback[-1] -= [math.comb(order, k) for k in range(order)]
    # (feedback + 1) to the power `order` is 0, so the exponential series is finite
    powers = [np.linalg.matrix_power(feedback + np.eye(order), k) for k in range(order)]

    def over(time: Float[np.ndarray, " node"]) -> Float[np.ndarray, "node order order"]:
        terms = (time[:, None, None] ** k / math.factorial(k) * m for k, m in enumerate(powers))
        return np.exp(-time)[:, None, None] * sum(terms)

    # the innovation as an integral: the difference of covariances would cancel for long scales
    shocks = over(0.5 * length * (_NODES + 1.0))[:, :, -1]
    diffusion = {1: 2.0, 2: 4.0, 3: 16.0 / 3.0}[order]
    weights = 0.5 * length * _WEIGHTS * diffusion
    innovation = (shocks * weights[:, None]).T @ shocks
    unit = length ** np.arange(order)
    both = unit[:, None] * unit
    transition = over(np.array([length]))[0] * unit[:, None] / unit
    return np.stack([transition, innovation * both, _stationary(order) * both])


def _stationary(order: int) -> Float[np.ndarray, "order order"]:
    """Covariance of the process and its derivatives, all poles being at -1."""
    third = 1.0 / 3.0
    return {
        1: np.eye(1),
        2: np.eye(2),
        3: np.array([[1.0, 0.0, -third], [0.0, third, 0.0], [-third, 0.0, 1.0]]),
    }[order]

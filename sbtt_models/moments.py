"""Sums over bins from which the M steps of all Gaussian models follow; they add up over parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sbtt_models.chain import Chain, Posterior
from sbtt_models.small_matrices import symmetric

__all__ = [
    "JITTER",
    "LOADING_PRIOR",
    "ChainMoments",
    "Moments",
    "ReadOut",
    "ReadOutMoments",
    "by_bin",
    "least_noise",
    "second_moments",
]

JITTER = 1e-6
LOADING_PRIOR = 1.0  # [bins]


def least_noise(means: Float[np.ndarray, " channel"]) -> Float[np.ndarray, " channel"]:
    """Floor of the noise variance: a tenth of a Poisson count's. [(spikes/bin)^2]"""
    return np.maximum(0.1 * means, 1e-3)


def by_bin(array: Float[np.ndarray, "sequence bin ..."]) -> Float[np.ndarray, "row ..."]:
    """All bins of all sequences as rows: no copy where bins come first in memory."""
    return array.swapaxes(0, 1).reshape(-1, *array.shape[2:])


def second_moments(posterior: Posterior) -> Float[np.ndarray, "sequence bin state state"]:
    """Expected product of each state with itself."""
    return posterior.covariance + posterior.mean[..., :, None] * posterior.mean[..., None, :]


@dataclass(frozen=True, slots=True, eq=False)
class ChainMoments:
    """Expected products of states and their next states."""

    before: Float[np.ndarray, "state state"]
    """Of states that have a next one, with themselves."""
    after: Float[np.ndarray, "state state"]
    """Of states that have an earlier one, with themselves."""
    moved: Float[np.ndarray, "state state"]
    """Of states with the ones before."""
    n_pairs: float
    first: Float[np.ndarray, "state state"]
    """Of first states with themselves."""
    n_first: float

    @classmethod
    def of(
        cls,
        posterior: Posterior,
        second: Float[np.ndarray, "sequence bin state state"],
        inside: Float[np.ndarray, "sequence bin"],
    ) -> ChainMoments:
        """Sum over the bins inside; `second` as from :func:`second_moments`."""
        # both posterior and moments are 0 in padding, so only bins without a next one must go
        goes_on = inside[:, 1:]
        last = inside.copy()
        last[:, :-1] -= goes_on
        total = _sum(second, inside)
        mean = posterior.mean
        moved = by_bin(mean[:, 1:] * goes_on[..., None]).T @ by_bin(mean[:, :-1])
        return cls(
            total - _sum(second, last),
            total - second[:, 0].sum(0),
            _sum(posterior.lagged, goes_on) + moved,
            float(goes_on.sum()),
            second[:, 0].sum(0),
            float(second.shape[0]),
        )

    def __add__(self, other: ChainMoments) -> ChainMoments:
        return ChainMoments(
            self.before + other.before,
            self.after + other.after,
            self.moved + other.moved,
            self.n_pairs + other.n_pairs,
            self.first + other.first,
            self.n_first + other.n_first,
        )

    def of_block(self, block: slice) -> ChainMoments:
        """Those of some of the state's numbers."""
        square = (block, block)
        return ChainMoments(
            self.before[square],
            self.after[square],
            self.moved[square],
            self.n_pairs,
            self.first[square],
            self.n_first,
        )

    def cost(self, chain: Chain) -> float:
        """Minus twice the expected log density of the states, but for a constant. [nat]"""
        a, q, p = chain.transition, chain.innovation, chain.initial
        left = self.after - a @ self.moved.T - self.moved @ a.T + a @ self.before @ a.T
        steps = self.n_pairs * np.linalg.slogdet(q)[1] + np.trace(np.linalg.solve(q, left))
        first = self.n_first * np.linalg.slogdet(p)[1] + np.trace(np.linalg.solve(p, self.first))
        return float(steps + first)

    def best(self) -> Chain:
        """The chain that best explains them."""
        eye = JITTER * np.eye(self.before.shape[0])
        transition = np.linalg.solve(self.before + eye, self.moved.T).T
        left = symmetric(self.after - transition @ self.moved.T) / max(self.n_pairs, 1.0)
        return Chain(transition, left + eye, symmetric(self.first / self.n_first) + eye)


@dataclass(frozen=True, slots=True, eq=False)
class ReadOut:
    """How states show in channels: loading, offset, and variance of the rest in a full bin."""

    loading: Float[np.ndarray, "channel state"]
    offset: Float[np.ndarray, " channel"]
    noise: Float[np.ndarray, " channel"]


@dataclass(frozen=True, slots=True, eq=False)
class ReadOutMoments:
    """Weighted products of [state, 1] with itself and with each channel's values."""

    joint: Float[np.ndarray, "channel joint joint"]
    target: Float[np.ndarray, "channel joint"]
    squares: Float[np.ndarray, " channel"]
    n_seen: Float[np.ndarray, " channel"]

    @classmethod
    def of(
        cls,
        mean: Float[np.ndarray, "sequence bin state"],
        second: Float[np.ndarray, "sequence bin state state"],
        values: Float[np.ndarray, "sequence bin channel"],
        exposure: Float[np.ndarray, "sequence bin channel"],
    ) -> ReadOutMoments:
        """Sum over the observed entries; `second` as from :func:`second_moments`."""
        n, size = exposure.shape[2], mean.shape[2]
        weight, state = by_bin(exposure), by_bin(mean)
        weighted = np.where(weight > 0, weight * by_bin(values), 0.0)
        joint = np.zeros((n, size + 1, size + 1))
        upper, lower = np.triu_indices(size)  # the other half is the same
        half = np.take(by_bin(second).reshape(-1, size * size), upper * size + lower, axis=1)
        products = weight.T @ half
        joint[:, upper, lower] = joint[:, lower, upper] = products
        joint[:, :size, size] = joint[:, size, :size] = weight.T @ state
        joint[:, size, size] = weight.sum(0)
        target = np.concatenate([weighted.T @ state, weighted.sum(0)[:, None]], axis=1)
        squares = (weighted * by_bin(values)).sum(0)
        return cls(joint, target, squares, (weight > 0).sum(0).astype(float))

    def __add__(self, other: ReadOutMoments) -> ReadOutMoments:
        return ReadOutMoments(
            self.joint + other.joint,
            self.target + other.target,
            self.squares + other.squares,
            self.n_seen + other.n_seen,
        )

    def best(self, least_noise: Float[np.ndarray, " channel"], prior: float) -> ReadOut:
        """Weighted regression of each channel on [state, 1] over its observed bins."""
        size = self.joint.shape[1] - 1
        ridge = np.diag([prior] * size + [JITTER])
        solved = np.linalg.solve(self.joint + ridge, self.target[:, :, None])[:, :, 0]
        explained = 2 * (solved * self.target).sum(1)
        explained -= np.einsum("ci,cij,cj->c", solved, self.joint, solved)
        noise = (self.squares - explained) / np.maximum(self.n_seen, 1.0)
        return ReadOut(solved[:, :size], solved[:, size], np.maximum(noise, least_noise))


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """All that the M step of a linear dynamical system needs."""

    chain: ChainMoments
    read_out: ReadOutMoments

    @classmethod
    def of(
        cls,
        posterior: Posterior,
        values: Float[np.ndarray, "sequence bin channel"],
        exposure: Float[np.ndarray, "sequence bin channel"],
        inside: Float[np.ndarray, "sequence bin"],
    ) -> Moments:
        """Sum over the sequences of one part of the data."""
        second = second_moments(posterior)
        return cls(
            ChainMoments.of(posterior, second, inside),
            ReadOutMoments.of(posterior.mean, second, values, exposure),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.chain + other.chain, self.read_out + other.read_out)


def _sum(
    matrices: Float[np.ndarray, "sequence step n n"], weight: Float[np.ndarray, "sequence step"]
) -> Float[np.ndarray, "n n"]:
    size = matrices.shape[2]
    return (by_bin(weight) @ by_bin(matrices).reshape(-1, size * size)).reshape(size, size)

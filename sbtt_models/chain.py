"""A Gaussian Markov chain of hidden states, given evidence about each of them.

Evidence about the state at one bin comes as the `precision` J and the `pull` h of a Gaussian
factor exp(h'x - x'Jx/2), whatever it was made from: channels with gaps add up to one factor, and
a bin without samples has J = 0 and h = 0. So one smoother, and the filter of
:mod:`sbtt_models.chain_filter`, serve every linear model.

The precision of all states together is block-tridiagonal with a constant off-diagonal block. Its
block Cholesky factor runs forward, its selected inverse backward: O(bins * state^3). numpy,
batched over sequences and looped over bins; torch for the batched inverse of small matrices.

References
----------
Paninski et al., "A new look at state-space models for neural data", J. Comput. Neurosci.
29:107-126, 2010.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sbtt_models.small_matrices import apply, inverse_positive, log_det, symmetric, times

__all__ = ["Blocks", "Chain", "Posterior", "smooth_chain"]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    r"""Prior of the states, :math:`x_1 \sim N(0, P)`, :math:`x_{t+1} = A x_t + q_t`."""

    transition: Float[np.ndarray, "state state"]
    """A"""
    innovation: Float[np.ndarray, "state state"]
    """Covariance of q; positive definite."""
    initial: Float[np.ndarray, "state state"]
    """P; positive definite."""

    @property
    def size(self) -> int:
        """Numbers in a state."""
        return self.transition.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The states given all evidence of their sequence; 0 in padding."""

    mean: Float[np.ndarray, "sequence bin state"]
    covariance: Float[np.ndarray, "sequence bin state state"]
    lagged: Float[np.ndarray, "sequence next state state"]
    """Covariance of the states at t + 1 and t."""
    evidence: Float[np.ndarray, " sequence"]
    """Log of the integral of prior times factors. [nat]"""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Constant blocks of the prior's precision."""

    first: Float[np.ndarray, "state state"]
    later: Float[np.ndarray, "state state"]
    followed: Float[np.ndarray, "state state"]
    """Added to the block of every bin that has a next one."""
    off: Float[np.ndarray, "state state"]
    """Block of the states at t + 1 and t."""
    log_first: float
    log_later: float
    """Log determinants."""

    @classmethod
    def of(cls, chain: Chain) -> Blocks:
        """From covariances."""
        first, pivots_first = inverse_positive(chain.initial[None])
        later, pivots_later = inverse_positive(chain.innovation[None])
        off = -later[0] @ chain.transition
        followed = symmetric(-chain.transition.T @ off)
        logs = -float(log_det(pivots_first)[0]), -float(log_det(pivots_later)[0])
        return cls(first[0], later[0], followed, off, *logs)


def smooth_chain(
    chain: Chain,
    precision: Float[np.ndarray, "pattern bin state state"],
    pull: Float[np.ndarray, "sequence bin state"],
    lengths: Int[np.ndarray, " sequence"],
    pattern: Int[np.ndarray, " sequence"],
) -> Posterior:
    """States given all evidence of their sequence (a Kalman smoother in information form).

    Parameters
    ----------
    precision : numpy.ndarray
        J of each pattern; symmetric, no eigenvalue below 0. Its memory may be used for the result.
    pull : numpy.ndarray
        h; J times the state that the evidence of one bin alone suggests.
    lengths : numpy.ndarray
        Bins of each sequence; what comes after them is padding.
    pattern : numpy.ndarray
        Row of `precision` that each sequence has; each row is someone's. Sequences of one pattern
        must have one length; they share their covariances, which are computed once.

    Raises
    ------
    DivergedError
        If a posterior covariance is no longer positive definite.
    """
    whose = np.zeros(precision.shape[0], int)
    whose[pattern] = lengths
    # longest first, so that those still running at any bin are the first k
    rows, columns = _longest_first(whose), _longest_first(lengths)
    place = _Pick(np.argsort(rows.index)[pattern][columns.index])
    factor = _factorise(chain, rows.of(precision), whose[rows.index])
    mean = columns.back(_means(factor, columns.of(pull), lengths[columns.index], place))
    covariance, lagged = _backward(factor, whose[rows.index])
    log_prior = factor.blocks.log_first + (lengths - 1) * factor.blocks.log_later
    fit = np.einsum("sti,sti->s", pull, mean)
    back = _Pick(np.argsort(rows.index)[pattern])
    evidence = 0.5 * (fit + log_prior - factor.log_det[back.index])
    # bin by bin in memory: sums over all bins then need no copy
    covariance, lagged = covariance[:, back.rows], lagged[:, back.rows]
    return Posterior(mean, covariance.swapaxes(0, 1), lagged.swapaxes(0, 1), evidence)


class _Pick:
    """A choice of rows that copies nothing where it changes nothing."""

    def __init__(self, index: Int[np.ndarray, " row"]) -> None:
        self.index = index
        self.idle = bool((index == np.arange(index.size)).all())

    @property
    def rows(self) -> slice | Int[np.ndarray, " row"]:
        return slice(None) if self.idle and self.index.size else self.index

    def first(self, k: int) -> slice | Int[np.ndarray, " k"]:
        return slice(k) if self.idle else self.index[:k]

    def of(self, array: Float[np.ndarray, "row ..."]) -> Float[np.ndarray, "row ..."]:
        return array[self.rows]

    def back(self, array: Float[np.ndarray, "row ..."]) -> Float[np.ndarray, "row ..."]:
        return array if self.idle else array[np.argsort(self.index)]


def _longest_first(lengths: Int[np.ndarray, " row"]) -> _Pick:
    return _Pick(np.argsort(-lengths, kind="stable"))


@dataclass(frozen=True, slots=True, eq=False)
class _Factor:
    """The block Cholesky factor of the precision of all states."""

    blocks: Blocks
    before: Float[np.ndarray, "bin pattern state state"]
    """Covariance of each state given the next one and the evidence so far."""
    gain: Float[np.ndarray, "next pattern state state"]
    """How its mean then moves with the next state."""
    log_det: Float[np.ndarray, " pattern"]
    """Of the whole precision."""


def _factorise(
    chain: Chain,
    precision: Float[np.ndarray, "pattern bin state state"],
    lengths: Int[np.ndarray, " pattern"],
) -> _Factor:
    """Run forward, in the memory of `precision`; patterns come longest first."""
    blocks = Blocks.of(chain)
    before = np.ascontiguousarray(precision.swapaxes(0, 1))
    n_bins, n_patterns, size, _ = before.shape
    gain = np.zeros((max(n_bins - 1, 0), n_patterns, size, size))
    pivots = np.ones((n_bins, n_patterns, size))
    running = _running(lengths, n_bins + 1)
    for t in range(n_bins):
        k, going_on = running[t], running[t + 1]
        block = before[t, :k]
        own = blocks.later if t else blocks.first
        block[:going_on] += own + blocks.followed
        block[going_on:] += own
        if t:
            block += blocks.off @ gain[t - 1, :k]
        before[t, :k], pivots[t, :k] = inverse_positive(block)
        before[t, k:] = 0.0
        gain[t : t + 1, :going_on] = times(before[t, :going_on], -blocks.off.T)
    return _Factor(blocks, before, gain, log_det(pivots).sum(0))


def _means(
    factor: _Factor,
    pull: Float[np.ndarray, "sequence bin state"],
    lengths: Int[np.ndarray, " sequence"],
    place: _Pick,
) -> Float[np.ndarray, "sequence bin state"]:
    """Forward and back substitution; sequences come longest first."""
    n_sequences, n_bins, size = pull.shape
    mean = np.zeros((n_bins, n_sequences, size))
    running = _running(lengths, n_bins)
    for t in range(n_bins):
        k = running[t]
        given = pull[:k, t]
        if t:
            given = given - mean[t - 1, :k] @ factor.blocks.off.T
        mean[t, :k] = apply(factor.before[t, place.first(k)], given)
    for t in range(n_bins - 2, -1, -1):
        k = running[t + 1]
        mean[t, :k] += apply(factor.gain[t, place.first(k)], mean[t + 1, :k])
    return mean.swapaxes(0, 1)


def _backward(
    factor: _Factor, lengths: Int[np.ndarray, " pattern"]
) -> tuple[
    Float[np.ndarray, "bin pattern state state"], Float[np.ndarray, "next pattern state state"]
]:
    """Covariance of each state given everything, and with the state before; spends the factor."""
    covariance, lagged = factor.before, factor.gain
    running = _running(lengths, covariance.shape[0])
    for t in range(lagged.shape[0] - 1, -1, -1):
        k = running[t + 1]
        both = covariance[t + 1, :k] @ lagged[t, :k].transpose(0, 2, 1)
        covariance[t, :k] += lagged[t, :k] @ both
        lagged[t, :k] = both
    return covariance, lagged


def _running(lengths: Int[np.ndarray, " row"], n_bins: int) -> list[int]:
    """How many rows have each bin."""
    return [int(k) for k in (lengths[None, :] > np.arange(n_bins)[:, None]).sum(axis=1)]

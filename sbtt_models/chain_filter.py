"""The same chain, inferred as its evidence comes in: a Kalman filter that may wait a few bins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sbtt_models.chain import Blocks, Chain
from sbtt_models.small_matrices import apply, inverse_positive, symmetric, times

__all__ = ["Look", "State", "filter_chain"]

Look = Callable[
    [int, Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]],
    tuple[Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]],
]
"""Evidence about the states at one bin: takes the bin and what earlier bins say of the state there
(precision, and precision times mean), returns (precision, pull)."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The states of one bin given some evidence."""

    mean: Float[np.ndarray, "sequence state"]
    covariance: Float[np.ndarray, "sequence state state"]


def filter_chain(
    chain: Chain, look: Look, n_sequences: int, n_bins: int, lookahead: int
) -> Iterator[State]:
    """States given the evidence up to their own bin and `lookahead` bins more, bin by bin.

    Parameters
    ----------
    look : callable
        Called once for each bin, in order; see :data:`Look`. Must give 0 for what is missing, for
        padding, and for the `lookahead` bins after the last.
    lookahead : int
        Bins that an inference waits for. [bins]

    Yields
    ------
    State
        One for each of the `n_bins` bins; in padding, the prediction.

    Raises
    ------
    DivergedError
        If a covariance is no longer positive definite.
    """
    blocks, size = Blocks.of(chain), chain.size
    known = np.tile(blocks.first, (n_sequences, 1, 1))
    given = np.zeros((n_sequences, size))
    # what each of the last bins would be, given its next one
    passed: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque(maxlen=lookahead)
    for t in range(n_bins + lookahead):
        precision, pull = look(t, known, given)
        known, given = known + precision, given + pull
        covariance, _ = inverse_positive(known)
        mean = apply(covariance, given)
        before, _ = inverse_positive(known + blocks.followed)
        gain = times(before, -blocks.off.T)
        halfway = apply(before, given)
        if t >= lookahead:
            for earlier, step, left in reversed(passed):
                mean = earlier + apply(step, mean)
                covariance = left + symmetric(step @ covariance @ step.transpose(0, 2, 1))
            yield State(mean, covariance)
        passed.append((halfway, gain, before))
        known = blocks.later + symmetric(blocks.off @ gain)
        given = -halfway @ blocks.off.T

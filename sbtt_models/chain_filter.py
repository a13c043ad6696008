"""The same chain, inferred as its evidence comes in: a Kalman filter that may wait a few bins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sbtt_models.chain import Blocks, Chain
from sbtt_models.linear_data import Batch
from sbtt_models.small_matrices import apply, inverse_positive, symmetric, times

__all__ = ["ChainFilter", "Look", "RowFilter", "State", "filtered_rates"]

Look = Callable[
    [Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]],
    tuple[Float[np.ndarray, "sequence state state"], Float[np.ndarray, "sequence state"]],
]
"""Evidence about the states at one bin: takes what earlier bins say of the state there
(precision, and precision times mean), returns (precision, pull)."""

RowFilter = Callable[
    [Float[np.ndarray, "sequence channel"], Float[np.ndarray, "sequence channel"]],
    Float[np.ndarray, "sequence told"] | None,
]
"""Counts and exposure of the next bin -> rates, or what else is told, of the bin a look-ahead
before it, once there is one. It remembers what it was given."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The states of one bin given some evidence."""

    mean: Float[np.ndarray, "sequence state"]
    covariance: Float[np.ndarray, "sequence state state"]


class ChainFilter:
    """States given the evidence up to their own bin and `lookahead` bins more, bin by bin."""

    def __init__(self, chain: Chain, n_sequences: int, lookahead: int) -> None:
        self._blocks, self._lookahead = Blocks.of(chain), lookahead
        self._known = np.tile(self._blocks.first, (n_sequences, 1, 1))
        self._given = np.zeros((n_sequences, chain.size))
        # what each of the last bins would be, given its next one
        self._passed: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque(maxlen=lookahead)
        self._to_come = lookahead

    def step(self, look: Look) -> State | None:
        """Take in the next bin.

        Parameters
        ----------
        look : callable
            Called once; see :data:`Look`. Must give 0 for what is missing, for padding, and for
            bins after the last.

        Returns
        -------
        State or None
            Of the bin `lookahead` bins before; in padding, the prediction.

        Raises
        ------
        DivergedError
            If a covariance is no longer positive definite.
        """
        blocks = self._blocks
        precision, pull = look(self._known, self._given)
        known, given = self._known + precision, self._given + pull
        before, _ = inverse_positive(known + blocks.followed)
        gain = times(before, -blocks.off.T)
        halfway = apply(before, given)
        state = None
        if self._to_come:
            self._to_come -= 1
        else:
            covariance, _ = inverse_positive(known)
            mean = apply(covariance, given)
            for earlier, move, left in reversed(self._passed):
                mean = earlier + apply(move, mean)
                covariance = left + symmetric(move @ covariance @ move.transpose(0, 2, 1))
            state = State(mean, covariance)
        self._passed.append((halfway, gain, before))
        self._known = blocks.later + symmetric(blocks.off @ gain)
        self._given = -halfway @ blocks.off.T
        return state


def filtered_rates(
    step: RowFilter, batch: Batch, lookahead: int
) -> Float[np.ndarray, "sequence bin told"]:
    """What a filter that waits for `lookahead` bins tells of every bin of a batch."""
    n_sequences, n_bins, n_channels = batch.counts.shape
    nothing = np.zeros((n_sequences, n_channels))
    told = []
    for t in range(n_bins + lookahead):
        seen = (batch.counts[:, t], batch.exposure[:, t]) if t < n_bins else (nothing, nothing)
        found = step(*seen)
        if found is not None:
            told.append(found)
    return np.stack(told, axis=1)

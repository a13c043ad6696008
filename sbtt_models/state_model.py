"""What every model of hidden states can tell of them: rates, or all that it knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from sbtt_models.chain_filter import RowFilter, State, filtered_rates
from sbtt_models.linear_data import Batch

__all__ = ["StateFilter", "StateModel"]

StateFilter = Callable[
    [Float[np.ndarray, "sequence channel"], Float[np.ndarray, "sequence channel"]], State | None
]
"""Counts and exposure of the next bin -> the states of the bin a look-ahead before it."""

_Tell = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of means and covariances of states


class StateModel(ABC):
    """States with a mean and a covariance in every bin, and the rates they stand for."""

    __slots__ = ()

    @abstractmethod
    def smoothed(self, batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Means and covariances given all samples, a part of the sequences at a time."""

    @abstractmethod
    def filtered(self, n_sequences: int, lookahead: int) -> StateFilter:
        """The same given the samples up to `lookahead` bins later, fed bin by bin."""

    @abstractmethod
    def expected(
        self,
        mean: Float[np.ndarray, "sequence bin state"],
        covariance: Float[np.ndarray, "sequence bin state state"],
    ) -> Float[np.ndarray, "sequence bin channel"]:
        """Expected rates; may be negative where the model is linear. [spikes/bin]"""

    @abstractmethod
    def log_loading(
        self, means: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, "channel state"]:
        """What a unit of each state does to log rates, about rates of `means`. [ln spikes/bin]"""

    def rates(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin channel"]:
        """Expected rates given the posterior of the states; None: given all samples."""
        return self._told(batch, lookahead, self.expected)

    def summary(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin summary"]:
        """All that another model may want to know of the posterior, side by side.

        Mean of each state, log standard deviation of each state, rate of each channel.
        `lookahead` as for :meth:`rates`.
        """
        return self._told(batch, lookahead, self._summary)

    def filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """Rates, inferred bin by bin with a look-ahead."""
        return self._filter(n_sequences, lookahead, self.expected)

    def summary_filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """The same filter, telling the :meth:`summary`."""
        return self._filter(n_sequences, lookahead, self._summary)

    def _summary(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        variance = np.diagonal(covariance, axis1=2, axis2=3)
        log_sd = 0.5 * np.log(np.where(variance > 0, variance, 1.0))  # 0 in padding
        return np.concatenate([mean, log_sd, self.expected(mean, covariance)], axis=2)

    def _told(self, batch: Batch, lookahead: int | None, tell: _Tell) -> np.ndarray:
        if lookahead is None:
            return batch.joined(tell(*found) for found in self.smoothed(batch))
        step = self._filter(batch.counts.shape[0], lookahead, tell)
        return filtered_rates(step, batch, lookahead)

    def _filter(self, n_sequences: int, lookahead: int, tell: _Tell) -> RowFilter:
        states = self.filtered(n_sequences, lookahead)

        def step(counts: np.ndarray, exposure: np.ndarray) -> np.ndarray | None:
            found = states(counts, exposure)
            if found is None:
                return None
            return tell(found.mean[:, None], found.covariance[:, None])[:, 0]

        return step

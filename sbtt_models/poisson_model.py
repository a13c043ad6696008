"""Linear dynamics with Poisson counts as a latent model, and how EM improves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float

from sbtt_models.chain_filter import ChainFilter, RowFilter, filtered_rates
from sbtt_models.linear_data import Batch
from sbtt_models.linear_dynamics import initial_guess
from sbtt_models.linear_fit import Choice, Family
from sbtt_models.means import smoothed_rates
from sbtt_models.moments import ChainMoments, second_moments
from sbtt_models.poisson_dynamics import PoissonDynamics, filter_evidence, laplace
from sbtt_models.poisson_read_out import ExpectedStates, better_read_out, expected_rates

__all__ = ["PoissonFamily", "PoissonModel"]

_SMOOTHING = 3.0  # [bins] kernel of the first guess
_Tell = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of means and covariances of states
_STEPS = 6  # Newton steps of an E step, which begins where the last one ended


@dataclass(frozen=True, slots=True, eq=False)
class PoissonModel:
    """A Poisson system; see :class:`sbtt_models.linear_fit.LatentModel`."""

    system: PoissonDynamics

    @property
    def n_parameters(self) -> int:
        """Free numbers of the system."""
        n_channels, size = self.system.loading.shape
        return 2 * size * size + size * (size + 1) // 2 + n_channels * (size + 1)

    def rates(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin channel"]:
        """Expected rates given the posterior of the states."""
        return self._told(batch, lookahead, self._rates)

    def summary(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin summary"]:
        """All that another model may want to know of the posterior, side by side.

        Mean of each state, log standard deviation of each state, log rate of each channel
        [ln spikes/bin]. `lookahead` as for :meth:`rates`.
        """
        return self._told(batch, lookahead, self._summary)

    def filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """A filter that linearises each bin once, and waits for `lookahead` bins."""
        return self._filter(n_sequences, lookahead, self._rates)

    def summary_filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """The same filter, telling the :meth:`summary`."""
        return self._filter(n_sequences, lookahead, self._summary)

    def _rates(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        return expected_rates(self.system.loading, self.system.offset, mean, covariance)

    def _summary(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        variance = np.diagonal(covariance, axis1=2, axis2=3)
        log_sd = 0.5 * np.log(np.where(variance > 0, variance, 1.0))  # 0 in padding
        return np.concatenate([mean, log_sd, np.log(self._rates(mean, covariance))], axis=2)

    def _told(self, batch: Batch, lookahead: int | None, tell: _Tell) -> np.ndarray:
        if lookahead is not None:
            step = self._filter(batch.counts.shape[0], lookahead, tell)
            return filtered_rates(step, batch, lookahead)
        told = []
        for part in batch.parts(self.system.chain.size):
            found = laplace(self.system, part.counts, part.exposure, part.lengths)
            told.append(tell(found.mean, found.covariance))
        return np.concatenate(told)

    def _filter(self, n_sequences: int, lookahead: int, tell: _Tell) -> RowFilter:
        system, running = self.system, ChainFilter(self.system.chain, n_sequences, lookahead)

        def step(counts: np.ndarray, exposure: np.ndarray) -> np.ndarray | None:
            def look(known: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                return filter_evidence(system, counts, exposure, known, given)

            found = running.step(look)
            if found is None:
                return None
            return tell(found.mean[:, None], found.covariance[:, None])[:, 0]

        return step

    def arrays(self) -> Mapping[str, Float[np.ndarray, "..."]]:
        """All parameters by name."""
        return {field.name: getattr(self.system, field.name) for field in fields(self.system)}


@dataclass(frozen=True, slots=True, eq=False)
class PoissonFamily(Family[PoissonModel]):
    """Poisson linear dynamics. Setting: `prior`, the precision of the loadings."""

    means: Float[np.ndarray, " channel"]

    def first(self, batch: Batch, choice: Choice) -> PoissonModel:
        """Principal components of the logarithm of smoothed rates."""
        smoothed = smoothed_rates(batch.counts, batch.exposure, self.means, _SMOOTHING, 0.5)
        size = min(choice.size, self.means.size)
        least = np.full(self.means.size, 1e-3)
        guess = initial_guess(np.log(smoothed), batch.inside, size, least)
        chain = guess.transition, guess.innovation, guess.initial
        return PoissonModel(PoissonDynamics(*chain, guess.loading, np.log(self.means)))

    def climb(self, model: PoissonModel, batch: Batch, choice: Choice) -> Iterator[PoissonModel]:
        """Expectation maximisation with Laplace's approximation."""
        system = model.system
        parts = list(batch.parts(system.chain.size))
        starts: list[Float[np.ndarray, "..."] | None] = [None] * len(parts)
        while True:
            chains, states = [], []
            for i, part in enumerate(parts):
                seen = part.counts, part.exposure
                found = laplace(system, *seen, part.lengths, starts[i], _STEPS)
                starts[i] = found.mean
                chains.append(ChainMoments.of(found, second_moments(found), part.inside))
                states.append(ExpectedStates.of(found, *seen))
            chain = reduce(add, chains).best()
            loading, offset = better_read_out(
                system.loading,
                system.offset,
                ExpectedStates.joined(states),
                choice.settings["prior"],
            )
            system = PoissonDynamics(
                chain.transition, chain.innovation, chain.initial, loading, offset
            )
            yield PoissonModel(system)

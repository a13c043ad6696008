"""Linear dynamics with Poisson counts as a latent model, and how EM improves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from sbtt_models.chain_filter import ChainFilter, State
from sbtt_models.linear_data import Batch
from sbtt_models.linear_dynamics import initial_guess
from sbtt_models.linear_fit import Choice, Family
from sbtt_models.means import smoothed_rates
from sbtt_models.moments import ChainMoments, second_moments
from sbtt_models.poisson_dynamics import PoissonDynamics, filter_evidence, laplace
from sbtt_models.poisson_read_out import (
    ExpectedStates,
    better_read_out,
    expected_rates,
    learned_prior,
)
from sbtt_models.state_model import StateFilter, StateModel

__all__ = ["PoissonFamily", "PoissonModel"]

_SMOOTHING = 3.0  # [bins] kernel of the first guess
_STEPS = 6  # Newton steps of an E step, which begins where the last one ended


@dataclass(frozen=True, slots=True, eq=False)
class PoissonModel(StateModel):
    """A Poisson system; see :class:`sbtt_models.linear_fit.LatentModel`."""

    system: PoissonDynamics

    @property
    def n_parameters(self) -> int:
        """Free numbers of the system."""
        n_channels, size = self.system.loading.shape
        return 2 * size * size + size * (size + 1) // 2 + n_channels * (size + 1)

    @override
    def smoothed(self, batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part in batch.parts(self.system.chain.size):
            found = laplace(self.system, part.counts, part.exposure, part.lengths)
            yield found.mean, found.covariance

    @override
    def filtered(self, n_sequences: int, lookahead: int) -> StateFilter:
        """Each bin is linearised once."""
        system, running = self.system, ChainFilter(self.system.chain, n_sequences, lookahead)

        def step(counts: np.ndarray, exposure: np.ndarray) -> State | None:
            def look(known: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                return filter_evidence(system, counts, exposure, known, given)

            return running.step(look)

        return step

    @override
    def expected(
        self,
        mean: Float[np.ndarray, "sequence bin state"],
        covariance: Float[np.ndarray, "sequence bin state state"],
    ) -> Float[np.ndarray, "sequence bin channel"]:
        return expected_rates(self.system.loading, self.system.offset, mean, covariance)

    @override
    def log_loading(
        self, means: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, "channel state"]:
        del means  # log rates are linear
        return self.system.loading

    def arrays(self) -> Mapping[str, Float[np.ndarray, "..."]]:
        """All parameters by name."""
        return {field.name: getattr(self.system, field.name) for field in fields(self.system)}


@dataclass(frozen=True, slots=True, eq=False)
class PoissonFamily(Family[PoissonModel]):
    """Poisson linear dynamics. Setting: `prior`, the precision of the loadings."""

    dampings: ClassVar[tuple[float, ...]] = (0.95, 0.6)

    means: Float[np.ndarray, " channel"]
    learned: bool = False
    """The loadings' prior begins with that precision, and goes on to what all channels show."""

    def first(self, batch: Batch, choice: Choice) -> PoissonModel:
        """Principal components of the logarithm of smoothed rates."""
        smoothed = smoothed_rates(batch.counts, batch.exposure, self.means, _SMOOTHING, 0.5)
        size = min(choice.size, self.means.size)
        least = np.full(self.means.size, 1e-3)
        guess = initial_guess(np.log(smoothed), batch.inside, size, least, choice.damping)
        chain = guess.transition, guess.innovation, guess.initial
        return PoissonModel(PoissonDynamics(*chain, guess.loading, np.log(self.means)))

    def climb(self, model: PoissonModel, batch: Batch, choice: Choice) -> Iterator[PoissonModel]:
        """Expectation maximisation with Laplace's approximation."""
        system = model.system
        prior = begun = choice.settings["prior"] * np.eye(system.chain.size)
        parts = batch.parts(system.chain.size)
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
            loading, offset, unsure = better_read_out(
                system.loading, system.offset, ExpectedStates.joined(states), prior
            )
            if self.learned:
                prior = learned_prior(loading, unsure, begun)
            system = PoissonDynamics(
                chain.transition, chain.innovation, chain.initial, loading, offset
            )
            yield PoissonModel(system)

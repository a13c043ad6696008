"""Linear dynamical systems with Gaussian noise as latent models, and how EM improves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from sbtt_models.chain_filter import ChainFilter, State
from sbtt_models.linear_data import Batch
from sbtt_models.linear_dynamics import (
    LinearDynamics,
    Posterior,
    evidence_by_row,
    from_moments,
    initial_guess,
    smooth_states,
)
from sbtt_models.linear_fit import Choice, Family
from sbtt_models.matern import better_scales, matern_chain
from sbtt_models.means import smoothed_rates
from sbtt_models.moments import (
    ChainMoments,
    Moments,
    ReadOut,
    ReadOutMoments,
    second_moments,
)
from sbtt_models.saved import Saved
from sbtt_models.state_model import StateFilter, StateModel

SMOOTHING = 3.0  # [bins] kernel of the first guess

__all__ = ["GaussianModel", "GaussianProcessFamily", "KalmanFamily"]


@dataclass(frozen=True, slots=True, eq=False)
class GaussianModel(StateModel):
    """A linear dynamical system; see :class:`sbtt_models.linear_fit.LatentModel`."""

    system: LinearDynamics
    n_parameters: int
    scales: Float[np.ndarray, " latent"] | None = None
    """Time constants, where the states are Gaussian processes. [bins]"""

    @override
    def smoothed(self, batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for found, _ in _expected(self.system, batch.parts(self.system.chain.size)):
            yield found.mean, found.covariance

    @override
    def filtered(self, n_sequences: int, lookahead: int) -> StateFilter:
        running = ChainFilter(self.system.chain, n_sequences, lookahead)
        look = evidence_by_row(self.system)

        def step(counts: np.ndarray, exposure: np.ndarray) -> State | None:
            return running.step(lambda known, given: look(counts, exposure))  # noqa: ARG005

        return step

    @override
    def expected(
        self,
        mean: Float[np.ndarray, "sequence bin state"],
        covariance: Float[np.ndarray, "sequence bin state state"],
    ) -> Float[np.ndarray, "sequence bin channel"]:
        del covariance  # rates are linear
        return mean @ self.system.loading.T + self.system.offset

    @override
    def log_loading(
        self, means: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, "channel state"]:
        return self.system.loading / means[:, None]

    @classmethod
    def of(
        cls,
        saved: Saved,
        n_channels: int,
        scales: Float[np.ndarray, " latent"] | None = None,
    ) -> GaussianModel:
        """Make it of its saved parameters.

        Raises
        ------
        DataError
            If they do not fit together.
        """
        loading = saved.array("loading", "float64", n_channels, None)
        size = loading.shape[1]
        states = ("transition", "innovation", "initial")
        chain = saved.chosen(states, size, size)
        channels = saved.chosen(("offset", "noise"), n_channels)
        system = LinearDynamics(loading=loading, **chain, **channels)
        return cls(system, saved.whole("n_parameters"), scales)

    def arrays(self) -> Mapping[str, Float[np.ndarray, "..."]]:
        """All parameters by name."""
        named = {field.name: getattr(self.system, field.name) for field in fields(self.system)}
        return named if self.scales is None else named | {"scales": self.scales}


@dataclass(frozen=True, slots=True, eq=False)
class KalmanFamily(Family[GaussianModel]):
    """Linear dynamics of any kind. Setting: `prior`, the pull of the loadings towards 0."""

    dampings: ClassVar[tuple[float, ...]] = (0.95, 0.6)

    means: Float[np.ndarray, " channel"]
    least_noise: Float[np.ndarray, " channel"]

    def first(self, batch: Batch, choice: Choice) -> GaussianModel:
        """Principal components of smoothed rates."""
        smoothed = smoothed_rates(batch.counts, batch.exposure, self.means, SMOOTHING, 0.5)
        size = min(choice.size, self.means.size)
        system = initial_guess(smoothed, batch.inside, size, self.least_noise, choice.damping)
        size, n = system.transition.shape[0], self.means.size
        n_parameters = 2 * size * size + size * (size + 1) // 2 + n * (size + 2)
        return GaussianModel(system, n_parameters)

    def climb(self, model: GaussianModel, batch: Batch, choice: Choice) -> Iterator[GaussianModel]:
        """Expectation maximisation."""
        parts = batch.parts(model.system.chain.size)
        while True:
            sums = [
                Moments.of(found, part.values, part.exposure, part.inside)
                for found, part in _expected(model.system, parts)
            ]
            moments = reduce(add, sums)
            system = from_moments(moments, self.least_noise, choice.settings["prior"])
            model = GaussianModel(system, model.n_parameters)
            yield model


@dataclass(frozen=True, slots=True, eq=False)
class GaussianProcessFamily(Family[GaussianModel]):
    """Independent Matérn processes.

    Settings: `order` of the kernel, `scale_bins` to begin with, and `prior`, the pull of the
    loadings towards 0.
    """

    means: Float[np.ndarray, " channel"]
    least_noise: Float[np.ndarray, " channel"]
    learn_scales: bool
    """Each process gets a time constant of its own."""

    def first(self, batch: Batch, choice: Choice) -> GaussianModel:
        """Principal components of smoothed rates."""
        guess = KalmanFamily(self.means, self.least_noise).first(batch, choice).system
        scales = np.full(guess.loading.shape[1], choice.settings["scale_bins"])
        read_out = ReadOut(guess.loading, guess.offset, guess.noise)
        return self._model(scales, int(choice.settings["order"]), read_out)

    def climb(self, model: GaussianModel, batch: Batch, choice: Choice) -> Iterator[GaussianModel]:
        """Expectation maximisation over loadings, offsets, noise and time constants."""
        order = int(choice.settings["order"])
        begin = np.full(choice.size, choice.settings["scale_bins"])
        scales = begin if model.scales is None else model.scales
        parts = batch.parts(model.system.chain.size)
        while True:
            chains, read_outs = [], []
            for found, part in _expected(model.system, parts):
                second = second_moments(found)
                chains.append(ChainMoments.of(found, second, part.inside))
                shown = found.mean[..., ::order], second[..., ::order, ::order]
                read_outs.append(ReadOutMoments.of(*shown, part.values, part.exposure))
            if self.learn_scales:
                scales = better_scales(scales, order, reduce(add, chains))
            read_out = reduce(add, read_outs).best(self.least_noise, choice.settings["prior"])
            model = self._model(scales, order, read_out)
            yield model

    def _model(
        self, scales: Float[np.ndarray, " latent"], order: int, read_out: ReadOut
    ) -> GaussianModel:
        chain = matern_chain(scales, order)
        loading = np.zeros((self.means.size, chain.size))
        loading[:, ::order] = read_out.loading  # derivatives are not seen
        parts = (chain.transition, chain.innovation, chain.initial, loading)
        system = LinearDynamics(*parts, read_out.offset, read_out.noise)
        n_parameters = self.means.size * (scales.size + 2) + scales.size
        return GaussianModel(system, n_parameters, scales)


def _expected(model: LinearDynamics, parts: Iterable[Batch]) -> Iterator[tuple[Posterior, Batch]]:
    """The E step, one part of the data after the other."""
    for part in parts:
        found = smooth_states(model, part.values, part.exposure, part.lengths, part.pattern)
        yield found, part

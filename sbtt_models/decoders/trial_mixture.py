"""A network, and the training trials it inferred: what recurs need not be inferred alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
from jaxtyping import Bool, Float32
from pydantic import Field, model_validator
from typing_extensions import override

from sbtt_models.decoders.around import AroundSpec, FittedAround
from sbtt_models.decoders.autoencoder import Autoencoder
from sbtt_models.decoders.base import Fitted, NeuralSpec, Setting
from sbtt_models.decoders.lfads import LFADS
from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.decoders.transformer import Transformer
from sbtt_models.errors import DataError
from sbtt_models.likelihoods import refuse_real
from sbtt_models.means import channel_rates
from sbtt_models.mixture import Mixture, MixtureStep
from sbtt_models.online import Online, refuse_long_wait
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream, within
from sbtt_models.training import Training
from sbtt_models.windows import aligned, cut, pieces_of, stitch, window_of

if TYPE_CHECKING:
    from sbtt_models.trained import FittedNetwork

__all__ = ["FittedTrialMixture", "TrialMixture"]

_WITHHELD = 0.2  # of the observed validation entries, as the linear models withhold


class TrialMixture(AroundSpec):
    """Take each trial for a recurrence of some training trial, and ask which by its own counts.

    A network is trained and infers the training trials. Their rates are then the components of a
    mixture: the rates of a trial are the mean of all components, weighted by how probable they
    make the trial's observed counts (Poisson). In each round of expectation maximisation the
    components themselves are replaced by the mean that the others give them, so that trials of one
    condition, each sampled sparsely at other places, come to share what is known of all. Where
    trials do not recur this is worse than the network alone, and validation then keeps the network
    alone.
    """

    kind: Literal["trial_mixture"] = "trial_mixture"
    network: Annotated[
        Autoencoder | LFADS | StateSpace | Transformer, Field(discriminator="kind")
    ] = StateSpace()
    """What infers the training trials."""
    rounds: int = Field(5, ge=0, le=100)
    """The most rounds; the first that predicts withheld validation entries no better ends them."""
    components: int = Field(4096, ge=1, le=65_536)
    """The most training windows that are kept; of more, evenly many are left out."""

    @model_validator(mode="after")
    def _refuse_what_it_cannot(self) -> TrialMixture:
        if self.network.likelihood.kind != "poisson":
            raise ValueError(
                f"network.likelihood {self.network.likelihood.kind}: components are compared by "
                "the Poisson likelihood of counts; leave it out, or take the network alone"
            )
        if self.network.held_out or self.network.encoder_bins is not None:
            raise ValueError(
                "network.held_out and network.encoder_bins hide entries that the components "
                "would be compared by; take the network alone"
            )
        return self

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        refuse_real("trial_mixture", stream)
        refuse_long_wait(self.waits or 0, window_of(stream))
        if isinstance(setting.start, FittedTrialMixture):
            setting = replace(setting, start=setting.start.fitted)
        network = self.timed_network.fit(stream, training, setting)
        start = time.perf_counter()
        alone = FittedTrialMixture(self, network, window_of(stream), None, 0)
        best = alone.improved(stream)
        return replace(best, seconds=time.perf_counter() - start)

    @override
    def restore(self, saved: Saved, device: str) -> Fitted:
        name = "network."
        arrays = {k.removeprefix(name): v for k, v in saved.arrays.items() if k.startswith(name)}
        inner = replace(saved, decoder=self.timed_network, arrays=arrays)
        window_bins = saved.whole("window_bins", 1)
        mixture = None
        if "components" in saved.arrays:
            shape = (None, window_bins, saved.whole("n_channels", 1))
            mixture = Mixture(saved.array("components", "float32", *shape))
            if not (mixture.components > 0).all():
                raise DataError(f"{saved.where}: components holds rates that are not positive")
        return FittedTrialMixture(
            self,
            self.timed_network.restore(inner, device),
            window_bins,
            mixture,
            saved.whole("rounds"),
            saved.number("mixture_s"),
        )

    @property
    def timed_network(self) -> NeuralSpec:
        """The network, as causal as the whole."""
        timing = {"causal": self.causal, "lookahead_bins": self.lookahead_bins}
        return self.network.model_copy(update=timing)


@dataclass(frozen=True, slots=True, eq=False)
class FittedTrialMixture(FittedAround):
    """A trained network, and the components that it gave."""

    spec: TrialMixture
    window_bins: int
    mixture: Mixture | None
    """None: the network alone predicted better."""
    rounds: int
    """How often the components were replaced."""
    seconds: float = 0.0
    """Time that the mixture took. [s]"""

    @property
    @override
    def train_s(self) -> float:
        """Of network and mixture. [s]"""
        return self.fitted.train_s + self.seconds

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        if self.mixture is None:
            return self.fitted.rates(stream)
        cast("FittedNetwork", self.fitted).refuse_other(stream)
        n_bins, trials = self.window_bins, np.arange(stream.lengths.size)
        wait = self.spec.waits
        windows = (
            cut(stream.lengths, trials, n_bins, max(n_bins // 2, 1))
            if wait is None
            else aligned(stream.lengths, n_bins)
        )
        seen = pieces_of(stream.counts, windows), pieces_of(stream.exposure, windows)
        pieces = self.mixture.rates(*seen, n_bins if wait is None else wait)
        inside = within(stream.lengths, stream.counts.shape[1])[:, :, None]
        return np.where(inside, stitch(pieces, windows, stream.counts.shape), np.float32(0))

    def improved(self, stream: MaskedStream) -> FittedTrialMixture:
        """The best of this, a network alone, and of the rounds, by withheld validation entries."""
        entries = _withheld(stream)
        valid = stream.split.valid
        shown, truth = stream.hide(entries).trials(valid), stream.trials(valid)

        def loss(candidate: FittedTrialMixture) -> float:
            rates = candidate.rates(shown)[entries[valid]].astype(np.float64)
            exposure, counts = (x[entries[valid]] for x in (truth.exposure, truth.counts))
            return float((rates * exposure - counts * np.log(rates)).mean())

        windows = cut(stream.lengths, stream.split.train, self.window_bins, self.window_bins)
        windows = windows.thinned(self.spec.components)
        seen = pieces_of(stream.counts, windows), pieces_of(stream.exposure, windows)
        lengths = np.minimum(stream.lengths[windows.trial] - windows.start, self.window_bins)
        means = channel_rates(stream.trials(stream.split.train))
        rates = pieces_of(self.fitted.rates(stream), windows)
        best, least = self, loss(self)
        mixture, before = Mixture.of(rates, lengths, means), np.inf
        for rounds in range(self.spec.rounds + 1):
            found = replace(self, mixture=mixture, rounds=rounds)
            now = loss(found)
            if now < least:
                best, least = found, now
            if now >= before:
                break
            before = now
            mixture = mixture.shared(*seen, windows)
        return best

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        if self.mixture is None:
            return self.fitted.online(lookahead_bins)
        wait = (self.spec.waits or 0) if lookahead_bins is None else lookahead_bins
        refuse_long_wait(wait, self.window_bins)
        mixture = self.mixture
        return Online(lambda: MixtureStep(mixture, wait))

    @override
    def saved(self) -> Saved:
        """What the network is, and the components."""
        inner = self.fitted.saved()
        arrays = {f"network.{name}": array for name, array in inner.arrays.items()}
        if self.mixture is not None:
            arrays["components"] = self.mixture.components
        facts = {"rounds": self.rounds, "mixture_s": self.seconds}
        return replace(inner, decoder=self.spec, arrays=arrays, facts={**inner.facts, **facts})


def _withheld(stream: MaskedStream) -> Bool[np.ndarray, "trial bin channel"]:
    """Observed validation entries to predict; all of them where the draw takes none."""
    valid = stream.split.valid
    longest = int(stream.lengths.max())  # padding beyond must not move the draw
    drawn = np.zeros(stream.counts.shape, bool)
    shape = (valid.size, longest, stream.n_channels)
    drawn[valid, :longest] = np.random.default_rng(0).random(shape) < _WITHHELD
    if not (drawn & stream.observed).any():
        drawn[valid] = True
    return drawn & stream.observed

"""A linear smoother whose states a small network corrects: few data, and yet not linear."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field, model_validator
from typing_extensions import override

from sbtt_models import metrics
from sbtt_models.decoders.base import DecoderSpec, Setting
from sbtt_models.decoders.kalman import Kalman
from sbtt_models.decoders.linear import FittedLinear
from sbtt_models.decoders.poisson_lds import PoissonLDS
from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.errors import DataError, SpecError
from sbtt_models.lessons import guided, lessons, state_model, summary_teller
from sbtt_models.online import Online, Step
from sbtt_models.saved import Saved, save
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.units import Fraction

if TYPE_CHECKING:
    from sbtt_models.trained import FittedNetwork

__all__ = ["AugmentedLDS", "Correction", "FittedAugmented"]

_SMOOTHERS = (
    PoissonLDS(size=12, prior=10.0, iterations=15),
    Kalman(size=20, prior=1.0, iterations=20),
)
# Nothing else may hide or move samples: the lessons have hidden theirs. A pass over all draws is
# several epochs long, so each is judged.
_OWN: dict[str, Any] = {
    "coordinated_dropout": 0.0,
    "withheld_validation": 0.0,
    "sample_validation": 0.0,
    "redrawn_mask": 0.0,
    "jitter_bins": 0,
    "shift_bins": 0,
    "stop_by": "valid_loss",
    "validate_every": 1,
}


class Correction(StateSpace):
    """The network of an :class:`AugmentedLDS`; its external inputs are the smoother's summary."""

    @override
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        from sbtt_models.nets.state_correction import StateCorrection

        return StateCorrection(self, (n_external - 1 - n_channels) // 2, n_channels, n_bins)


class AugmentedLDS(DecoderSpec):
    """Linear dynamics, and a small network that corrects their states.

    Smoothers are fitted first, on the same samples, and the best is taken. Then some of the
    training samples are hidden from it, `folds` times anew, and a state-space network learns to
    move the states that it infers so that the hidden samples become likelier. Only states are
    moved, so a few thousand weights serve any number of channels. At first the network moves
    nothing, and unless it predicts withheld samples of the validation trials better than the
    smoother alone, it is dropped. `training` sets budget, learning rate and patience; a pass over
    all draws counts as `folds` epochs. What is hidden or moved, and what best weights go by, is
    set here. External inputs of the stream, and options of `training` that ask for another such
    rule, are not used: a warning and the report say so where there are any.

    References
    ----------
    Garcia Satorras et al., "Combining generative and discriminative models for hybrid inference",
    NeurIPS 2019, arXiv:1906.02547: a network that corrects a Kalman smoother.
    """

    kind: Literal["augmented_lds"] = "augmented_lds"
    smoothers: tuple[Annotated[PoissonLDS | Kalman, Field(discriminator="kind")], ...] = Field(
        _SMOOTHERS, min_length=1
    )
    """Of these, the one that best predicts withheld validation samples is corrected."""
    hidden: int = Field(32, ge=1, le=4096)
    """Features of a bin in the network."""
    blocks: int = Field(3, ge=1, le=64)
    """As of a state_space decoder; `modes` and `dropout` too."""
    modes: int = Field(4, ge=1, le=256)
    dropout: Fraction = Field(0.2, ge=0, lt=1)
    folds: int = Field(6, ge=1, le=100)
    """Draws of hidden training samples; for each the smoother runs over all training trials, and
    their copy is kept in memory."""
    hidden_share: Fraction = Field(0.5, gt=0, lt=1)
    """Share of the training samples that a draw hides from the smoother, and teaches."""

    @model_validator(mode="after")
    def _causal_in_one_place(self) -> AugmentedLDS:
        if any(each.causal or each.lookahead_bins for each in self.smoothers):
            raise ValueError(
                "smoothers: causal and lookahead_bins belong beside smoothers, not in one"
            )
        return self

    @override
    def passed_over(self, training: Training) -> tuple[str, ...]:
        """Defaults ask for nothing: a training that names no such option is used whole."""
        plain = Training()
        return tuple(
            name
            for name, own in _OWN.items()
            if getattr(training, name) not in (own, getattr(plain, name))
        )

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> FittedAugmented:
        from sbtt_models.train import train

        setting.refuse_start(self.kind)
        begun = time.perf_counter()
        quiet = replace(setting, progress=None)
        tried = [
            self._smoother(i).fit(stream, training, quiet) for i in range(len(self.smoothers))
        ]
        losses = [min(row["valid_loss"] for row in fitted.history) for fitted in tried]
        chosen = int(np.argmin(losses))
        smoother = tried[chosen]
        taught = lessons(smoother, stream, self.folds, self.hidden_share, setting.seed)
        start = _idle(self._network, smoother, taught, training.threads, setting)
        rules = _own(training, self.folds)
        network = train(self._network, taught, rules, replace(setting, start=start))
        judged = taught.trials(taught.split.valid)
        if not _loss(network, judged) < _loss(start, judged):
            network = replace(network, network=start.network)
        return FittedAugmented(self, chosen, smoother, network, time.perf_counter() - begun)

    @override
    def restore(self, saved: Saved, device: str) -> FittedAugmented:
        from sbtt_models.trained import FittedNetwork

        chosen = saved.whole("chosen")
        if chosen >= len(self.smoothers):
            raise DataError(
                f"{saved.where}: smoother {chosen} of {len(self.smoothers)} was chosen"
            )
        spec, network = self._smoother(chosen), _part(saved, "network", self._network)
        smoother = spec.restore(_part(saved, "smoother", spec), device)
        n_channels, n_states = state_model(smoother).log_loading(smoother.means).shape
        wants = {"n_channels": n_channels, "n_external": 1 + 2 * n_states + n_channels}
        for name, want in wants.items():
            if network.whole(name) != want:
                raise DataError(
                    f"{saved.where}: network.{name} is {network.whole(name)}, the smoother's "
                    f"{n_states} states of {n_channels} channels need {want}"
                )
        fitted = FittedNetwork.of(self._network, network, device)
        return FittedAugmented(self, chosen, smoother, fitted, saved.number("train_s"))

    def _smoother(self, which: int) -> PoissonLDS | Kalman:
        timing = {"causal": self.causal, "lookahead_bins": self.lookahead_bins}
        return self.smoothers[which].model_copy(update=timing)

    @property
    def _network(self) -> Correction:
        """What the smoother waits for is not waited for twice."""
        names = ("hidden", "blocks", "modes", "dropout", "causal")
        return Correction(mask_input=False, **{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class FittedAugmented:
    """A smoother and the network that corrects it."""

    spec: AugmentedLDS
    chosen: int
    """Which of the smoothers it is."""
    smoother: FittedLinear
    network: FittedNetwork
    train_s: float

    @property
    def n_parameters(self) -> int:
        """Of both."""
        return self.smoother.n_parameters + self.network.n_parameters

    @property
    def epochs(self) -> int:
        """Passes of the network over the training trials."""
        return self.network.epochs * self.spec.folds

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """Of the network; one row for a pass over all draws of hidden samples."""
        return self.network.history

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        self.smoother.refuse_other(stream)
        return self.network.rates(guided(self.smoother, stream))

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        own = self.spec.waits
        if own is None or lookahead_bins not in (None, own):
            found = "the whole trial" if own is None else f"{own} bins ahead"
            raise SpecError(
                f"online: this augmented_lds was trained to see {found}; train another with "
                f"decoder.causal true and decoder.lookahead_bins {lookahead_bins or 0}"
            )
        return Online(lambda: _CorrectedStep(self, own))

    def saved(self) -> Saved:
        """What both are, under names of their own."""
        parts = {"smoother": self.smoother.saved(), "network": self.network.saved()}
        arrays, facts = dict[str, Any](), dict[str, Any]()
        for part, found in parts.items():
            arrays |= {f"{part}.{name}": array for name, array in found.arrays.items()}
            facts |= {f"{part}.{name}": fact for name, fact in found.facts.items()}
        facts |= {"chosen": self.chosen, "train_s": self.train_s}
        return Saved(self.spec, arrays, facts, self.history)

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write parameters, history and manifest."""
        return save(self.saved(), folder)


class _CorrectedStep(Step):
    """A filter within one trial, and the network that corrects it."""

    def __init__(self, fitted: FittedAugmented, wait: int) -> None:
        smoother = fitted.smoother
        super().__init__(wait, smoother.means.size)
        self._filter = state_model(smoother).summary_filter(1, wait)
        self._check = smoother.spec.check_counts
        self._tell, self._correct = summary_teller(smoother), fitted.network.network.recurrence()

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        self._check(counts, exposure)
        summary = self._filter(counts[None], exposure[None])
        if summary is None:
            return None
        told = self._tell(summary)[0]
        return self._correct.next(told, np.ones_like(told))


def _own(training: Training, folds: int) -> Training:
    """The same budget, for training trials that come several times over."""
    rules = _OWN | {"epochs": -(-training.epochs // folds)}
    if training.patience is not None:
        rules["patience"] = -(-training.patience // folds)
    return training.model_copy(update=rules)


def _idle(
    spec: Correction, smoother: FittedLinear, taught: MaskedStream, threads: int, setting: Setting
) -> FittedNetwork:
    """A network that corrects nothing yet, with the loadings of a smoother."""
    import torch

    from sbtt_models.device import device_of, seeded
    from sbtt_models.trained import FittedNetwork
    from sbtt_models.windows import window_of

    external = cast(np.ndarray, taught.external)
    loading, n_bins = state_model(smoother).log_loading(smoother.means), window_of(taught)
    n_external, device = external.shape[2], device_of(setting.device)
    with seeded(setting.seed, device):
        network = spec.network(torch.zeros(taught.n_channels), n_bins, n_external).to(device)
    n_states = loading.shape[1]
    rows = external[taught.split.train][external[taught.split.train, :, 0] > 0]
    scale = np.maximum(rows[:, 1 : 1 + n_states].std(0), 1e-6)
    network.scale.copy_(torch.from_numpy(scale))
    network.loading.copy_(torch.from_numpy(loading.T * scale[:, None]))
    n_parameters = sum(p.numel() for p in network.parameters())
    facts = (taught.n_channels, n_bins, threads, n_parameters, 0, 0.0, ())
    return FittedNetwork(spec, network, *facts, n_external, bin_s=taught.bin_s)


def _loss(network: FittedNetwork, judged: MaskedStream) -> float:
    """Poisson loss of what lessons teach. [nat/entry]"""
    rates = network.rates(judged)
    return metrics.poisson_nll(
        judged.counts, rates, where=judged.observed, exposure=judged.exposure
    )


def _part(saved: Saved, name: str, decoder: DecoderSpec) -> Saved:
    """What was saved of the smoother or the network."""
    arrays, facts = (
        {k.removeprefix(f"{name}."): v for k, v in found.items() if k.startswith(f"{name}.")}
        for found in (saved.arrays, saved.facts)
    )
    return replace(saved, decoder=decoder, arrays=arrays, facts=facts)

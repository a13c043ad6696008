"""What a decoder is: a record that can be fitted to a masked stream. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32
from pydantic import Field, model_validator
from typing_extensions import override

from sbtt_models.errors import SpecError
from sbtt_models.likelihoods import AnyLikelihood, Poisson
from sbtt_models.online import Online
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream
from sbtt_models.spec import Spec
from sbtt_models.training import Training

__all__ = ["Adapt", "DecoderSpec", "Fitted", "NeuralSpec", "Progress", "Setting"]

Adapt: TypeAlias = Literal["all", "encoder", "read_in", "channels"]
"""The part of a network that learns; `channels`: its first and its last layer, whose weights are
those of single channels."""

Progress = Callable[[int, int], None]
"""Called after each epoch with the epochs done and the most there can be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fit needs besides data and rules."""

    seed: int = 0
    """Seeds initial weights, batches, dropout and sampling."""
    device: str = "auto"
    """``auto`` takes CUDA where present."""
    progress: Progress | None = None
    start: Fitted | None = None
    """An earlier fit of the same network, to begin from."""
    adapt: Adapt = "all"
    """What learns; the rest stays as it was at the start."""
    folder: Path | None = None
    """Where a training keeps its checkpoints."""

    def refuse_start(self, kind: str) -> None:
        """Say that a decoder has no weights to begin from, if it is asked to.

        Raises
        ------
        SpecError
            If `start` is given.
        """
        if self.start is not None:
            raise SpecError(
                f"start: a decoder of kind {kind} is fitted afresh, there is nothing to begin "
                "from; leave start out"
            )


@runtime_checkable
class Fitted(Protocol):
    """A decoder that has seen its training data."""

    @property
    def n_parameters(self) -> int:
        """Trained parameters; 0 for a baseline."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over the training windows."""
        ...

    @property
    def train_s(self) -> float:
        """Wall clock of the fit. [s]"""
        ...

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """One row per epoch (losses, learning rate), or per setting tried."""
        ...

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin, for every trial of `stream`. [spikes/bin]

        Raises
        ------
        DataError
            For a stream of other channels or another bin width than the decoder was fitted on,
            or of values that it cannot take; networks also for other external inputs.
        """
        ...

    def saved(self) -> Saved:
        """All that it is, as arrays and plain facts."""
        ...

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed one bin at a time.

        Parameters
        ----------
        lookahead_bins : int, optional
            Bins that an inference waits for. [bins] None: as the decoder says, 0 if it is not
            causal.

        Returns
        -------
        Online
            Gives the rates that :meth:`rates` of the causal decoder gives, up to rounding.

        Raises
        ------
        SpecError
            For a look-ahead other than the one trained for, where the decoder itself is causal.
        """
        ...

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write :meth:`saved` into a folder that exists, for ``sbtt_models.load``.

        Returns the files: ``weights.safetensors``, ``history.csv``, ``decoder.json``.
        """
        ...


class DecoderSpec(Spec, ABC):
    """A decoder as a scenario names it."""

    kind: str
    """Names the member of the union."""
    causal: bool = False
    """Infer each bin from the bins up to it only, as a closed loop must."""
    lookahead_bins: int = Field(0, ge=0, le=1000)
    """Later bins that a causal inference waits for: its latency. [bins]"""

    @model_validator(mode="after")
    def _waits_only_if_causal(self) -> DecoderSpec:
        if self.lookahead_bins and not self.causal:
            raise ValueError(
                f"lookahead_bins {self.lookahead_bins}: without causal: true every later bin is "
                "used; add causal: true, or leave lookahead_bins out (in a sweep over both: "
                'skip: ["decoder.causal == false and decoder.lookahead_bins > 0"])'
            )
        return self

    @property
    def waits(self) -> int | None:
        """Later bins that an inference may use. [bins] None: all of its window or trial."""
        return self.lookahead_bins if self.causal else None

    @property
    def goes_on(self) -> bool:
        """Whether a fit may begin with the weights of an earlier one."""
        return False

    @property
    def hears_external(self) -> bool:
        """Whether external inputs of a stream are used."""
        return False

    def refuse_channels(self, n_channels: int) -> None:
        """Say which channel is named that a stream of so many does not have.

        Raises
        ------
        SpecError
            If there is one, or none is left that an encoder may see.
        """

    def refuse_window(self, n_bins: int) -> None:
        """Say which option is out of proportion to the windows that are learned from.

        Raises
        ------
        SpecError
            If there is one.
        """

    def passed_over(self, training: Training) -> tuple[str, ...]:
        """Options of a training that ask for something which this decoder sets itself."""
        del training
        return ()

    @abstractmethod
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        """Learn from the train trials of `stream`, stop or tune on its valid trials only."""

    @abstractmethod
    def restore(self, saved: Saved, device: str) -> Fitted:
        """Make a fitted decoder of what it was saved as.

        Raises
        ------
        DataError
            If arrays or facts are missing or do not fit together.
        """


class NeuralSpec(DecoderSpec):
    """A decoder trained by gradient descent; members only say which network they are."""

    mask_input: bool = True
    """Give the encoder the exposure of each entry beside its count (the published code does
    not, and cannot tell a silent neuron from a missing sample)."""
    rescale_input: Literal["none", "dropout", "observed"] | None = None
    """What makes up for counts that the encoder does not see. `none`: nothing. `dropout`: counts
    shown in training are divided by the share that coordinated dropout leaves, as published.
    `observed`: counts are divided by the share of channels that is seen in their bin, always.
    Without a value: `none` with the mask as input, else `dropout`."""
    likelihood: AnyLikelihood = Poisson()
    """How an entry is distributed, given what is read out of a bin."""
    held_out: tuple[int, ...] = ()
    """Channels, counted from 0, that the encoder never sees, but is taught to predict."""
    encoder_bins: int | None = Field(None, ge=1)
    """Bins of a trial that the encoder sees; it is taught to predict those after. None: all."""

    @property
    def rescales(self) -> Literal["none", "dropout", "observed"]:
        """The rule of `rescale_input` that applies."""
        return self.rescale_input or ("none" if self.mask_input else "dropout")

    @property
    def goes_on(self) -> bool:
        """Whether a fit may begin with the weights of an earlier one: networks do."""
        return True

    @property
    def one_way(self) -> bool:
        """Whether the network looks no further ahead than `lookahead_bins`, by its making.

        Otherwise it looks both ways, and is causal on windows that end at the present.
        """
        return False

    @override
    def refuse_channels(self, n_channels: int) -> None:
        wrong = [channel for channel in self.held_out if not 0 <= channel < n_channels]
        if wrong:
            raise SpecError(
                f"held_out: the stream has channels 0 to {n_channels - 1}, {wrong[0]} is not one "
                "of them"
            )
        if len(set(self.held_out)) == n_channels:
            raise SpecError(
                f"held_out: names all {n_channels} channels; the encoder must see at least one"
            )

    @override
    def refuse_window(self, n_bins: int) -> None:
        if self.encoder_bins is not None and self.encoder_bins > n_bins:
            raise SpecError(
                f"encoder_bins: {self.encoder_bins} of windows of {n_bins} bins; take at most "
                f"{n_bins}, or leave encoder_bins out"
            )

    def suited_to(self, sampled: float) -> NeuralSpec:
        """The same decoder, set up for the share of entries that is observed in training."""
        del sampled
        return self

    @abstractmethod
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        """Make the network, a :class:`sbtt_models.nets.base.Network`.

        Parameters
        ----------
        n_channels, n_bins : int
            Channels and the longest window.
        start : Tensor
            What the read-out says at first; its length is the width of the read-out. For Poisson
            the log of each channel's mean count per bin, shape (n_channels,).
        n_external : int
            Dimensions of the external inputs. Of the networks, LFADS uses them.
        """

    def network(self, start: Any, n_bins: int, n_external: int) -> Any:
        """Make the network with its likelihood; `start` as for :meth:`build`."""
        network = self.build(len(start) // self.likelihood.width, n_bins, start, n_external)
        network.head = self.likelihood.head(start)
        return network

    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        """Run the one training loop of this library."""
        from sbtt_models.train import train

        return train(self, stream, training, setting)

    def restore(self, saved: Saved, device: str) -> Fitted:
        """Build the network anew, give it its weights, and see it as it was saved."""
        from sbtt_models.session_view import as_saved
        from sbtt_models.trained import FittedNetwork

        return as_saved(FittedNetwork.of(self, saved, device), saved)

"""The rival that selective backpropagation must beat: a network that takes gaps for silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.around import AroundSpec, FittedAround
from sbtt_models.decoders.autoencoder import Autoencoder
from sbtt_models.decoders.base import Fitted, Setting
from sbtt_models.decoders.lfads import LFADS
from sbtt_models.online import Online, Step
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream, within
from sbtt_models.training import Training

__all__ = ["FittedZeroFilled", "ZeroFilled", "zero_filled"]


class ZeroFilled(AroundSpec):
    """Train a network on a stream whose gaps are filled with zeros, as if silence had been seen.

    Loss and input then count every missing sample as a bin without spikes, so the network infers
    about rate times the share of samples taken. `rescale` divides by that share.
    """

    kind: Literal["zero_filled"] = "zero_filled"
    network: Annotated[Autoencoder | LFADS, Field(discriminator="kind")] = Autoencoder()
    """What is trained."""
    rescale: bool = True
    """Divide each channel's rates by its mean exposure in training. False: raw."""

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        share = np.ones(stream.n_channels)
        if self.rescale:
            train = stream.trials(stream.split.train)
            share = train.exposure.sum((0, 1), dtype=np.float64) / train.lengths.sum()
            share[share == 0] = 1.0  # nothing is known of such a channel, rescaled or not
        if isinstance(setting.start, FittedZeroFilled):
            setting = replace(setting, start=setting.start.fitted)
        fitted = self._network.fit(zero_filled(stream), training, setting)
        return FittedZeroFilled(self, fitted, share)

    @override
    def restore(self, saved: Saved, device: str) -> Fitted:
        arrays = {
            name.removeprefix("network."): array
            for name, array in saved.arrays.items()
            if name != "share"
        }
        inner = replace(saved, decoder=self._network, arrays=arrays)
        share = saved.array("share", "float64", None)
        return FittedZeroFilled(self, self._network.restore(inner, device), share)

    @property
    def _network(self) -> Autoencoder | LFADS:
        timing = {"causal": self.causal, "lookahead_bins": self.lookahead_bins}
        return self.network.model_copy(update=timing)


def zero_filled(stream: MaskedStream) -> MaskedStream:
    """The same counts, with every bin of every trial called fully observed."""
    inside = within(stream.lengths, stream.counts.shape[1]).astype(np.float32)
    # a copy: of one channel the view would do, but torch warns of what cannot be written
    exposure = np.broadcast_to(inside[:, :, None], stream.counts.shape).copy()
    return replace(stream, exposure=exposure)


@dataclass(frozen=True, slots=True, eq=False)
class FittedZeroFilled(FittedAround):
    """A network trained on zeros, and what its rates are divided by."""

    spec: ZeroFilled
    share: Float[np.ndarray, " channel"]

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        return (self.fitted.rates(zero_filled(stream)) / self.share).astype(np.float32)

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        begin = self.fitted.online(lookahead_bins).begin
        return Online(lambda: _Step(begin(), self.share))

    @override
    def saved(self) -> Saved:
        """What the network is, and the shares."""
        inner = self.fitted.saved()
        arrays = {f"network.{name}": array for name, array in inner.arrays.items()}
        return replace(inner, decoder=self.spec, arrays={"share": self.share, **arrays})


class _Step(Step):
    """The network within one trial, fed zeros where it should have been fed nothing."""

    def __init__(self, inner: Step, share: Float[np.ndarray, " channel"]) -> None:
        super().__init__(inner.lookahead_bins, inner.n_channels)
        self._inner, self._share = inner, share

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        rates = self._inner.next(counts, np.ones_like(exposure))
        return None if rates is None else rates / self._share

    @override
    def rest(self) -> Float[np.ndarray, "waiting channel"]:
        return self._inner.rest() / self._share

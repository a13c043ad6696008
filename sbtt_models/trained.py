"""A network that has been trained, and how another training begins from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from sbtt_models.batches import StreamOnDevice
from sbtt_models.causal import causal_rates, steps_of, whole_rates
from sbtt_models.decoders.base import Adapt, Fitted, NeuralSpec
from sbtt_models.device import device_of, threads
from sbtt_models.errors import DataError, SpecError
from sbtt_models.inference import Inference
from sbtt_models.nets.base import Network
from sbtt_models.online import Online
from sbtt_models.resume import weights_of
from sbtt_models.same_stream import refuse_other
from sbtt_models.saved import Saved, save
from sbtt_models.signals import MaskedStream, within
from sbtt_models.value_unit import Unit
from sbtt_models.visible import refuse_hiding, visible
from sbtt_models.windows import cut, stitch

__all__ = ["INFER_BATCH", "FittedNetwork", "begin_from", "freeze_all_but"]

INFER_BATCH = 256
"""Windows that are inferred at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedNetwork:
    """A trained network with its best validation weights."""

    spec: NeuralSpec
    """As built: suited to the share of entries that was observed."""
    network: Network
    n_channels: int
    window_bins: int
    threads: int
    n_parameters: int
    epochs: int
    train_s: float
    history: tuple[Mapping[str, float], ...] = field(repr=False)
    n_external: int = 0
    """Dimensions of the external inputs."""
    unit: Unit | None = None
    """What real values are shown in."""
    bin_s: float | None = None
    """Bin width it was trained on. [s]"""

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected values of each full bin; see :class:`sbtt_models.decoders.base.Fitted`.

        Raises
        ------
        DataError
            Where the stream has other channels, bins or external inputs than the network was
            trained with, or values that its likelihood cannot give.
        """
        self.refuse_other(stream)
        refuse_hiding(self.spec, stream, self.window_bins)
        if self.unit is None:
            return self._expected(stream)
        rates = self.unit.back(self._expected(self.unit.of_values(stream)))
        rates[~within(stream.lengths, rates.shape[1])] = 0.0
        return rates

    def _expected(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected values, in the unit of the network."""
        if self.spec.waits is not None:
            return self._causal_rates(stream, self.spec.waits)
        data = StreamOnDevice.of(stream, self.window_bins, next(self.network.parameters()).device)
        stride = max(self.window_bins // 4, 1)
        windows = cut(stream.lengths, np.arange(stream.lengths.size), self.window_bins, stride)
        windows = windows.longest_first(stream.lengths)
        inference = self._inference(self.window_bins)
        # what is sampled of a window must not depend on how long the others are
        padded = self.network.samples > 0
        pieces = []
        with threads(self.threads), torch.no_grad():
            for batch in data.batches(windows, INFER_BATCH, padded=padded):
                found = inference.expected(batch).cpu().numpy()
                beyond = self.window_bins - found.shape[1]
                pieces.append(np.pad(found, ((0, 0), (0, beyond), (0, 0))))
        rates = stitch(np.concatenate(pieces), windows, stream.counts.shape)
        rates[~within(stream.lengths, rates.shape[1])] = 0.0
        return rates

    def _causal_rates(
        self, stream: MaskedStream, wait: int
    ) -> Float32[np.ndarray, "trial bin channel"]:
        n_bins = max(self.window_bins, int(stream.lengths.max()))
        inference = self._inference(n_bins)
        with threads(self.threads), torch.no_grad():
            if self.network.endless:
                return whole_rates(inference, stream, self.window_bins, INFER_BATCH)
            return causal_rates(inference, stream, self.window_bins, wait, INFER_BATCH)

    def _inference(self, n_bins: int) -> Inference:
        device = next(self.network.parameters()).device
        shown = visible(self.spec, n_bins, self.n_channels, device)
        return Inference(self.network.eval(), shown, self.spec.rescales == "observed")

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        own = self.spec.waits or 0
        wait = own if lookahead_bins is None else lookahead_bins
        if self.spec.one_way and wait != own:
            raise SpecError(
                f"online: a look-ahead of {wait} bins, but this network was trained to wait for "
                f"{own}; train another with decoder.lookahead_bins {wait}"
            )
        if self.spec.likelihood.kind != "poisson" or self.n_external or self.spec.encoder_bins:
            raise SpecError(
                "online: takes counts alone; this network was trained on real values, with "
                "external inputs, or to predict the end of a trial; ask for the rates of a whole "
                "stream"
            )
        place = self.n_channels, self.window_bins, wait, self.threads
        return Online(steps_of(self._inference(self.window_bins), *place))

    def saved(self) -> Saved:
        """Weights and settings."""
        names = ("n_channels", "window_bins", "threads", "n_parameters", "epochs", "train_s")
        facts = {name: getattr(self, name) for name in (*names, "n_external", "bin_s")}
        unit = {} if self.unit is None else self.unit.arrays()
        arrays = {**weights_of(self.network.state_dict()), **unit}
        return Saved(self.spec, arrays, facts, self.history)

    def refuse_other(self, stream: MaskedStream) -> None:
        """Refuse a stream that is not of the kind that the network was trained with.

        Raises
        ------
        DataError
            For other channels, bins or external inputs, and for values that its likelihood cannot
            give.
        """
        refuse_other(stream, self.n_channels, self.bin_s)
        self.spec.likelihood.check(stream)
        given = 0 if stream.external is None else stream.external.shape[2]
        if given != self.n_external:
            raise DataError(
                f"stream: it has {given} external inputs, the network was trained with "
                f"{self.n_external}; give the same ones"
            )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write weights, history and manifest."""
        return save(self.saved(), folder)

    @classmethod
    def of(cls, spec: NeuralSpec, saved: Saved, device: str) -> FittedNetwork:
        """Build the network anew, and give it its weights; see :meth:`DecoderSpec.restore`."""
        place = device_of(device)
        n_channels, n_bins = saved.whole("n_channels", 1), saved.whole("window_bins", 1)
        with torch.device("meta"):  # nothing is allocated before its shape is known to be right
            start = torch.zeros(n_channels * spec.likelihood.width)
            network = spec.network(start, n_bins, saved.whole("n_external"))
        state = {
            name: torch.from_numpy(saved.array(name, "float32", *value.shape)).clone().to(place)
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(state, assign=True)
        return cls(
            spec,
            network,
            n_channels,
            n_bins,
            saved.whole("threads", 1),
            saved.whole("n_parameters"),
            saved.whole("epochs"),
            saved.number("train_s"),
            tuple(saved.history),
            saved.whole("n_external"),
            Unit.restored(saved, n_channels),
            saved.bin_s,
        )


def begin_from(network: Network, spec: NeuralSpec, start: Fitted) -> None:
    """Give a network the weights of an earlier fit.

    Raises
    ------
    SpecError
        If they do not fit; names what differs.
    """
    if not isinstance(start, FittedNetwork):
        raise SpecError(
            f"start: {type(start).__name__} is no trained network; give what fit returned for a "
            f"{spec.kind} decoder"
        )
    if start.spec.kind != spec.kind:
        raise SpecError(
            f"start: the earlier fit is a {start.spec.kind}, the decoder a {spec.kind}; give a "
            "fit of the same kind"
        )
    theirs, ours = start.network.state_dict(), network.state_dict()
    differing = [
        name
        for name in dict.fromkeys((*ours, *theirs))
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape
    ]
    if differing:
        raise SpecError(f"start: {_difference(network, spec, start, differing[0])}")
    network.load_state_dict(theirs)


def _difference(network: Network, spec: NeuralSpec, start: FittedNetwork, name: str) -> str:
    """Say in the user's words why weights do not fit, and in torch's where that says nothing."""
    now, before = spec.model_dump(), start.spec.model_dump()
    fields = ", ".join(
        f"decoder.{key} was {before.get(key)}, is {value}"
        for key, value in now.items()
        if value != before.get(key)
    )
    shapes = [
        "missing" if name not in state else "x".join(map(str, state[name].shape))
        for state in (start.network.state_dict(), network.state_dict())
    ]
    why = fields or "channels or the length of the windows differ"
    return (
        f"the weights of the earlier fit do not fit this decoder: {name} was {shapes[0]}, is "
        f"{shapes[1]} ({why}); give the same decoder and a stream of the same channels and bins"
    )


def freeze_all_but(network: Network, adapt: Adapt) -> None:
    """Let only a part of a network learn."""
    parts = {
        "all": ("",),
        "encoder": network.encoder_parts,
        "read_in": network.read_in_parts,
        "channels": (*network.read_in_parts, *network.read_out_parts),
    }
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(parts[adapt]))

"""What is computed on the implant before compression, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.components.detectors import (
    DETECTORS,
    SORTERS,
    DetectorName,
    Feature,
    Published,
    SorterName,
)
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.supply import digital_scale
from sbtt_models.units import Joules, Metres, Seconds, Volts, Watts

__all__ = ["Processing"]

_SETTLED = 3.0  # time constants of the high-pass after which 5 % of a transient are left
_FLIP_FLOP = Source(
    text="618 uW over 2,681 flip-flops at 5 MHz, sky130 at 1.8 V (robertsaabwoo, neuralink-"
    "compression); in proportion to node and supply squared where those are given",
    kind="derived",
)
_FLIP_FLOP_J, _FLIP_FLOP_NODE_M, _FLIP_FLOP_SUPPLY_V = 46e-15, 130e-9, 1.8


class Processing(Component):
    """The feature that leaves the implant: raw samples, spiking band power, threshold crossings.

    The recording's counts stand for the feature in every case: with `raw` they are detected
    outside, and spiking band power is emulated by the count. With `threshold_sigma` spikes are
    missed in noise and noise is taken for spikes.

    The price is a measured one of one process, `per_sample` or `per_channel`, or a published
    `detector`; it is scaled to `node` and `supply` where those are given. Leakage does not scale.
    """

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "feature_bits": Source(
                text="16 bits for each band power, as An et al. 2022", kind="measured"
            ),
            "dead_time_s": Source(text="refractory time of a neuron", kind="recalled"),
            "bit_leakage_w": Source(
                text="5 to 50 pW per bit of SRAM in 65 to 45 nm low-power processes",
                kind="recalled",
            ),
            "clock_energy_j": _FLIP_FLOP,
            "operation_energy_j": Source(
                text="32-bit multiplier 12.68 pJ and adder 0.21 pJ in 40 nm (tables of Aladdin, "
                "in hwcomponents-library); access to memory is not in it",
                kind="derived",
            ),
        }
    )

    # what has a price is counted, so the names of the priced actions are data
    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "detector",
        "per_sample_j",
        "per_channel_w",
        "sorter",
        "sorting_w",
        "leakage_w",
        "state_bits",
        "bit_leakage_w",
        "state",
        "clock_energy_j",
        "operation_energy_j",
        "node_m",
        "supply_v",
        "priced_node_m",
        "priced_supply_v",
    }
    signal_fields: ClassVar[frozenset[str]] = frozenset({"dead_time_s"})

    feature: Feature
    threshold_sigma: float | None = Field(None, gt=0, le=20)
    """Threshold over the rms noise of the whole front end. Needs `array.spike_amplitude` and
    `array.background_noise`. Without it every spike is found, and nothing else."""
    dead_time_s: Seconds = Field(1e-3, ge=0, le=0.1)
    """After a detection, in which no other is made."""
    detector: DetectorName | None = None
    """A published detector, for its price."""
    per_sample_j: Joules | None = Field(None, ge=0)
    """Energy for each sample of a sampled channel."""
    per_channel_w: Watts | None = Field(None, ge=0)
    """Power for each channel while it is sampled."""
    sorter: SorterName | None = None
    """A published extractor of features for spike sorting, for its price beside the detector's."""
    sorting_w: Watts | None = Field(None, ge=0)
    """Power of such an extractor for each channel while it is sampled."""
    leakage_w: Watts | None = Field(None, ge=0)
    """Power for each electrode at all times."""
    state_bits: PositiveInt | None = None
    """Memory of each electrode, for leakage by the bit: a detector with its waveform buffer holds
    226, 32 of the filter, 22 of the threshold, 172 of the waveform (Neuralink, US20210012909)."""
    bit_leakage_w: Watts = Field(15e-12, ge=0)
    """Leakage of one bit of state."""
    state: Literal["sram", "flip_flops"] = "sram"
    """Flip-flops are clocked, all of a channel's once in each of its samples."""
    clock_energy_j: Joules | None = Field(None, ge=0)
    """Of one flip-flop. Default: 46 fJ at 130 nm and 1.8 V, scaled."""
    operation_energy_j: Joules = Field(12.89e-12, ge=0)
    """Of one multiplication and addition of a schedule that chooses on the implant."""
    feature_bits: int = Field(16, ge=1, le=64)
    """Width of one value of spiking band power."""
    warm_up_s: Seconds | None = Field(None, ge=0)
    """Samples that filter and threshold need after a pause. Default: three time constants of the
    amplifier's lower corner."""
    node_m: Metres | None = Field(None, gt=0, lt=1e-4)
    supply_v: Volts | None = Field(None, gt=0)
    priced_node_m: Metres | None = Field(None, gt=0, lt=1e-4)
    """Process in which the price was measured."""
    priced_supply_v: Volts | None = Field(None, gt=0)
    """Supply at which the price was measured."""

    @model_validator(mode="after")
    def _complete(self) -> Processing:
        if self.feature == "spiking_band_power" and self.threshold_sigma is not None:
            raise ValueError(
                "threshold_sigma: spiking band power has no threshold; leave it out, or use "
                "feature: threshold"
            )
        for name, chosen, also in (
            ("detector", self.detector, self.per_channel_w),
            ("sorter", self.sorter, self.sorting_w),
        ):
            if chosen is not None and also is not None:
                other = "per_channel" if name == "detector" else "sorting"
                raise ValueError(f"{name}: {chosen} is a price, {other} is another; give one")
        for block in self._published:
            if block.feature != self.feature:
                raise ValueError(
                    f"feature: {self.feature} does not go with a {block.feature} block "
                    f"({block.source.text})"
                )
        if self.sorting_w is not None and self.feature != "threshold":
            raise ValueError(f"sorting: {self.feature} has no spikes to sort; leave it out")
        own = (self.detector, self.per_sample_j, self.per_channel_w)
        if self.feature != "raw" and all(price is None for price in own):
            raise ValueError(
                f"feature: {self.feature} needs per_sample or per_channel, its price, or detector"
            )
        self._check_state()
        self._check_scaling()
        return self

    def _check_state(self) -> None:
        if self.state_bits is not None and self.leakage_w is not None:
            raise ValueError("leakage: state_bits leak already, by the bit; give one of the two")
        if self.state_bits is None and self.state == "flip_flops":
            raise ValueError("state: flip_flops needs state_bits, how many there are")
        if self.state != "flip_flops" and self.clock_energy_j is not None:
            raise ValueError(f"clock_energy: {self.state} has no clock; set state: flip_flops")

    def _check_scaling(self) -> None:
        given = (self.per_sample_j, self.per_channel_w, self.sorting_w)
        of_one = any(price is not None for price in given)
        for name in ("node_m", "supply_v"):
            key, target = name.rsplit("_", 1)[0], getattr(self, name)
            priced = getattr(self, f"priced_{name}")
            if (of_one or priced is not None) and (target is None) != (priced is None):
                raise ValueError(
                    f"{key} and priced_{key} go together: the price is scaled by both"
                )
            unknown = [b.source.text for b in self._published if getattr(b, name) is None]
            if target is not None and unknown:
                raise ValueError(
                    f"{key}: cannot scale to it, since that of the published block is not known "
                    f"({unknown[0]}); leave it out, or give per_channel with priced_{key}"
                )

    @property
    def _published(self) -> tuple[Published, ...]:
        known = (DETECTORS.get(self.detector or ""), SORTERS.get(self.sorter or ""))
        return tuple(block for block in known if block is not None)

    def warm_up(self, low_cut_hz: float) -> float:
        """Settling time of filter and threshold after a pause. [s]"""
        if self.warm_up_s is not None:
            return self.warm_up_s
        return _SETTLED / (2 * math.pi * low_cut_hz) if low_cut_hz > 0 else 0.0

    @property
    def scale(self) -> float:
        """Factor from the measured price to this process and supply."""
        return self._scale_from(self.priced_node_m, self.priced_supply_v)

    def _scale_from(self, node_m: float | None, supply_v: float | None) -> float:
        """Factor to this process; where it is not said, the price stays that of its own."""
        node, supply = self.node_m or node_m or 1.0, self.supply_v or supply_v or 1.0
        return digital_scale(node, node_m or node, supply, supply_v or supply)

    @override
    def source_of(self, field: str, known: Mapping[str, Source]) -> Source | None:
        if field == "detector" and self.detector is not None:
            return DETECTORS[self.detector].source
        if field == "sorter" and self.sorter is not None:
            return SORTERS[self.sorter].source
        return super().source_of(field, known)

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        names = ("node_m", "priced_node_m", "supply_v", "priced_supply_v")
        scaling = tuple(name for name in names if getattr(self, name) is not None)
        priced = {"sample": "per_sample_j", "channel": "per_channel_w", "sort": "sorting_w"}
        known = {
            action: Price(getattr(self, field) * self.scale, (field, *scaling))
            for action, field in priced.items()
            if getattr(self, field) is not None
        }
        target = tuple(name for name in scaling if not name.startswith("priced"))
        for action, field, chosen, table in (
            ("channel", "detector", self.detector, DETECTORS),
            ("sort", "sorter", self.sorter, SORTERS),
        ):
            if chosen is not None:
                block = table[chosen]
                watts = block.per_channel_w * self._scale_from(block.node_m, block.supply_v)
                known[action] = Price(watts, (field, *target))
        return {**known, **self._state_prices(target)}

    def _state_prices(self, scaling: tuple[str, ...]) -> Mapping[str, Price]:
        known = {"choose": Price(self.operation_energy_j, ("operation_energy_j",))}
        if self.leakage_w is not None:
            known["leak"] = Price(self.leakage_w, ("leakage_w",))
        if self.state_bits is not None:
            leak = self.state_bits * self.bit_leakage_w
            known["leak"] = Price(leak, ("state_bits", "bit_leakage_w"))
        if self.state_bits is not None and self.state == "flip_flops":
            clock = self.clock_energy_j
            if clock is None:
                clock = _FLIP_FLOP_J * self._scale_from(_FLIP_FLOP_NODE_M, _FLIP_FLOP_SUPPLY_V)
            fields = ("state_bits", "clock_energy_j", *scaling)
            known["clock"] = Price(self.state_bits * clock, fields)
        return known

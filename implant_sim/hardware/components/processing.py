"""What is computed on the implant before compression, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.supply import digital_scale
from sbtt_models.spec import Joules, Metres, Seconds, Volts, Watts

__all__ = ["Processing"]

_SETTLED = 3.0  # time constants of the high-pass after which 5 % of a transient are left


class Processing(Component):
    """The feature that leaves the implant: raw samples, spiking band power, threshold crossings.

    The recording's counts stand for the feature in every case: with `raw` they are detected
    outside, and spiking band power is emulated by the count. Its price is a measured one, of one
    process, scaled to `node` and `supply` where those are given; leakage does not scale.
    """

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "feature_bits": Source(
                text="16 bits for each band power, as An et al. 2022", kind="measured"
            )
        }
    )

    feature: Literal["raw", "spiking_band_power", "threshold"]
    threshold_sigma: float | None = None
    """Reserved for missed and false spikes; refused, since they are not modelled yet."""
    per_sample_j: Joules | None = Field(None, ge=0)
    """Energy for each sample of a sampled channel."""
    per_channel_w: Watts | None = Field(None, ge=0)
    """Power for each channel while it is sampled."""
    leakage_w: Watts | None = Field(None, ge=0)
    """Power for each electrode at all times."""
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
        if self.threshold_sigma is not None:
            raise ValueError(
                "threshold_sigma: missed and false spikes are not modelled yet, so it would "
                "change nothing; leave it out"
            )
        if self.feature != "raw" and self.per_sample_j is None and self.per_channel_w is None:
            raise ValueError(f"feature: {self.feature} needs per_sample or per_channel, its price")
        for wanted, priced in (("node", "priced_node"), ("supply", "priced_supply")):
            unit = "_m" if wanted == "node" else "_v"
            if (getattr(self, wanted + unit) is None) != (getattr(self, priced + unit) is None):
                raise ValueError(f"{wanted} and {priced} go together: the price is scaled by both")
        return self

    def warm_up(self, low_cut_hz: float) -> float:
        """Settling time of filter and threshold after a pause. [s]"""
        if self.warm_up_s is not None:
            return self.warm_up_s
        return _SETTLED / (2 * math.pi * low_cut_hz) if low_cut_hz > 0 else 0.0

    @property
    def scale(self) -> float:
        """Factor from the measured price to this process and supply."""
        return digital_scale(
            self.node_m or 1.0,
            self.priced_node_m or 1.0,
            self.supply_v or 1.0,
            self.priced_supply_v or 1.0,
        )

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        scaling = tuple(
            name
            for name in ("node_m", "priced_node_m", "supply_v", "priced_supply_v")
            if getattr(self, name) is not None
        )
        known = {}
        if self.per_sample_j is not None:
            known["sample"] = Price(self.per_sample_j * self.scale, ("per_sample_j", *scaling))
        if self.per_channel_w is not None:
            known["channel"] = Price(self.per_channel_w * self.scale, ("per_channel_w", *scaling))
        if self.leakage_w is not None:
            known["leak"] = Price(self.leakage_w, ("leakage_w",))
        return known

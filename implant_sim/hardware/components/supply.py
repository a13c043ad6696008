"""Battery, regulator and wireless link; the fixed overhead; the limits to keep."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.components.base import Block, Component, Price, Source
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.supply import loss_per_joule
from sbtt_models.spec import (
    BitsPerSecond,
    Coulombs,
    Fraction,
    Kelvins,
    Seconds,
    Volts,
    Watts,
    WattsPerSquareMetre,
)

__all__ = ["Battery", "Limits", "Overhead", "Power"]


class Battery(Block):
    """A cell inside the implant."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "usable": Source(
                text="90.6 mW for 7 h out of 200 mAh at 3.7 V: Borton et al. 2013", kind="derived"
            )
        }
    )

    capacity_c: Coulombs = Field(gt=0)
    """Charge, for example 200 mAh."""
    voltage_v: Volts = Field(gt=0, le=100)
    usable: Fraction = Field(0.86, gt=0, le=1)
    """Share of the capacity that can be used."""


class Power(Component):
    """How power reaches the electronics. What is lost on the way is delivery."""

    battery: Battery | None = None
    regulator_efficiency: Fraction | None = Field(None, gt=0, le=1)
    """Rectifier and regulator together; their loss is heat in the implant."""
    link_efficiency: Fraction | None = Field(None, gt=0, le=1)
    """From the outside transmitter to the implant's coil; its loss heats the outside and the skin,
    so it counts as power but not as heat of the implant."""

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        known = {}
        if self.regulator_efficiency is not None:
            loss = loss_per_joule(self.regulator_efficiency)
            known["regulate"] = Price(loss, ("regulator_efficiency",))
        if self.link_efficiency is not None:
            known["link"] = Price(loss_per_joule(self.link_efficiency), ("link_efficiency",))
        return known


class Overhead(Component):
    """What is drawn whatever is sampled: references, clocks, control."""

    power_w: Watts = Field(ge=0, le=100)

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        return {"run": Price(self.power_w, ("power_w",))}


class Limits(Block):
    """What the verdict tests. None: not tested."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"heat_k": Source(text="usual target for cortex; ISO 14708-1 allows 2 K", kind="recalled")}
    )

    heat_k: Kelvins | None = Field(1.0, gt=0)
    """Rise of the implant's surface."""
    flux_w_m2: WattsPerSquareMetre | None = Field(None, gt=0)
    """Heat through the surface."""
    flux_area: Literal["wetted", "footprint"] = "wetted"
    """Over all faces that touch tissue, or over one face, as published densities are."""
    link_rate_bps: BitsPerSecond | None = Field(None, gt=0)
    """Peak over the latency window."""
    battery_s: Seconds | None = Field(None, gt=0)
    """The least time between charges."""
    latency_s: Seconds | None = Field(None, gt=0)
    """From the start of a bin to its arrival."""

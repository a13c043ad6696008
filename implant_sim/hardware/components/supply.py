"""Battery, regulator and wireless link; the fixed overhead; the limits to keep."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Block, Component, Price, Source
from implant_sim.hardware.physics import exposure as physics
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.supply import loss_per_joule
from sbtt_models.units import (
    Bits,
    BitsPerSecond,
    Coulombs,
    Fraction,
    Hertz,
    Kelvins,
    KilogramsPerCubicMetre,
    Seconds,
    SiemensPerMetre,
    Volts,
    VoltsPerMetre,
    Watts,
    WattsPerKilogram,
    WattsPerSquareMetre,
)

__all__ = ["SAR_LIMITS", "Battery", "Exposure", "Limits", "Overhead", "Power"]


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


class Exposure(Block):
    """The radio-frequency field in the tissue, at its strongest."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"density_kg_m3": Source(text="brain, McIntosh & Anderson 2010", kind="recalled")}
    )

    field_v_m: VoltsPerMetre | None = Field(None, gt=0)
    """Electric field in the tissue, rms."""
    power_density_w_m2: WattsPerSquareMetre | None = Field(None, gt=0)
    """Of the wave in air, instead of the field: an upper bound."""
    conductivity_s_m: SiemensPerMetre = Field(gt=0, le=100)
    """Of the tissue at the field's frequency: brain has about 0.2 S/m at low frequencies, and
    several times that at hundreds of megahertz."""
    density_kg_m3: KilogramsPerCubicMetre = Field(1040.0, gt=0)
    """Of the tissue."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Exposure:
        if (self.field_v_m is None) == (self.power_density_w_m2 is None):
            raise ValueError("exposure: give one of field and power_density")
        return self

    @property
    def sar_w_kg(self) -> float:
        """Specific absorption rate. [W/kg]"""
        field = self.field_v_m
        if field is None:
            field = physics.field_v_m(self.power_density_w_m2 or 0.0)
        return physics.sar_w_kg(field, self.conductivity_s_m, self.density_kg_m3)


class Power(Component):
    """How power reaches the electronics. What is lost on the way is delivery."""

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "battery",
        "regulator_efficiency",
        "rectifier_efficiency",
        "link_efficiency",
        "exposure",
    }

    battery: Battery | None = None
    regulator_efficiency: Fraction | None = Field(None, gt=0, le=1)
    """Loss is heat in the implant. Without `rectifier_efficiency`, of both together."""
    rectifier_efficiency: Fraction | None = Field(None, gt=0, le=1)
    """Behind the coil; loss is heat in the implant. Up to 85 % driven hard, about 25 % at
    microwatts (Marblestone et al. 2013)."""
    link_efficiency: Fraction | None = Field(None, gt=0, le=1)
    """From the outside transmitter to the implant's coil; its loss heats the outside and the skin,
    so it counts as power but not as heat of the implant. Published bests are 95 % for coils, 78 %
    for microwaves, 50 % for ultrasound; through the scalp 1 to 50 % is usual."""
    exposure: Exposure | None = None
    """The field that powers the implant, where it does."""

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        known = {}
        if self.regulator_efficiency is not None:
            loss = loss_per_joule(self.regulator_efficiency)
            known["regulate"] = Price(loss, ("regulator_efficiency",))
        if self.rectifier_efficiency is not None:
            loss = loss_per_joule(self.rectifier_efficiency)
            known["rectify"] = Price(loss, ("rectifier_efficiency",))
        if self.link_efficiency is not None:
            known["link"] = Price(loss_per_joule(self.link_efficiency), ("link_efficiency",))
        return known


class Overhead(Component):
    """What is drawn whatever is sampled: references, clocks, control."""

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {"power_w"}

    power_w: Watts = Field(ge=0, le=100)

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        return {"run": Price(self.power_w, ("power_w",))}


SAR_LIMITS: Mapping[str, tuple[float, Source]] = MappingProxyType(
    {
        "fcc": (1.6, Source(text="FCC, over 1 g", kind="recalled")),
        "ieee_public": (2.0, Source(text="IEEE C95.1-2019, public, over 10 g", kind="recalled")),
        "ieee_controlled": (
            10.0,
            Source(text="IEEE C95.1-2019, controlled, over 10 g", kind="recalled"),
        ),
    }
)
"""Limits of the specific absorption rate by name, with their sources. [W/kg]"""


class Limits(Block):
    """What the verdict tests. None: not tested."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"heat_k": Source(text="usual target for cortex; ISO 14708-1 allows 2 K", kind="recalled")}
    )

    price_fields: ClassVar[frozenset[str]] = Block.price_fields | {
        "heat_k",
        "flux_w_m2",
        "flux_area",
        "link_rate_bps",
        "battery_s",
        "buffer_bit",
        "sar_w_kg",
        "switch_rate_hz",
        "link_margin_db",
    }

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
    buffer_bit: Bits | None = Field(None, gt=0, alias="buffer")
    """What the implant can hold back until it is sent, for example 64 kB."""
    sar_w_kg: Literal["fcc", "ieee_public", "ieee_controlled"] | WattsPerKilogram | None = None
    """Absorption of the field that powers the implant, by a standard or as a number."""
    switch_rate_hz: Hertz | None = Field(None, gt=0)
    """Changes of channel, over the whole array, that its control can keep up with."""
    link_margin_db: float | None = None
    """The least that a path may lose on top before bits go wrong. [dB]"""

    @field_validator("sar_w_kg")
    @classmethod
    def _positive(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, float) and value <= 0:
            raise ValueError(f"{value:g} W/kg must be above 0")
        return value

    @property
    def sar_limit_w_kg(self) -> float | None:
        """The limit as a number. [W/kg]"""
        limit = self.sar_w_kg
        return SAR_LIMITS[limit][0] if isinstance(limit, str) else limit

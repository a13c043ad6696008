"""Converters: known by a figure of merit, Walden's or Schreier's, or by the parts of a SAR."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics import converter as physics
from implant_sim.hardware.physics.constants import Constants
from sbtt_models.spec import Fraction, Hertz, Joules, Watts

__all__ = ["AnyAdc", "BaseAdc", "SarAdc", "SchreierAdc", "WaldenAdc"]


class BaseAdc(Component):
    """A converter, and how many channels take turns on it."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"shared_by": Source(text="one ADC for each channel", kind="derived")}
    )

    bits: int = Field(ge=1, le=24)
    """Resolution, and the width of a raw sample."""
    enob: float | None = Field(None, gt=0, le=24)
    """Effective number of bits; default: all of them."""
    sample_rate_hz: Hertz = Field(gt=0, le=1e9)
    """Of one channel."""
    shared_by: PositiveInt = 1
    """Channels that take turns on one ADC, as `multiplexer.ways`."""
    idle_power_w: Watts | None = Field(None, ge=0)
    """Static power of one ADC, converting or not: reference, buffer, leakage."""

    @property
    def effective_bits(self) -> float:
        """Effective number of bits."""
        return float(self.bits) if self.enob is None else self.enob

    @property
    def _enob_field(self) -> str:
        return "bits" if self.enob is None else "enob"

    @abstractmethod
    def conversion(self, constants: Constants) -> Price:
        """Energy of one conversion. [J]"""

    def sndr_db(self) -> float:
        """Signal to noise and distortion ratio. [dB]"""
        return physics.sndr_from_enob_db(self.effective_bits)

    def fault(self, constants: Constants) -> str | None:
        """Why this converter cannot exist, or None."""
        if self.enob is not None and self.enob > self.bits:
            return f"enob: {self.enob:g} exceeds bits: {self.bits}"
        energy, floor = (
            self.conversion(constants).value_j,
            physics.thermal_floor_j(self.sndr_db(), constants),
        )
        if energy < floor:
            return (
                f"{energy:.3g} J per conversion is below the thermal floor, 8kT*SNDR = "
                f"{floor:.3g} J at {self.sndr_db():.1f} dB; raise the figure of merit's energy or "
                "lower the resolution"
            )
        return None

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        convert = self.conversion(constants)
        known = {"convert": convert, "warm up": convert}
        if self.idle_power_w is not None:
            known["idle"] = Price(self.idle_power_w, ("idle_power_w",))
        return known


class WaldenAdc(BaseAdc):
    """An ADC known by its Walden figure of merit: good at 6 to 10 bits."""

    kind: Literal["walden"] = "walden"
    fom_j: Joules = Field(gt=0, le=1e-9)
    """Energy per conversion step."""

    @override
    def conversion(self, constants: Constants) -> Price:
        energy = physics.walden_energy_j(self.fom_j, self.effective_bits)
        return Price(energy, ("fom_j", self._enob_field))


class SchreierAdc(BaseAdc):
    """An ADC known by its Schreier figure of merit: good where thermal noise rules."""

    kind: Literal["schreier"] = "schreier"
    fom_db: float = Field(gt=100, le=200)
    """Figure of merit; 192 dB is the thermal floor. [dB]"""

    @override
    def conversion(self, constants: Constants) -> Price:
        energy = physics.schreier_energy_j(self.sndr_db(), self.fom_db)
        return Price(energy, ("fom_db", self._enob_field))


class SarAdc(BaseAdc):
    """A SAR known by its parts: comparator and logic, capacitor array, sampled noise."""

    kind: Literal["sar"] = "sar"
    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            **BaseAdc.default_sources,
            "base_j": Source(text="nothing beside its decisions", kind="derived"),
            "per_level_j": Source(text="array too small to matter below 8 bits", kind="derived"),
            "per_bit_j": Source(
                text="slope from 2.3 pJ at 3 b to 9.0 pJ at 8 b, 130 nm: O'Driscoll & Meng 2009",
                kind="derived",
            ),
            "thermal_efficiency": Source(text="at the thermal floor", kind="derived"),
        }
    )
    base_j: Joules = Field(0.0, ge=0)
    """Energy that every conversion takes."""
    per_bit_j: Joules = Field(1.34e-12, ge=0)
    """Energy of one decision."""
    per_level_j: Joules = Field(0.0, ge=0)
    """Energy that grows with 2^bits, the capacitor array's."""
    thermal_efficiency: Fraction = Field(1.0, gt=0, le=1)
    """Share of the thermal term that reaches the floor."""

    @override
    def conversion(self, constants: Constants) -> Price:
        energy = physics.sar_energy_j(
            self.base_j,
            self.per_bit_j,
            self.per_level_j,
            self.bits,
            self.effective_bits,
            self.thermal_efficiency,
            constants,
        )
        fields = ("base_j", "per_bit_j", "per_level_j", "bits", "thermal_efficiency")
        return Price(energy, fields)


AnyAdc = Annotated[WaldenAdc | SchreierAdc | SarAdc, Field(discriminator="kind")]

"""Converters: known by a figure of merit, by the parts of a SAR, or by what others published."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics import converter as physics
from implant_sim.hardware.physics import survey
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.sampling import least_sampling_capacitance_f, lsb_v
from sbtt_models.units import Farads, Fraction, Hertz, Joules, Volts, Watts

__all__ = ["AnyAdc", "BaseAdc", "SarAdc", "SchreierAdc", "SurveyAdc", "WaldenAdc"]


class BaseAdc(Component):
    """A converter, and how many channels take turns on it."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"shared_by": Source(text="one ADC for each channel", kind="derived")}
    )

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "fom_j",
        "fom_db",
        "base_j",
        "per_bit_j",
        "per_level_j",
        "thermal_efficiency",
        "percentile",
        "years",
        "architecture",
    }
    signal_fields: ClassVar[frozenset[str]] = frozenset(
        {"kind", "bits", "enob", "full_scale_v", "sampling_capacitance_f"}
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
    full_scale_v: Volts | None = Field(None, gt=0, le=100)
    """Range, peak to peak. With `amplifier.gain` it gives the noise of rounding."""
    sampling_capacitance_f: Farads | None = Field(None, gt=0, lt=1e-6)
    """What a multiplexer in front of the ADC has to charge."""

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

    def step_v(self, gain: float) -> float | None:
        """An effective step, at the input of an amplifier; None where no range is given. [V]

        Of the effective bits, so that its rounding stands for all noise of the converter.
        """
        if self.full_scale_v is None:
            return None
        return lsb_v(self.full_scale_v, gain, self.effective_bits)

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
        if self.sampling_capacitance_f is not None and self.full_scale_v is not None:
            least = least_sampling_capacitance_f(self.full_scale_v, self.effective_bits, constants)
            if self.sampling_capacitance_f < least:
                return (
                    f"sampling_capacitance: {self.sampling_capacitance_f:.3g} F; its kT/C noise "
                    f"exceeds the rounding of {self.effective_bits:g} bits in "
                    f"{self.full_scale_v:g} V, which takes {least:.3g} F; raise it or full_scale, "
                    "or lower the bits"
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


_ODRISCOLL = Source(
    text="through 2.3 pJ at 3 b and 9.0 pJ at 8 b, 130 nm: O'Driscoll & Meng 2009", kind="derived"
)


class SarAdc(BaseAdc):
    """A SAR known by its parts: comparator and logic, capacitor array, sampled noise."""

    kind: Literal["sar"] = "sar"
    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            **BaseAdc.default_sources,
            "base_j": Source(text="nothing beside its decisions", kind="derived"),
            "per_level_j": _ODRISCOLL,
            "per_bit_j": _ODRISCOLL,
            "thermal_efficiency": Source(text="at the thermal floor", kind="derived"),
        }
    )
    base_j: Joules = Field(0.0, ge=0)
    """Energy that every conversion takes."""
    per_bit_j: Joules = Field(0.734e-12, ge=0)
    """Energy of one decision."""
    per_level_j: Joules = Field(12.2e-15, ge=0)
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


class SurveyAdc(BaseAdc):
    """An ADC as good as those published: a percentile of their Walden figures of merit.

    Of the converters of the same class of speed, that of `sample_rate` times `shared_by`.
    """

    kind: Literal["survey"] = "survey"
    percentile: survey.Percentile = "p50"
    """`p10` is better than nine in ten of the published converters, `p90` worse than nine."""
    years: survey.Years = "2015-2025"
    """Of publication."""
    architecture: survey.Architecture = "any"
    """`sar`: only those with a SAR in them."""

    @property
    def fom_j(self) -> float | None:
        """Energy per conversion step; None where too few were published. [J]"""
        rate = self.sample_rate_hz * self.shared_by
        return survey.survey_fom_j(rate, self.percentile, self.years, self.architecture)

    @model_validator(mode="after")
    def _published(self) -> SurveyAdc:
        if self.fom_j is None:
            rate = self.sample_rate_hz * self.shared_by
            raise ValueError(
                f"years: {self.years} saw fewer than ten ADCs of architecture: "
                f"{self.architecture} at {survey.speed_class(rate)} ({rate:g} conversions/s); "
                "widen the years, use architecture: any, or kind: walden"
            )
        return self

    @override
    def source_of(self, field: str, known: Mapping[str, Source]) -> Source | None:
        if field == "percentile":
            return Source(text=f"{survey.SURVEY}: {self._chosen}", kind="derived")
        return super().source_of(field, known)

    @property
    def _chosen(self) -> str:
        speed = survey.speed_class(self.sample_rate_hz * self.shared_by)
        return f"{self.percentile} of {self.years}, {self.architecture}, {speed}"

    @override
    def conversion(self, constants: Constants) -> Price:
        energy = physics.walden_energy_j(self.fom_j or 0.0, self.effective_bits)
        return Price(energy, ("percentile", self._enob_field))


AnyAdc = Annotated[WaldenAdc | SchreierAdc | SarAdc | SurveyAdc, Field(discriminator="kind")]

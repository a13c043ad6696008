"""Recording amplifiers: known by NEF, by PEF, or by their measured power."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics import amplifier as physics
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.noise import band_noise_v
from sbtt_models.units import Farads, Hertz, Joules, Seconds, Volts, Watts

__all__ = ["Amplifier", "AnyAmplifier", "MeasuredAmplifier", "NefAmplifier", "PefAmplifier"]

_MOST_W = 10.0  # of one amplifier: far beyond what any tissue bears
_NONE = Source(text="one amplifier for each electrode", kind="derived")


class Amplifier(Component):
    """An amplifier that may sleep while its channels are not sampled."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType({"shared_by": _NONE})

    # prices that decide which gaps repay a wake-up are data by way of the shortest such gap
    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "wake_energy_j",
        "sleep_power_w",
        "nef",
        "pef_v",
        "power_w",
        "supply_v",
        "stacked",
    }
    signal_fields: ClassVar[frozenset[str]] = frozenset(
        {"kind", "noise_v", "gain", "input_capacitance_f", "corner_hz", "chopped"}
    )

    noise_v: Volts = Field(gt=0, lt=1)
    """Input-referred noise over the band, rms; its white part, where `corner` is given."""
    band_hz: tuple[Hertz, Hertz]
    """Lower and upper corner."""
    gain: float | None = Field(None, gt=0, le=1e6)
    """From input to converter; with `adc.full_scale` it says what a step is worth. [V/V]"""
    input_capacitance_f: Farads | None = Field(None, gt=0, lt=1e-6)
    """Divides the signal with the electrode's impedance."""
    shared_by: PositiveInt = 1
    """Electrodes in front of one amplifier, as `multiplexer.ways` before the amplifier."""
    coupling: Literal["ac", "ac_hold", "dc"] = "ac"
    """`ac` must charge its high-pass again after sleep; `ac_hold` keeps the capacitor's state."""
    gating: Literal["none", "static", "per_bin"] = "none"
    """When an amplifier may sleep: never, if its channels are never sampled, or in any gap."""
    wake: Literal["early", "late"] = "early"
    """Settle before the bin, which costs energy, or inside it, which costs exposure."""
    wake_time_s: Seconds | None = Field(None, ge=0)
    """From sleep to valid output."""
    wake_energy_j: Joules | None = Field(None, ge=0)
    """Energy of one wake-up, beside the power drawn while it settles."""
    sleep_power_w: Watts | None = Field(None, ge=0)
    """Leakage of a sleeping amplifier; one that draws less awake never sleeps."""

    @model_validator(mode="after")
    def _plausible(self) -> Amplifier:
        low, high = self.band_hz
        if not 0 <= low < high:
            raise ValueError(f"band: [{low:g} Hz, {high:g} Hz] must rise, from 0 or above")
        needed = {
            "none": (),
            "static": ("sleep_power_w",),
            "per_bin": ("sleep_power_w", "wake_time_s", "wake_energy_j"),
        }[self.gating]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(
                    f"gating: {self.gating} needs {name.rsplit('_', 1)[0]}: a gated amplifier "
                    "that leaks nothing and wakes for nothing does not exist"
                )
        return self

    @property
    def bandwidth_hz(self) -> float:
        """Width of the band. [Hz]"""
        return self.band_hz[1] - self.band_hz[0]

    @property
    def band_noise_v(self) -> float:
        """Input-referred noise over the band, rms, 1/f noise included. [V]"""
        return self.noise_v

    @abstractmethod
    def _on(self, constants: Constants) -> Price:
        """Power of one amplifier that is on. [W]"""

    def on_power_w(self, constants: Constants) -> float:
        """Power of one amplifier while on. [W]"""
        return self._on(constants).value_j

    def least_power_w(self, constants: Constants) -> float:
        """What any amplifier of this noise and band draws at least. [W]"""
        floor_v = physics.least_pef_v(constants)
        return physics.pef_power_w(floor_v, self.noise_v, self.bandwidth_hz, constants)

    def fault(self, constants: Constants) -> str | None:
        """Why this amplifier cannot exist, or None."""
        power_w, band_hz = self.on_power_w(constants), self.bandwidth_hz
        if power_w > _MOST_W:
            return (
                f"noise: {self.noise_v:.3g} V over {band_hz:.3g} Hz takes {power_w:.3g} W for one "
                f"amplifier, more than {_MOST_W:g} W; raise it, or narrow the band"
            )
        least_w, floor_v = self.least_power_w(constants), physics.least_pef_v(constants)
        if power_w < least_w:
            return (
                f"noise: {self.noise_v:.3g} V over {band_hz:.3g} Hz takes {least_w:.3g} W at "
                f"least, a power efficiency factor of 4 U_T = {floor_v:.3g} V, but one amplifier "
                f"draws {power_w:.3g} W; raise the noise or the power, or narrow the band"
            )
        return None

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        on = self._on(constants)
        known = {"on": on}
        if self.sleep_power_w is not None:
            # where sleeping saves nothing, it is left on
            asleep = self.sleep_power_w < on.value_j
            known["sleep"] = Price(self.sleep_power_w, ("sleep_power_w",)) if asleep else on
        if self.wake_energy_j is not None:
            known["wake"] = Price(self.wake_energy_j, ("wake_energy_j",))
        return known

    def settling_s(self, warm_up_s: float) -> float:
        """Time that an amplifier is on before its bin, with the filter's warm-up. [s]"""
        return (self.wake_time_s or 0.0) + warm_up_s if self.wake == "early" else 0.0

    def least_gap_s(self, constants: Constants, warm_up_s: float) -> float:
        """The shortest gap whose saving repays the wake-up after it. [s]

        Parameters
        ----------
        constants : Constants
            Of the price list.
        warm_up_s : float
            Time that filter and threshold need once the amplifier is awake. [s]

        Returns
        -------
        float
            Infinite where sleeping saves nothing.
        """
        if self.gating != "per_bin":
            return float("inf")
        saved_w = self.on_power_w(constants) - (self.sleep_power_w or 0.0)
        if saved_w <= 0:
            return float("inf")
        return self.settling_s(warm_up_s) + (self.wake_energy_j or 0.0) / saved_w


class EfficientAmplifier(Amplifier):
    """An amplifier known by its efficiency: its white noise sets its power.

    One amplifier that M electrodes share within each sample needs M times the bandwidth at the
    same noise, so M times the power: sharing saves area, not energy.
    """

    corner_hz: Hertz | None = Field(None, gt=0, le=1e6)
    """Below it 1/f noise exceeds white noise. The efficiency tells of white noise only, so that
    1/f noise adds to `noise` at no change of power."""
    chopped: bool = False
    """True for a chopper, whose 1/f noise lies outside the band."""

    @model_validator(mode="after")
    def _finite_noise(self) -> EfficientAmplifier:
        if self.corner_hz is not None and not self.chopped and self.band_hz[0] == 0:
            raise ValueError(
                f"band: starts at 0 Hz, but 1/f noise below the corner of {self.corner_hz:g} Hz "
                "has no end there; raise the lower edge, or set chopped: true for a chopper"
            )
        return self

    @property
    @override
    def band_noise_v(self) -> float:
        return band_noise_v(self.noise_v, self.band_hz, None if self.chopped else self.corner_hz)


class NefAmplifier(EfficientAmplifier):
    """An amplifier known by its noise efficiency factor."""

    kind: Literal["nef"] = "nef"
    nef: float = Field(gt=0, le=100)
    """Noise efficiency factor."""
    supply_v: Volts = Field(gt=0, le=100)
    """Supply voltage."""
    stacked: bool = False
    """True for stages that reuse one current: only they reach an NEF below 1."""

    @model_validator(mode="after")
    def _above_the_floor(self) -> NefAmplifier:
        if self.nef < 1 and not self.stacked:
            raise ValueError(
                f"nef: {self.nef:g} is below 1, the limit of a single stage; set stacked: true "
                "for stages that reuse one current"
            )
        return self

    @override
    def _on(self, constants: Constants) -> Price:
        power = physics.nef_power_w(
            self.nef, self.noise_v, self.bandwidth_hz * self.shared_by, self.supply_v, constants
        )
        return Price(power, ("nef", "noise_v", "band_hz", "supply_v"))


class PefAmplifier(EfficientAmplifier):
    """An amplifier known by its power efficiency factor, where the supply is not published."""

    kind: Literal["pef"] = "pef"
    pef_v: Volts = Field(gt=0, le=1e5)
    """Power efficiency factor, NEF squared times the supply."""

    @override
    def _on(self, constants: Constants) -> Price:
        bandwidth = self.bandwidth_hz * self.shared_by
        power = physics.pef_power_w(self.pef_v, self.noise_v, bandwidth, constants)
        return Price(power, ("pef_v", "noise_v", "band_hz"))


class MeasuredAmplifier(Amplifier):
    """An amplifier known by its measured power; its measured noise holds 1/f noise already."""

    kind: Literal["measured"] = "measured"
    power_w: Watts = Field(gt=0, le=_MOST_W)
    """Power of one amplifier, with its share of bias."""

    @override
    def _on(self, constants: Constants) -> Price:
        return Price(self.power_w, ("power_w",))


AnyAmplifier = Annotated[
    NefAmplifier | PefAmplifier | MeasuredAmplifier, Field(discriminator="kind")
]

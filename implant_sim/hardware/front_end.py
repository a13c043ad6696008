"""The front end as a whole: electrode, amplifier, multiplexer and converter on each other."""

from __future__ import annotations

from dataclasses import dataclass

from implant_sim.hardware.components.adc import BaseAdc
from implant_sim.hardware.components.amplifier import Amplifier
from implant_sim.hardware.components.array import Array
from implant_sim.hardware.components.multiplexer import Multiplexer
from implant_sim.hardware.physics import electrode
from implant_sim.hardware.physics import multiplexer as physics
from implant_sim.hardware.physics.amplifier import high_pass_recovery_s

__all__ = ["FrontEnd", "Slot"]

_IMPEDANCE_HZ = 1e3  # where electrodes are measured


@dataclass(frozen=True, slots=True)
class Slot:
    """A channel's turn on a multiplexer, and how far it settles in it."""

    slot_s: float
    tau_s: float
    """Time constant of what charges the line and the capacitor that takes the sample."""
    needed_s: float
    """Time to settle within half an LSB."""
    available_s: float
    """Share of the slot left to settling."""
    bandwidth_hz: float
    """The least bandwidth that settles in time."""
    crosstalk: float
    """At most this share of a channel is left in the next one."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """The four blocks between tissue and numbers."""

    array: Array
    amplifier: Amplifier
    multiplexer: Multiplexer
    adc: BaseAdc

    @property
    def working_amplifier(self) -> Amplifier:
        """The amplifier, with the electrodes that share it within each sample.

        Held on one electrode for a whole bin, or with all noise left to fold, it needs no more
        bandwidth at the same noise than one electrode's.
        """
        mux = self.multiplexer
        if mux.placement != "before_amplifier":
            return self.amplifier
        if mux.holds_bin or mux.filter != "anti_aliased":
            return self.amplifier.model_copy(update={"shared_by": 1})
        return self.amplifier

    @property
    def gain(self) -> float:
        """Share of the electrode's signal that reaches the amplifier, in (0, 1]."""
        source, mux, line_ohm = self.array.electrode_ohm, self.multiplexer, float("inf")
        if source is None:
            return 1.0
        if mux.placement == "before_amplifier" and not mux.holds_bin:
            line_ohm = electrode.switched_capacitor_ohm(
                self.adc.sample_rate_hz, mux.line_capacitance_f or 0.0
            )
        capacitance = self.amplifier.input_capacitance_f or 0.0
        load = electrode.input_impedance_ohm(_IMPEDANCE_HZ, capacitance, line_ohm)
        return electrode.loading_gain(load, source)

    @property
    def _settling_parts(self) -> dict[str, float | None]:
        mux = self.multiplexer
        parts = {"multiplexer.line_capacitance": mux.line_capacitance_f}
        if mux.placement == "before_amplifier":
            parts["amplifier.input_capacitance"] = self.amplifier.input_capacitance_f
            source = mux.source_resistance_ohm or self.array.impedance_ohm
            parts["array.impedance or multiplexer.source_resistance"] = source
        else:
            parts["adc.sampling_capacitance"] = self.adc.sampling_capacitance_f
            parts["multiplexer.source_resistance"] = mux.source_resistance_ohm
        return parts

    @property
    def slot(self) -> Slot | None:
        """A channel's turn; None where `multiplexer.on_resistance` is not given."""
        mux, parts = self.multiplexer, self._settling_parts.values()
        if mux.on_resistance_ohm is None or None in parts:
            return None
        line_f, sampling_f, source_ohm = (part or 0.0 for part in parts)
        tau_s = (mux.on_resistance_ohm + source_ohm) * (line_f + sampling_f)
        slot_s = physics.slot_s(mux.turns, self.adc.sample_rate_hz)
        available_s = mux.settle_fraction * slot_s
        bits = self.adc.bits
        return Slot(
            slot_s,
            tau_s,
            physics.settling_s(bits, tau_s),
            available_s,
            physics.settling_bandwidth_hz(bits, available_s),
            physics.crosstalk(available_s, tau_s, line_f, sampling_f),
        )

    def faults(self) -> list[str]:
        """Why these four do not go together; empty where they do."""
        return [*self._sharing(), *self._rates(), *self._settling(), *self._range()]

    def _sharing(self) -> list[str]:
        mux, faults = self.multiplexer, []
        before = mux.ways if mux.placement == "before_amplifier" else 1
        after = mux.ways if mux.placement != "none" else 1
        if self.amplifier.shared_by != before:
            faults.append(
                f"amplifier.shared_by: {self.amplifier.shared_by}, but {before} electrodes lead "
                f"to one amplifier (multiplexer.placement: {mux.placement}, ways: {mux.ways})"
            )
        if self.adc.shared_by != after:
            faults.append(
                f"adc.shared_by: {self.adc.shared_by}, but {after} channels lead to one ADC "
                f"(multiplexer.placement: {mux.placement}, ways: {mux.ways})"
            )
        return faults

    def _rates(self) -> list[str]:
        amplifier, adc, faults = self.amplifier, self.adc, []
        low, high = amplifier.band_hz
        if amplifier.gating == "per_bin" and amplifier.coupling == "ac":
            recovery = high_pass_recovery_s(max(low, 1e-3), adc.bits)
            if (amplifier.wake_time_s or 0.0) < recovery:
                faults.append(
                    f"amplifier.wake_time: {amplifier.wake_time_s:g} s, but an AC-coupled input "
                    f"with a corner at {low:g} Hz takes {recovery:.3g} s to settle to {adc.bits} "
                    "bits; raise it, or use coupling: ac_hold or dc"
                )
        if adc.sample_rate_hz < 2 * high:
            faults.append(
                f"adc.sample_rate: {adc.sample_rate_hz:g} Hz is below twice the upper corner of "
                f"the amplifier, {high:g} Hz: the band would fold"
            )
        return faults

    def _settling(self) -> list[str]:
        mux = self.multiplexer
        if mux.on_resistance_ohm is None:
            return []
        if mux.placement == "none":
            return ["multiplexer.on_resistance: there is no multiplexer; set placement"]
        missing = [name for name, part in self._settling_parts.items() if part is None]
        if missing:
            return [f"multiplexer.on_resistance: settling needs {', '.join(missing)}, too"]
        slot = self.slot
        if slot is None or slot.needed_s <= slot.available_s:
            return []
        bits, rate = self.adc.bits, self.adc.sample_rate_hz
        return [
            f"multiplexer.on_resistance: tau = {slot.tau_s:.3g} s takes {slot.needed_s:.3g} s to "
            f"settle to {bits} bits, but a slot of {slot.slot_s:.3g} s ({mux.turns} turns at "
            f"{rate:g} Hz) leaves {slot.available_s:.3g} s; {self._what_fits(slot)}"
        ]

    def _what_fits(self, slot: Slot) -> str:
        room = slot.available_s / slot.needed_s
        fits = [f"lower tau to {room * slot.tau_s:.3g} s"]
        if (turns := int(self.multiplexer.turns * room)) >= 1:
            fits.append(f"take {turns} turns")
        if (bits := int((self.adc.bits + 1) * room - 1)) >= 1:
            fits.append(f"settle for {bits} bits")
        return ", or ".join([*fits, f"sample at {self.adc.sample_rate_hz * room:.3g} Hz"])

    def _range(self) -> list[str]:
        amplifier, adc = self.amplifier, self.adc
        if (amplifier.gain is None) == (adc.full_scale_v is None):
            return []
        given, wanted = ("amplifier.gain", "adc.full_scale")
        if amplifier.gain is None:
            given, wanted = wanted, given
        return [f"{given}: needs {wanted}, too; together they say what a step is worth"]

"""The implant: its blocks as YAML has them, its sources, and its whole price list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

from implant_sim.hardware.components.adc import AnyAdc
from implant_sim.hardware.components.amplifier import AnyAmplifier
from implant_sim.hardware.components.array import Array
from implant_sim.hardware.components.base import Block, Component, Source, SourceKind
from implant_sim.hardware.components.compression import Compression
from implant_sim.hardware.components.multiplexer import Multiplexer
from implant_sim.hardware.components.processing import Processing
from implant_sim.hardware.components.radio import AnyRadio
from implant_sim.hardware.components.supply import Limits, Overhead, Power
from implant_sim.hardware.physics.amplifier import electrode_noise_v, high_pass_recovery_s
from implant_sim.hardware.physics.constants import CONSTANTS, Constants
from sbtt_models.spec import Spec, SpecError

__all__ = ["COMPONENTS", "Implant", "Priced"]

COMPONENTS = ("amplifier", "multiplexer", "adc", "processing", "radio", "delivery", "overhead")
"""Where energy goes, in the order of the report."""

_COLUMN = {"compression": "processing", "power": "delivery"}
_TRUST: tuple[SourceKind, ...] = ("measured", "derived", "recalled")


@dataclass(frozen=True, slots=True)
class Priced:
    """A price and where it comes from."""

    price_j: float
    source: str
    source_kind: SourceKind
    """The weakest of the numbers behind the price."""


class Implant(Spec):
    """One implant: what it is built of, what that costs, what it must not exceed."""

    name: str = Field("implant", max_length=200)
    constants: Literal["body", "karpowicz2024"] = "body"
    """Physical constants; `karpowicz2024` reproduces that paper's rounding."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """Cited by the blocks, by key."""
    array: Array
    amplifier: AnyAmplifier
    multiplexer: Multiplexer = Multiplexer()
    adc: AnyAdc
    processing: Processing
    compression: Compression = Compression()
    radio: AnyRadio
    power: Power = Power()
    overhead: Overhead
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _sound(self) -> Implant:
        faults = [*self._unsourced(), *self._mismatches()]
        if fault := self.adc.fault(self.physical):
            faults.append(f"adc: {fault}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _blocks(self) -> dict[str, Block]:
        blocks = {
            name: value
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), Block)
        }
        if self.power.battery is not None:
            blocks["power.battery"] = self.power.battery
        return blocks

    def _unsourced(self) -> list[str]:
        faults = []
        for name, block in self._blocks().items():
            if isinstance(block.source, dict):
                known = {_alias(block, field) for field in type(block).model_fields}
                faults += [
                    f"{name}.source: {key!r} is no key of {name}"
                    for key in block.source
                    if key not in known and key not in type(block).model_fields
                ]
            for field, value in block.numbers().items():
                label = f"{name}.{_alias(block, field)}"
                try:
                    source = block.source_of(field, self.sources)
                except KeyError as error:
                    faults.append(
                        f"{label}: unknown source {error.args[0]!r}; sources has "
                        f"{', '.join(self.sources) or 'no entries'}"
                    )
                    continue
                if source is None:
                    faults.append(
                        f"{label}: {value!r} has no source; give the block `source: KEY`, a "
                        "key of `sources`, or `source: {text: ..., kind: measured | derived | "
                        "recalled}`"
                    )
        return faults

    def _mismatches(self) -> list[str]:
        mux, amplifier, faults = self.multiplexer, self.amplifier, []
        before = mux.ways if mux.placement == "before_amplifier" else 1
        after = mux.ways if mux.placement != "none" else 1
        if amplifier.shared_by != before:
            faults.append(
                f"amplifier.shared_by: {amplifier.shared_by}, but {before} electrodes lead to one "
                f"amplifier (multiplexer.placement: {mux.placement}, ways: {mux.ways})"
            )
        if self.adc.shared_by != after:
            faults.append(
                f"adc.shared_by: {self.adc.shared_by}, but {after} channels lead to one ADC "
                f"(multiplexer.placement: {mux.placement}, ways: {mux.ways})"
            )
        if amplifier.gating == "per_bin" and amplifier.coupling == "ac":
            recovery = high_pass_recovery_s(max(amplifier.band_hz[0], 1e-3), self.adc.bits)
            if (amplifier.wake_time_s or 0.0) < recovery:
                faults.append(
                    f"amplifier.wake_time: {amplifier.wake_time_s:g} s, but an AC-coupled input "
                    f"with a corner at {amplifier.band_hz[0]:g} Hz takes {recovery:.3g} s to "
                    f"settle to {self.adc.bits} bits; raise it, or use coupling: ac_hold or dc"
                )
        if self.adc.sample_rate_hz < 2 * amplifier.band_hz[1]:
            faults.append(
                f"adc.sample_rate: {self.adc.sample_rate_hz:g} Hz is below twice the upper corner "
                f"of the amplifier, {amplifier.band_hz[1]:g} Hz: the band would fold"
            )
        if self.limits.battery_s is not None and self.power.battery is None:
            faults.append("limits.battery: there is no power.battery that could last so long")
        raw_only = self.compression.kind not in ("auto", "raw")
        if self.processing.feature != "threshold" and raw_only:
            faults.append(
                f"compression.kind: {self.compression.kind} codes spike counts, but "
                f"processing.feature is {self.processing.feature}; use auto or raw"
            )
        if self.processing.feature == "threshold" and self.compression.kind == "raw":
            faults.append(
                "compression.kind: raw sends samples, but processing.feature is threshold; "
                "use auto, counts, bitmap, aer or rice"
            )
        return faults

    @property
    def physical(self) -> Constants:
        """The physical constants chosen."""
        return CONSTANTS[self.constants]

    @property
    def input_noise_v(self) -> float:
        """Noise of amplifier and electrode together, rms. [V]"""
        amplifier, electrode = self.amplifier, 0.0
        if self.array.impedance_ohm is not None:
            electrode = electrode_noise_v(
                self.array.impedance_ohm, amplifier.bandwidth_hz, self.physical
            )
        return float(np.hypot(amplifier.noise_v, electrode))

    def n_electrodes(self, n_channels: int) -> int:
        """Electrodes of the array, for a recording of so many channels.

        Raises
        ------
        SpecError
            Where the recording has more channels than the array has electrodes.
        """
        if self.array.electrodes == "from_recording":
            return n_channels
        if self.array.electrodes < n_channels:
            raise SpecError(
                f"implant.array.electrodes: {self.array.electrodes} cannot record {n_channels} "
                "channels; raise it, use from_recording, or select channels of the recording"
            )
        return self.array.electrodes

    def groups(self, n_channels: int) -> Int[np.ndarray, " channel"]:
        """Channels that compete for one place in a bin; each its own where none do."""
        if not self.multiplexer.holds_bin:
            return np.arange(n_channels)
        return self.multiplexer.group_of(n_channels, self.n_electrodes(n_channels))

    def price_list(self) -> Mapping[tuple[str, str], Priced]:
        """The price of every action, by component and action, with the sources behind it."""
        known: dict[tuple[str, str], Priced] = {}
        for name, block in self._blocks().items():
            if not isinstance(block, Component):
                continue
            for action, price in block.prices(self.physical).items():
                found = [block.source_of(field, self.sources) for field in price.fields]
                cited = {s.text: s.kind for s in found if s is not None}
                kind = max(cited.values(), key=_TRUST.index)
                text = "; ".join(f"{t} [{k}]" for t, k in cited.items())
                known[_COLUMN.get(name, name), action] = Priced(price.value_j, text, kind)
        return known


def _alias(block: Block, field: str) -> str:
    return type(block).model_fields[field].alias or field

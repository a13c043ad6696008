"""The implant: its blocks as YAML has them, its sources, and its whole price list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

from implant_sim.hardware.components.adc import AnyAdc
from implant_sim.hardware.components.amplifier import AnyAmplifier
from implant_sim.hardware.components.array import Array
from implant_sim.hardware.components.base import (
    Block,
    Component,
    Source,
    SourceKind,
    fields_of,
    keys_of,
)
from implant_sim.hardware.components.compression import Compression
from implant_sim.hardware.components.multiplexer import Multiplexer
from implant_sim.hardware.components.processing import Processing
from implant_sim.hardware.components.radio import AnyRadio
from implant_sim.hardware.components.spread import Spread, Spreads
from implant_sim.hardware.components.supply import Limits, Overhead, Power
from implant_sim.hardware.front_end import FrontEnd
from implant_sim.hardware.physics.constants import CONSTANTS, Constants
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec

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

    price_fields: ClassVar[frozenset[str]] = frozenset({"name", "sources", "uncertainty"})

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
    uncertainty: Spreads = Field(default_factory=dict)
    """How far prices may lie from their values: a spread by dotted key (`amplifier.pef`), or
    `silicon`, the spreads of published chips for all numbers that have one."""

    @model_validator(mode="after")
    def _sound(self) -> Implant:
        faults = [*self._unsourced(), *self._mismatches(), *self._not_spread()]
        for name, block in (("amplifier", self.amplifier), ("adc", self.adc)):
            if fault := block.fault(self.physical):
                faults.append(f"{name}: {fault}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _blocks(self) -> dict[str, Block]:
        blocks = {
            name: value
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), Block)
        }
        inner = {
            "power.battery": self.power.battery,
            "power.exposure": self.power.exposure,
            "radio.path": self.radio.path,
        }
        return {**blocks, **{name: block for name, block in inner.items() if block is not None}}

    def _unsourced(self) -> list[str]:
        faults = []
        for name, block in self._blocks().items():
            if isinstance(block.source, dict):
                known = keys_of(type(block))
                faults += [
                    f"{name}.source: {key!r} is no key of {name}"
                    for key in block.source
                    if key not in known
                ]
            for field, value in block.numbers().items():
                try:
                    source = block.source_of(field, self.sources)
                except KeyError as error:
                    faults.append(
                        f"{name}.{_alias(block, field)}: unknown source {error.args[0]!r}; "
                        f"sources has {', '.join(self.sources) or 'no entries'}"
                    )
                    continue
                if source is None:
                    faults.append(
                        f"{name}.{_alias(block, field)}: {value!r} has no source; give the block "
                        "`source: KEY`, a key of `sources`, or `source: {text: ..., kind: "
                        "measured | derived | recalled}`"
                    )
        return faults

    def _mismatches(self) -> list[str]:
        faults = self.front_end.faults()
        if self.limits.battery_s is not None and self.power.battery is None:
            faults.append("limits.battery: there is no power.battery that could last so long")
        if self.limits.sar_w_kg is not None and self.power.exposure is None:
            faults.append("limits.sar: there is no power.exposure that could be absorbed")
        if self.limits.link_margin_db is not None and self.radio.path is None:
            faults.append("limits.link_margin: there is no radio.path that could have a margin")
        if self.processing.threshold_sigma is not None and self.missing_for_detection:
            missing = ", ".join(self.missing_for_detection)
            faults.append(f"processing.threshold_sigma: detection of spikes needs {missing}, too")
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

    def _not_spread(self) -> list[str]:
        from implant_sim.hardware.parameters import parameter  # it needs this class

        if self.uncertainty == "silicon":
            return []
        faults = []
        for key, spread in self.uncertainty.items():
            if isinstance(spread.source, str) and spread.source not in self.sources:
                faults.append(f"uncertainty.{key}: unknown source {spread.source!r}")
            try:
                found = parameter(self, key)
            except SpecError as error:
                faults.append(str(error))
                continue
            if found.field == "noise_v":
                faults.append(f"uncertainty.{key}: changes the data, too; sweep it instead")
        return faults

    @property
    def spreads(self) -> Mapping[str, Spread]:
        """How far parameters may lie from their values, by dotted key."""
        from implant_sim.hardware.parameters import parameters, spread_of  # they need this class

        if self.uncertainty != "silicon":
            return self.uncertainty
        known = ((found.key, spread_of(found)) for found in parameters(self))
        return {key: spread for key, spread in known if spread is not None}

    @property
    def physical(self) -> Constants:
        """The physical constants chosen."""
        return CONSTANTS[self.constants]

    @property
    def front_end(self) -> FrontEnd:
        """Electrode, amplifier, multiplexer and converter, as they load each other."""
        return FrontEnd(self.array, self.amplifier, self.multiplexer, self.adc)

    @property
    def input_noise_v(self) -> float:
        """Noise of the whole front end at the electrode, rms. [V]"""
        from implant_sim.hardware.noise import noise_budget  # it needs this class

        return noise_budget(self).total_v

    @property
    def missing_for_detection(self) -> list[str]:
        """What the array would have to say for `processing.threshold_sigma` to mean something."""
        needed = {
            "array.spike_amplitude": self.array.spike_amplitude_v,
            "array.background_noise": self.array.background_noise_v,
        }
        return [key for key, value in needed.items() if value is None]

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

    @property
    def warm_before_s(self) -> float:
        """Time before a step in which filter and threshold warm up, the amplifier awake. [s]

        None where a wire holds another channel until then: there it is part of the step.
        """
        if self.multiplexer.holds_bin:
            return 0.0
        return self.processing.warm_up(self.amplifier.band_hz[0])

    def groups(self, n_channels: int) -> Int[np.ndarray, " channel"]:
        """Channels that compete for one place in a bin; each its own where none do."""
        if not self.multiplexer.holds_bin:
            return np.arange(n_channels)
        return self.multiplexer.group_of(n_channels, self.n_electrodes(n_channels))

    @property
    def looks_at_signal(self) -> bool:
        """True where raw samples are sent, or a threshold finds spikes in noise."""
        processing = self.processing
        return processing.feature == "raw" or processing.threshold_sigma is not None

    def counted_by(self, step_s: float) -> tuple[int | None, tuple[str, ...]]:
        """All that prices say about what is counted, in steps of so many seconds.

        The longest gap in steps that does not repay a wake-up, None if none does, and the actions
        of processing that there are at all.
        """
        amplifier, known = self.front_end.working_amplifier, self.physical
        gap = amplifier.least_gap_s(known, self.warm_before_s) / step_s
        actions = tuple(sorted(self.processing.prices(known)))
        return None if math.isinf(gap) else math.floor(gap), actions

    def price_list(self) -> Mapping[tuple[str, str], Priced]:
        """The price of every action, by component and action, with the sources behind it."""
        known: dict[tuple[str, str], Priced] = {}
        blocks = {**self._blocks(), "amplifier": self.front_end.working_amplifier}
        for name, block in blocks.items():
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
    return fields_of(type(block))[field].alias or field

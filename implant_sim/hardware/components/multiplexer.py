"""The multiplexer: which electrodes share an amplifier or an ADC, and how it moves among them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics import multiplexer as physics
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.skew import Grouping, adc_of, turn_of
from sbtt_models.units import Farads, Fraction, Joules, Ohms, Volts

__all__ = ["Multiplexer"]

_ABSENT = Source(text="no multiplexer", kind="derived")
_WHOLE = Source(text="the whole slot: the least that settling can ask for", kind="derived")
_SWITCH = ("gate_capacitance_f", "line_capacitance_f", "supply_v", "swing_v")


class Multiplexer(Component):
    """Several electrodes on one wire, by turns within each sample or held for a whole bin."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "ways": _ABSENT,
            "settle_fraction": _WHOLE,
            "switch_energy_j": Source(
                text="1 pF of line (5 mm at 0.2 fF/um) and gate charged to about 1 V",
                kind="recalled",
            ),
        }
    )

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "switch_energy_j",
        "gate_capacitance_f",
        "supply_v",
        "swing_v",
    }
    signal_fields: ClassVar[frozenset[str]] = frozenset(
        {
            "filter",
            "on_resistance_ohm",
            "source_resistance_ohm",
            "line_capacitance_f",
            "settle_fraction",
        }
    )

    placement: Literal["none", "before_amplifier", "after_amplifier"] = "none"
    ways: PositiveInt = 1
    """Electrodes in a group."""
    slots: PositiveInt | None = None
    """Turns in a cycle; default: the ways. More where some serve other inputs: Neuropixels 1.0 has
    13 for 12 electrodes, Intan RHD2132 35 for 32."""
    groups: Grouping = "contiguous"
    """Neighbouring electrodes share a wire; or every n-th does; or the even and the odd ones of
    each 2 x ways electrodes, as in Neuropixels."""
    cycle: Literal["sample", "bin"] | None = None
    """Visit the group within each sample, at `ways` times the rate, which limits no mask; or hold
    one electrode for a whole bin, so that a mask has at most one of each group. Default: `sample`
    after the amplifier, `bin` before it."""
    any_order: bool = True
    """False: the group is always visited whole, in order."""
    switch_energy_j: Joules = Field(1e-12, ge=0)
    """Energy of one change of channel, where no capacitance of the gate is given."""
    filter: Literal["anti_aliased", "rc", "boxcar"] = "anti_aliased"
    """In front of the switch a filter of each channel, so that `amplifier.noise` is what a channel
    has; or none, and all the noise that passes while a channel settles (`rc`) or is integrated
    over its slot (`boxcar`) folds into the band."""
    on_resistance_ohm: Ohms | None = Field(None, gt=0)
    """Of a closed switch. Given, settling is checked against the slot."""
    source_resistance_ohm: Ohms | None = Field(None, gt=0)
    """Of what drives the line. Default before the amplifier: the electrode's impedance."""
    line_capacitance_f: Farads | None = Field(None, gt=0, lt=1e-6)
    """Parasitic capacitance of the common line; 0.2 fF/um is usual."""
    settle_fraction: Fraction = Field(1.0, gt=0, le=1)
    """Share of a slot left to settling; the rest goes to the converter."""
    gate_capacitance_f: Farads | None = Field(None, gt=0, lt=1e-6)
    """Of a switch and its decoder. Given, `switch_energy` is computed."""
    supply_v: Volts | None = Field(None, gt=0, le=100)
    """Of the gates."""
    swing_v: Volts | None = Field(None, ge=0, le=100)
    """Of the line from one channel to the next."""

    @model_validator(mode="after")
    def _consistent(self) -> Multiplexer:
        if (self.placement == "none") != (self.ways == 1):
            raise ValueError(
                f"placement: {self.placement} does not go with ways: {self.ways}; a multiplexer "
                "has 2 ways or more, none has 1"
            )
        if self.placement == "none" and self.cycle is not None:
            raise ValueError(f"cycle: {self.cycle} needs a multiplexer; set placement")
        if self.placement == "none" and self.filter != "anti_aliased":
            raise ValueError(f"filter: {self.filter} needs a multiplexer; set placement")
        if self.slots is not None and self.slots < self.ways:
            raise ValueError(f"slots: {self.slots} are too few for ways: {self.ways}")
        missing = [n.rsplit("_", 1)[0] for n in _SWITCH if getattr(self, n) is None]
        if self.gate_capacitance_f is not None and missing:
            raise ValueError(f"gate_capacitance: a switch needs {', '.join(missing)}, too")
        if self.supply_v is not None and self.gate_capacitance_f is None:
            raise ValueError("supply: charges the gates, so it needs gate_capacitance")
        return self

    @property
    def holds_bin(self) -> bool:
        """True where a group delivers one electrode in a bin, so that masks are constrained."""
        if self.placement == "none":
            return False
        if self.cycle is None:
            return self.placement == "before_amplifier"
        return self.cycle == "bin"

    @property
    def turns(self) -> int:
        """Channels that one sample period is divided among."""
        return 1 if self.holds_bin or self.placement == "none" else self.slots or self.ways

    def n_groups(self, n_electrodes: int) -> int:
        """Wires that lead to all the electrodes."""
        if self.groups == "even_odd":
            return 2 * -(-n_electrodes // (2 * self.ways))
        return -(-n_electrodes // self.ways)

    def group_of(self, n_channels: int, n_electrodes: int) -> Int[np.ndarray, " channel"]:
        """The wire of each channel; channels sit on the first electrodes."""
        return adc_of(n_channels, self.ways, self.n_groups(n_electrodes), self.groups)

    def delays_s(
        self, n_channels: int, n_electrodes: int, sample_rate_hz: float
    ) -> Float[np.ndarray, " channel"]:
        """When each channel is sampled, after the start of the sample period. [s]

        Parameters
        ----------
        n_channels : int
            Channels; they sit on the first electrodes.
        n_electrodes : int
            Electrodes of the array.
        sample_rate_hz : float
            Of one channel. [Hz]

        Returns
        -------
        numpy.ndarray, shape (channel,)
            All 0 where channels do not take turns within a sample.
        """
        if self.turns == 1:
            return np.zeros(n_channels)
        turn = turn_of(n_channels, self.ways, self.n_groups(n_electrodes), self.groups)
        return turn / (self.turns * sample_rate_hz)

    def folding(self, bits: float) -> float:
        """Rise of the white noise in front of the switch, 1 behind a filter.

        Parameters
        ----------
        bits : float
            Resolution to settle to. [bit]

        Returns
        -------
        float
            Noise of a channel over that of a channel on its own.
        """
        if self.filter == "rc":
            return physics.rc_folding(bits, self.turns, self.settle_fraction)
        return physics.boxcar_folding(self.turns) if self.filter == "boxcar" else 1.0

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        gate, line, supply, swing = (getattr(self, name) for name in _SWITCH)
        if gate is None:
            return {"switch": Price(self.switch_energy_j, ("switch_energy_j",))}
        return {"switch": Price(physics.switch_energy_j(gate, supply, line, swing), _SWITCH)}

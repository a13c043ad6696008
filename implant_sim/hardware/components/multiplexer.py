"""The multiplexer: which electrodes share an amplifier or an ADC, and how it moves among them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics.constants import Constants
from sbtt_models.spec import Joules

__all__ = ["Multiplexer"]

_ABSENT = Source(text="no multiplexer", kind="derived")


class Multiplexer(Component):
    """Several electrodes on one wire, by turns within each sample or held for a whole bin."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "ways": _ABSENT,
            "switch_energy_j": Source(
                text="1 pF of line (5 mm at 0.2 fF/um) and gate charged to about 1 V",
                kind="recalled",
            ),
        }
    )

    placement: Literal["none", "before_amplifier", "after_amplifier"] = "none"
    ways: PositiveInt = 1
    """Electrodes in a group."""
    groups: Literal["contiguous", "interleaved"] = "contiguous"
    """Neighbouring electrodes, or every n-th, share a wire."""
    cycle: Literal["sample", "bin"] | None = None
    """Visit the group within each sample, at `ways` times the rate, which limits no mask; or hold
    one electrode for a whole bin, so that a mask has at most one of each group. Default: `sample`
    after the amplifier, `bin` before it."""
    any_order: bool = True
    """False: the group is always visited whole, in order."""
    switch_energy_j: Joules = Field(1e-12, ge=0)
    """Energy of one change of channel."""

    @model_validator(mode="after")
    def _consistent(self) -> Multiplexer:
        if (self.placement == "none") != (self.ways == 1):
            raise ValueError(
                f"placement: {self.placement} does not go with ways: {self.ways}; a multiplexer "
                "has 2 ways or more, none has 1"
            )
        if self.placement == "none" and self.cycle is not None:
            raise ValueError(f"cycle: {self.cycle} needs a multiplexer; set placement")
        return self

    @property
    def holds_bin(self) -> bool:
        """True where a group delivers one electrode in a bin, so that masks are constrained."""
        if self.placement == "none":
            return False
        if self.cycle is None:
            return self.placement == "before_amplifier"
        return self.cycle == "bin"

    def n_groups(self, n_electrodes: int) -> int:
        """Wires that lead to all the electrodes."""
        return -(-n_electrodes // self.ways)

    def group_of(self, n_channels: int, n_electrodes: int) -> Int[np.ndarray, " channel"]:
        """The wire of each channel; channels sit on the first electrodes."""
        channel = np.arange(n_channels)
        if self.groups == "contiguous":
            return channel // self.ways
        return channel % self.n_groups(n_electrodes)

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        return {"switch": Price(self.switch_energy_j, ("switch_energy_j",))}

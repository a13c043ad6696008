"""The electrodes and the body of the implant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from implant_sim.hardware.components.base import Block, Source
from sbtt_models.spec import Ohms, SquareMetres

__all__ = ["Array"]


class Array(Block):
    """How many electrodes, and how large a body carries their electronics."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"faces": Source(text="both faces of a flat chip touch tissue", kind="derived")}
    )

    electrodes: Literal["from_recording"] | PositiveInt = "from_recording"
    """A number above the recording's channels charges the unused ones as idle."""
    area_m2: SquareMetres = Field(gt=0, le=1)
    """Area of one face of the body."""
    faces: Literal[1, 2] = 2
    """Faces through which heat leaves into tissue."""
    impedance_ohm: Ohms | None = Field(None, gt=0)
    """Real part at 1 kHz: its thermal noise adds to the amplifier's in the verdict."""

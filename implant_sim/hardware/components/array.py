"""The electrodes and the body of the implant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from implant_sim.hardware.components.base import Block, Source
from sbtt_models.units import KelvinsPerWatt, Ohms, Seconds, SquareMetres, Volts

__all__ = ["Array"]


class Array(Block):
    """How many electrodes, and how large a body carries their electronics."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "faces": Source(text="both faces of a flat chip touch tissue", kind="derived"),
            "spike_width_s": Source(text="usual cortical unit, at half depth", kind="recalled"),
        }
    )

    price_fields: ClassVar[frozenset[str]] = Block.price_fields | {
        "area_m2",
        "faces",
        "body",
        "thermal_resistance_k_w",
    }
    signal_fields: ClassVar[frozenset[str]] = frozenset(
        {
            "impedance_ohm",
            "impedance_magnitude_ohm",
            "spike_amplitude_v",
            "spike_spread",
            "spike_width_s",
            "background_noise_v",
        }
    )

    electrodes: Literal["from_recording"] | PositiveInt = "from_recording"
    """A number above the recording's channels charges the unused ones as idle."""
    area_m2: SquareMetres = Field(gt=0, le=1)
    """Area of one face of the body."""
    faces: Literal[1, 2] = 2
    """Faces through which heat leaves into tissue; a sphere has but one, all around."""
    body: Literal["disc", "sphere", "plane"] = "disc"
    """How heat spreads from it: a flat chip; a mote, whose `area` is its cross-section; or a sheet
    so wide that nothing flows round its edge."""
    thermal_resistance_k_w: KelvinsPerWatt | None = Field(None, gt=0)
    """Measured rise for each watt, which then stands for `body`: 29 K/W for a Utah array (Kim et
    al. 2007), 14 K/W for a unit in the skull (Serrano-Amenos et al. 2023)."""
    impedance_ohm: Ohms | None = Field(None, gt=0)
    """Real part at 1 kHz: its thermal noise adds to the amplifier's."""
    impedance_magnitude_ohm: Ohms | None = Field(None, gt=0)
    """Modulus at 1 kHz, as data sheets give it; the rest of it is taken as capacitive. It divides
    the signal with the amplifier's input. Default: the real part alone."""
    spike_amplitude_v: Volts | None = Field(None, gt=0, lt=1)
    """Peak of a unit's spike at the electrode, median over the units."""
    spike_spread: float | None = Field(None, ge=0, le=3)
    """Standard deviation over the units of the natural logarithm of that peak."""
    spike_width_s: Seconds = Field(0.2e-3, gt=0, le=5e-3)
    """Of a spike's trough, at half its depth."""
    background_noise_v: Volts | None = Field(None, ge=0, lt=1)
    """Biological noise in the band, rms: spikes too far off to be told apart."""

    @model_validator(mode="after")
    def _possible(self) -> Array:
        real, modulus = self.impedance_ohm, self.impedance_magnitude_ohm
        if modulus is not None and real is None:
            raise ValueError("impedance_magnitude: needs impedance, its real part, for the noise")
        if modulus is not None and real is not None and modulus < real:
            raise ValueError(
                f"impedance_magnitude: {modulus:g} ohm is below impedance, its real part, "
                f"{real:g} ohm; exchange them"
            )
        return self

    @property
    def electrode_ohm(self) -> complex | None:
        """Resistance and capacitive reactance at 1 kHz. [ohm]"""
        if self.impedance_ohm is None:
            return None
        modulus = self.impedance_magnitude_ohm or self.impedance_ohm
        return complex(self.impedance_ohm, -math.sqrt(modulus**2 - self.impedance_ohm**2))

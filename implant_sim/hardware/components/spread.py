"""How far a parameter may lie from its value: log-normal spreads, also of published silicon."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from implant_sim.hardware.components.base import Source, SourceRef
from sbtt_models.spec import Spec

__all__ = ["SILICON", "Spread", "Spreads"]


class Spread(Spec):
    """A log-normal spread about the value given, which is its median.

    For an efficiency it is its loss, ``1/efficiency - 1``, that spreads; for a figure of merit in
    dB, the energy behind it.
    """

    factor: float = Field(gt=1, le=1e4)
    """One standard deviation multiplies or divides by it."""
    source: SourceRef
    """A key of the implant's sources, or a source in full."""


def _which(value: object) -> str:
    return "silicon" if isinstance(value, str) else "each"


Spreads = Annotated[
    Annotated[Literal["silicon"], Tag("silicon")] | Annotated[dict[str, Spread], Tag("each")],
    Discriminator(_which),
]
"""A spread by dotted key, or those of published silicon for all numbers that have one."""


def _spread(factor: float, text: str) -> Spread:
    return Spread(factor=factor, source=Source(text=text, kind="derived"))


_PEF = (
    "power efficiency factors of 14 published front ends: 2.2, 3.3, 12.6, 14, 15, 17, 24, 25, 25, "
    "46, 53, 196, 201 and 506 V"
)
_NEF = "square root of the spread of the power efficiency factor, NEF^2 times the supply"
_FOM = (
    "26 SAR converters up to 100 kHz in B. Murmann, ADC Performance Survey 1997-2025: 10 and 90 % "
    "at 3.4 and 316 fJ per step"
)
_FOM_DB = (
    "26 SAR converters up to 100 kHz in B. Murmann, ADC Performance Survey 1997-2025: 10 and 90 % "
    "at 156.8 and 179.2 dB"
)
_DETECTOR = (
    "seven published spike detectors: 0.05, 0.13, 0.26, 0.53, 1.4, 3.6 and 6.2 uW per channel"
)
_BIT = "impulse radio, published or assumed: 5.8, 50, 50, 100 and 200 pJ/bit"
_SOC = "three Bluetooth controllers: 4.8 to 6.4 mA while sending"
_FIXED = (
    "system over core power: 2.6 (Lee et al. 2024), 4.5 (Musk & Neuralink 2019), 20 (An et al. "
    "2022); spread of the part beyond the core"
)

SILICON: Mapping[str, Spread] = MappingProxyType(
    {
        "amplifier.pef_v": _spread(4.5, _PEF),
        "amplifier.nef": _spread(2.1, _NEF),
        "adc.fom_j": _spread(5.9, _FOM),
        "adc.fom_db": _spread(7.5, _FOM_DB),
        "processing.per_channel_w": _spread(5.8, _DETECTOR),
        "processing.per_sample_j": _spread(5.8, _DETECTOR),
        "radio.energy_per_bit_j": _spread(3.8, _BIT),
        "radio.tx_power_w": _spread(1.16, _SOC),
        "radio.rx_power_w": _spread(1.16, _SOC),
        "overhead.power_w": _spread(3.5, _FIXED),
    }
)
"""Spreads of published silicon, by the key that they belong to: ``uncertainty: silicon``."""

"""The radios that there are, with the numbers of published parts as their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Source
from implant_sim.hardware.components.bluetooth import Ble
from implant_sim.hardware.components.radio_base import Radio
from implant_sim.hardware.components.radio_prices import BitRadio, PacketRadio
from implant_sim.hardware.physics.modulation import Modulation
from sbtt_models.units import BitsPerSecond, Joules, Seconds, Watts

__all__ = [
    "AnyRadio",
    "Backscatter",
    "Ble",
    "Fsk",
    "Medradio",
    "Optical",
    "Ultrasound",
    "Uwb",
]


class Medradio(PacketRadio):
    """Medical band at 402 to 405 MHz, after the ZL70102."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            **Radio.default_sources,
            "rate_bps": Source(text="ZL70102: 800 kb/s raw", kind="recalled"),
            "payload_byte": Source(text="blocks of about 100 bytes", kind="recalled"),
            "tx_power_w": Source(text="ZL70102 class: 5 mA at 2.5 V", kind="recalled"),
            "rx_power_w": Source(text="ZL70102 class: 5 mA at 2.5 V", kind="recalled"),
            "startup_j": Source(text="1 ms at about radio power", kind="recalled"),
            "idle_power_w": Source(text="0.3 uA at 3 V asleep", kind="recalled"),
            "interval_s": Source(text="one frame for each bin", kind="derived"),
            "header_byte": Source(
                text="preamble 2, address 3, header 2, CRC 2 bytes", kind="recalled"
            ),
            "turn_s": Source(text="a PLL turns round in 0.1 ms, twice", kind="recalled"),
            "eirp_limit_w": Source(text="-16 dBm at 402 to 405 MHz, FCC 95", kind="recalled"),
        }
    )
    paths: ClassVar[frozenset[str]] = Radio.paths | {
        "deep_implant",
        "near_surface",
        "implant_to_implant",
    }

    kind: Literal["medradio"] = "medradio"
    rate_bps: BitsPerSecond = Field(800e3, gt=0, le=1e6)
    """Of the physical layer."""
    payload_byte: int = Field(100, ge=1, le=1024)
    """The most that one packet carries."""
    tx_power_w: Watts = Field(12.5e-3, gt=0, le=10)
    """Power while transmitting."""
    rx_power_w: Watts = Field(12.5e-3, gt=0, le=10)
    """Power while receiving, and between packets."""
    startup_j: Joules = Field(12.5e-6, ge=0)
    """Oscillator and PLL, once for each frame."""
    idle_power_w: Watts = Field(0.9e-6, ge=0)
    """Asleep between frames, charged at all times."""

    header_byte: int = Field(9, ge=0, le=256)
    """Of each packet, and all of an acknowledgement."""
    turn_s: Seconds = Field(200e-6, ge=0, le=1)
    """From packet to acknowledgement and on to the next packet."""
    eirp_limit_w: Watts = Field(25e-6, gt=0, le=10)
    """The most that may be radiated in the band."""

    @model_validator(mode="after")
    def _in_the_band(self) -> Medradio:
        if self.path is not None and self.path.tx_power_w > self.eirp_limit_w:
            raise ValueError(
                f"path.tx_power: {self.path.tx_power_w:g} W exceeds eirp_limit, "
                f"{self.eirp_limit_w:g} W, the most that the band allows"
            )
        return self

    @override
    def _packet_s(self, payload_byte: float) -> tuple[float, float, float]:
        empty_s = 8 * self.header_byte / self.rate_bps
        return empty_s + 8 * payload_byte / self.rate_bps, empty_s, self.turn_s


_FRAMING: Mapping[str, Source] = MappingProxyType(
    {
        **Radio.default_sources,
        "payload_byte": Source(text="usual packet", kind="recalled"),
        "header_bit": Source(text="16 bits each of sync, length and CRC", kind="recalled"),
        "startup_j": Source(text="on-off keyed or passive: starts within a bit", kind="recalled"),
        "idle_power_w": Source(text="powered down between frames", kind="recalled"),
        "interval_s": Source(text="one frame for each bin", kind="derived"),
    }
)


def _bit_sources(
    text: str, kind: Literal["measured", "derived", "recalled"]
) -> Mapping[str, Source]:
    source = Source(text=text, kind=kind)
    return MappingProxyType({**_FRAMING, "energy_per_bit_j": source, "rate_bps": source})


class Uwb(BitRadio):
    """Impulse radio, ultra-wide band."""

    default_sources: ClassVar[Mapping[str, Source]] = _bit_sources(
        "transmitter alone, 28 nm, 15 mm of tissue and 15 cm: Song et al., IEEE TBioCAS 2022",
        "measured",
    )
    modulation: ClassVar[Modulation] = "ook"

    kind: Literal["uwb"] = "uwb"
    energy_per_bit_j: Joules = Field(5.8e-12, gt=0, le=1e-6)
    """Energy of one bit on air."""
    rate_bps: BitsPerSecond = Field(1.66e9, gt=0, le=1e12)
    """Of the physical layer."""


class Fsk(BitRadio):
    """Frequency-shift keying at 3.2 to 3.8 GHz."""

    default_sources: ClassVar[Mapping[str, Source]] = _bit_sources(
        "whole implant, so an upper bound: 90.6 mW at 24 Mb/s, Borton et al. 2013", "derived"
    )
    kind: Literal["fsk"] = "fsk"
    energy_per_bit_j: Joules = Field(3.8e-9, gt=0, le=1e-6)
    """Energy of one bit on air."""
    rate_bps: BitsPerSecond = Field(24e6, gt=0, le=1e12)
    """Of the physical layer."""


class Backscatter(BitRadio):
    """The implant reflects a carrier from outside, or loads the coil that powers it (LSK).

    Its energy per bit is that of a switch; the carrier is paid for outside and not counted.
    """

    default_sources: ClassVar[Mapping[str, Source]] = _bit_sources(
        "uECoG implant of Muller et al., IEEE JSSC 2015, energy as quoted by MINDFUL", "measured"
    )
    modulation: ClassVar[Modulation] = "ook"
    reflects: ClassVar[bool] = True

    kind: Literal["backscatter"] = "backscatter"
    energy_per_bit_j: Joules = Field(2.4e-12, gt=0, le=1e-6)
    """Energy of one bit on air."""
    rate_bps: BitsPerSecond = Field(1e6, gt=0, le=1e12)
    """Of the physical layer."""


class Ultrasound(BitRadio):
    """Ultrasonic backscatter: the carrier comes from outside."""

    default_sources: ClassVar[Mapping[str, Source]] = _bit_sources(
        "order of magnitude of published motes, low confidence", "recalled"
    )
    modulation: ClassVar[Modulation] = "ook"
    paths: ClassVar[frozenset[str]] = frozenset({"ultrasound", "measured"})
    reflects: ClassVar[bool] = True

    kind: Literal["ultrasound"] = "ultrasound"
    energy_per_bit_j: Joules = Field(100e-12, gt=0, le=1e-6)
    """Energy of one bit on air."""
    rate_bps: BitsPerSecond = Field(35e3, gt=0, le=1e12)
    """Of the physical layer."""


class Optical(BitRadio):
    """A near-infrared light-emitting diode."""

    default_sources: ClassVar[Mapping[str, Source]] = _bit_sources(
        "order of magnitude of published motes, low confidence", "recalled"
    )
    modulation: ClassVar[Modulation] = "ook"
    paths: ClassVar[frozenset[str]] = frozenset({"measured"})

    kind: Literal["optical"] = "optical"
    energy_per_bit_j: Joules = Field(100e-12, gt=0, le=1e-6)
    """Energy of one bit on air."""
    rate_bps: BitsPerSecond = Field(100e3, gt=0, le=1e12)
    """Of the physical layer."""


AnyRadio = Annotated[
    Ble | Uwb | Medradio | Fsk | Backscatter | Ultrasound | Optical, Field(discriminator="kind")
]

"""Bluetooth Low Energy: the parts whose data sheets are known, and the radio that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Source
from implant_sim.hardware.components.radio_base import Radio
from implant_sim.hardware.components.radio_prices import PacketRadio
from sbtt_models.units import BitsPerSecond, Joules, Seconds, Watts

__all__ = ["Ble"]


@dataclass(frozen=True, slots=True)
class _Part:
    """What sets one Bluetooth part apart from another, and where its data sheet says so."""

    tx_power_w: tuple[float, Source]
    rx_power_w: tuple[float, Source]
    startup_j: tuple[float, Source]
    idle_power_w: tuple[float, Source]


def _started(power_w: float) -> tuple[float, Source]:
    text = "0.5 ms of oscillator and PLL at about radio power"
    return 0.5e-3 * power_w, Source(text=text, kind="recalled")


_PARTS: Mapping[str, _Part] = MappingProxyType(
    {
        "nrf52840": _Part(
            (
                6.40e-3 * 3,
                Source(text="nRF52840: 6.40 mA at 0 dBm, 3 V (Nordic)", kind="measured"),
            ),
            (6.26e-3 * 3, Source(text="nRF52840: 6.26 mA at 3 V (Nordic)", kind="measured")),
            (9.4e-6, Source(text="0.5 ms at about radio power", kind="recalled")),
            (4.5e-6, Source(text="1.5 uA at 3 V asleep, clock running", kind="recalled")),
        ),
        "nrf54l15": _Part(
            (4.8e-3 * 3, Source(text="nRF54L15: 4.8 mA at 0 dBm, 3 V (Nordic)", kind="measured")),
            (
                3.5e-3 * 3,
                Source(
                    text="nRF54L15: mean of 3.4 mA at 1 and 3.6 mA at 2 Mb/s, 3 V (Nordic)",
                    kind="derived",
                ),
            ),
            _started(3.5e-3 * 3),
            (
                2.9e-6 * 3,
                Source(
                    text="nRF54L15: 2.9 uA at 3 V, 256 KB kept, clock running (Nordic)",
                    kind="measured",
                ),
            ),
        ),
        "cc2340": _Part(
            (5.1e-3 * 3, Source(text="CC2340R5: 5.1 mA at 0 dBm, 3 V (TI)", kind="measured")),
            (5.3e-3 * 3, Source(text="CC2340R5: 5.3 mA at 1 Mb/s, 3 V (TI)", kind="measured")),
            _started(5.3e-3 * 3),
            (0.71e-6 * 3, Source(text="CC2340R5: 0.71 uA at 3 V in standby", kind="recalled")),
        ),
    }
)
_USUAL = _PARTS["nrf52840"]


class Ble(PacketRadio):
    """Bluetooth Low Energy, one connection: a part, or numbers of one's own."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            **Radio.default_sources,
            "rate_bps": Source(text="LE 1M PHY", kind="measured"),
            "payload_byte": Source(text="251 bytes less L2CAP and ATT headers", kind="recalled"),
            "interval_s": Source(text="shortest connection interval, 7.5 ms", kind="recalled"),
            **{name: getattr(_USUAL, name)[1] for name in _Part.__slots__},
        }
    )

    kind: Literal["ble"] = "ble"
    part: Literal["nrf52840", "nrf54l15", "cc2340"] = "nrf52840"
    """Gives the powers, and the energy of a start, that are not written."""
    tx_power_w: Watts = Field(_USUAL.tx_power_w[0], gt=0, le=10)
    """Power while transmitting."""
    rx_power_w: Watts = Field(_USUAL.rx_power_w[0], gt=0, le=10)
    """Power while receiving, and between packets."""
    startup_j: Joules = Field(_USUAL.startup_j[0], ge=0)
    """Oscillator and PLL, once for each frame."""
    idle_power_w: Watts = Field(_USUAL.idle_power_w[0], ge=0)
    """Asleep between frames, charged at all times."""
    interval_s: Seconds = Field(7.5e-3, ge=7.5e-3, le=4.0)
    """Connection interval, a multiple of 1.25 ms: bins are gathered for so long into one frame."""
    payload_byte: int = Field(244, ge=1, le=244)
    """The most that one packet carries."""
    rate_bps: BitsPerSecond = Field(1e6, ge=1e6, le=2e6)
    """Of the physical layer, 1 or 2 Mb/s."""

    @model_validator(mode="before")
    @classmethod
    def _of_part(cls, data: Any) -> Any:
        name = data.get("part") if isinstance(data, dict) else None
        if not isinstance(name, str) or name not in _PARTS:
            return data
        part = _PARTS[name]
        known = {field: getattr(part, field)[0] for field in _Part.__slots__}
        written = {field for field in known if {field, cls.model_fields[field].alias} & set(data)}
        return {**{f: value for f, value in known.items() if f not in written}, **data}

    @model_validator(mode="after")
    def _in_the_standard(self) -> Ble:
        if self.rate_bps not in (1e6, 2e6):
            raise ValueError(f"rate: {self.rate_bps:g} bit/s is neither 1 Mbps nor 2 Mbps")
        slots = self.interval_s / 1.25e-3
        if abs(slots - round(slots)) > 1e-6:
            raise ValueError(
                f"interval: {self.interval_s:g} s is no multiple of 1.25 ms; "
                f"use {round(slots) * 1.25:g} ms"
            )
        return self

    @override
    def default_of(self, field: str) -> tuple[object, Source | None]:
        if field in _Part.__slots__:
            return cast(tuple[float, Source], getattr(_PARTS[self.part], field))
        return super().default_of(field)

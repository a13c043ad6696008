"""What radios have in common, priced by their time on air or by the bit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.radio import ble_packet, expected_attempts
from sbtt_models.spec import BitsPerSecond, Fraction, Joules, Seconds, Watts

__all__ = ["Airtime", "BitRadio", "PacketRadio", "Radio"]


@dataclass(frozen=True, slots=True, eq=False)
class Airtime:
    """What sending some frames takes."""

    packets: Int[np.ndarray, " frame"]
    """Packets of each frame, repeats not counted."""
    service_s: Float[np.ndarray, " frame"]
    """Time on air of each frame, expected repeats counted."""
    actions: Mapping[str, float]


_LOSSLESS = Source(text="every packet arrives; to be set for a real path", kind="derived")
_HEAT_ALL = Source(text="conservative: all of the radio's energy counts as heat", kind="derived")


class Radio(Component):
    """A transmitter that sends the bits of a few bins as one frame of one or more packets."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"packet_loss": _LOSSLESS, "radiated": _HEAT_ALL}
    )

    rate_bps: BitsPerSecond = Field(1e6, gt=0, le=1e12)
    """Of the physical layer."""
    payload_byte: int = Field(244, ge=1, le=65_535)
    """The most that one packet carries."""
    startup_j: Joules = Field(0.0, ge=0)
    """Oscillator and PLL, once for each frame."""
    idle_power_w: Watts = Field(0.0, ge=0)
    """Asleep between frames, charged at all times."""
    interval_s: Seconds = Field(0.0, ge=0, le=60)
    """Bins are gathered for so long into one frame; at least one bin."""
    packet_loss: Fraction = Field(0.0, ge=0, lt=1)
    """Probability that a packet fails."""
    retransmit: bool = True
    """Repeat until acknowledged, at the cost of energy; or lose the packet's bins."""
    radiated: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the radio's energy that leaves as radiation, and is not heat."""

    @property
    def attempts(self) -> float:
        """Mean transmissions of one packet."""
        return expected_attempts(self.packet_loss) if self.retransmit else 1.0

    def packets(self, frame_bit: Int[np.ndarray, " frame"]) -> Int[np.ndarray, " frame"]:
        """Packets of each frame: at least one, or its silence could not be told from a loss."""
        return np.maximum(1, -(-frame_bit // (8 * self.payload_byte)))

    @property
    def throughput_bps(self) -> float:
        """The most payload that goes through, packets back to back. [bit/s]"""
        full = np.array([8 * self.payload_byte])
        return float(8 * self.payload_byte / self.send(full).service_s[0])

    @abstractmethod
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        """Count what it takes to send frames of so many payload bits."""

    def _common(self) -> dict[str, Price]:
        return {
            "start": Price(self.startup_j, ("startup_j",)),
            "idle": Price(self.idle_power_w, ("idle_power_w",)),
        }


class PacketRadio(Radio):
    """A radio priced by its time in each state: transmit, receive the acknowledgement, turn."""

    tx_power_w: Watts = Field(gt=0, le=10)
    """Power while transmitting."""
    rx_power_w: Watts = Field(gt=0, le=10)
    """Power while receiving, and between packets."""

    def _packet_s(self, payload_byte: float) -> tuple[float, float, float]:
        """Transmit, receive and turn-around time of one packet. [s]"""
        packet = ble_packet(payload_byte, self.rate_bps)
        return packet.transmit_s, packet.receive_s, packet.turn_s

    @override
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        packets = self.packets(frame_bit)
        empty_s, receive_s, turn_s = self._packet_s(0.0)
        transmit_s = frame_bit / self.rate_bps + packets * empty_s
        service_s = self.attempts * (transmit_s + packets * (receive_s + turn_s))
        n = float(packets.sum())
        return Airtime(
            packets,
            service_s,
            {
                "transmit": self.attempts * float(transmit_s.sum()),
                "receive": self.attempts * n * receive_s,
                "turn": self.attempts * n * turn_s,
                "start": float(len(frame_bit)),
            },
        )

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        receive = Price(self.rx_power_w, ("rx_power_w",))
        transmit = Price(self.tx_power_w, ("tx_power_w",))
        return {"transmit": transmit, "receive": receive, "turn": receive, **self._common()}


class BitRadio(Radio):
    """A transmitter priced by the bit on air: payload, and the header of each packet."""

    energy_per_bit_j: Joules = Field(gt=0, le=1e-6)
    """Energy of one bit on air."""
    header_bit: int = Field(48, ge=0, le=4096)
    """Preamble, address, length and CRC of one packet."""
    payload_byte: int = Field(256, ge=1, le=65_535)
    """The most that one packet carries."""

    @override
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        packets = self.packets(frame_bit)
        on_air = self.attempts * (frame_bit + packets * self.header_bit).astype(float)
        counted = {"bit": float(on_air.sum()), "start": float(len(frame_bit))}
        return Airtime(packets, on_air / self.rate_bps, counted)

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        return {"bit": Price(self.energy_per_bit_j, ("energy_per_bit_j",)), **self._common()}

"""Radios priced by their time in each state, and radios priced by the bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.components.base import Price
from implant_sim.hardware.components.radio_base import Airtime, Radio
from implant_sim.hardware.physics.constants import Constants
from implant_sim.hardware.physics.radio import ble_packet
from sbtt_models.errors import SpecError
from sbtt_models.units import Joules, Watts

__all__ = ["BitRadio", "PacketRadio"]


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

    @property
    @override
    def on_air_w(self) -> float:
        return self.tx_power_w

    @property
    @override
    def overhead_bit(self) -> float:
        return self._packet_s(0.0)[0] * self.rate_bps

    @override
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        packets = self.packets(frame_bit)
        attempts, lost = self._repeats(frame_bit, packets)
        empty_s, receive_s, turn_s = self._packet_s(0.0)
        transmit_s = frame_bit / self.rate_bps + packets * empty_s
        sent = float((attempts * packets).sum())
        counted = {
            "transmit": float((attempts * transmit_s).sum()),
            "receive": sent * receive_s,
            "turn": sent * turn_s,
            "start": float(len(frame_bit)),
        }
        service_s = attempts * (transmit_s + packets * (receive_s + turn_s))
        return Airtime(packets, service_s, lost, counted)

    @override
    def receive(self, bits: float, messages: float = 1.0) -> Mapping[str, float]:
        if bits == 0:
            return {}
        packets = self._down_packets(bits, messages)
        empty_s, acknowledge_s, turn_s = self._packet_s(0.0)
        return {
            "receive": bits / self.rate_bps + packets * empty_s,
            "transmit": packets * acknowledge_s,
            "turn": packets * turn_s,
        }

    @override
    def listening_s(self, heard: Mapping[str, float]) -> float:
        return sum(heard.values())  # one transceiver, whose actions are counted in seconds

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        receive = Price(self.rx_power_w, ("rx_power_w",))
        transmit = Price(self.tx_power_w, ("tx_power_w",))
        return {"transmit": transmit, "receive": receive, "turn": receive, **self._common()}


class BitRadio(Radio):
    """A transmitter priced by the bit on air: payload, and the header of each packet."""

    energy_per_bit_j: Joules = Field(gt=0, le=1e-6)
    """Energy of one bit on air."""
    receive_energy_per_bit_j: Joules | None = Field(None, gt=0, le=1e-6)
    """Energy of one bit from outside. Without it no schedule may send commands to the implant."""
    header_bit: int = Field(48, ge=0, le=4096)
    """Preamble, address, length and CRC of one packet."""
    payload_byte: int = Field(256, ge=1, le=65_535)
    """The most that one packet carries."""

    @property
    @override
    def on_air_w(self) -> float:
        return self.energy_per_bit_j * self.rate_bps

    @property
    @override
    def overhead_bit(self) -> float:
        return float(self.header_bit)

    @override
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        packets = self.packets(frame_bit)
        attempts, lost = self._repeats(frame_bit, packets)
        on_air = attempts * (frame_bit + packets * self.header_bit)
        counted = {"bit": float(on_air.sum()), "start": float(len(frame_bit))}
        return Airtime(packets, on_air / self.rate_bps, lost, counted)

    @override
    def receive(self, bits: float, messages: float = 1.0) -> Mapping[str, float]:
        if bits == 0:
            return {}
        if self.receive_energy_per_bit_j is None:
            raise SpecError(
                f"implant.radio: {bits:g} bits are to be sent to the implant, but this radio has "
                "no price for receiving; set receive_energy_per_bit with its source, use a radio "
                "priced by time (ble, medradio), or a schedule that needs no downlink"
            )
        return {"receive bit": bits + self._down_packets(bits, messages) * self.header_bit}

    @override
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        known = {"bit": Price(self.energy_per_bit_j, ("energy_per_bit_j",)), **self._common()}
        if self.receive_energy_per_bit_j is not None:
            heard = Price(self.receive_energy_per_bit_j, ("receive_energy_per_bit_j",))
            known["receive bit"] = heard
        return known

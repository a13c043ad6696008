"""What radios have in common, priced by their time on air or by the bit."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, PositiveInt, model_validator

from implant_sim.hardware.components.base import Component, Price, Source
from implant_sim.hardware.components.path import AnyPath, LinkBudget, Path
from implant_sim.hardware.physics.constants import BODY
from implant_sim.hardware.physics.link_budget import decibel
from implant_sim.hardware.physics.modulation import Modulation, bit_error_rate, required_eb_n0
from sbtt_models.units import BitsPerSecond, Fraction, Joules, Seconds, Watts

__all__ = ["Airtime", "Radio"]

_MOST_REPEATS = 1000  # a link that needs more is broken, not lossy


@dataclass(frozen=True, slots=True, eq=False)
class Airtime:
    """What sending some frames takes."""

    packets: Int[np.ndarray, " frame"]
    """Packets of each frame, repeats not counted."""
    service_s: Float[np.ndarray, " frame"]
    """Time on air of each frame, expected repeats counted."""
    lost: Float[np.ndarray, " frame"]
    """Probability that a packet of the frame never arrives."""
    actions: Mapping[str, float]


_LOSSLESS = Source(text="every packet arrives; to be set for a real path", kind="derived")
_HEAT_ALL = Source(text="conservative: all of the radio's energy counts as heat", kind="derived")


class Radio(Component):
    """A transmitter that sends the bits of a few bins as one frame of one or more packets."""

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {"packet_loss": _LOSSLESS, "radiated": _HEAT_ALL}
    )
    modulation: ClassVar[Modulation] = "bfsk"
    paths: ClassVar[frozenset[str]] = frozenset({"log_distance", "free_space", "measured"})
    """Models that hold for its band."""
    reflects: ClassVar[bool] = False
    """The carrier comes from outside, which pays for it; the implant only modulates it."""

    price_fields: ClassVar[frozenset[str]] = Component.price_fields | {
        "startup_j",
        "radiated",
        "energy_per_bit_j",
        "tx_power_w",
        "rx_power_w",
    }

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
    """Probability that a packet fails at one attempt, where there is no `path`."""
    path: AnyPath | None = None
    """Gives the packet loss by a link budget."""
    retransmit: bool = True
    """Repeat until acknowledged, at the cost of energy; or lose the packet's bins."""
    max_attempts: PositiveInt | None = None
    """Transmissions after which a packet is given up; default: never."""
    radiated: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the radio's energy that leaves as radiation, and is not heat."""

    @model_validator(mode="after")
    def _possible(self) -> Radio:
        if self.max_attempts is not None and not self.retransmit:
            raise ValueError("max_attempts: there are no repeats with retransmit: false")
        if self.path is not None:
            self._check(self.path)
        return self

    def _check(self, path: Path) -> None:
        model = str(getattr(path, "model", ""))
        if self.packet_loss > 0:
            raise ValueError("packet_loss: follows from path; give one of them")
        if model not in self.paths:
            raise ValueError(
                f"path.model: {model} does not hold for this radio's band; use one of "
                f"{', '.join(sorted(self.paths))}"
            )
        drawn_w, bit_j = self.on_air_w, self.on_air_w / self.rate_bps
        if not self.reflects and path.tx_power_w > drawn_w:
            raise ValueError(
                f"path.tx_power: {path.tx_power_w:g} W radiated is more than the {drawn_w:.3g} W "
                "that the radio draws on air; lower it, or raise the price of a bit"
            )
        if not self.reflects and bit_j < path.limit_j_bit:
            raise ValueError(
                f"path: {bit_j:.3g} J per bit on air is below the physical limit, kT ln 2 times "
                f"{path.net_loss_db + path.extra_loss_db:.1f} dB of loss = "
                f"{path.limit_j_bit:.3g} J; shorten the path, or raise the price of a bit"
            )
        arrives = 1 - self._packet_error(np.array([8.0 * self.payload_byte]))[0]
        if math.isinf(self._most_attempts) and arrives * _MOST_REPEATS < 1:
            raise ValueError(
                f"path: a full packet of {self.payload_byte} bytes arrives with probability "
                f"{arrives:.1e}, so repeats have no end; raise tx_power, shorten the path, lower "
                "rate or payload_byte, or set max_attempts"
            )

    @property
    def _most_attempts(self) -> float:
        if not self.retransmit:
            return 1.0
        return math.inf if self.max_attempts is None else float(self.max_attempts)

    @property
    @abstractmethod
    def on_air_w(self) -> float:
        """Power drawn while transmitting. [W]"""

    @property
    @abstractmethod
    def overhead_bit(self) -> float:
        """Bits of a packet that are not payload. [bit]"""

    @property
    def bit_error_rate(self) -> float:
        """Probability that a bit is wrong; 0 without a path."""
        if self.path is None:
            return 0.0
        eb_n0 = self.path.eb_n0(self.rate_bps, self.reflects)
        return bit_error_rate(self.path.modulation or self.modulation, eb_n0)

    def _packet_error(
        self, payload_bit: Float[np.ndarray, " frame"]
    ) -> Float[np.ndarray, " frame"]:
        """Probability that a packet of so much payload fails at one attempt."""
        if self.path is None:
            return np.full(payload_bit.shape, self.packet_loss)
        bits = payload_bit + self.overhead_bit
        # packet_error_rate of each length
        return -np.expm1(bits * math.log1p(-self.bit_error_rate))

    def _repeats(
        self, frame_bit: Int[np.ndarray, " frame"], packets: Int[np.ndarray, " frame"]
    ) -> tuple[Float[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
        """Mean attempts for each packet, and the probability that all of them fail."""
        error, most = self._packet_error(frame_bit / packets), self._most_attempts
        lost = error**most
        certain = error == 1
        attempts = (1 - lost) / np.where(certain, 1.0, 1 - error)
        return np.where(certain, most, attempts), lost

    def packets(self, frame_bit: Int[np.ndarray, " frame"]) -> Int[np.ndarray, " frame"]:
        """Packets of each frame: at least one, or its silence could not be told from a loss."""
        return np.maximum(1, -(-frame_bit // (8 * self.payload_byte)))

    def _down_packets(self, bits: float, messages: float) -> float:
        """Packets of so many bits from outside, at least one for each message."""
        return messages * max(1, math.ceil(bits / messages / (8 * self.payload_byte)))

    @property
    def throughput_bps(self) -> float:
        """The most payload that goes through, packets back to back. [bit/s]"""
        full = np.array([8 * self.payload_byte])
        return float(8 * self.payload_byte / self.send(full).service_s[0])

    @property
    def energy_per_payload_bit_j(self) -> float:
        """Energy of a bit of payload in full packets, back to back. [J/bit]

        With header, acknowledgement and repeats; start-up is left out, since one start serves a
        frame of many packets.
        """
        full = 8 * self.payload_byte
        spent, prices = self.send(np.array([full])).actions, self.prices(BODY)
        return sum(n * prices[name].value_j for name, n in spent.items() if name != "start") / full

    @property
    def link_budget(self) -> LinkBudget | None:
        """What the path leaves of a bit; None without a path."""
        path = self.path
        if path is None:
            return None
        eb_n0 = path.eb_n0(self.rate_bps, self.reflects)
        needed = required_eb_n0(path.modulation or self.modulation, path.error_rate)
        spent = self.energy_per_payload_bit_j
        return LinkBudget(
            path_loss_db=path.net_loss_db,
            received_w=path.received_w(self.reflects),
            eb_n0_db=decibel(eb_n0),
            bit_error_rate=self.bit_error_rate,
            packet_error_rate=float(self._packet_error(np.array([8.0 * self.payload_byte]))[0]),
            margin_db=decibel(eb_n0 / needed),
            energy_j_bit=spent,
            limit_j_bit=path.limit_j_bit,
            over_limit_db=None if self.reflects else decibel(spent / path.limit_j_bit),
        )

    @abstractmethod
    def send(self, frame_bit: Int[np.ndarray, " frame"]) -> Airtime:
        """Count what it takes to send frames of so many payload bits."""

    @abstractmethod
    def receive(self, bits: float, messages: float = 1.0) -> Mapping[str, float]:
        """Count what it takes to receive bits from outside.

        The radio is on for its own frames anyhow, so no start is counted; the transmitter outside
        is strong, so nothing is repeated.

        Parameters
        ----------
        bits : float
            Payload of all messages together; for 0 nothing is counted. [bit]
        messages : float
            Each takes a packet at least.

        Returns
        -------
        mapping of str to float
            Counted actions.

        Raises
        ------
        SpecError
            Where the radio has no price for receiving.
        """

    def listening_s(self, heard: Mapping[str, float]) -> float:  # noqa: ARG002 - of some radios
        """Time in which it cannot send since it hears: none with a receiver of its own. [s]

        Parameters
        ----------
        heard : mapping of str to float
            As `receive` counts it.
        """
        return 0.0

    def _common(self) -> dict[str, Price]:
        return {
            "start": Price(self.startup_j, ("startup_j",)),
            "idle": Price(self.idle_power_w, ("idle_power_w",)),
        }

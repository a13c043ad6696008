"""What lies between implant and receiver: its loss, and what the receiver makes of the rest."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.hardware.components.base import Block, Source
from implant_sim.hardware.physics.information import shannon_limit_j_bit
from implant_sim.hardware.physics.link_budget import (
    free_space_loss_db,
    log_distance_loss_db,
    noise_density_j,
    ratio,
    received_eb_n0,
    ultrasound_loss_db,
)
from implant_sim.hardware.physics.modulation import Modulation
from sbtt_models.units import Hertz, Metres, Watts

__all__ = ["AnyPath", "LinkBudget", "Path"]


@dataclass(frozen=True, slots=True)
class LinkBudget:
    """What a path leaves of a bit, and how far the implant's bit lies above the physical limit."""

    path_loss_db: float
    """One way, less the gain of the antennas."""
    received_w: float
    eb_n0_db: float
    bit_error_rate: float
    packet_error_rate: float
    """Of a full packet."""
    margin_db: float
    """Loss that could come on top before bits are wrong as often as `path.error_rate`."""
    energy_j_bit: float
    """What the implant spends on a bit of payload in full packets."""
    limit_j_bit: float
    """The least that any radiated bit takes through this path, kT ln 2 times its loss."""
    over_limit_db: float | None
    """`energy_j_bit` over `limit_j_bit`; None where the implant radiates nothing of its own."""


class Path(Block):
    """A path, what is sent into it and what listens at its end.

    With a path, `radio.packet_loss` follows from the length of each packet. Where the implant
    reflects a carrier (backscatter, ultrasound) `tx_power` is the carrier's, sent from outside,
    and the loss counts both ways.
    """

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType(
        {
            "antenna_gain_db": Source(text="isotropic, or part of the loss", kind="derived"),
            "extra_loss_db": Source(
                text="median of the path, nothing lost beside", kind="derived"
            ),
            "error_rate": Source(text="design target of MINDFUL, MICRO 2025", kind="measured"),
        }
    )

    tx_power_w: Watts = Field(gt=0, le=100)
    """Into the antenna."""
    noise_figure_db: float = Field(ge=0, le=60)
    """Of the receiver. [dB]"""
    antenna_gain_db: float = Field(0.0, ge=-100, le=60)
    """Of both antennas together. [dB]"""
    extra_loss_db: float = Field(0.0, ge=0, le=200)
    """Shadowing beyond the median, polarisation, depth of modulation. [dB]"""
    modulation: Modulation | None = None
    """Default: the radio's own."""
    error_rate: float = Field(1e-6, gt=0, lt=0.5)
    """Of bits, that the margin is counted from."""

    @abstractmethod
    def loss_db(self) -> float:
        """Loss one way between isotropic antennas, without `extra_loss`. [dB]"""

    @property
    def net_loss_db(self) -> float:
        """Loss one way, less the gain of the antennas. [dB]"""
        return self.loss_db() - self.antenna_gain_db

    def received_w(self, reflects: bool) -> float:
        """Power at the receiver; `reflects` where the carrier goes both ways. [W]"""
        return self.tx_power_w / ratio(
            (2 if reflects else 1) * self.net_loss_db + self.extra_loss_db
        )

    def eb_n0(self, rate_bps: float, reflects: bool) -> float:
        """Energy of a received bit over the noise density, a ratio."""
        noise_j = noise_density_j(self.noise_figure_db)
        return received_eb_n0(self.received_w(reflects), 0.0, rate_bps, noise_j)

    @property
    def limit_j_bit(self) -> float:
        """The least that a radiated bit takes, kT ln 2 times the loss. [J/bit]"""
        return shannon_limit_j_bit(self.net_loss_db + self.extra_loss_db)


@dataclass(frozen=True, slots=True)
class _Cm2:
    loss_db: float
    exponent: float


_CM2_REFERENCE_M = 0.05
# recalled from Sayrafian-Pour et al., PIMRC 2009: standard deviations 7.85, 6.81 and 8.18 dB
_CM2 = {
    "deep_implant": _Cm2(47.14, 4.26),
    "near_surface": _Cm2(49.81, 4.22),
    "implant_to_implant": _Cm2(35.04, 6.26),
}


class BodyPath(Path):
    """Model CM2 of IEEE 802.15.6 for 402 to 405 MHz, fitted from 50 mm on.

    From a deep implant or one near the surface to the skin, or between two deep ones. One standard
    deviation of the shadowing is 7.85, 6.81 and 8.18 dB: what `extra_loss` may hold. Recalled from
    Sayrafian-Pour et al., PIMRC 2009.
    """

    model: Literal["deep_implant", "near_surface", "implant_to_implant"]
    distance_m: Metres = Field(ge=_CM2_REFERENCE_M, le=1)

    @override
    def loss_db(self) -> float:
        law = _CM2[self.model]
        return log_distance_loss_db(self.distance_m, law.loss_db, _CM2_REFERENCE_M, law.exponent)


class LogDistancePath(Path):
    """A log-distance law of one's own."""

    model: Literal["log_distance"] = "log_distance"
    distance_m: Metres = Field(gt=0, le=1000)
    reference_distance_m: Metres = Field(gt=0, le=1000)
    reference_loss_db: float = Field(ge=0, le=300)
    """At the reference distance. [dB]"""
    exponent: float = Field(gt=0, le=20)
    """2 in free space, about 4 inside a body."""

    @override
    def loss_db(self) -> float:
        return log_distance_loss_db(
            self.distance_m, self.reference_loss_db, self.reference_distance_m, self.exponent
        )


class FreeSpacePath(Path):
    """Free space, beyond the near field."""

    model: Literal["free_space"] = "free_space"
    distance_m: Metres = Field(gt=0, le=1e6)
    frequency_hz: Hertz = Field(gt=0, le=1e15)

    @model_validator(mode="after")
    def _far(self) -> FreeSpacePath:
        near_m = 299_792_458.0 / (2 * math.pi * self.frequency_hz)
        if self.distance_m < near_m:
            raise ValueError(
                f"distance: {self.distance_m:g} m is within the near field, which ends at "
                f"{near_m:.3g} m at {self.frequency_hz:g} Hz; use model: measured or log_distance"
            )
        return self

    @override
    def loss_db(self) -> float:
        return free_space_loss_db(self.distance_m, self.frequency_hz)


class UltrasoundPath(Path):
    """A collimated ultrasonic beam that tissue absorbs; transducers belong to `extra_loss`."""

    model: Literal["ultrasound"] = "ultrasound"
    distance_m: Metres = Field(gt=0, le=1)
    frequency_hz: Hertz = Field(gt=0, le=1e8)
    attenuation_db_cm_mhz: float = Field(gt=0, le=20)
    """0.5 to 1 in soft tissue. [dB/(cm MHz)]"""

    @override
    def loss_db(self) -> float:
        return ultrasound_loss_db(self.distance_m, self.frequency_hz, self.attenuation_db_cm_mhz)


class MeasuredPath(Path):
    """A path whose loss was measured."""

    model: Literal["measured"] = "measured"
    path_loss_db: float = Field(ge=0, le=300)
    """One way. [dB]"""

    @override
    def loss_db(self) -> float:
        return self.path_loss_db


AnyPath = Annotated[
    BodyPath | LogDistancePath | FreeSpacePath | UltrasoundPath | MeasuredPath,
    Field(discriminator="model"),
]

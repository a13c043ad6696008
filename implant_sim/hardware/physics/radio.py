"""Packets: their time on air, their loss, and what a bit of payload costs with all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "BlePacket",
    "ble_packet",
    "expected_attempts",
    "lost_for_good",
    "packet_error_rate",
    "payload_energy_j_bit",
    "undetected_error_rate",
]

BLE_IFS_S = 150e-6  # Bluetooth Core, Vol 6 Part B 4.1: time between packets
_BLE_HEADERS_BYTE = 4 + 2 + 4 + 3 + 3  # access address, header, L2CAP, ATT, CRC


@dataclass(frozen=True, slots=True)
class BlePacket:
    """Durations of one data packet and its acknowledgement. [s]"""

    transmit_s: float
    receive_s: float
    turn_s: float
    """The two inter-frame spaces, one before and one after the acknowledgement."""

    @property
    def total_s(self) -> float:
        """From the start of one packet to the start of the next. [s]"""
        return self.transmit_s + self.receive_s + self.turn_s


def ble_packet(payload_byte: float, rate_bps: float) -> BlePacket:
    """Time on air of an application payload over Bluetooth Low Energy.

    Preamble 1 byte (2 at 2 Mb/s), access address 4, header 2, L2CAP 4, ATT 3, CRC 3; the
    acknowledgement is an empty packet.

    Parameters
    ----------
    payload_byte : float
        Application payload, up to 244 bytes. [byte]
    rate_bps : float
        Rate of the physical layer, 1e6 or 2e6. [bit/s]

    Returns
    -------
    BlePacket
        Durations.

    References
    ----------
    .. [1] Bluetooth Core Specification 5, Vol 6 Part B (recalled).

    Examples
    --------
    >>> [round(244 * 8 / ble_packet(244, rate).total_s / 1e6, 3) for rate in (1e6, 2e6)]
    [0.791, 1.402]
    """
    preamble = 2 if rate_bps > 1.5e6 else 1
    transmit = 8 * (preamble + _BLE_HEADERS_BYTE + payload_byte) / rate_bps
    return BlePacket(transmit, 8 * (preamble + 4 + 2 + 3) / rate_bps, 2 * BLE_IFS_S)


def packet_error_rate(bit_error_rate: float, bits: float) -> float:
    """Probability that a packet holds an error, ``1 - (1 - BER)^L``.

    Parameters
    ----------
    bit_error_rate : float
        Probability that a bit is wrong.
    bits : float
        Length of the packet. [bit]

    Returns
    -------
    float
        Probability.

    References
    ----------
    .. [1] Independent bit errors.

    Examples
    --------
    >>> round(packet_error_rate(1e-6, 2088), 6)
    0.002086
    """
    return -math.expm1(bits * math.log1p(-bit_error_rate))


def expected_attempts(packet_loss: float, most: float = math.inf) -> float:
    """Mean transmissions until one is acknowledged or the sender gives up.

    ``(1 - p^m) / (1 - p)``, which is ``1 / (1 - p)`` for a sender that never gives up.

    Parameters
    ----------
    packet_loss : float
        p, probability that an attempt fails; below 1 where `most` is infinite.
    most : float
        m, attempts after which a packet is given up.

    Returns
    -------
    float
        Attempts.

    References
    ----------
    .. [1] Mean of a truncated geometric distribution.

    Examples
    --------
    >>> expected_attempts(0.2), expected_attempts(0.5, 2), expected_attempts(1.0, 3)
    (1.25, 1.5, 3)
    """
    if packet_loss == 1:
        return most
    return (1 - lost_for_good(packet_loss, most)) / (1 - packet_loss)


def lost_for_good(packet_loss: float, most: float) -> float:
    """Probability that none of so many attempts succeeds, ``p^m``.

    Parameters
    ----------
    packet_loss : float
        p, probability that an attempt fails.
    most : float
        m, attempts; infinite for a sender that never gives up.

    Returns
    -------
    float
        Probability.

    References
    ----------
    .. [1] Independent attempts.

    Examples
    --------
    >>> lost_for_good(0.5, 2), lost_for_good(0.5, math.inf)
    (0.25, 0.0)
    """
    return packet_loss**most


def undetected_error_rate(packet_error: float, crc_bits: int) -> float:
    """Probability that a packet is wrong and its checksum right, ``PER 2^-c``.

    Parameters
    ----------
    packet_error : float
        Probability that a packet holds an error.
    crc_bits : int
        c, width of the checksum. [bit]

    Returns
    -------
    float
        Probability.

    References
    ----------
    .. [1] A checksum takes any of its values for a random error.

    Examples
    --------
    >>> f"{undetected_error_rate(0.01, 24):.0e}"
    '6e-10'
    """
    return packet_error * 2.0**-crc_bits


def payload_energy_j_bit(
    transmit_j: float,
    receive_j: float,
    turn_j: float,
    startup_j: float,
    payload_bit: float,
    packet_error: float = 0.0,
) -> float:
    r"""Energy of one bit of the application's payload, all that its packet takes included.

    .. math:: E = \frac{P_{tx} t_{tx} + P_{rx} t_{ack} + P_{idle} t_{ifs} + E_{start}}
        {\mathrm{payload}\,(1 - \mathrm{PER})}

    Parameters
    ----------
    transmit_j : float
        Preamble, address, header, payload and checksum of one packet. [J]
    receive_j : float
        Its acknowledgement. [J]
    turn_j : float
        The spaces between them. [J]
    startup_j : float
        Oscillator and PLL, or a packet's share of it. [J]
    payload_bit : float
        Payload of one packet. [bit]
    packet_error : float
        Probability that it has to be repeated, below 1.

    Returns
    -------
    float
        Energy. [J/bit]

    References
    ----------
    .. [1] Energy balance of one packet, repeated until it arrives.

    Examples
    --------
    nRF52840 at 3 V, 244 bytes at 1 Mb/s, packets back to back:

    >>> t = ble_packet(244, 1e6)
    >>> on, heard = 6.40e-3 * 3, 6.26e-3 * 3
    >>> e = payload_energy_j_bit(on * t.transmit_s, heard * t.receive_s, heard * t.turn_s, 0, 1952)
    >>> f"{1e9 * e:.2f} nJ"
    '24.19 nJ'
    """
    once = transmit_j + receive_j + turn_j + startup_j
    return expected_attempts(packet_error) * once / payload_bit

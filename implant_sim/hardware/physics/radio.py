"""Radio arithmetic: Bluetooth packets, packet loss, and QAM against a path loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BlePacket", "ble_packet", "expected_attempts", "packet_error_rate", "qam_energy_j_bit"]

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


def expected_attempts(packet_loss: float) -> float:
    """Mean number of transmissions until one is acknowledged, ``1 / (1 - loss)``.

    Parameters
    ----------
    packet_loss : float
        Probability that an attempt fails, below 1.

    Returns
    -------
    float
        Attempts.

    References
    ----------
    .. [1] Mean of a geometric distribution.

    Examples
    --------
    >>> expected_attempts(0.2)
    1.25
    """
    return 1 / (1 - packet_loss)


def _erfc_inverse(value: float) -> float:
    low, high = 0.0, 27.0  # erfc(27) is the least positive double
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if math.erfc(middle) > value else (low, middle)
    return 0.5 * (low + high)


def qam_energy_j_bit(
    bits_per_symbol: int,
    bit_error_rate: float = 1e-6,
    path_loss_db: float = 60.0,
    margin_db: float = 20.0,
    noise_j: float = 4.29e-21,
    efficiency: float = 0.15,
) -> float:
    r"""Transmitter energy per bit of quadrature amplitude modulation.

    From :math:`\mathrm{BER} = \frac{2}{n}(1 - 2^{-n/2}) \,\mathrm{erfc}
    \sqrt{\frac{3 n}{2 (2^n - 1)} \frac{E_b}{N_0}}`; the amplifier's efficiency falls as 1/n.

    Parameters
    ----------
    bits_per_symbol : int
        n, at least 1. [bit]
    bit_error_rate : float
        Target.
    path_loss_db, margin_db : float
        Loss of the path and margin kept. [dB]
    noise_j : float
        Noise density at the receiver. [J]
    efficiency : float
        Of the power amplifier at n = 1.

    Returns
    -------
    float
        Energy per bit. [J/bit]

    References
    ----------
    .. [1] G. Eichler et al., MINDFUL, MICRO 2025.

    Examples
    --------
    >>> [round(1e12 * qam_energy_j_bit(n), 1) for n in (1, 2, 3, 4)]
    [21.8, 64.6, 148.9, 315.2]
    """
    n, m = bits_per_symbol, 2.0**bits_per_symbol
    root = _erfc_inverse(bit_error_rate * n / (2 * (1 - 1 / math.sqrt(m))))
    eb_n0 = root**2 * 2 * (m - 1) / (3 * n)
    return eb_n0 * noise_j * 10 ** ((path_loss_db + margin_db) / 10) / (efficiency / n)

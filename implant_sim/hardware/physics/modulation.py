"""Bit errors against Eb/N0, and back; the energy of a bit of QAM through a path."""

from __future__ import annotations

import math
from typing import Literal

__all__ = [
    "Modulation",
    "bit_error_rate",
    "bpsk_error_rate",
    "noncoherent_error_rate",
    "qam_energy_j_bit",
    "qam_error_rate",
    "required_eb_n0",
]

Modulation = Literal["ook", "bfsk", "bpsk", "qam16", "qam64"]

_QAM_BITS = {"qam16": 4, "qam64": 6}


def noncoherent_error_rate(eb_n0: float) -> float:
    r"""Bit errors of on-off keying or binary FSK, detected by envelope.

    .. math:: \mathrm{BER} = \tfrac12 e^{-E_b / 2 N_0}

    For on-off keying :math:`E_b` is the mean over ones and zeros, at its best threshold and well
    above the noise.

    Parameters
    ----------
    eb_n0 : float
        Energy per bit over noise density, a ratio.

    Returns
    -------
    float
        Probability that a bit is wrong.

    References
    ----------
    .. [1] J. Proakis, "Digital Communications", McGraw-Hill, 2001.

    Examples
    --------
    >>> f"{noncoherent_error_rate(10 ** 1.35):.0e}"  # 13.5 dB
    '7e-06'
    """
    return 0.5 * math.exp(-eb_n0 / 2)


def bpsk_error_rate(eb_n0: float) -> float:
    r"""Bit errors of binary phase-shift keying, coherent.

    .. math:: \mathrm{BER} = \tfrac12 \operatorname{erfc} \sqrt{E_b / N_0}

    Parameters
    ----------
    eb_n0 : float
        Energy per bit over noise density, a ratio.

    Returns
    -------
    float
        Probability that a bit is wrong.

    References
    ----------
    .. [1] J. Proakis, "Digital Communications", McGraw-Hill, 2001.

    Examples
    --------
    >>> f"{bpsk_error_rate(10 ** 0.96):.0e}"  # 9.6 dB
    '1e-05'
    """
    return 0.5 * math.erfc(math.sqrt(eb_n0))


def qam_error_rate(eb_n0: float, bits_per_symbol: int) -> float:
    r"""Bit errors of quadrature amplitude modulation with Gray labels.

    .. math:: \mathrm{BER} = \frac{2}{n}(1 - 2^{-n/2}) \operatorname{erfc}
        \sqrt{\frac{3 n}{2 (2^n - 1)} \frac{E_b}{N_0}}

    Parameters
    ----------
    eb_n0 : float
        Energy per bit over noise density, a ratio.
    bits_per_symbol : int
        n, at least 1. [bit]

    Returns
    -------
    float
        Probability that a bit is wrong, at most a half.

    References
    ----------
    .. [1] G. Eichler et al., MINDFUL, MICRO 2025.

    Examples
    --------
    >>> f"{qam_error_rate(10.0, 4):.1e}"
    '1.8e-03'
    """
    n, m = bits_per_symbol, 2.0**bits_per_symbol
    root = math.sqrt(3 * n / (2 * (m - 1)) * eb_n0)
    return min(0.5, 2 / n * (1 - 1 / math.sqrt(m)) * math.erfc(root))


def bit_error_rate(modulation: Modulation, eb_n0: float) -> float:
    """Bit errors of a modulation by its name.

    Parameters
    ----------
    modulation : str
        On-off keying and binary FSK are detected by envelope, the others coherently.
    eb_n0 : float
        Energy per bit over noise density, a ratio.

    Returns
    -------
    float
        Probability that a bit is wrong.

    References
    ----------
    .. [1] See the function of each modulation.

    Examples
    --------
    >>> bit_error_rate("ook", 20.0) == bit_error_rate("bfsk", 20.0) > bit_error_rate("bpsk", 20.0)
    True
    """
    if modulation in _QAM_BITS:
        return qam_error_rate(eb_n0, _QAM_BITS[modulation])
    return bpsk_error_rate(eb_n0) if modulation == "bpsk" else noncoherent_error_rate(eb_n0)


def required_eb_n0(modulation: Modulation, error_rate: float) -> float:
    """Energy per bit over noise density at which bits are wrong so often.

    Parameters
    ----------
    modulation : str
        As in `bit_error_rate`.
    error_rate : float
        Probability that a bit is wrong, between 0 and a half.

    Returns
    -------
    float
        A ratio.

    References
    ----------
    .. [1] The inverse of `bit_error_rate`, by bisection of its logarithm.

    Examples
    --------
    >>> round(10 * math.log10(required_eb_n0("bpsk", 1e-6)), 2)
    10.53
    """
    low, high = -6.0, 6.0  # of log10: from hopeless to far beyond any error that a double can hold
    for _ in range(100):
        middle = 0.5 * (low + high)
        too_many = bit_error_rate(modulation, 10**middle) > error_rate
        low, high = (middle, high) if too_many else (low, middle)
    return float(10 ** (0.5 * (low + high)))


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

    From the bit errors of `qam_error_rate`; the amplifier's efficiency falls as 1/n.

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

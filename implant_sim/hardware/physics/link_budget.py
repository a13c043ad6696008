"""What a path leaves of a transmitter's power, and how that stands against the noise."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.constants import BODY

__all__ = [
    "decibel",
    "free_space_loss_db",
    "log_distance_loss_db",
    "noise_density_j",
    "ratio",
    "received_eb_n0",
    "ultrasound_loss_db",
]

_LIGHT_M_S = 299_792_458.0  # exact


def ratio(decibels: float) -> float:
    """Ratio of powers of so many decibels, ``10^(dB/10)``.

    Parameters
    ----------
    decibels : float
        [dB]

    Returns
    -------
    float
        Ratio.

    References
    ----------
    .. [1] Definition.

    Examples
    --------
    >>> ratio(30.0)
    1000.0
    """
    return float(10 ** (decibels / 10))


def decibel(power_ratio: float) -> float:
    """Decibels of a ratio of powers, ``10 log10(ratio)``.

    Parameters
    ----------
    power_ratio : float
        0 or more.

    Returns
    -------
    float
        Minus infinity for 0. [dB]

    References
    ----------
    .. [1] Definition.

    Examples
    --------
    >>> decibel(1000.0), decibel(0.0)
    (30.0, -inf)
    """
    return 10 * math.log10(power_ratio) if power_ratio > 0 else -math.inf


def log_distance_loss_db(
    distance_m: float, reference_db: float, reference_m: float, exponent: float
) -> float:
    """Path loss by the log-distance law, ``PL0 + 10 n log10(d / d0)``.

    Parameters
    ----------
    distance_m : float
        From transmitter to receiver. [m]
    reference_db : float
        Loss at the reference distance. [dB]
    reference_m : float
        Reference distance. [m]
    exponent : float
        n: 2 in free space, about 4 inside a body.

    Returns
    -------
    float
        Median loss. [dB]

    References
    ----------
    .. [1] K. Sayrafian-Pour et al., "A statistical path loss model for medical implant
       communication channels", PIMRC 2009.

    Examples
    --------
    A deep implant, 402 to 405 MHz, 10 cm below the skin:

    >>> round(log_distance_loss_db(0.10, 47.14, 0.05, 4.26), 1)
    60.0
    """
    return reference_db + 10 * exponent * math.log10(distance_m / reference_m)


def free_space_loss_db(distance_m: float, frequency_hz: float) -> float:
    """Path loss in free space, ``20 log10(4 pi d f / c)``; valid beyond ``c / (2 pi f)``.

    Parameters
    ----------
    distance_m : float
        From transmitter to receiver. [m]
    frequency_hz : float
        Of the carrier. [Hz]

    Returns
    -------
    float
        Loss. [dB]

    References
    ----------
    .. [1] H. Friis, "A note on a simple transmission formula", Proc. IRE 34, 1946.

    Examples
    --------
    >>> round(free_space_loss_db(1.0, 2.44e9), 1)
    40.2
    """
    return 20 * math.log10(4 * math.pi * distance_m * frequency_hz / _LIGHT_M_S)


def ultrasound_loss_db(
    distance_m: float, frequency_hz: float, attenuation_db_cm_mhz: float
) -> float:
    """Loss of a collimated ultrasonic beam by absorption: attenuation, depth and frequency.

    Parameters
    ----------
    distance_m : float
        Depth. [m]
    frequency_hz : float
        Of the carrier. [Hz]
    attenuation_db_cm_mhz : float
        Of the tissue, 0.5 to 1. [dB/(cm MHz)]

    Returns
    -------
    float
        Loss, without that of the transducers. [dB]

    References
    ----------
    .. [1] Attenuation of soft tissue is about proportional to frequency.

    Examples
    --------
    >>> ultrasound_loss_db(0.05, 1e6, 0.5)
    2.5
    """
    return attenuation_db_cm_mhz * distance_m * 1e2 * frequency_hz * 1e-6


def noise_density_j(noise_figure_db: float, temperature_k: float = BODY.temperature_k) -> float:
    """Noise density at a receiver's input, ``k T F``.

    Parameters
    ----------
    noise_figure_db : float
        F, of the receiver. [dB]
    temperature_k : float
        Of what the antenna looks at: the body. [K]

    Returns
    -------
    float
        Noise power in one hertz. [J]

    References
    ----------
    .. [1] H. Friis, "Noise figures of radio receivers", Proc. IRE 32, 1944.

    Examples
    --------
    >>> f"{noise_density_j(0.0):.2e}"
    '4.28e-21'
    """
    return BODY.boltzmann_j_k * temperature_k * ratio(noise_figure_db)


def received_eb_n0(power_w: float, loss_db: float, rate_bps: float, noise_j: float) -> float:
    """Energy of a received bit over the noise density, ``P / (loss rate N0)``.

    Parameters
    ----------
    power_w : float
        Radiated. [W]
    loss_db : float
        Between transmitter and receiver, less the gain of the antennas. [dB]
    rate_bps : float
        Bits on air. [bit/s]
    noise_j : float
        Noise density at the receiver. [J]

    Returns
    -------
    float
        A ratio.

    References
    ----------
    .. [1] J. Proakis, "Digital Communications", McGraw-Hill, 2001.

    Examples
    --------
    25 uW through 60 dB at 800 kb/s:

    >>> round(decibel(received_eb_n0(25e-6, 60.0, 800e3, noise_density_j(6.0))), 1)
    32.6
    """
    return power_w / (ratio(loss_db) * rate_bps * noise_j)

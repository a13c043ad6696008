"""Recording amplifiers: noise, current, power, and what waking one costs."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.constants import BODY, Constants

__all__ = [
    "high_pass_recovery_s",
    "least_pef_v",
    "nef",
    "nef_current_a",
    "nef_power_w",
    "pef",
    "pef_power_w",
]


def _ideal_a_v2(bandwidth_hz: float, constants: Constants) -> float:
    """Current of an ideal bipolar transistor times its squared noise. [A V^2]"""
    thermal = constants.thermal_voltage_v * 4 * constants.thermal_energy_j
    return math.pi * thermal * bandwidth_hz / 2


def nef(
    noise_v: float, current_a: float, bandwidth_hz: float, constants: Constants = BODY
) -> float:
    r"""Noise efficiency factor of an amplifier.

    .. math:: \mathrm{NEF} = v_n \sqrt{2 I / (\pi \, U_T \, 4 k T \, B)}

    Parameters
    ----------
    noise_v : float
        Input-referred noise over the band, rms. [V]
    current_a : float
        Total supply current. [A]
    bandwidth_hz : float
        Width of the band. [Hz]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        1 for a single ideal bipolar transistor; below it only stacked stages.

    References
    ----------
    .. [1] M. Steyaert, W. Sansen, "A micropower low-noise monolithic instrumentation amplifier for
       medical purposes", IEEE J. Solid-State Circuits 22, 1987.

    Examples
    --------
    A 65 nm chopper, published as 3.3 at 300 K:

    >>> room = Constants(1.380649e-23, 300.0, 0.02585)
    >>> round(nef(1.6e-6, 2.3e-6 / 0.8, 1000.0, room), 1)
    3.3
    """
    return noise_v * math.sqrt(current_a / _ideal_a_v2(bandwidth_hz, constants))


def nef_current_a(
    nef: float, noise_v: float, bandwidth_hz: float, constants: Constants = BODY
) -> float:
    r"""Supply current that an amplifier of known NEF needs for its noise.

    .. math:: I = (\mathrm{NEF} / v_n)^2 \, \pi \, U_T \, 4 k T \, B / 2

    White noise only: not valid below the 1/f corner unless the amplifier chops.

    Parameters
    ----------
    nef : float
        Noise efficiency factor.
    noise_v : float
        Input-referred noise over the band, rms. [V]
    bandwidth_hz : float
        Width of the band. [Hz]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Total supply current. [A]

    References
    ----------
    .. [1] Steyaert & Sansen 1987 (see `nef`); used so by Karpowicz et al. 2024.

    Examples
    --------
    >>> f"{nef_current_a(4.0, 2e-6, 1000.0):.3g}"
    '2.88e-06'
    """
    return (nef / noise_v) ** 2 * _ideal_a_v2(bandwidth_hz, constants)


def nef_power_w(
    nef: float,
    noise_v: float,
    bandwidth_hz: float,
    supply_v: float,
    constants: Constants = BODY,
) -> float:
    """Power of an amplifier of known NEF: `nef_current_a` times the supply.

    Parameters
    ----------
    nef : float
        Noise efficiency factor.
    noise_v : float
        Input-referred noise over the band, rms. [V]
    bandwidth_hz : float
        Width of the band. [Hz]
    supply_v : float
        Supply voltage. [V]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Power of one amplifier. [W]

    References
    ----------
    .. [1] B. Karpowicz et al. 2024, figure 1b: snel-repo/power-calculations.

    Examples
    --------
    >>> from implant_sim.hardware.physics.constants import KARPOWICZ2024
    >>> f"{1e6 * nef_power_w(4.0, 2e-6, 700.0, 3.3, KARPOWICZ2024):.4f}"  # 300 to 1000 Hz
    '6.6314'
    """
    return supply_v * nef_current_a(nef, noise_v, bandwidth_hz, constants)


def pef(nef: float, supply_v: float) -> float:
    """Power efficiency factor, ``NEF^2 * supply``. [V]

    Parameters
    ----------
    nef : float
        Noise efficiency factor.
    supply_v : float
        Supply voltage. [V]

    Returns
    -------
    float
        Power efficiency factor. [V]

    References
    ----------
    .. [1] R. Muller et al., IEEE J. Solid-State Circuits 47, 2012.

    Examples
    --------
    >>> round(pef(3.3, 0.8), 1)
    8.7
    """
    return nef**2 * supply_v


def pef_power_w(
    pef_v: float, noise_v: float, bandwidth_hz: float, constants: Constants = BODY
) -> float:
    r"""Power of an amplifier of known PEF, where its supply is not published.

    .. math:: P = \mathrm{PEF} \, \pi \, U_T \, 4 k T \, B / (2 v_n^2)

    Parameters
    ----------
    pef_v : float
        Power efficiency factor. [V]
    noise_v : float
        Input-referred noise over the band, rms. [V]
    bandwidth_hz : float
        Width of the band. [Hz]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Power of one amplifier. [W]

    References
    ----------
    .. [1] R. Muller et al., IEEE J. Solid-State Circuits 47, 2012.

    Examples
    --------
    >>> pef_power_w(pef(4.0, 3.3), 2e-6, 700.0) == nef_power_w(4.0, 2e-6, 700.0, 3.3)
    True
    """
    return pef_v * _ideal_a_v2(bandwidth_hz, constants) / noise_v**2


def high_pass_recovery_s(low_cut_hz: float, bits: float) -> float:
    """Time for a full-scale offset to decay below one LSB in an AC-coupled input.

    ``t = bits ln 2 / (2 pi f)``: the capacitor of the high-pass has to be charged again.

    Parameters
    ----------
    low_cut_hz : float
        Corner of the high-pass. [Hz]
    bits : float
        Resolution to settle to. [bit]

    Returns
    -------
    float
        Settling time. [s]

    References
    ----------
    .. [1] Decay of a one-pole high-pass, exp(-2 pi f t).

    Examples
    --------
    >>> f"{1e3 * high_pass_recovery_s(300.0, 10):.1f} ms, {high_pass_recovery_s(1.0, 10):.1f} s"
    '3.7 ms, 1.1 s'
    """
    return bits * math.log(2) / (2 * math.pi * low_cut_hz)


def least_pef_v(constants: Constants = BODY) -> float:
    """The least power efficiency factor, ``4 U_T``: no amplifier lies below.

    A transistor in weak inversion needs about 4 U_T across it to be a current source, and its NEF
    is at least 1. N of them stacked on one current divide the square of the NEF by N, and need N
    times the supply. Published amplifiers begin near 1 V.

    Parameters
    ----------
    constants : Constants
        Temperature.

    Returns
    -------
    float
        Power efficiency factor. [V]

    References
    ----------
    .. [1] E. Vittoz, J. Fellrath, IEEE J. Solid-State Circuits 12, 1977 (recalled).

    Examples
    --------
    >>> round(least_pef_v(), 3)
    0.107
    """
    return 4 * constants.thermal_voltage_v

"""Sampling and rounding: the step of a converter, its noise, the capacitor that takes a sample."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.constants import BODY, Constants

__all__ = ["least_sampling_capacitance_f", "lsb_v", "quantisation_noise_v"]


def lsb_v(full_scale_v: float, gain: float, bits: float) -> float:
    """One step of a converter, at the input of the amplifier before it: ``V_FS / (G 2^B)``.

    Parameters
    ----------
    full_scale_v : float
        Range of the converter, peak to peak. [V]
    gain : float
        Of the amplifier. [V/V]
    bits : float
        Resolution. [bit]

    Returns
    -------
    float
        Least significant bit. [V]

    References
    ----------
    .. [1] Definition of the least significant bit.

    Examples
    --------
    Neuropixels 1.0, 10 bits of 1.2 V at a gain of 500:

    >>> f"{1e6 * lsb_v(1.2, 500, 10):.2f} uV"
    '2.34 uV'
    """
    return full_scale_v / (gain * 2.0**bits)


def quantisation_noise_v(lsb_v: float) -> float:
    """Noise of rounding, ``LSB / sqrt(12)``, where a signal covers several steps.

    Parameters
    ----------
    lsb_v : float
        One step. [V]

    Returns
    -------
    float
        Noise, rms. [V]

    References
    ----------
    .. [1] W. R. Bennett, Bell Syst. Tech. J. 27, 1948.

    Examples
    --------
    >>> f"{1e6 * quantisation_noise_v(lsb_v(1.2, 500, 10)):.2f} uV"
    '0.68 uV'
    """
    return lsb_v / math.sqrt(12)


def least_sampling_capacitance_f(
    full_scale_v: float, bits: float, constants: Constants = BODY
) -> float:
    """The least capacitor whose sampled noise, kT/C, stays below that of rounding.

    ``C = 12 k T 4^B / V_FS^2``

    Parameters
    ----------
    full_scale_v : float
        Range of the converter, peak to peak. [V]
    bits : float
        Effective resolution. [bit]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Capacitance. [F]

    References
    ----------
    .. [1] ``k T / C = LSB^2 / 12``.

    Examples
    --------
    >>> f"{1e15 * least_sampling_capacitance_f(1.0, 10):.0f} fF"
    '54 fF'
    """
    return 12 * constants.thermal_energy_j * 4.0**bits / full_scale_v**2

"""Analogue-to-digital conversion: figures of merit and the thermal floor below them."""

from __future__ import annotations

from implant_sim.hardware.physics.constants import BODY, Constants

__all__ = [
    "enob_from_sndr",
    "sar_energy_j",
    "schreier_energy_j",
    "sndr_from_enob_db",
    "thermal_floor_j",
    "walden_energy_j",
]


def sndr_from_enob_db(enob: float) -> float:
    """Signal to noise and distortion ratio of an ADC of `enob` bits, ``6.02 enob + 1.76``.

    Parameters
    ----------
    enob : float
        Effective number of bits. [bit]

    Returns
    -------
    float
        Ratio. [dB]

    References
    ----------
    .. [1] IEEE Std 1241.

    Examples
    --------
    >>> round(sndr_from_enob_db(10.0), 2)
    61.96
    """
    return 6.02 * enob + 1.76


def enob_from_sndr(sndr_db: float) -> float:
    """Effective number of bits, ``(SNDR - 1.76) / 6.02``.

    Parameters
    ----------
    sndr_db : float
        Signal to noise and distortion ratio. [dB]

    Returns
    -------
    float
        Effective number of bits. [bit]

    References
    ----------
    .. [1] IEEE Std 1241.

    Examples
    --------
    >>> round(enob_from_sndr(96.0), 1)
    15.7
    """
    return (sndr_db - 1.76) / 6.02


def walden_energy_j(fom_j: float, enob: float) -> float:
    """Energy of one conversion at a Walden figure of merit, ``FoM * 2^ENOB``.

    Parameters
    ----------
    fom_j : float
        Energy per conversion step. [J]
    enob : float
        Effective number of bits. [bit]

    Returns
    -------
    float
        Energy per conversion. [J]

    References
    ----------
    .. [1] R. Walden, IEEE J. Sel. Areas Commun. 17, 1999.

    Examples
    --------
    >>> f"{1e12 * walden_energy_j(41.5e-15, enob_from_sndr(60.3)):.0f} pJ"  # HermesE, 35 pJ
    '35 pJ'
    """
    return fom_j * 2.0**enob


def schreier_energy_j(sndr_db: float, fom_db: float) -> float:
    r"""Energy of one conversion at a Schreier figure of merit.

    :math:`\mathrm{FoM} = \mathrm{SNDR} + 10 \log_{10}(B/P)`; at the Nyquist rate, twice the
    bandwidth, the rate cancels:

    .. math:: E = \tfrac12 \, 10^{(\mathrm{SNDR} - \mathrm{FoM}) / 10}

    Parameters
    ----------
    sndr_db : float
        Signal to noise and distortion ratio. [dB]
    fom_db : float
        Figure of merit. [dB]

    Returns
    -------
    float
        Energy per conversion. [J]

    References
    ----------
    .. [1] B. Murmann, "ADC Performance Survey 1997-2025".

    Examples
    --------
    >>> f"{schreier_energy_j(96.0, 185.0) * 2 * 10e3 * 1e6:.4f} uW"  # 10 kHz, Karpowicz 2024
    '12.5893 uW'
    """
    return 0.5 * 10 ** ((sndr_db - fom_db) / 10)


def thermal_floor_j(sndr_db: float, constants: Constants = BODY) -> float:
    """The least energy of a conversion, ``8 k T SNDR``: no ADC lies below.

    Parameters
    ----------
    sndr_db : float
        Signal to noise and distortion ratio. [dB]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Energy per conversion. [J]

    References
    ----------
    .. [1] E. Vittoz, ISCAS 1990; the same as a Schreier figure of merit of 192 dB.

    Examples
    --------
    >>> import math
    >>> round(60.0 - 10 * math.log10(2 * thermal_floor_j(60.0)))
    192
    """
    return 8 * constants.thermal_energy_j * 10 ** (sndr_db / 10)


def sar_energy_j(
    base_j: float,
    per_bit_j: float,
    per_level_j: float,
    bits: int,
    enob: float,
    thermal_efficiency: float,
    constants: Constants = BODY,
) -> float:
    """Energy of a SAR conversion: comparator and logic, capacitor array, sampled noise.

    ``E = e0 + e1 B + e2 2^B + 8 k T SNDR / efficiency``. Real SAR energy grows more slowly than
    2^B: 3.9 times from 3 to 8 bits in [1]_.

    Parameters
    ----------
    base_j : float
        Energy that every conversion takes. [J]
    per_bit_j : float
        Energy of one decision. [J/bit]
    per_level_j : float
        Energy that grows with the capacitor array. [J]
    bits : int
        Resolution. [bit]
    enob : float
        Effective number of bits. [bit]
    thermal_efficiency : float
        Share of the thermal term that reaches the floor, in (0, 1].
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Energy per conversion. [J]

    References
    ----------
    .. [1] S. O'Driscoll, T. Meng, "Adaptive resolution ADC array for neural implant", EMBC 2009.

    Examples
    --------
    The fit through the two published points, 0.23 uW at 3 and 0.90 uW at 8 bits, 100 kS/s:

    >>> three, eight = (sar_energy_j(0.0, 0.734e-12, 12.2e-15, b, b, 1.0) for b in (3, 8))
    >>> round(eight / three, 1)
    3.9
    """
    noise_j = thermal_floor_j(sndr_from_enob_db(enob), constants) / thermal_efficiency
    return base_j + per_bit_j * bits + per_level_j * 2.0**bits + noise_j

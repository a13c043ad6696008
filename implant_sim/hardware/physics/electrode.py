"""Electrodes: the thermal noise that they add, and the signal that their impedance keeps back."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.constants import BODY, Constants

__all__ = [
    "electrode_noise_v",
    "input_impedance_ohm",
    "loading_gain",
    "switched_capacitor_ohm",
]


def electrode_noise_v(
    resistance_ohm: float, bandwidth_hz: float, constants: Constants = BODY
) -> float:
    """Thermal noise of an electrode, ``sqrt(4 k T Re(Z) B)``.

    Parameters
    ----------
    resistance_ohm : float
        Real part of the electrode's impedance. [ohm]
    bandwidth_hz : float
        Width of the band. [Hz]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Noise, rms. [V]

    References
    ----------
    .. [1] H. Nyquist, Phys. Rev. 32, 1928.

    Examples
    --------
    >>> f"{1e6 * electrode_noise_v(100e3, 10e3):.1f} uV"
    '4.1 uV'
    """
    return math.sqrt(4 * constants.thermal_energy_j * resistance_ohm * bandwidth_hz)


def switched_capacitor_ohm(rate_hz: float, capacitance_f: float) -> float:
    """Resistance of a capacitor that is charged anew so often, ``1 / (f C)``.

    A multiplexer in front of the amplifier connects the capacitance of its common line, charged
    by another electrode, once for each sample of this one.

    Parameters
    ----------
    rate_hz : float
        How often the electrode charges the capacitor. [Hz]
    capacitance_f : float
        The capacitor. [F]

    Returns
    -------
    float
        Resistance, on average over the turns; infinite for no capacitor. [ohm]

    References
    ----------
    .. [1] J. Caves et al., IEEE J. Solid-State Circuits 12, 1977.

    Examples
    --------
    >>> f"{switched_capacitor_ohm(20e3, 1e-12) / 1e6:.0f} Mohm"
    '50 Mohm'
    """
    charge = rate_hz * capacitance_f
    return 1 / charge if charge > 0 else math.inf


def input_impedance_ohm(
    frequency_hz: float, capacitance_f: float, resistance_ohm: float = math.inf
) -> complex:
    r"""Input of an amplifier: a capacitance, with a resistance beside it.

    .. math:: Z = 1 / (1/R + 2 \pi j f C)

    Parameters
    ----------
    frequency_hz : float
        Where it is wanted. [Hz]
    capacitance_f : float
        Input capacitance. [F]
    resistance_ohm : float
        In parallel; a switched capacitor's, for instance. [ohm]

    Returns
    -------
    complex
        Impedance; infinite for neither. [ohm]

    References
    ----------
    .. [1] Standard identity of two elements in parallel.

    Examples
    --------
    >>> f"{abs(input_impedance_ohm(1e3, 10e-12)) / 1e6:.1f} Mohm"
    '15.9 Mohm'
    """
    admittance = complex(1 / resistance_ohm, 2 * math.pi * frequency_hz * capacitance_f)
    return 1 / admittance if admittance != 0 else complex(math.inf)


def loading_gain(input_ohm: complex, electrode_ohm: complex) -> float:
    r"""Share of the signal that the amplifier sees, ``|Z_in / (Z_in + Z_el)|``.

    Parameters
    ----------
    input_ohm : complex
        Input impedance of the amplifier. [ohm]
    electrode_ohm : complex
        Impedance of the electrode at the same frequency. [ohm]

    Returns
    -------
    float
        In (0, 1] where neither is inductive.

    References
    ----------
    .. [1] Standard identity of a voltage divider.

    Examples
    --------
    A capacitive electrode of 1 megohm on 10 pF, at 1 kHz:

    >>> round(loading_gain(input_impedance_ohm(1e3, 10e-12), -1e6j), 3)
    0.941
    """
    if math.isinf(abs(input_ohm)):
        return 1.0
    return abs(input_ohm / (input_ohm + electrode_ohm))

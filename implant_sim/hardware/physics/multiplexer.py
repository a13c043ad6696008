"""Multiplexers: slots, settling, the noise that folds, what one channel leaves on the next."""

from __future__ import annotations

import math

__all__ = [
    "boxcar_folding",
    "crosstalk",
    "rc_folding",
    "settling_bandwidth_hz",
    "settling_s",
    "slot_s",
    "switch_energy_j",
]


def slot_s(slots: int, sample_rate_hz: float) -> float:
    """Time that a multiplexer stays on one channel, ``1 / (M f_s)``.

    Parameters
    ----------
    slots : int
        Turns in a cycle, with those of no electrode.
    sample_rate_hz : float
        Of one channel. [Hz]

    Returns
    -------
    float
        Length of a slot. [s]

    References
    ----------
    .. [1] Definition of time division.

    Examples
    --------
    >>> f"{1e9 * slot_s(256, 19.3e3):.0f} ns"
    '202 ns'
    """
    return 1 / (slots * sample_rate_hz)


def settling_s(bits: float, tau_s: float) -> float:
    """Time to settle within half an LSB of a full-scale step, ``(B + 1) ln 2 tau``.

    Parameters
    ----------
    bits : float
        Resolution to settle to. [bit]
    tau_s : float
        Time constant. [s]

    Returns
    -------
    float
        Settling time. [s]

    References
    ----------
    .. [1] One pole: ``exp(-t / tau) = 2^-(B+1)``.

    Examples
    --------
    >>> round(settling_s(10, 1.0), 2)
    7.62
    """
    return (bits + 1) * math.log(2) * tau_s


def settling_bandwidth_hz(bits: float, available_s: float) -> float:
    """The least bandwidth of one pole that settles within half an LSB in the time available.

    ``f = (B + 1) ln 2 / (2 pi t)``

    Parameters
    ----------
    bits : float
        Resolution to settle to. [bit]
    available_s : float
        Share of the slot left to settling. [s]

    Returns
    -------
    float
        Corner of multiplexer and driver. [Hz]

    References
    ----------
    .. [1] `settling_s` with ``tau = 1 / (2 pi f)``.

    Examples
    --------
    10 bits and 16 channels need 19.4 times the sample rate:

    >>> round(settling_bandwidth_hz(10, slot_s(16, 1.0)), 1)
    19.4
    """
    return (bits + 1) * math.log(2) / (2 * math.pi * available_s)


def rc_folding(bits: float, slots: int, settle_fraction: float = 1.0) -> float:
    r"""Rise of white noise where a channel only settles before it is sampled.

    The pole that settles in time passes noise up to ``pi / 2 f``, all of which folds into half the
    sample rate:

    .. math:: \sqrt{(B + 1) \ln 2 \, M / (2 d)}

    Parameters
    ----------
    bits : float
        Resolution to settle to. [bit]
    slots : int
        Turns in a cycle.
    settle_fraction : float
        Share of the slot left to settling.

    Returns
    -------
    float
        Noise over that behind an anti-alias filter; never below 1.

    References
    ----------
    .. [1] Noise bandwidth of one pole, ``pi / 2 f``, over half the sample rate.

    Examples
    --------
    >>> round(rc_folding(10, 8), 1), round(rc_folding(10, 16), 1)
    (5.5, 7.8)
    """
    return max(1.0, math.sqrt((bits + 1) * math.log(2) * slots / (2 * settle_fraction)))


def boxcar_folding(slots: int) -> float:
    """Rise of white noise where each channel is integrated over its slot: ``sqrt(M)``.

    Parameters
    ----------
    slots : int
        Turns in a cycle.

    Returns
    -------
    float
        Noise over that behind an anti-alias filter.

    References
    ----------
    .. [1] Noise bandwidth of a boxcar of length t, ``1 / (2 t)``, over half the sample rate.

    Examples
    --------
    >>> round(boxcar_folding(8), 1), boxcar_folding(16)
    (2.8, 4.0)
    """
    return math.sqrt(slots)


def crosstalk(settle_s: float, tau_s: float, line_f: float, sampling_f: float) -> float:
    r"""Share of a channel that is left in the next one.

    .. math:: \epsilon = e^{-t / \tau} + C_{line} / (C_{line} + C_s)

    Parameters
    ----------
    settle_s : float
        Time spent on the next channel. [s]
    tau_s : float
        Time constant of settling. [s]
    line_f : float
        Capacitance of the common line, where nothing resets it between channels; 0 where
        something does. [F]
    sampling_f : float
        Capacitance that takes the sample. [F]

    Returns
    -------
    float
        An upper bound: the memory of the line is taken as shared with the sampling capacitor and
        not driven out.

    References
    ----------
    .. [1] Charge sharing between two capacitors; step response of one pole.

    Examples
    --------
    >>> import math
    >>> round(20 * math.log10(crosstalk(settling_s(10, 1.0), 1.0, 0.0, 1e-12)))  # half an LSB
    -66
    """
    return math.exp(-settle_s / tau_s) + line_f / (line_f + sampling_f)


def switch_energy_j(gate_f: float, supply_v: float, line_f: float, swing_v: float) -> float:
    """Energy of one change of channel: a gate charged, and the common line moved.

    ``E = C_gate V_dd^2 + C_line dV^2``

    Parameters
    ----------
    gate_f : float
        Capacitance of the switch's gate and its decoder. [F]
    supply_v : float
        Voltage of the gate. [V]
    line_f : float
        Capacitance of the common line; about 0.2 fF for each micrometre. [F]
    swing_v : float
        Difference between one channel and the next. [V]

    Returns
    -------
    float
        Energy. [J]

    References
    ----------
    .. [1] Energy drawn from a supply that charges a capacitor, C V^2.

    Examples
    --------
    >>> f"{1e12 * switch_energy_j(50e-15, 1.2, 1e-12, 1.0):.2f} pJ"  # 5 mm of line
    '1.07 pJ'
    """
    return gate_f * supply_v**2 + line_f * swing_v**2

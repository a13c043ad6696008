"""White noise, 1/f noise, and how they add over a band."""

from __future__ import annotations

import math

__all__ = ["band_noise_v", "noise_density_v_rthz"]


def noise_density_v_rthz(noise_v: float, bandwidth_hz: float) -> float:
    """White noise density of a one-pole amplifier, ``v / sqrt(B pi / 2)``.

    Parameters
    ----------
    noise_v : float
        Input-referred noise over the band, rms. [V]
    bandwidth_hz : float
        Width of the band, to -3 dB. [Hz]

    Returns
    -------
    float
        Noise density. [V/sqrt(Hz)]

    References
    ----------
    .. [1] Standard identity of a one-pole low-pass.

    Examples
    --------
    >>> f"{noise_density_v_rthz(2e-6, 10e3):.3g}"
    '1.6e-08'
    """
    return noise_v / math.sqrt(bandwidth_hz * math.pi / 2)


def band_noise_v(
    white_v: float, band_hz: tuple[float, float], corner_hz: float | None = None
) -> float:
    r"""Noise over a band whose density is white above a corner and rises as 1/f below it.

    .. math:: v^2 = v_w^2 \left( 1 + f_c \, \frac{\ln(f_2 / f_1)}{f_2 - f_1} \right)

    Parameters
    ----------
    white_v : float
        What the white part alone gives over the band, rms. [V]
    band_hz : tuple of float
        Lower and upper corner; the lower one above 0, where the integral has no end. [Hz]
    corner_hz : float or None
        Where 1/f noise is as strong as white noise; None for none, or for a chopper. [Hz]

    Returns
    -------
    float
        Noise, rms. [V]

    References
    ----------
    .. [1] Integral of ``e^2 (1 + f_c / f)`` over the band.

    Examples
    --------
    A corner at 1 kHz hardly matters to spikes and rules slow waves:

    >>> f"{1e6 * band_noise_v(5e-6, (300.0, 6000.0), 1e3):.2f} uV"
    '6.18 uV'
    >>> f"{1e6 * band_noise_v(1e-6, (1.0, 300.0), 1e3):.2f} uV"
    '4.48 uV'
    """
    if corner_hz is None:
        return white_v
    low, high = band_hz
    return white_v * math.sqrt(1 + corner_hz * math.log(high / low) / (high - low))

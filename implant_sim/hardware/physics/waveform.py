"""The spike of a unit as a band-limited amplifier passes it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import erfc, erfcx

__all__ = ["filtered_spike"]

_PER_FWHM = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum over standard deviation
# of the wave: after the trough comes a lobe a third as high, twice as wide, 2.5 widths later
_LOBE, _LOBE_WIDTH, _LOBE_DELAY = 0.3, 2.0, 2.5


def filtered_spike(
    time_s: Float[np.ndarray, "*shape"], width_s: float, band_hz: tuple[float, float]
) -> Float[np.ndarray, "*shape"]:
    r"""Biphasic extracellular spike behind a one-pole high-pass and a one-pole low-pass.

    The spike is a Gaussian trough, here of height 1, less a lobe of height 0.3, twice as wide,
    2.5 widths later. A pole turns a Gaussian of standard deviation s into

    .. math:: \omega s \sqrt{\pi/2} \; e^{-t^2 / 2 s^2} \,
        \mathrm{erfcx}\!\left( \frac{\omega s - t/s}{\sqrt 2} \right)

    and the band is a difference of two poles, as in `band_correlation`.

    Parameters
    ----------
    time_s : float array
        After the middle of the unfiltered trough. [s]
    width_s : float
        Of the trough, at half its depth. [s]
    band_hz : tuple of float
        Lower corner, 0 for none, and upper corner. [Hz]

    Returns
    -------
    float array
        Of the same shape; the trough counts as positive.

    References
    ----------
    .. [1] Shape and proportions of a cortical spike (recalled); the integral is the exponentially
       modified Gaussian of chromatography.

    Examples
    --------
    A band of 300 to 6000 Hz leaves four fifths of a spike 0.2 ms wide:

    >>> time_s = np.linspace(-1e-3, 3e-3, 4001)
    >>> round(float(filtered_spike(time_s, 0.2e-3, (300.0, 6000.0)).max()), 2)
    0.79
    """
    sd_s, delay_s = width_s / _PER_FWHM, _LOBE_DELAY * width_s
    lobe = _band(time_s - delay_s, _LOBE_WIDTH * sd_s, band_hz)
    before_scale = _band(time_s, sd_s, band_hz) - _LOBE * lobe
    at_trough = math.exp(-((delay_s / (_LOBE_WIDTH * sd_s)) ** 2) / 2)
    return before_scale / (1 - _LOBE * at_trough)


def _band(
    time_s: Float[np.ndarray, "*shape"], sd_s: float, band_hz: tuple[float, float]
) -> Float[np.ndarray, "*shape"]:
    low, high = (2 * math.pi * f for f in band_hz)
    passed = _pole(time_s, sd_s, high)
    if low == 0:
        return passed
    return high / (high - low) * (passed - _pole(time_s, sd_s, low))


def _pole(
    time_s: Float[np.ndarray, "*shape"], sd_s: float, omega: float
) -> Float[np.ndarray, "*shape"]:
    z = (omega * sd_s - time_s / sd_s) / math.sqrt(2)
    early = np.exp(-((time_s / sd_s) ** 2) / 2) * erfcx(np.maximum(z, 0.0))
    since_s = np.maximum(time_s, omega * sd_s**2)  # where z is 0: earlier the other form holds
    late = np.exp((omega * sd_s) ** 2 / 2 - omega * since_s) * erfc(z)
    gaussian: Float[np.ndarray, "*shape"] = np.where(z > 0, early, late)
    return omega * sd_s * math.sqrt(math.pi / 2) * gaussian

"""Noise as a sampler sees it: its correlation from sample to sample, and a process that has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Process", "band_correlation", "flat_correlation", "process"]


def band_correlation(
    lag_s: Float[np.ndarray, " lag"], band_hz: tuple[float, float]
) -> Float[np.ndarray, " lag"]:
    r"""Correlation of white noise behind a one-pole high-pass and a one-pole low-pass.

    .. math:: \rho(\tau) = \frac{\omega_2 e^{-\omega_2 |\tau|} - \omega_1 e^{-\omega_1 |\tau|}}
        {\omega_2 - \omega_1}

    Such is a recording amplifier: an AC-coupled input and one dominant pole. It holds whatever
    the sample rate, for what folds is in it.

    Parameters
    ----------
    lag_s : float array
        Times between samples. [s]
    band_hz : tuple of float
        Lower corner, 0 for none, and upper corner. [Hz]

    Returns
    -------
    float array
        1 at lag 0.

    References
    ----------
    .. [1] Inverse Fourier transform of the product of the two responses, by partial fractions.

    Examples
    --------
    >>> band_correlation(np.array([0.0, 50e-6]), (300.0, 6000.0)).round(3).tolist()
    [1.0, 0.112]
    """
    low, high = (2 * math.pi * f for f in band_hz)
    lag = np.abs(lag_s)
    return (high * np.exp(-high * lag) - low * np.exp(-low * lag)) / (high - low)


def flat_correlation(
    lag_s: Float[np.ndarray, " lag"], band_hz: tuple[float, float]
) -> Float[np.ndarray, " lag"]:
    r"""Correlation of noise that is flat inside a band and nothing outside.

    .. math:: \rho(\tau) = \frac{\sin 2 \pi f_2 \tau - \sin 2 \pi f_1 \tau}
        {2 \pi (f_2 - f_1) \tau}

    Parameters
    ----------
    lag_s : float array
        Times between samples. [s]
    band_hz : tuple of float
        Lower and upper end. [Hz]

    Returns
    -------
    float array
        1 at lag 0.

    References
    ----------
    .. [1] Wiener-Khinchin theorem.

    Examples
    --------
    >>> flat_correlation(np.array([0.0, 50e-6]), (300.0, 6000.0)).round(3).tolist()
    [1.0, 0.479]
    """
    low, high = band_hz
    # numpy's sinc is sin(pi x) / (pi x), and 1 at 0
    return (high * np.sinc(2 * high * lag_s) - low * np.sinc(2 * low * lag_s)) / (high - low)


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """``x[n] = a1 x[n-1] + a2 x[n-2] + e[n] + b1 e[n-1] + b2 e[n-2]``, e independent."""

    coefficients: Float[np.ndarray, " 5"]
    """a1, a2, b1, b2, and the standard deviation of e."""
    root: Float[np.ndarray, "4 4"]
    """``root @ root.T`` is the covariance of x[n-1], x[n-2], e[n-1], e[n-2]."""


def process(sample_s: float, band_hz: tuple[float, float], white: float) -> Process:
    """Find the process whose samples correlate as those of an amplifier's noise, plus white noise.

    The samples of one-pole filtered noise are exactly an autoregressive process with moving
    average; white noise beside it changes the moving average alone. So one random number a sample
    is enough.

    Parameters
    ----------
    sample_s : float
        Time between samples. [s]
    band_hz : tuple of float
        Lower corner, 0 for none, and upper corner of the filtered noise. [Hz]
    white : float
        Share of the variance that is white, as noise folded by a multiplexer is; 0 to 1.

    Returns
    -------
    Process
        Of variance 1.

    References
    ----------
    .. [1] P. Brockwell, R. Davis, "Time Series: Theory and Methods", 1991: spectral factorisation.

    Examples
    --------
    >>> (process(50e-6, (0.0, 6000.0), 0.0).coefficients.round(3) + 0.0).tolist()
    [0.152, 0.0, 0.0, 0.0, 0.988]
    """
    rho = (1 - white) * band_correlation(np.arange(5) * sample_s, band_hz)
    rho[0] += white
    low, high = (math.exp(-2 * math.pi * f * sample_s) for f in band_hz)
    poles = np.array([low if band_hz[0] > 0 else 0.0, high])
    ar = np.array([1.0, -poles.sum(), poles.prod()])
    # covariance of what is left when the autoregression is taken off: of lags 0, 1 and 2
    taps = np.convolve(ar, ar[::-1])
    left = np.array([taps @ rho[np.abs(np.arange(-2, 3) + lag)] for lag in range(3)])
    ma = _minimum_phase(left)
    scale = math.sqrt(left[0] / float(ma @ ma))
    return Process(np.array([-ar[1], -ar[2], ma[1], ma[2], scale]), _root(rho, ar, ma, scale))


def _minimum_phase(covariance: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """The moving average of that covariance whose zeros lie inside the unit circle."""
    negligible = np.abs(covariance) < 1e-12 * covariance[0]
    kept = np.where(negligible, 0.0, covariance)
    zeros = np.roots(np.trim_zeros(np.concatenate([kept[::-1], kept[1:]])))
    inside = zeros[np.argsort(np.abs(zeros))][: len(zeros) // 2]
    found = np.atleast_1d(np.real(np.poly(inside)))
    return np.pad(found, (0, 3 - len(found)))


def _root(
    rho: Float[np.ndarray, " 5"],
    ar: Float[np.ndarray, " 3"],
    ma: Float[np.ndarray, " 3"],
    scale: float,
) -> Float[np.ndarray, "4 4"]:
    now, next_ = scale**2, scale**2 * (ma[1] - ar[1])  # of x with e of the same sample, the last
    covariance = np.array(
        [[rho[0], rho[1], now, next_], [rho[1], rho[0], 0, now], [now, 0, now, 0],
         [next_, now, 0, now]]
    )  # fmt: skip
    values, vectors = np.linalg.eigh(covariance)  # singular where nothing is left of the past
    return vectors * np.sqrt(np.maximum(values, 0.0))

"""How often each channel fires, from the samples that exist."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from sbtt_models.signals import MaskedStream

__all__ = ["channel_rates", "smoothed_rates"]

_SPIKES = 0.5  # what the other channels weigh, in spikes; half a spike is Jeffreys' prior
_LEAST_RATE = 1e-6  # [spikes/bin] where no channel ever fired


def channel_rates(stream: MaskedStream) -> Float[np.ndarray, " channel"]:
    r"""Mean count of a full bin of each channel, shrunk a little towards all channels' mean.

    .. math:: \hat m_c = \frac{k_c + 1/2}{e_c + 1/(2 \bar m)}

    for the spikes :math:`k_c` and exposure :math:`e_c` of a channel and the mean :math:`\bar m` of
    all: the posterior mean under a Gamma prior of shape 1/2. Without it a channel that happened to
    be silent in training would have a rate of 0, and one later spike would cost infinitely much.
    A channel never observed gets the mean of all.

    Parameters
    ----------
    stream : MaskedStream
        All its trials are used: cut it first.

    Returns
    -------
    numpy.ndarray
        Positive. [spikes/bin]
    """
    exposure = stream.exposure.sum((0, 1), dtype=np.float64)
    spikes = stream.counts.sum((0, 1), dtype=np.float64)
    mean = max(spikes.sum() / max(exposure.sum(), 1e-9), _LEAST_RATE)
    return (spikes + _SPIKES) / (exposure + _SPIKES / mean)


def smoothed_rates(
    counts: Shaped[np.ndarray, "trial bin channel"],
    exposure: Float[np.ndarray, "trial bin channel"],
    means: Float[np.ndarray, " channel"],
    sd_bins: float,
    prior: float,
) -> Float[np.ndarray, "trial bin channel"]:
    r"""Mask-normalised Gaussian smoothing of each channel, drawn towards its mean.

    .. math:: \frac{K * y + p m}{K * e + p}

    Parameters
    ----------
    counts, exposure : numpy.ndarray
        0 where missing, and in the padding at the end of a trial.
    means : numpy.ndarray
        m, the rates to fall back to where no sample is near. [spikes/bin]
    sd_bins : float
        Standard deviation of the kernel K, whose centre is 1. [bins]
    prior : float
        Weight p of the means. [bins]

    Returns
    -------
    numpy.ndarray
        [spikes/bin]
    """
    # trials end with zeros for both count and exposure, so padding never enters a mean;
    # the kernel is scaled to 1 at its centre, so that `prior` counts samples
    from scipy.ndimage import gaussian_filter1d  # slow to import, and not needed to validate

    scale = sd_bins * np.sqrt(2 * np.pi)
    kind = np.float32
    spikes = gaussian_filter1d(counts.astype(kind), sd_bins, axis=1, mode="constant")
    seen = gaussian_filter1d(exposure.astype(kind), sd_bins, axis=1, mode="constant")
    return (spikes * scale + prior * means) / (seen * scale + prior)

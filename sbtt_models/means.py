"""How often each channel fires, from the samples that exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from sbtt_models.signals import MaskedStream

__all__ = [
    "Moments",
    "blur",
    "channel_rates",
    "kernel",
    "reach",
    "smoothed_rates",
    "square_loss",
]

_SDS = 4.0  # [standard deviations] where a kernel ends
_SPIKES = 0.5  # what the other channels weigh, in spikes; half a spike is Jeffreys' prior
_LEAST_RATE = 1e-6  # [spikes/bin] where no channel ever fired


def channel_rates(stream: MaskedStream) -> Float[np.ndarray, " channel"]:
    r"""Mean count of a full bin of each channel, shrunk a little towards all channels' mean.

    .. math:: \hat m_c = \frac{k_c + 1/2}{e_c + 1/(2 \bar m)}

    for the spikes :math:`k_c` and exposure :math:`e_c` of a channel and the mean :math:`\bar m` of
    all: the posterior mean under a Gamma prior of shape 1/2. Without it a channel that happened to
    be silent in training would have a rate of 0, and one later spike would cost infinitely much.
    A channel never observed gets the mean of all. Real values, which may be negative, are not
    shrunk.

    Parameters
    ----------
    stream : MaskedStream
        All its trials are used: cut it first.

    Returns
    -------
    numpy.ndarray
        Positive for counts. [spikes/bin]
    """
    if stream.real:
        return Moments.of(stream).mean
    exposure = stream.exposure.sum((0, 1), dtype=np.float64)
    spikes = stream.counts.sum((0, 1), dtype=np.float64)
    mean = max(spikes.sum() / max(exposure.sum(), 1e-9), _LEAST_RATE)
    return (spikes + _SPIKES) / (exposure + _SPIKES / mean)


def square_loss(
    values: Float[np.ndarray, " entry"],
    exposure: Float[np.ndarray, " entry"],
    inferred: Float[np.ndarray, " entry"],
) -> float:
    """Mean square error of real values, each weighted by its exposure.

    A part of a bin, of exposure e, has e times the mean and e times the variance: what it says a
    full bin would be is 1/e times as uncertain. Weighted so, the error is what a
    Gaussian likelihood would tell, as the losses of counts are Poisson.

    Parameters
    ----------
    values, exposure : numpy.ndarray
        What was seen of each bin, and how much of the bin; above 0.
    inferred : numpy.ndarray
        Expected values of full bins.
    """
    errors = np.square(values / exposure - inferred) * exposure
    return float(errors.mean() / exposure.mean(dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """How the values of each channel are distributed over the bins observed."""

    mean: Float[np.ndarray, " channel"]
    """Of a full bin."""
    variance: Float[np.ndarray, " channel"]
    """Of a full bin."""
    share: Float[np.ndarray, " channel"]
    """Of the observed entries, those that are not 0."""

    @classmethod
    def of(cls, stream: MaskedStream, *, events_only: bool = False) -> Moments:
        """Measure them over all trials.

        A channel of which fewer than two entries are counted takes over the mean of all others.

        Parameters
        ----------
        events_only : bool
            Mean and variance of entries that are not 0.
        """
        observed = stream.observed
        counted = observed & (stream.counts != 0) if events_only else observed
        weight = np.where(counted, stream.exposure, 0).astype(np.float64)
        total = np.maximum(weight.sum((0, 1)), 1e-9)
        values = stream.counts.astype(np.float64)
        mean = np.where(counted, values, 0).sum((0, 1)) / total
        # parts of a bin have parts of its variance, so that each squared distance is divided
        part = np.where(counted, stream.exposure, 1)
        far = np.where(counted, (values - part * mean) ** 2 / part, 0).sum((0, 1))
        n = counted.sum((0, 1))
        variance = far / np.maximum(n, 1)
        known = n > 1
        if known.any():
            mean = np.where(known, mean, mean[known].mean())
            variance = np.where(known, variance, variance[known].mean())
        seen = observed.sum((0, 1))
        share = (observed & (stream.counts != 0)).sum((0, 1)) / np.maximum(seen, 1)
        return cls(mean, variance, share)


def smoothed_rates(
    counts: Shaped[np.ndarray, "trial bin channel"],
    exposure: Float[np.ndarray, "trial bin channel"],
    means: Float[np.ndarray, " channel"],
    sd_bins: float,
    prior: float,
    ahead: int | None = None,
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
    ahead : int, optional
        Later bins that a kernel may reach. [bins] None: as many as earlier ones.

    Returns
    -------
    numpy.ndarray
        [spikes/bin]
    """
    # trials end with zeros for both count and exposure, so padding never enters a mean;
    # the kernel is 1 at its centre, so that `prior` counts samples
    kind = np.float32
    spikes = blur(counts.astype(kind), sd_bins, ahead)
    seen = blur(exposure.astype(kind), sd_bins, ahead)
    return (spikes + prior * means) / (seen + prior)


def reach(sd_bins: float) -> int:
    """Bins to either side that a Gaussian kernel extends to. [bins]"""
    return max(round(_SDS * sd_bins), 1)


def kernel(sd_bins: float, ahead: int | None = None) -> Float[np.ndarray, " shift"]:
    """A Gaussian over shifts from - `reach` to `reach`, 1 at its centre, 0 beyond `ahead`."""
    shift = np.arange(-reach(sd_bins), reach(sd_bins) + 1)
    weight = np.exp(-0.5 * (shift / sd_bins) ** 2)
    return weight if ahead is None else np.where(shift <= ahead, weight, 0.0)


def blur(
    values: Float[np.ndarray, "trial bin channel"], sd_bins: float, ahead: int | None
) -> Float[np.ndarray, "trial bin channel"]:
    """Sum over neighbouring bins, weighted by :func:`kernel`; nothing lies beyond the ends."""
    from scipy.ndimage import correlate1d  # slow to import, and not needed to validate

    summed: np.ndarray = correlate1d(values, kernel(sd_bins, ahead), axis=1, mode="constant")
    return summed

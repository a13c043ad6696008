"""How well rates describe what a condition evokes on average: the peri-stimulus time histogram."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from sbtt_models.metrics import R2, r2

__all__ = ["psth_r2"]


def psth_r2(
    counts: Shaped[np.ndarray, "trial bin channel"],
    rates: Float[np.ndarray, "trial bin channel"],
    condition: Int[np.ndarray, " trial"],
    *,
    where: Bool[np.ndarray, "trial bin channel"],
    judged: Int[np.ndarray, " judged"],
    smooth_bins: float = 0.0,
) -> R2:
    """Match of condition-averaged rates to the peri-stimulus time histogram.

    The histogram averages the counts of all trials of a condition, the rates those of its
    judged trials. Conditions are stacked along time, each channel gets one R².

    Parameters
    ----------
    counts : numpy.ndarray, shape (trial, bin, channel)
        Spikes per full bin. [1]
    rates : numpy.ndarray, shape (trial, bin, channel)
        Expected spikes per full bin. [1/bin]
    condition : numpy.ndarray of int, shape (trial,)
        Which condition each trial belongs to.
    where : numpy.ndarray of bool, shape (trial, bin, channel)
        Entries that exist.
    judged : numpy.ndarray of int
        Trials whose rates are averaged.
    smooth_bins : float
        Standard deviation of the Gaussian that smooths the histogram; 0 for none. [bin]

    Returns
    -------
    R2
        Per channel, and the uniform mean. Conditions of a single trial are left out: their
        histogram would be that trial itself.
    """
    from scipy.ndimage import gaussian_filter1d  # slow to import, and rarely needed

    truth, inferred, exists = [], [], []
    for name in np.unique(condition[judged]):
        members = np.flatnonzero(condition == name)
        mine = judged[condition[judged] == name]
        if members.size < 2:
            continue
        psth, some = _trial_mean(counts[members], where[members])
        if smooth_bins > 0:  # normalised, so that bins without data neither count nor dilute
            weight = gaussian_filter1d(some.astype(float), smooth_bins, axis=0, mode="constant")
            psth = gaussian_filter1d(psth, smooth_bins, axis=0, mode="constant")
            psth = np.divide(psth, weight, out=np.zeros_like(psth), where=weight > 0)
        mean, also = _trial_mean(rates[mine], where[mine])
        truth.append(psth)
        inferred.append(mean)
        exists.append(some & also)
    if not truth:
        n_channels = counts.shape[2]
        return R2(None, np.zeros(n_channels), np.zeros(n_channels, bool))
    return r2(np.concatenate(truth), np.concatenate(inferred), where=np.concatenate(exists))


def _trial_mean(
    values: Shaped[np.ndarray, "trial bin channel"],
    where: Bool[np.ndarray, "trial bin channel"],
) -> tuple[Float[np.ndarray, "bin channel"], Bool[np.ndarray, "bin channel"]]:
    n = where.sum(axis=0)
    total = np.where(where, values, 0).sum(axis=0, dtype=float)
    return total / np.maximum(n, 1), n > 0

"""Detection: how likely a spike in noise passes a threshold."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_ndtr

__all__ = ["blocked_samples", "hit_probability"]


def hit_probability(
    beyond_sigma: Float[np.ndarray, "*shape sample"], correlation: Float[np.ndarray, " lag"]
) -> Float[np.ndarray, "*shape"]:
    r"""Probability that one or more samples of a window lie beyond their thresholds.

    .. math:: 1 - \prod_j \Phi\big( (h_j - m_j) / s_j \big)

    with h the threshold less the signal at each sample, over the noise's rms, and m and s the mean
    and spread of the noise given that no earlier sample was beyond: a normal distribution cut off
    and replaced by the normal one of the same moments, sample after sample. A spike is so found by
    any of the samples near its peak, at whatever phase they are taken: more often than
    ``Phi((A - theta) / sigma)`` of its peak alone says.

    Parameters
    ----------
    beyond_sigma : float array
        h of each sample of the window.
    correlation : float array
        Of noise 0, 1, 2, ... samples apart; 0 beyond.

    Returns
    -------
    float array
        Probability, exact for independent samples; within 0.01 of simulation for noise that stays
        alike for as long as ten samples.

    References
    ----------
    .. [1] One sweep of expectation propagation: J. Cunningham, P. Hennig, S. Lacoste-Julien,
       "Gaussian probabilities and expectation propagation", arXiv:1111.6832 (recalled).

    Examples
    --------
    One sample is the textbook's detector; a second one gives another chance, unless it says the
    same:

    >>> one, two, white = np.array([[1.0]]), np.array([[1.0, 1.0]]), np.array([1.0, 0.0])
    >>> [float(hit_probability(h, white)[0].round(4)) for h in (one, two)]
    [0.1587, 0.2921]
    >>> float(hit_probability(two, np.array([1.0, 0.9]))[0].round(2))  # exactly 0.2044
    0.21
    """
    n = beyond_sigma.shape[-1]
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    known = np.concatenate([correlation, np.zeros(max(0, n - len(correlation)))])
    mean, log_none = np.zeros(beyond_sigma.shape), np.zeros(beyond_sigma.shape[:-1])
    cov = np.broadcast_to(known[apart], (*beyond_sigma.shape, n)).copy()
    for j in range(n):
        sd = np.sqrt(cov[..., j, j])
        # below -30 a probability cannot be told from 0
        at = np.maximum((beyond_sigma[..., j] - mean[..., j]) / sd, -30.0)
        log_below = log_ndtr(at)
        log_none += log_below
        pull = np.exp(-(at**2) / 2 - log_below) / np.sqrt(2 * np.pi)
        gain = cov[..., j + 1 :, j] / sd[..., None]
        mean[..., j + 1 :] -= gain * pull[..., None]
        lost = (pull * (pull + at))[..., None, None] * gain[..., :, None] * gain[..., None, :]
        cov[..., j + 1 :, j + 1 :] -= lost
    return -np.expm1(log_none)


def blocked_samples(
    beyond_sigma: Float[np.ndarray, "*shape sample"], dead_samples: int
) -> Int[np.ndarray, "*shape"]:
    """Samples before a spike's window in which a false alarm's dead time hides the spike.

    An alarm inside the window counts as the spike's own, and one so early that its dead time ends
    before the spike crosses does no harm.

    Parameters
    ----------
    beyond_sigma : float array
        Threshold less signal at each sample of the window, over the noise's rms.
    dead_samples : int
        Samples after an event in which none is taken.

    Returns
    -------
    int array
        Samples.

    References
    ----------
    .. [1] Counting.

    Examples
    --------
    >>> blocked_samples(np.array([[4.0, 3.0, -1.0, 2.0]]), 20).tolist()
    [18]
    """
    crosses = beyond_sigma <= 0
    most = beyond_sigma.argmin(axis=-1)
    lead = np.where(crosses.any(axis=-1), crosses.argmax(axis=-1), most)
    return np.maximum(dead_samples - lead, 0)

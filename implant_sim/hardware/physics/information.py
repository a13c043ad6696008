"""How many bits a signal holds, and the least that a bit can cost."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.constants import BODY, Constants

__all__ = ["binary_entropy_bit", "poisson_entropy_bit", "shannon_limit_j_bit", "subset_bits"]


def binary_entropy_bit(probability: float) -> float:
    """Entropy of one yes or no, ``-p log2 p - (1-p) log2 (1-p)``.

    Parameters
    ----------
    probability : float
        Probability of yes, 0 to 1.

    Returns
    -------
    float
        Entropy. [bit]

    References
    ----------
    .. [1] A. Marblestone et al., "Physical principles for scalable neural recording", Front.
       Comput. Neurosci. 7, 2013.

    Examples
    --------
    >>> round(1000 * binary_entropy_bit(5 / 1000), 2)  # 5 spikes/s, in bins of 1 ms
    45.41
    """
    p = probability
    if p <= 0 or p >= 1:
        return 0.0
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def poisson_entropy_bit(mean: float) -> float:
    """Entropy of a Poisson count, by summing its probabilities.

    Parameters
    ----------
    mean : float
        Expected count, 0 or more.

    Returns
    -------
    float
        Entropy. [bit]

    References
    ----------
    .. [1] Definition of entropy; above a mean of 1000, ``log2(2 pi e mean) / 2`` to 1e-4 bit.

    Examples
    --------
    >>> round(poisson_entropy_bit(1.0), 4)
    1.8825
    """
    if mean <= 0:
        return 0.0
    if mean > 1000:
        return 0.5 * math.log2(2 * math.pi * math.e * mean) - math.log2(math.e) / (12 * mean)
    total, log_p = 0.0, -mean
    last = int(mean + 12 * math.sqrt(mean) + 24)
    for n in range(last + 1):
        total -= math.exp(log_p) * log_p
        log_p += math.log(mean) - math.log(n + 1)
    return total / math.log(2)


def subset_bits(n: int, k: int) -> float:
    """Bits that name one of all subsets, ``log2 C(n, k)``.

    Parameters
    ----------
    n : int
        Channels.
    k : int
        Channels chosen.

    Returns
    -------
    float
        Side information of one choice. [bit]

    References
    ----------
    .. [1] Counting.

    Examples
    --------
    >>> round(subset_bits(29, 10), 2)
    24.26
    """
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def shannon_limit_j_bit(path_loss_db: float, constants: Constants = BODY) -> float:
    """The least radiated energy per bit through a path that loses `path_loss_db`.

    ``k T ln 2 * 10^(loss/10)``: at the receiver Eb/N0 is at least ln 2.

    Parameters
    ----------
    path_loss_db : float
        Loss from transmitter to receiver. [dB]
    constants : Constants
        Boltzmann's constant and temperature.

    Returns
    -------
    float
        Radiated energy. [J/bit]

    References
    ----------
    .. [1] C. Shannon, Proc. IRE 37, 1949.

    Examples
    --------
    >>> f"{1e15 * shannon_limit_j_bit(60.0):.0f} fJ"
    '3 fJ'
    """
    return constants.landauer_j_bit * 10 ** (path_loss_db / 10)

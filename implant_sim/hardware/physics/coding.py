"""Codes of single counts, as tables of lengths, and where an address costs as much as a map."""

from __future__ import annotations

import heapq
import math

import numpy as np
from jaxtyping import Int

__all__ = ["aer_break_even_hz", "huffman_lengths", "rice_lengths", "table_bits"]


def rice_lengths(largest: int, shift: int) -> Int[np.ndarray, " value"]:
    """Length of each value in a Golomb-Rice code, ``floor(v / 2^shift) + 1 + shift``.

    The quotient in unary, a stop bit, the remainder in `shift` bits.

    Parameters
    ----------
    largest : int
        The largest value.
    shift : int
        Bits of the remainder.

    Returns
    -------
    numpy.ndarray, shape (largest + 1,)
        Lengths. [bit]

    References
    ----------
    .. [1] R. Rice, J. Plaunt, "Adaptive variable-length coding for efficient compression of
       spacecraft television data", IEEE Trans. Commun. Technol. 19, 1971.

    Examples
    --------
    >>> rice_lengths(5, 1)
    array([2, 2, 3, 3, 4, 4])
    """
    return (np.arange(largest + 1) >> shift) + 1 + shift


def huffman_lengths(times: Int[np.ndarray, " value"]) -> Int[np.ndarray, " value"]:
    """Length of each value in a Huffman code: no code of single values is shorter on `times`.

    A canonical code is given by its lengths alone: code words of equal length count up in the
    order of their values.

    Parameters
    ----------
    times : numpy.ndarray, shape (value,)
        How often each value occurs.

    Returns
    -------
    numpy.ndarray, shape (value,)
        Lengths; 0 for a value that never occurs, 1 for one that always does. [bit]

    References
    ----------
    .. [1] D. Huffman, "A method for the construction of minimum-redundancy codes", Proc. IRE 40,
       1952.

    Examples
    --------
    >>> huffman_lengths(np.array([60, 25, 10, 0, 5]))
    array([1, 2, 3, 0, 3])
    """
    lengths = np.zeros(len(times), dtype=np.int64)
    used = np.flatnonzero(times)
    if len(used) < 2:
        lengths[used] = 1
        return lengths
    # (weight, order, values below): the order breaks ties, so that a table is reproducible
    trees = [(int(times[v]), int(v), [int(v)]) for v in used]
    heapq.heapify(trees)
    order = len(times)
    while len(trees) > 1:
        one, two = heapq.heappop(trees), heapq.heappop(trees)
        below = one[2] + two[2]
        lengths[below] += 1
        heapq.heappush(trees, (one[0] + two[0], order, below))
        order += 1
    return lengths


def table_bits(lengths: Int[np.ndarray, " value"]) -> int:
    """Size of a canonical code's table: a length of fixed width for each value.

    Parameters
    ----------
    lengths : numpy.ndarray, shape (value,)
        Length of each value's code word. [bit]

    Returns
    -------
    int
        Size. [bit]

    References
    ----------
    .. [1] E. Schwartz, B. Kallick, "Generating a canonical prefix encoding", Commun. ACM 7, 1964.

    Examples
    --------
    >>> table_bits(np.array([1, 2, 3, 0, 3]))
    10
    """
    return len(lengths) * int(lengths.max(initial=0)).bit_length()


def aer_break_even_hz(n_channels: int, bin_s: float) -> float:
    """Spike rate above which one bit for each channel is shorter than an address for each spike.

    ``1 / (ceil(log2 N) bin)``, for addresses that are sent bin by bin.

    Parameters
    ----------
    n_channels : int
        Channels that an address chooses from, 2 or more.
    bin_s : float
        Width of a bin. [s]

    Returns
    -------
    float
        Mean rate of a channel. [Hz]

    References
    ----------
    .. [1] N bits against N rate bin ceil(log2 N) bits.

    Examples
    --------
    >>> [round(aer_break_even_hz(1024, bin_s)) for bin_s in (1e-3, 5e-3, 10e-3)]
    [100, 20, 10]
    """
    return 1 / (math.ceil(math.log2(n_channels)) * bin_s)

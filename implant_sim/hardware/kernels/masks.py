"""Masks: which channel is sampled in which bin."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread
from typing import Any

import numpy as np

from implant_sim.hardware.kernels.compile import allowed_threads, kernel

__all__ = ["random_grouped", "random_subsets", "round_robin", "threads_for"]

# SplitMix64 (Steele, Lea, Flood 2014). Each row starts a stream of its own, at a hash of seed and
# row, so that a mask does not depend on how the rows are shared out.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ROW = np.uint64(0xD1342543DE82EF95)
_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_S27, _S30, _S31, _S32, _S11 = (np.uint64(n) for n in (27, 30, 31, 32, 11))
_TO_UNIT = 2.0**-53
_BLOCK = 2**17  # bytes
_SHARE = 2**19  # entries that pay for a thread


@kernel
def _mix(state):
    z = (state ^ (state >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@kernel
def _row_state(seed, row):
    return _mix(seed + (np.uint64(row) + np.uint64(1)) * _ROW)


@kernel
def _below(state, n):
    """A uniform integer in [0, n), n < 2^32, and the next state (Lemire 2019, with rejection)."""
    state += _GAMMA
    product = (_mix(state) >> _S32) * n
    if (product & _LOW) < n:
        threshold = ((_LOW - n) + np.uint64(1)) % n
        while (product & _LOW) < threshold:
            state += _GAMMA
            product = (_mix(state) >> _S32) * n
    return product >> _S32, state


@kernel
def _floyd_word(state, n, k):
    """Draw k of n <= 64 channels into the bits of a word: twice as fast as on memory."""
    word = np.uint64(0)
    for j in range(n - k, n):
        draw, state = _below(state, np.uint64(j + 1))
        bit = _ONE << draw
        word |= (_ONE << np.uint64(j)) if word & bit else bit
    return word


def random_subsets(seed: Any, n_rows: int, n_channels: int, k: int, n_threads: int = 1) -> Any:
    """Draw a subset of exactly k channels for each row, every subset equally likely.

    Asks for ``0 < k <= n_channels``. The mask does not depend on the number of threads.
    """
    observed = np.empty((n_rows, n_channels), dtype=np.bool_)
    cuts = [n_rows * i // n_threads for i in range(n_threads + 1)]
    others = [
        Thread(target=_draw_rows, args=(observed[first:last], seed, first, k))
        for first, last in pairwise(cuts[1:])
    ]
    for thread in others:
        thread.start()
    _draw_rows(observed[: cuts[1]], seed, 0, k)
    for thread in others:
        thread.join()
    return observed


def threads_for(n_entries: int) -> int:
    """Threads that a mask of so many entries is worth, of those that numba may use."""
    return max(1, min(allowed_threads(), n_entries // _SHARE))


@kernel
def _draw_rows(observed, seed, first, k):
    """Draw row `first` and on.

    Floyd's algorithm (Bentley & Floyd 1987), on the smaller of the subset and its complement.
    """
    n_rows, n_channels = observed.shape
    few = min(k, n_channels - k)
    chosen = k <= n_channels - k
    observed[:] = not chosen
    for row in range(n_rows):
        state = _row_state(seed, first + row)
        line = observed[row]
        if n_channels <= 64:
            word = _floyd_word(state, n_channels, few)
            for c in range(n_channels):
                line[c] = ((word >> np.uint64(c)) & _ONE == _ONE) == chosen
            continue
        for j in range(n_channels - few, n_channels):
            draw, state = _below(state, np.uint64(j + 1))
            spot = np.uint64(j) if line[draw] == chosen else draw  # a select, not a branch
            line[spot] = chosen


@kernel
def random_grouped(seed, n_rows, start, members, take, k):
    """Draw k channels for each row, at most one of a group, every such subset equally likely.

    ``members[start[g]:start[g + 1]]`` are the channels of group g. ``take[g, r]`` is the
    probability that group g is taken while r are still wanted from it and the groups behind it.
    """
    n_groups = len(start) - 1
    observed = np.zeros((n_rows, len(members)), dtype=np.bool_)
    for row in range(n_rows):
        state = _row_state(seed, row)
        wanted = k
        for g in range(n_groups):
            if wanted == 0:
                break
            state += _GAMMA
            if (_mix(state) >> _S11) * _TO_UNIT < take[g, wanted]:
                size = start[g + 1] - start[g]
                draw, state = _below(state, np.uint64(size))
                observed[row, members[start[g] + np.int64(draw)]] = True
                wanted -= 1
    return observed


@kernel
def _turn(start, at_most):
    """Visits after which all groups begin anew, the least common multiple of their sizes."""
    turn = 1
    for g in range(len(start) - 1):
        size = start[g + 1] - start[g]
        a, b = turn, size
        while b:
            a, b = b, a % b
        turn = turn // a * size
        if turn > at_most:
            return at_most + 1
    return turn


@kernel
def _copy(source, target):
    # seven times as fast as the assignment of a slice
    for i in range(len(source)):
        target[i] = source[i]


def round_robin(n_rows: int, start: Any, members: Any, k: int) -> Any:
    """Take the next k groups in each row, and of each the member after the one it gave last."""
    # numpy's memory comes in large pages, numba's in small ones, which are slower to write first
    observed = np.empty((n_rows, len(members)), dtype=np.bool_)
    _take_turns(observed, start, members, k)
    return observed


@kernel
def _take_turns(observed, start, members, k):
    n_rows, n_channels = observed.shape
    n_groups = len(start) - 1
    visits = np.zeros(n_groups, dtype=np.int64)
    places = n_groups * _turn(start, n_rows * k // n_groups)
    g, row = 0, 0
    while row < n_rows and (row == 0 or row * k % places != 0):
        observed[row] = False
        for _ in range(k):
            size = start[g + 1] - start[g]
            observed[row, members[start[g] + visits[g] % size]] = True
            visits[g] += 1
            g += 1
            if g == n_groups:
                g = 0
        row += 1
    # from here on it repeats itself: copied as a block that stays in the cache
    flat = observed.reshape(n_rows * n_channels)
    done = row * n_channels
    block = done
    while done < len(flat):
        n = min(block, len(flat) - done)
        _copy(flat[:n], flat[done : done + n])
        done += n
        if block < _BLOCK:
            block = done

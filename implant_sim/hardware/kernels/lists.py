"""Random masks as lists of channels: no row is ever laid out in full.

A list holds the channels of some rows one after the other; the cost follows the samples taken, not
the channels there are.
"""

from __future__ import annotations

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.masks import (
    _GAMMA,
    _LOW,
    _S11,
    _S32,
    _TO_UNIT,
    _below,
    _mix,
    _row_state,
)

__all__ = ["grouped_lists", "subset_lists"]


@kernel
def _draw_places(state, lowest, places):
    """Draw place i below ``lowest + 1 + i`` as `_below` does; False if one has to be redrawn.

    Without a branch, so that it runs on vectors.
    """
    redrawn = 0
    for i in range(len(places)):
        n = np.uint64(lowest + 1 + i)
        product = (_mix(state + np.uint64(i + 1) * _GAMMA) >> _S32) * n
        redrawn += 1 if (product & _LOW) < n else 0
        places[i] = np.int64(product >> _S32)
    return redrawn == 0


@kernel
def subset_lists(seed, first, n_rows, n_channels, k, drawn):
    """Draw the subsets of `masks.random_subsets`, rows `first` and on, as lists of k.

    `drawn` is False for each channel, and is left so.
    """
    few = min(k, n_channels - k)
    direct = k <= n_channels - k
    channels = np.empty(n_rows * k, dtype=np.int32)
    places = np.empty(few, dtype=np.int32)
    for row in range(n_rows):
        state = _row_state(seed, first + row)
        if not _draw_places(state, n_channels - few, places):
            for i in range(few):
                draw, state = _below(state, np.uint64(n_channels - few + i + 1))
                places[i] = draw
        at = row * k
        for i in range(few):
            j = np.int32(n_channels - few + i)
            spot = j if drawn[np.uint32(places[i])] else places[i]  # a select, not a branch
            drawn[np.uint32(spot)] = True
            places[i] = spot
        if direct:
            for i in range(k):
                channels[at + i] = places[i]
                drawn[np.uint32(places[i])] = False
            continue
        for c in range(n_channels):
            if drawn[c]:
                drawn[c] = False
            else:
                channels[at] = c
                at += 1
    return channels


@kernel
def grouped_lists(seed, first, n_rows, start, members, take, k):
    """Draw the subsets of `masks.random_grouped`, rows `first` and on, as lists of k."""
    channels = np.empty(n_rows * k, dtype=np.int32)
    for row in range(n_rows):
        state = _row_state(seed, first + row)
        wanted = k
        for g in range(len(start) - 1):
            if wanted == 0:
                break
            state += _GAMMA
            if (_mix(state) >> _S11) * _TO_UNIT < take[g, wanted]:
                draw, state = _below(state, np.uint64(start[g + 1] - start[g]))
                channels[row * k + k - wanted] = members[start[g] + np.int64(draw)]
                wanted -= 1
    return channels

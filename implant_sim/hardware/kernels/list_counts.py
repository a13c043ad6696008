"""Spike counts at lists of channels: drawn, thinned, added up to bins and measured.

A chunk holds the channels of some rows one after the other, `size` of them each. What reaches from
one chunk into the next is kept in arrays that the caller makes once and the kernel alone writes.
"""

from __future__ import annotations

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.exposure import _CHANNEL, _spike_time
from implant_sim.hardware.kernels.masks import _S11, _TO_UNIT, _mix, _row_state

__all__ = ["drawn_counts", "lengths_of", "merge_steps", "picked_counts", "tally_lists", "thinned"]


@kernel
def drawn_counts(seed, first, rows_per_bin, channels, size, mean, quiet, times):
    """Draw the Poisson counts of some samples: each a function of seed, bin and channel alone.

    By inversion. `mean` and `quiet`, its ``exp(-mean)``, are by channel; the last place of `times`
    is the largest count. Returns the counts and the spikes of each row; `times` adds up how often
    each count above zero occurs.
    """
    most = len(times) - 1
    counts = np.zeros(len(channels), dtype=np.int32)
    spikes = np.zeros(len(size), dtype=np.int64)
    chance = np.empty(size.max() if len(size) > 0 else 0, dtype=np.float64)
    at = 0
    for row in range(len(size)):
        state = _row_state(seed, (first + row) // rows_per_bin)
        line, drawn = channels[at : at + size[row]], counts[at : at + size[row]]
        at += size[row]
        for i in range(len(line)):  # apart from the loop below, so that it runs on vectors
            place = np.uint64(np.uint32(line[i])) * _CHANNEL
            chance[i] = (_mix(state + place) >> _S11) * _TO_UNIT
        for i in range(len(line)):
            c = np.uint32(line[i])
            if chance[i] >= quiet[c]:
                share, n = quiet[c], 0
                below = share
                while chance[i] >= below and n < most:
                    n += 1
                    share = share * mean[c] / n
                    below += share
                drawn[i] = n
                spikes[row] += n
                times[n] += 1
    return counts, spikes


@kernel
def picked_counts(table, first, rows_per_bin, channels, size, times):
    """Look the counts of some samples up in a table of bins and channels.

    Returns them and the spikes of each row; `times` adds up how often each count above zero
    occurs.
    """
    counts = np.empty(len(channels), dtype=np.int32)
    spikes = np.zeros(len(size), dtype=np.int64)
    at = 0
    for row in range(len(size)):
        b = (first + row) // rows_per_bin
        for i in range(at, at + size[row]):
            n = table[b, channels[i]]
            counts[i] = n
            if n > 0:
                spikes[row] += n
                times[n] += 1
        at += size[row]
    return counts, spikes


@kernel
def thinned(seed, first, rows_per_bin, channels, size, counts, valid):
    """Keep the spikes that fall into the valid part of their row, as `exposure.deliver` does.

    Rows are steps; `counts` are those of the whole bin that a step lies in.
    """
    kept = np.zeros(len(channels), dtype=np.int32)
    at = 0
    for row in range(len(size)):
        b, part = (first + row) // rows_per_bin, (first + row) % rows_per_bin
        for i in range(at, at + size[row]):
            if rows_per_bin == 1 and valid[i] >= 1:
                kept[i] = counts[i]
            elif valid[i] > 0:
                for spike in range(counts[i]):
                    place = _spike_time(seed, b, channels[i], spike) * rows_per_bin
                    if min(int(place), rows_per_bin - 1) == part:
                        kept[i] += place - part >= 1.0 - valid[i]
        at += size[row]
    return kept


@kernel
def merge_steps(channels, size, counts, valid, rows_per_bin, place):
    """Add up the rows of each bin, channel by channel.

    Returns counts and exposures, bin after bin and channel after channel in the order of their
    first row, and how many channels each bin has. `place` is -1 for each channel, and is left so.
    """
    n_bins = len(size) // rows_per_bin
    total = np.zeros(len(channels), dtype=np.int32)
    exposed = np.zeros(len(channels), dtype=np.float64)
    of_bin = np.zeros(n_bins, dtype=np.int64)
    at, end = 0, 0
    for b in range(n_bins):
        begin, last = end, at
        for row in range(b * rows_per_bin, (b + 1) * rows_per_bin):
            last += size[row]
        for i in range(at, last):
            c = channels[i]
            if place[c] < 0:
                place[c] = end
                end += 1
            total[place[c]] += counts[i]
            exposed[place[c]] += valid[i]
        for i in range(at, last):
            place[channels[i]] = -1
        at = last
        of_bin[b] = end - begin
    return total[:end], (exposed[:end] / rows_per_bin).astype(np.float32), of_bin


@kernel
def tally_lists(counts, size, times):
    """Count the spikes of each bin; `times` adds up how often each value above zero occurs."""
    spikes = np.zeros(len(size), dtype=np.int64)
    at = 0
    for b in range(len(size)):
        for i in range(at, at + size[b]):
            if counts[i] > 0:
                spikes[b] += counts[i]
                times[counts[i]] += 1
        at += size[b]
    return spikes


@kernel
def lengths_of(counts, size, lengths):
    """Length of each bin in a code that gives the value v ``lengths[v]`` bits."""
    bits = np.zeros(len(size), dtype=np.int64)
    at = 0
    for b in range(len(size)):
        for i in range(at, at + size[b]):
            bits[b] += lengths[counts[i]]
        at += size[b]
    return bits

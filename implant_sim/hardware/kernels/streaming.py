"""Masks as lists of channels, and what they make the implant do: no row is ever laid out in full.

A chunk holds the channels of some rows one after the other, `size` of them each; the cost follows
the samples taken, not the channels there are. What reaches from one chunk into the next is kept in
arrays that the caller makes once and the kernel alone writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.exposure import _CHANNEL, _spike_time
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

__all__ = [
    "changes_in",
    "drawn_counts",
    "grouped_lists",
    "lengths_of",
    "merge_steps",
    "pauses",
    "picked_counts",
    "settled",
    "shared_in",
    "subset_lists",
    "tally_lists",
    "thinned",
]


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


@kernel
def pauses(units, size, first, seen, span, least_gap, limit):
    """Find the pauses that end in each row; a row stands for `span` steps of a clock.

    `seen` holds the last row of each unit and its visits, at first -1 and 0. A unit may be named
    several times in a row, which is one visit. Returns totals (units that were not in the row
    before; rows of the pauses of fewer than `least_gap` steps, and the number of the others; rows
    of the pauses of up to `limit` steps, and the number of the others; rows before first visits),
    the longest pause in rows, without and with those before first visits, and for each row the
    steps of its pauses, of each `limit` at most.
    """
    total = np.zeros(6, dtype=np.int64)
    between, longest = 0, 0
    before = np.zeros(len(size), dtype=np.float64)
    gaps = np.empty(size.max() if len(size) > 0 else 0, dtype=np.int32)
    none: Any = np.int32(0)
    one = np.int32(1)
    enough = np.int32(-(-least_gap // span))
    most = np.int32(min(limit // span, 2.0**31 - 1))
    at = 0
    for row in range(len(size)):
        now = np.int32(first + row)
        line = units[at : at + size[row]]
        at += size[row]
        for i in range(len(line)):
            unit = np.uint32(line[i])
            gap = np.int32(now - one - seen[unit, 0])
            gaps[i] = gap
            seen[unit, 0] = now
            seen[unit, 1] += np.int32(gap >= none)
        anew, short, n_long, whole, n_cut, late = 0, 0, 0, 0, 0, 0
        for i in range(len(line)):  # apart from the loop above, so that it runs on vectors
            pause: Any = max(gaps[i], none)
            is_first = pause == now
            anew += 1 if pause > none else 0
            n_long += 1 if pause >= enough else 0
            short += pause if pause < enough else none
            n_cut += 1 if pause > most else 0
            whole += pause if pause <= most else none
            late += pause if is_first else none
            between = max(between, none if is_first else pause)
            longest = max(longest, pause)
        total[0] += anew
        total[1] += short
        total[2] += n_long
        total[3] += whole
        total[4] += n_cut
        total[5] += late
        before[row] = whole * span + n_cut * limit
    return total, between, longest, before


@kernel
def settled(channels, size, first, unit_of, last, last_unit, left, least_gap, warm, wake):
    """Find the valid share of each sample, as `exposure.settle` does.

    `last` and `last_unit`, -1 at first, hold the row in which a channel and its unit were last
    needed, `left`, 0 at first, the settling that is left of a channel. A unit that has paused for
    `least_gap` rows wakes, which takes its channels `wake` rows; any pause takes `warm` rows.
    """
    valid = np.empty(len(channels), dtype=np.float32)
    woken_in = np.full(len(last_unit), -1, dtype=np.int64)
    at = 0
    for row in range(len(size)):
        now = first + row
        for i in range(at, at + size[row]):
            c = channels[i]
            unit = unit_of[c]
            if now - last_unit[unit] - 1 >= least_gap:
                woken_in[unit] = now
            last_unit[unit] = now
            if last[c] < now - 1:
                left[c] = warm
            last[c] = now
            if woken_in[unit] == now:
                left[c] += wake
            lost = min(left[c], 1.0)
            left[c] -= lost
            valid[i] = 1.0 - lost
        at += size[row]
    return valid


@kernel
def changes_in(channels, group, held):
    """Count changes of channel of groups that hold one; `held` is -1 for each at first."""
    total = 0
    for i in range(len(channels)):
        c = channels[i]
        if held[group[c]] != c:
            total += held[group[c]] >= 0
            held[group[c]] = c
    return total


@kernel
def shared_in(channels, size, group, load):
    """Count places, over all rows, of channels that share their group's wire with another.

    `load` is 0 for each group, and is left so.
    """
    groups = np.empty(size.max() if len(size) > 0 else 0, dtype=np.uint32)
    total, at = 0, 0
    for row in range(len(size)):
        line = channels[at : at + size[row]]
        at += size[row]
        for i in range(len(line)):
            g = np.uint32(group[np.uint32(line[i])])
            groups[i] = g
            # the second brings the first with it
            total += 2 if load[g] == 1 else 1 if load[g] > 1 else 0
            load[g] += 1
        for i in range(len(line)):
            load[groups[i]] = 0
    return total


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

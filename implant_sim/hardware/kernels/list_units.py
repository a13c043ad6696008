"""What lists of channels make amplifiers and wires do.

A chunk holds the channels of some rows one after the other, `size` of them each. What reaches from
one chunk into the next is kept in arrays that the caller makes once and the kernel alone writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from implant_sim.hardware.kernels.compile import kernel

__all__ = ["changes_in", "pauses", "settled", "shared_in"]


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

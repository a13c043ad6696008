"""More masks, and what they amount to: visits, gaps, shared wires."""

from __future__ import annotations

from heapq import heappop, heappush
from math import ceil, floor

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.masks import _GAMMA, _S11, _TO_UNIT, _below, _mix, _row_state

__all__ = ["bernoulli", "first_shared", "revisits", "weighted"]

_SLACK = 1e-9  # rates are doubles: what is this close to a whole number is one
_FAR = 1e15  # rows: never, and still a whole number to a double


@kernel
def bernoulli(seed, n_rows, start, members, probability):
    """Draw each channel of each row by itself; of a group's draws one at random is kept.

    Returns the mask and how many draws were dropped.
    """
    observed = np.zeros((n_rows, len(members)), dtype=np.bool_)
    dropped = 0
    for row in range(n_rows):
        state = _row_state(seed, row)
        for g in range(len(start) - 1):
            drawn, held = 0, 0
            for i in range(start[g], start[g + 1]):
                state += _GAMMA
                if (_mix(state) >> _S11) * _TO_UNIT < probability:
                    drawn += 1
                    keep = np.uint64(0)
                    if drawn > 1:
                        keep, state = _below(state, np.uint64(drawn))
                    if keep == np.uint64(0):
                        held = members[i]
            if drawn > 0:
                observed[row, held] = True
                dropped += drawn - 1
    return observed, dropped


@kernel
def _whole_below(x):
    return floor(min(x, _FAR) + _SLACK)


@kernel
def _whole_above(x):
    return ceil(min(x, _FAR) - _SLACK)


@kernel
def _urgency(visit, rate):
    """What orders the visits that are due: smaller first.

    The deadline; then whether the window of the next visit overlaps; then how long a chain of
    visits a delay would push along (PD2 of Anderson & Srinivasan 2004).
    """
    deadline = _whole_above(visit / rate)
    overlap = deadline - _whole_below(visit / rate)
    chain = 0
    if 0.5 <= rate < 1.0 - _SLACK:
        chain = _whole_above(_whole_above(deadline * (1.0 - rate)) / (1.0 - rate))
    return deadline, 1 - overlap, -chain


@kernel
def _member_due(start, end, share, visits, turn):
    """Of a group's channels that may be visited at its next turn, the one due first."""
    best, earliest, open_ = -1, 0, False
    for i in range(start, end):
        if share[i] <= 0.0:
            continue
        due = _whole_above((visits[i] + 1) / share[i])
        released = _whole_below(visits[i] / share[i]) <= turn
        if best < 0 or (released and not open_) or (released == open_ and due < earliest):
            best, earliest, open_ = i, due, released
    return best


@kernel
def weighted(n_rows, start, members, rate, k):
    """Visit each channel at its rate, k groups in each row, as evenly as whole visits allow.

    Proportionate fairness: the n-th visit of a group with rate r falls into rows floor((n-1)/r)
    to ceil(n/r) - 1, so that after t rows it has had within one visit of r t; inside a group its
    channels share its turns in the same way. ``rate`` is in the order of `members`, sums to k, and
    to at most 1 in a group.
    """
    n_groups = len(start) - 1
    observed = np.zeros((n_rows, len(members)), dtype=np.bool_)
    group_rate = np.zeros(n_groups)
    share = np.zeros(len(members))
    turns = np.zeros(n_groups, dtype=np.int64)
    visits = np.zeros(len(members), dtype=np.int64)
    taken = np.zeros(k, dtype=np.int64)
    waiting = [(0, 0)]  # first row of the window, group
    due = [(0, 0, 0, 0)]  # urgency, group
    waiting.pop()
    due.pop()
    for g in range(n_groups):
        group_rate[g] = rate[start[g] : start[g + 1]].sum()
        if group_rate[g] > 0.0:
            share[start[g] : start[g + 1]] = rate[start[g] : start[g + 1]] / group_rate[g]
            heappush(waiting, (0, g))
    for row in range(n_rows):
        while len(waiting) > 0 and waiting[0][0] <= row:
            g = heappop(waiting)[1]
            late, single, chain = _urgency(turns[g] + 1, group_rate[g])
            heappush(due, (late, single, chain, g))
        for place in range(k):
            # rounding may leave a place free, which the next in line takes a row early
            g = heappop(due)[3] if len(due) > 0 else heappop(waiting)[1]
            i = _member_due(start[g], start[g + 1], share, visits, turns[g])
            observed[row, members[i]] = True
            visits[i] += 1
            turns[g] += 1
            taken[place] = g
        for place in range(k):
            g = taken[place]
            heappush(waiting, (_whole_below(turns[g] / group_rate[g]), g))
    return observed


@kernel
def first_shared(sampled, group, n_groups):
    """Find the first row with two channels of a group: row and both channels, or -1 thrice."""
    n_rows, n_channels = sampled.shape
    held = np.full(n_groups, -1, dtype=np.int64)
    row_of = np.full(n_groups, -1, dtype=np.int64)
    for row in range(n_rows):
        for c in range(n_channels):
            if sampled[row, c]:
                if row_of[group[c]] == row:
                    return row, held[group[c]], c
                held[group[c]], row_of[group[c]] = c, row
    return -1, -1, -1


@kernel
def revisits(sampled):
    """Find what each channel was given.

    Returns its visits (rows), its first and last row (-1 where there is none), the most rows from
    one visit to the next; and how often, over all channels and after the first row, a channel was
    sampled that was not in the row before.
    """
    n_rows, n_channels = sampled.shape
    visits = np.zeros(n_channels, dtype=np.int64)
    first = np.full(n_channels, -1, dtype=np.int64)
    last = np.full(n_channels, -1, dtype=np.int64)
    longest = np.zeros(n_channels, dtype=np.int64)
    starts = 0
    for row in range(n_rows):
        for c in range(n_channels):
            if not sampled[row, c]:
                continue
            if visits[c] == 0:
                first[c] = row
            else:
                longest[c] = max(longest[c], row - last[c])
            if last[c] != row - 1:
                starts += 1
            visits[c] += 1
            last[c] = row
    return visits, first, last, longest, starts

"""What a mask makes the implant do: gaps, wake-ups, changes of channel."""

from __future__ import annotations

import numpy as np

from implant_sim.hardware.kernels.compile import kernel

__all__ = ["gate", "switches_held", "switches_shared", "warm_ups"]


@kernel
def gate(needed, least_gap):
    """Put units to sleep in gaps of at least `least_gap` rows.

    A gap at the end counts as followed by a wake-up, a unit never needed sleeps throughout.
    Returns the rows that each unit is on, its wake-ups, and the rows in which it has just woken.
    """
    n_rows, n_units = needed.shape
    on = np.zeros(n_units, dtype=np.int64)
    wakes = np.zeros(n_units, dtype=np.int64)
    woken = np.zeros((n_rows, n_units), dtype=np.bool_)
    gap = np.zeros(n_units, dtype=np.int64)
    used = np.zeros(n_units, dtype=np.bool_)
    for row in range(n_rows):
        for unit in range(n_units):
            if needed[row, unit]:
                used[unit] = True
                on[unit] += 1
                if gap[unit] >= least_gap:
                    wakes[unit] += 1
                    woken[row, unit] = True
                else:
                    on[unit] += gap[unit]
                gap[unit] = 0
            else:
                gap[unit] += 1
    for unit in range(n_units):
        if used[unit] and gap[unit] > 0:
            if gap[unit] >= least_gap:
                wakes[unit] += 1
            else:
                on[unit] += gap[unit]
    return on, wakes, woken


@kernel
def warm_ups(sampled, limit):
    """Find for each row the rows of warm-up before it.

    A channel sampled again after a pause needs `limit` of them, at most its pause. Before the
    first row all channels are warm.
    """
    n_rows, n_channels = sampled.shape
    gap = np.zeros(n_channels, dtype=np.int64)
    before = np.zeros(n_rows, dtype=np.float64)
    for row in range(n_rows):
        for c in range(n_channels):
            if not sampled[row, c]:
                gap[c] += 1
            elif gap[c] > 0:
                before[row] += min(float(gap[c]), limit)
                gap[c] = 0
    return before


@kernel
def switches_shared(sampled, group, n_groups):
    """Count places, over all rows, of channels that take turns with another within a sample."""
    n_rows, n_channels = sampled.shape
    load = np.zeros(n_groups, dtype=np.int64)
    total = 0
    for row in range(n_rows):
        load[:] = 0
        for c in range(n_channels):
            if sampled[row, c]:
                load[group[c]] += 1
        for g in range(n_groups):
            if load[g] > 1:
                total += load[g]
    return total


@kernel
def switches_held(sampled, group, n_groups):
    """Count changes of channel of groups that hold one channel for a whole row."""
    n_rows, n_channels = sampled.shape
    held = np.full(n_groups, -1, dtype=np.int64)
    total = 0
    for row in range(n_rows):
        for c in range(n_channels):
            if sampled[row, c] and held[group[c]] != c:
                if held[group[c]] >= 0:
                    total += 1
                held[group[c]] = c
    return total

"""What of each step is valid, and which spikes fall into it."""

from __future__ import annotations

import numpy as np

from implant_sim.hardware.kernels.compile import kernel
from implant_sim.hardware.kernels.masks import _GAMMA, _S11, _TO_UNIT, _mix, _row_state

__all__ = ["deliver", "hold", "send_on_change", "settle", "spikes_in_step"]

_CHANNEL = np.uint64(0x2545F4914F6CDD1D)


@kernel
def settle(sampled, woken, warm_steps, wake_steps):
    """Find the share of each step that is valid, where settling takes its first part.

    A channel sampled again after a pause first warms up for `warm_steps`, and where its amplifier
    has just woken for `wake_steps` more; what a step is too short for is carried into the next.
    Before the first step all channels are warm. `woken` may have no rows: none wakes late.
    """
    n_steps, n_channels = sampled.shape
    valid = np.zeros((n_steps, n_channels), dtype=np.float32)
    left = np.zeros(n_channels, dtype=np.float64)
    for step in range(n_steps):
        for c in range(n_channels):
            if not sampled[step, c]:
                left[c] = 0.0
                continue
            if step > 0 and not sampled[step - 1, c]:
                left[c] = warm_steps
            if woken.shape[0] > 0 and woken[step, c]:
                left[c] += wake_steps
            lost = min(left[c], 1.0)
            left[c] -= lost
            valid[step, c] = 1.0 - lost
    return valid


@kernel
def _spike_time(seed, row, channel, spike):
    """Where in its bin a spike falls, in [0, 1): the same for every schedule."""
    state = _row_state(seed, row) + np.uint64(channel) * _CHANNEL
    return (_mix(_mix(state) + np.uint64(spike + 1) * _GAMMA) >> _S11) * _TO_UNIT


@kernel
def deliver(seed, counts, valid, steps_per_bin):
    """Keep the spikes that fall into the valid parts of the steps of each bin.

    The valid part of a step is its last. Returns the spikes kept and the share of each bin that
    was valid.
    """
    n_bins, n_channels = counts.shape
    kept = np.zeros((n_bins, n_channels), dtype=np.int32)
    exposure = np.zeros((n_bins, n_channels), dtype=np.float32)
    for b in range(n_bins):
        first = b * steps_per_bin
        for c in range(n_channels):
            total = 0.0
            for s in range(steps_per_bin):
                total += valid[first + s, c]
            exposure[b, c] = total / steps_per_bin
            if total >= steps_per_bin:
                kept[b, c] = counts[b, c]
            elif total > 0:
                for spike in range(counts[b, c]):
                    place = _spike_time(seed, b, c, spike) * steps_per_bin
                    s = min(int(place), steps_per_bin - 1)
                    if valid[first + s, c] > 0 and place - s >= 1.0 - valid[first + s, c]:
                        kept[b, c] += 1
    return kept, exposure


@kernel
def spikes_in_step(seed, counts, step, steps_per_bin, channels):
    """Count the spikes of some channels in one step."""
    found = np.zeros(len(channels), dtype=np.int64)
    b, part = step // steps_per_bin, step % steps_per_bin
    for i in range(len(channels)):
        c = channels[i]
        if steps_per_bin == 1:
            found[i] = counts[b, c]
            continue
        for spike in range(counts[b, c]):
            place = _spike_time(seed, b, c, spike) * steps_per_bin
            if min(int(place), steps_per_bin - 1) == part:
                found[i] += 1
    return found


@kernel
def send_on_change(counts, sampled, least_change):
    """Send a count where it differs enough from the last one sent; the receiver holds that one.

    Before the first, the receiver holds zero. Returns the held counts and what was sent.
    """
    n_bins, n_channels = counts.shape
    held = np.zeros((n_bins, n_channels), dtype=np.int32)
    sent = np.zeros((n_bins, n_channels), dtype=np.bool_)
    last = np.zeros(n_channels, dtype=np.int32)
    for b in range(n_bins):
        for c in range(n_channels):
            if sampled[b, c]:
                if abs(counts[b, c] - last[c]) >= least_change:
                    last[c] = counts[b, c]
                    sent[b, c] = True
                held[b, c] = last[c]
    return held, sent


@kernel
def hold(counts, arrived):
    """Hold the count of each channel that arrived last; zero before the first."""
    n_bins, n_channels = counts.shape
    held = np.zeros((n_bins, n_channels), dtype=np.int32)
    last = np.zeros(n_channels, dtype=np.int32)
    for b in range(n_bins):
        for c in range(n_channels):
            if arrived[b, c]:
                last[c] = counts[b, c]
            held[b, c] = last[c]
    return held

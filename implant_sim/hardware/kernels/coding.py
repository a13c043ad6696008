"""How many values and bits a mask sends: loops over the counts of every bin."""

from __future__ import annotations

import numpy as np

from implant_sim.hardware.kernels.compile import kernel

__all__ = ["code_bits", "histogram", "tally"]


@kernel
def tally(counts, sampled):
    """Count for each row the values sent and the spikes in them, and find the largest of all."""
    n_rows, n_channels = counts.shape
    values = np.zeros(n_rows, dtype=np.int64)
    spikes = np.zeros(n_rows, dtype=np.int64)
    largest = 0
    for row in range(n_rows):
        for c in range(n_channels):
            if sampled[row, c]:
                values[row] += 1
                spikes[row] += counts[row, c]
                largest = max(largest, counts[row, c])
    return values, spikes, largest


@kernel
def histogram(counts, sampled, largest):
    """Count how often each value from 0 to `largest` is sent."""
    n_rows, n_channels = counts.shape
    times = np.zeros(largest + 1, dtype=np.int64)
    for row in range(n_rows):
        for c in range(n_channels):
            if sampled[row, c]:
                times[counts[row, c]] += 1
    return times


@kernel
def code_bits(counts, sampled, lengths):
    """Length of each row in a code that gives the value v ``lengths[v]`` bits."""
    n_rows, n_channels = counts.shape
    bits = np.zeros(n_rows, dtype=np.int64)
    for row in range(n_rows):
        for c in range(n_channels):
            if sampled[row, c]:
                bits[row] += lengths[counts[row, c]]
    return bits

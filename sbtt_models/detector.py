"""A spike detector as the receiver knows it: what it misses, what it imagines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

__all__ = ["Detector"]

_LEAST_TRUE = 0.05  # of a detector's counts


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """How many spikes a detector finds, and how many it imagines: known to the receiver.

    A full bin of a channel that fires `rate` times is expected to give
    ``probability * rate + false_per_bin`` counts.
    """

    probability: Float[np.ndarray, " channel"]
    """Share of the spikes that are found."""
    false_per_bin: Float[np.ndarray, " channel"]
    """False alarms expected in a full bin."""

    def seen(
        self, rates: Float32[np.ndarray, "trial bin channel"]
    ) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts at the detector's output, for spikes per bin."""
        return (rates * self.probability + self.false_per_bin).astype(np.float32)

    def true(
        self, counts: Float32[np.ndarray, "trial bin channel"]
    ) -> Float32[np.ndarray, "trial bin channel"]:
        """Spikes per bin, for expected counts at the output.

        At least a twentieth of the counts are taken for spikes: a rate of exactly 0 would say that
        a spike cannot be. A channel of which nothing is found tells nothing: 0.
        """
        found = np.maximum(counts - self.false_per_bin, _LEAST_TRUE * counts)
        blind = self.probability <= 0
        rates = np.where(blind, 0.0, found / np.where(blind, 1.0, self.probability))
        return rates.astype(np.float32)

"""The channels that have been most active of late."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.schedules.adaptive import Fading, InSteps, Scoring, in_steps
from implant_sim.hardware.schedules.base import Adaptive, Groups, Policy, View
from sbtt_models.units import Seconds

__all__ = ["Activity"]


class Activity(Adaptive):
    """The channels with the highest mean, or variance, of their spikes in a step.

    Both are averages over a channel's own samples, whose weight fades with the time since. A
    channel not yet known (a variance needs two samples) comes before all others.
    """

    kind: Literal["activity"] = "activity"
    by: Literal["rate", "variance"] = "rate"
    """What is followed."""
    memory_s: Seconds = Field(5.0, gt=0, alias="memory")
    """Time constant with which a sample loses weight."""
    calibrated: bool = False
    """Start from means and variances of calibration data, which are charged, not from nothing."""

    @property
    @override
    def calibrates(self) -> bool:
        return self.calibrated

    @override
    def policy(self, view: View, k: int, rng: np.random.Generator) -> Policy:
        memory_steps = self.memory_s / view.step_s
        policy = _MostActive(view.groups, k, self.explore, memory_steps, self.by == "variance")
        if self.calibrated:
            policy.start(in_steps(view.calibrate(), view.step_s))
        return policy


class _MostActive(Scoring):
    """Keeps sums of weights, counts, squares, and of squared weights, which fade twice as fast."""

    def __init__(
        self, groups: Groups, k: int, explore: float, memory_steps: float, variance: bool
    ) -> None:
        super().__init__(groups, k, explore)
        self.variance, self.memory_steps = variance, memory_steps
        self.past = Fading(memory_steps, (1.0, 1.0, 1.0, 2.0), len(groups.members))

    def start(self, known: InSteps) -> None:
        """Take calibration data for the last steps before the first, as many as are remembered."""
        n = known.recorded.sum(axis=(0, 1))
        mean, square = (
            (known.counts**power).sum(axis=(0, 1)) / np.maximum(1, n) for power in (1, 2)
        )
        # a step shorter than a bin holds each spike of the bin with probability `share`
        p = known.share
        mean, square = p * mean, p * p * square + p * (1 - p) * mean
        weight = np.minimum(n / p, self.memory_steps)
        sums = np.stack([weight, weight * mean, weight * square, weight / 2])
        self.past.add(0, np.arange(len(n)), np.where(n > 0, sums, 0.0))

    @override
    def learn(
        self, step: int, channels: Int[np.ndarray, " chosen"], counts: Int[np.ndarray, " chosen"]
    ) -> None:
        ones = np.ones(len(counts))
        self.past.add(step, channels, np.stack([ones, counts, counts * counts, ones]))

    @override
    def score(self, step: int) -> Float[np.ndarray, " channel"]:
        # as of each channel's last sample: what fades since then cancels in these ratios
        weight, total, square, weight_2 = self.past.sums
        score = np.full(len(weight), np.inf)
        known = weight > 0
        mean = np.divide(total, weight, out=score.copy(), where=known)
        if not self.variance:
            return mean
        # unbiased, with 1 - (sum of squared weights) / weight^2 for the usual (n - 1) / n
        loss = np.ones_like(weight)
        np.divide(weight_2, weight * weight, out=loss, where=known)
        known &= loss < 1 - 1e-9
        np.divide(square, weight, out=score, where=known)
        np.subtract(score, mean * mean, out=score, where=known)
        np.divide(score, 1 - loss, out=score, where=known)
        return score

    @property
    @override
    def operations(self) -> float:
        # each sum fades and grows; then a quotient (or a variance) and a comparison a channel
        n, k = len(self.groups.members), self.turns.k
        return 8.0 * k + 6.0 * n if self.variance else 4.0 * k + 2.0 * n

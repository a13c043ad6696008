"""What adaptive schedules share: turns for the neglected, sums that fade, calibration in steps."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from typing_extensions import override

from implant_sim.hardware.kernels import choosing
from implant_sim.hardware.schedules.base import Calibration, Policy
from implant_sim.hardware.schedules.view import Groups

__all__ = ["Fading", "InSteps", "Scoring", "Turns", "in_steps"]


class Turns:
    """Remembers when each channel was chosen last, and how many places go to the oldest."""

    def __init__(self, n_channels: int, k: int, explore: float) -> None:
        self.last = np.full(n_channels, -1, dtype=np.int64)
        self.k = k
        self._per_step = explore * k

    def n_oldest(self, step: int) -> int:
        """Places of a step that go to the channels chosen longest ago."""
        return math.floor((step + 1) * self._per_step) - math.floor(step * self._per_step)

    def note(self, step: int, channels: Int[np.ndarray, " chosen"]) -> None:
        """Remember a choice."""
        self.last[channels] = step


class Scoring(Policy):
    """Chooses the channels of the highest score."""

    def __init__(self, groups: Groups, k: int, explore: float) -> None:
        self.groups = groups
        self.turns = Turns(len(groups.members), k, explore)

    @abstractmethod
    def score(self, step: int) -> Float[np.ndarray, " channel"]:
        """Value of each channel as a choice for this step; never nan."""

    @override
    def choose(self, step: int) -> Int[np.ndarray, " chosen"]:
        oldest = self.turns.n_oldest(step)
        groups = self.groups
        channels: Int[np.ndarray, " chosen"] = choosing.top_channels(
            self.score(step), self.turns.last, groups.of, groups.n, self.turns.k, oldest
        )
        self.turns.note(step, channels)
        return channels


class Fading:
    """Sums over the past of each channel, in which an entry fades with a time constant."""

    def __init__(self, memory_steps: float, pace: tuple[float, ...], n_channels: int) -> None:
        """Let the sums fade with this time constant, each so many times as fast."""
        same = len(set(pace)) == 1  # then one exponential does for all
        self._decay = np.array(pace[:1] if same else pace)[:, None] / memory_steps
        self._last = np.zeros(n_channels)
        self.sums = np.zeros((len(pace), n_channels))
        """As they were when each channel was added to last, shape (sum, channel)."""

    def at(
        self, step: int, channels: Int[np.ndarray, " chosen"] | slice = slice(None)
    ) -> Float[np.ndarray, "sum chosen"]:
        """The sums of some channels, faded until a step."""
        return self.sums[:, channels] * np.exp(self._decay * (self._last[channels] - step))

    def add(
        self,
        step: int,
        channels: Int[np.ndarray, " chosen"],
        values: Float[np.ndarray, "sum chosen"],
    ) -> None:
        """Add what a step brought; steps come in order."""
        self.sums[:, channels] = self.at(step, channels) + values
        self._last[channels] = step


@dataclass(frozen=True, slots=True, eq=False)
class InSteps:
    """Calibration data in steps of a schedule; in bins, where its steps are shorter."""

    counts: Float[np.ndarray, "trial step channel"]
    """0 where not recorded."""
    recorded: Bool[np.ndarray, "trial step channel"]
    share: float
    """The schedule's step as a share of these steps: below 1 where it is shorter than a bin."""


def in_steps(data: Calibration, step_s: float) -> InSteps:
    """Add up the bins of each step of the schedule; what fills no whole step is left out.

    Parameters
    ----------
    data : Calibration
        Counts in bins.
    step_s : float
        The schedule's step. [s]

    Returns
    -------
    InSteps
        Counts in steps.
    """
    m = max(1, round(step_s / data.bin_s))
    n_trials, n_bins, n_channels = data.counts.shape
    shape = n_trials, n_bins // m, m, n_channels
    whole = slice(0, n_bins // m * m)
    recorded = np.asarray(data.recorded[:, whole].reshape(shape).all(axis=2))
    counts = data.counts[:, whole].reshape(shape).sum(axis=2)
    share = min(1.0, step_s / (m * data.bin_s))
    return InSteps(np.where(recorded, counts, 0).astype(float), recorded, share)

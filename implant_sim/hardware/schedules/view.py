"""What a schedule may know: the clock, the wires, calibration data, and what came back so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from implant_sim.hardware.physics.information import subset_bits

__all__ = ["Calibration", "Groups", "Observe", "View"]

Observe = Callable[[int, np.ndarray], np.ndarray]
"""Step and channels (int64) -> their spikes in that step. Steps may only be asked for in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Data taken to tune a schedule: the training and validation trials, sampled in full."""

    counts: Int32[np.ndarray, "trial bin channel"]
    recorded: Bool[np.ndarray, "trial bin channel"]
    valid: Bool[np.ndarray, " trial"]
    """Trials that validate; the others train."""
    behaviour: Float[np.ndarray, "trial bin dim"] | None
    scored: Bool[np.ndarray, "trial bin"]
    """Bins inside their trial, and with behaviour where there is any."""
    bin_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Channels by the wire that they share: `members[start[g]:start[g + 1]]` are those of g."""

    start: Int[np.ndarray, " edge"]
    members: Int[np.ndarray, " channel"]
    of: Int[np.ndarray, " channel"]
    """The group of each channel, counted from 0 without gaps."""

    @classmethod
    def by_wire(cls, wire: Int[np.ndarray, " channel"]) -> Groups:
        """Sort channels by wire."""
        _, of, size = np.unique(wire, return_inverse=True, return_counts=True)
        start = np.concatenate([[0], np.cumsum(size)])
        return cls(start, np.argsort(of, kind="stable"), of)

    @property
    def n(self) -> int:
        """How many there are: the most channels in one bin."""
        return len(self.start) - 1

    @property
    def free(self) -> bool:
        """True where every channel has a wire of its own."""
        return self.n == len(self.members)

    def subset_bit(self, k: int) -> float:
        """Bits that name one of the subsets of k channels, at most one of a group.

        Their number is an elementary symmetric polynomial of the sizes of the groups.

        Examples
        --------
        >>> Groups.by_wire(np.array([0, 0, 0, 0, 1, 1, 1, 1])).subset_bit(2)  # 4 times 4 of them
        4.0
        """
        if self.free:
            return subset_bits(len(self.members), k)
        log_number = np.full(k + 1, -np.inf)
        log_number[0] = 0.0
        for log_size in np.log2(np.diff(self.start)):
            log_number[1:] = np.logaddexp2(log_number[1:], log_size + log_number[:-1])
        return float(log_number[k])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All that a schedule may know.

    It never holds the recording; data come back step by step, so a schedule is causal by
    construction.
    """

    n_steps: int
    """Steps on the recording's clock: those of all trials, one after the other."""
    step_s: float
    """Time step of the schedule: its dwell, or a bin."""
    n_channels: int
    groups: Groups
    any_order: bool
    """False where the multiplexer visits its group only whole and in order."""
    trial_steps: Int[np.ndarray, " trial"] | None
    """Steps of each trial; None where a step may reach from one trial into the next."""
    delay_steps: int
    """Steps after which the receiver knows what was sampled, and its answer is back."""
    calibrate: Callable[[], Calibration]
    """Take the calibration data. A plan made with them says how often they are taken."""
    observe: Observe
    """What the detector counted in a step that has been sampled."""
    exists: Callable[[int, np.ndarray], np.ndarray] | None = None
    """Step and channels -> which of them are no gap of the file; None: all."""
    lead_steps: int = 0
    """Steps beforehand that a choice must be known: amplifiers wake, filters settle."""

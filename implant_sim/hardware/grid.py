"""The grid of a schedule: its steps, against the bins of the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels.exposure import spikes_in_step
from implant_sim.hardware.rules import Clock
from implant_sim.hardware.schedules.base import Schedule
from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording

__all__ = ["Grid"]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Steps of equal length: several to a bin, or several bins to a step, or one to one."""

    n_bins: int
    """On the recording's clock: those of all trials, one after the other."""
    bin_s: float
    trial_bins: Int[np.ndarray, " trial"]
    steps_per_bin: int = 1
    bins_per_step: int = 1

    @classmethod
    def of(cls, recording: Recording, schedule: Schedule, implant: Implant) -> Grid:
        """Lay a schedule's steps over a recording.

        Raises
        ------
        SpecError
            As :meth:`over`.
        """
        return cls.over(np.asarray(recording.lengths), recording.bin_s, schedule, implant)

    @classmethod
    def over(
        cls,
        lengths: Int[np.ndarray, " trial"],
        bin_s: float,
        schedule: Schedule,
        implant: Implant,
    ) -> Grid:
        """Lay a schedule's steps over trials of so many bins.

        Raises
        ------
        SpecError
            For a dwell that is no whole number of bins and no whole part of one, that outlasts
            every trial, or that holds less than one sample; for a bin that does.
        """
        n_bins = int(lengths.sum())
        grid = cls(n_bins, bin_s, lengths)
        dwell_s, rate_hz = schedule.dwell_s, implant.adc.sample_rate_hz
        if bin_s * rate_hz < 1 - 1e-9:
            raise SpecError(
                f"implant.adc.sample_rate: a bin of the recording, {bin_s:g} s, is shorter than "
                f"one sample at {rate_hz:g} Hz, {1 / rate_hz:g} s; raise it, or bin the recording "
                "more coarsely"
            )
        if dwell_s is None:
            return grid
        longest_s = int(lengths.max()) * bin_s
        if dwell_s > longest_s * (1 + 1e-9):
            raise SpecError(
                f"schedule.dwell: {dwell_s:g} s is longer than the longest trial, "
                f"{longest_s:g} s; lower it, or use a static_subset"
            )
        if dwell_s * rate_hz < 1 - 1e-9:
            raise SpecError(
                f"schedule.dwell: {dwell_s:g} s is shorter than one sample at {rate_hz:g} Hz, "
                f"{1 / rate_hz:g} s; raise it"
            )
        many, few = max(1, round(dwell_s / bin_s)), max(1, round(bin_s / dwell_s))
        if abs(dwell_s - many * bin_s) <= 1e-6 * dwell_s:
            return cls(n_bins, bin_s, grid.trial_bins, bins_per_step=many)
        if abs(dwell_s * few - bin_s) <= 1e-6 * bin_s:
            return cls(n_bins, bin_s, grid.trial_bins, steps_per_bin=few)
        near = f"{many * bin_s:g} s" if dwell_s > bin_s else f"{bin_s / few:g} s"
        raise SpecError(
            f"schedule.dwell: {dwell_s:g} s is neither a whole number of bins of {bin_s:g} s nor "
            f"a whole part of one; the nearest that fits is {near}"
        )

    @property
    def n_steps(self) -> int:
        """Steps that cover all bins; the last may reach beyond them."""
        return -(-self.n_bins * self.steps_per_bin // self.bins_per_step)

    @property
    def step_s(self) -> float:
        """Length of a step. [s]"""
        return self.bin_s * self.bins_per_step / self.steps_per_bin

    @property
    def trial_steps(self) -> Int[np.ndarray, " trial"] | None:
        """Steps of each trial; None where a step may hold bins of two trials."""
        return self.trial_bins * self.steps_per_bin if self.bins_per_step == 1 else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is emulated."""
        if self.steps_per_bin == 1:
            return ()
        return ("times of spikes inside their bins are emulated: uniform",)

    def clock(self, sampled: Bool[np.ndarray, "step channel"]) -> Clock:
        """A plan on steps no longer than a bin."""
        if self.bins_per_step == 1:
            return Clock(sampled, self.step_s, self.steps_per_bin)
        return Clock(np.repeat(sampled, self.bins_per_step, axis=0)[: self.n_bins], self.bin_s)

    def per_bin(self, of_step: Float[np.ndarray, " step"] | None) -> Float[np.ndarray, " bin"]:
        """Sum over the steps of each bin; of a step with several bins, at its first."""
        bins = np.zeros(self.n_bins)
        if of_step is None:
            return bins
        if self.bins_per_step == 1:
            return of_step.reshape(-1, self.steps_per_bin).sum(axis=1)
        bins[:: self.bins_per_step] = of_step
        return bins

    def observe(
        self,
        counts: Int32[np.ndarray, "bin channel"],
        times: np.uint64,
        step: int,
        channels: Int[np.ndarray, " chosen"],
    ) -> Int[np.ndarray, " chosen"]:
        """Spikes of some channels in one step."""
        if self.bins_per_step == 1:
            seen: Int[np.ndarray, " chosen"] = spikes_in_step(
                times, counts, step, self.steps_per_bin, channels
            )
            return seen
        first, last = self.bins_of(step)
        return counts[first:last, channels].sum(axis=0, dtype=np.int64)

    def bins_of(self, step: int) -> tuple[int, int]:
        """First bin that a step has part in, and the one after its last."""
        first = step * self.bins_per_step // self.steps_per_bin
        return first, first + self.bins_per_step

"""What a schedule is, what it may know, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32
from pydantic import Field, PositiveInt, model_validator

from sbtt_models.signals import within
from sbtt_models.spec import Fraction, Spec, SpecError

__all__ = ["Budgeted", "Calibration", "Groups", "Plan", "Schedule", "View"]


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


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All that a schedule may know: the clock, the wires, and calibration data if it pays for it.

    It never holds the recording, so a schedule is causal by construction.
    """

    lengths: Int[np.ndarray, " trial"]
    n_bins: int
    n_channels: int
    groups: Groups
    any_order: bool
    """False where the multiplexer visits its group only whole and in order."""
    calibrate: Callable[[], Calibration]
    """Take the calibration data. A plan made with them says how often they are taken."""

    @property
    def n_rows(self) -> int:
        """Bins on the recording's clock: those of all trials, one after the other."""
        return int(self.lengths.sum())

    def unroll(
        self, rows: Bool[np.ndarray, "row channel"]
    ) -> Bool[np.ndarray, "trial bin channel"]:
        """Lay the rows of the clock out by trial and bin; padding stays False."""
        sampled = np.zeros((len(self.lengths), self.n_bins, self.n_channels), dtype=np.bool_)
        sampled[within(self.lengths, self.n_bins)] = rows
        return sampled


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The samples that an implant sets out to take."""

    sampled: Bool[np.ndarray, "trial bin channel"]
    """False in padding; True also in gaps of the file, where the implant would have sampled."""
    calibrated_every_s: float | None = None
    """Time from one calibration to the next; None if none was used."""
    side_info_bit: float = 0.0
    """Bits that tell the receiver what was chosen, for each calibration. A fixed pattern and a
    shared seed need none."""


class Schedule(Spec, ABC):
    """Chooses the (bin, channel) samples that the implant takes.

    Its law: the choice for one bin depends on nothing but the `View` and the generator, respects
    the groups, and is made anew with the same result from the same generator.
    """

    @abstractmethod
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        """Choose.

        Parameters
        ----------
        view : View
            Clock, wires, and access to calibration data.
        rng : numpy.random.Generator
            The schedule's own randomness.

        Returns
        -------
        Plan
            Samples to take.

        Raises
        ------
        SpecError
            Where the recording or the wires cannot give what the schedule asks for.
        """


class Budgeted(Schedule):
    """A schedule that takes the same number of channels in each bin."""

    bandwidth: PositiveInt | None = None
    """Channels in one bin."""
    fraction: Fraction | None = Field(None, gt=0, le=1)
    """Share of the channels in one bin, rounded, at least one channel."""

    @model_validator(mode="after")
    def _one_budget(self) -> Budgeted:
        if (self.bandwidth is None) == (self.fraction is None):
            given = "both are" if self.bandwidth is not None else "neither is"
            raise ValueError(f"give bandwidth (channels) or fraction, exactly one: {given} given")
        return self

    def channels_per_bin(self, view: View) -> int:
        """The budget in channels, checked against channels and wires.

        Raises
        ------
        SpecError
            For more channels than there are, or than there are wires.
        """
        n = view.n_channels
        k = self.bandwidth or max(1, round((self.fraction or 0) * n))
        kind = getattr(self, "kind", type(self).__name__)
        if k > n:
            raise SpecError(
                f"schedule.bandwidth: {kind} asks for {k} channels in a bin, the recording has "
                f"{n}; lower it, or use fraction"
            )
        if k > view.groups.n:
            raise SpecError(
                f"schedule.bandwidth: {kind} asks for {k} channels in a bin, but the multiplexer "
                f"leaves {view.groups.n} wires, one channel each; lower it, or set "
                "implant.multiplexer.cycle: sample"
            )
        return k

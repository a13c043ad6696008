"""What a schedule is, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.schedules.view import Calibration, Groups, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction, Seconds, Watts

__all__ = [
    "Adaptive",
    "Budgeted",
    "Calibration",
    "CalibrationRule",
    "Groups",
    "Plan",
    "Policy",
    "Schedule",
    "View",
]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The samples that an implant sets out to take."""

    sampled: Bool[np.ndarray, "step channel"]
    """True also in gaps of the file, where the implant would have sampled."""
    calibrated_every_s: float | None = None
    """Time from one calibration to the next; None if none was used."""
    side_info_bit: float = 0.0
    """Bits that tell the receiver what was chosen, for each calibration. A fixed pattern and a
    shared seed need none."""
    choice_bit: Float[np.ndarray, " step"] | None = None
    """Bits that tell the other side what was chosen for each step; None: it knows."""
    chosen_by: Literal["implant", "receiver"] = "implant"
    """Whether `choice_bit` goes up, with the data, or down, to the implant's receiver."""
    operations: float = 0.0
    """Multiplications, each with its addition, that the implant does to choose, in all."""
    model_bit: float = 0.0
    """Bits that bring to the implant, for each calibration, what it chooses by."""
    least_change: int | None = None
    """Send a bin's count only if it differs by so many spikes from the one sent last."""
    notes: tuple[str, ...] = ()
    """What the reader of a result must know of it."""


class Schedule(Spec, ABC):
    """Chooses the (step, channel) samples that the implant takes.

    Its law: the choice for one step depends on nothing but the `View` and the generator, respects
    the groups, and is made anew with the same result from the same generator.
    """

    dwell_s: Seconds | None = Field(None, gt=0, alias="dwell")
    """Time step: how long a choice is held. A whole number of bins, or a whole part of one.
    Default: one bin."""

    moves: ClassVar[bool] = True
    """False where every step takes the same channels, so that a dwell means nothing."""

    @model_validator(mode="after")
    def _dwell_matters(self) -> Schedule:
        if self.dwell_s is not None and not self.moves:
            raise ValueError(
                f"dwell: {self.dwell_s:g} s, but this schedule never moves on; leave dwell out"
            )
        return self

    @abstractmethod
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        """Choose.

        Parameters
        ----------
        view : View
            Clock, wires, access to calibration data and to what came back.
        rng : numpy.random.Generator
            The schedule's own randomness.

        Returns
        -------
        Plan
            Samples to take, shape (view.n_steps, view.n_channels).

        Raises
        ------
        SpecError
            Where the recording or the wires cannot give what the schedule asks for.
        """


class Budgeted(Schedule):
    """A schedule that takes the same number of channels in each step."""

    bandwidth: PositiveInt | None = None
    """Channels in one step."""
    fraction: Fraction | None = Field(None, gt=0, le=1)
    """Share of the channels in one step, rounded, at least one channel."""
    power_w: Watts | None = Field(None, gt=0, alias="power")
    """The most that the whole implant may draw: as many channels as that pays for."""

    @model_validator(mode="after")
    def _one_budget(self) -> Budgeted:
        given = [name for name in ("bandwidth", "fraction", "power_w") if getattr(self, name)]
        if len(given) != 1:
            told = " and ".join(given).removesuffix("_w") or "none"
            raise ValueError(
                f"give bandwidth (channels), fraction or power, exactly one: {told} given"
            )
        return self

    @property
    def least_bandwidth(self) -> int:
        """The fewest channels in one step that it works with."""
        return 1

    def with_bandwidth(self, channels: int) -> Budgeted:
        """The same schedule with so many channels in one step."""
        return self.model_copy(update={"bandwidth": channels, "fraction": None, "power_w": None})

    def refuse_unsettled(self) -> None:
        """Refuse a budget in watts: what a channel costs, a schedule cannot know.

        Raises
        ------
        SpecError
            Where `power` has not been turned into a bandwidth.
        """
        if self.power_w is not None:
            raise SpecError(
                f"schedule.power: {self.power_w:g} W was not turned into a number of channels; "
                "the commands run and energy do that for each point of a sweep; elsewhere give "
                "bandwidth or fraction"
            )

    def channels_per_bin(self, view: View) -> int:
        """The budget in channels, checked against channels and wires.

        Raises
        ------
        SpecError
            For more channels than there are, or than there are wires.
        """
        self.refuse_unsettled()
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


class CalibrationRule(Spec):
    """How often the data that a schedule is tuned on are taken again."""

    every_s: Seconds = Field(86_400.0, gt=0, alias="every")
    """Time over which the energy of one calibration is spread."""


class Policy(ABC):
    """Chooses step by step, and learns from what has come back."""

    @abstractmethod
    def choose(self, step: int) -> Int[np.ndarray, " chosen"]:
        """Channels of a step, at most one of a group."""

    @abstractmethod
    def learn(
        self, step: int, channels: Int[np.ndarray, " chosen"], counts: Int[np.ndarray, " chosen"]
    ) -> None:
        """Take in the spikes of a step chosen earlier; steps come in order.

        Channels in a gap of the file are left out.
        """

    @property
    @abstractmethod
    def operations(self) -> float:
        """Multiplications, each with its addition, that one step takes."""

    @property
    def model_bit(self) -> float:
        """Size of what was fitted on calibration data elsewhere, and is needed to choose."""
        return 0.0


class Adaptive(Budgeted):
    """A schedule that follows the data.

    On the implant it knows a step's counts when the step is over, and tells the receiver its
    choice with the data; its arithmetic is charged. At the receiver it knows them after the link's
    latency, and its choice is sent down to the implant. Both pay, each step, the bits that name
    one of the subsets that the wires allow. Where amplifiers wake and filters settle before a
    step, the choice is made so much earlier.

    The counts are those of the whole step, also where settling takes part of it, or where its
    packet is lost.
    """

    decided: Literal["implant", "receiver"] = "implant"
    """Where the choice is made."""
    explore: Fraction = Field(0.1, ge=0, le=1)
    """Share of the places that go to the channels not sampled for the longest, so that none
    starves."""
    calibration: CalibrationRule = CalibrationRule()

    @abstractmethod
    def policy(self, view: View, k: int, rng: np.random.Generator) -> Policy:
        """Make the policy for k channels a step.

        It may call `view.calibrate`, never `view.observe`: counts reach it through `learn`.
        """

    @property
    def calibrates(self) -> bool:
        """Whether the policy is tuned on calibration data, which are charged then."""
        return False

    def delay_steps(self, view: View) -> int:
        """Steps from a sample to the first choice that can use it."""
        return (view.delay_steps if self.decided == "receiver" else 1) + view.lead_steps

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k, groups = self.channels_per_bin(view), view.groups
        refuse_fixed_order(view, getattr(self, "kind", type(self).__name__))
        policy = self.policy(replace(view, observe=_unasked), k, rng)
        sampled = self._run(view, policy)
        here = self.decided == "implant"
        return Plan(
            sampled,
            self.calibration.every_s if self.calibrates else None,
            choice_bit=np.full(view.n_steps, groups.subset_bit(k)),
            chosen_by=self.decided,
            operations=policy.operations * view.n_steps if here else 0.0,
            model_bit=policy.model_bit if here else 0.0,
        )

    def _run(self, view: View, policy: Policy) -> Bool[np.ndarray, "step channel"]:
        delay = self.delay_steps(view)
        sampled = np.zeros((view.n_steps, view.n_channels), dtype=np.bool_)
        waiting: deque[Int[np.ndarray, " chosen"]] = deque()
        for step in range(view.n_steps):
            if len(waiting) == delay:
                past, channels = step - delay, waiting.popleft()
                counts = view.observe(past, channels)
                if view.exists is not None:
                    exists = view.exists(past, channels)
                    channels, counts = channels[exists], counts[exists]
                policy.learn(past, channels, counts)
            channels = policy.choose(step)
            sampled[step, channels] = True
            waiting.append(channels)
        return sampled


def _unasked(step: int, channels: np.ndarray) -> np.ndarray:
    raise SpecError(
        f"schedule: a policy asked for the counts of {len(channels)} channels in step {step}; it "
        "gets those of the channels that it chose, in time, through learn"
    )

"""Schedules as lists of channels, for those whose choice can be told without laying out a mask."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
from jaxtyping import Int, Int32
from typing_extensions import override

from implant_sim.hardware.kernels import lists
from implant_sim.hardware.schedules.base import Groups, Plan, Schedule, View
from implant_sim.hardware.schedules.blocks import Blocks, banks
from implant_sim.hardware.schedules.low_discrepancy import LowDiscrepancy, _reordered
from implant_sim.hardware.schedules.random_subset import RandomSubset, _take
from implant_sim.hardware.schedules.round_robin import RoundRobin
from implant_sim.hardware.schedules.wires import refuse_fixed_order
from sbtt_models.errors import SpecError

__all__ = ["Lists", "lists_of"]

_MOST_KEPT = 2**23  # places of a cycle; a longer one would take more memory than it saves time


class Lists(ABC):
    """The channels of each step, one step after the other."""

    period: int | None = None
    """Steps after which they repeat, whatever the data and the generator; None if never."""

    @abstractmethod
    def take(
        self, first: int, n_steps: int
    ) -> tuple[Int32[np.ndarray, " sample"], Int[np.ndarray, " step"]]:
        """Channels of some steps in a row, and how many each of the steps has."""

    @property
    @abstractmethod
    def mean_size(self) -> float:
        """Channels of a step, on average."""


class Cycle(Lists):
    """An order of channels, gone through again and again."""

    def __init__(self, order: Int[np.ndarray, " place"], size: Int[np.ndarray, " step"]) -> None:
        """Take so many places of the order in each step; sizes repeat, too."""
        self._order, self._size, self._n = order.astype(np.int32), size, len(order)
        self._edges = np.concatenate([[0], np.cumsum(size)])
        self.period = len(size) * self._n // math.gcd(int(self._edges[-1]), self._n)

    @property
    @override
    def mean_size(self) -> float:
        return float(self._edges[-1]) / len(self._size)

    def _place(self, step: int) -> int:
        turn, part = divmod(step, len(self._size))
        return turn * int(self._edges[-1]) + int(self._edges[part])

    @override
    def take(
        self, first: int, n_steps: int
    ) -> tuple[Int32[np.ndarray, " sample"], Int[np.ndarray, " step"]]:
        begin = self._place(first)
        n = self._place(first + n_steps) - begin
        begin %= self._n
        if begin + n > len(self._order):  # long enough for every other call of this length
            self._order = np.tile(self._order[: self._n], -(-n // self._n) + 1)
        size = self._size[(first + np.arange(n_steps)) % len(self._size)]
        return self._order[begin : begin + n], size


class Subsets(Lists):
    """A subset drawn for each step, or for each of some stretches of steps."""

    def __init__(
        self, seed: np.uint64, groups: Groups, k: int, stretch: Int[np.ndarray, " step"] | None
    ) -> None:
        """Draw as `draw_subsets` does; `stretch` says which draw a step holds."""
        self._seed, self._groups, self._k, self._stretch = seed, groups, k, stretch
        self._drawn = np.zeros(len(groups.members), np.bool_)
        self._probability = np.zeros((0, 0))
        if not groups.free:
            self._probability = _take(np.diff(groups.start).astype(float), k)

    @property
    @override
    def mean_size(self) -> float:
        return float(self._k)

    def _draw(self, first: int, n: int) -> Int32[np.ndarray, " sample"]:
        g = self._groups
        if g.free:
            return lists.subset_lists(self._seed, first, n, len(g.members), self._k, self._drawn)
        return lists.grouped_lists(
            self._seed, first, n, g.start, g.members, self._probability, self._k
        )

    @override
    def take(
        self, first: int, n_steps: int
    ) -> tuple[Int32[np.ndarray, " sample"], Int[np.ndarray, " step"]]:
        size = np.full(n_steps, self._k)
        if self._stretch is None:
            return self._draw(first, n_steps), size
        of = self._stretch[first : first + n_steps]
        drawn = self._draw(int(of[0]), int(of[-1] - of[0]) + 1).reshape(-1, self._k)
        return drawn[of - of[0]].ravel(), size


def lists_of(
    schedule: Schedule, view: View, rng: np.random.Generator
) -> tuple[Lists, Plan] | None:
    """Choose, as `Schedule.plan` does with the same view and generator.

    Parameters
    ----------
    schedule : Schedule
        What chooses.
    view : View
        Clock and wires.
    rng : numpy.random.Generator
        The schedule's own randomness.

    Returns
    -------
    tuple of Lists and Plan, or None
        What is sampled, and the plan of the first step with all else that a plan says. None for
        a schedule that only lays out whole masks.

    Raises
    ------
    SpecError
        As the schedule itself.
    """
    if not schedule.moves:
        planned = schedule.plan(replace(view, n_steps=1), rng)
        chosen = np.flatnonzero(planned.sampled[0])
        return Cycle(chosen, np.array([len(chosen)])), planned
    found: Lists | None = None
    if isinstance(schedule, Blocks):
        bank = banks(view.groups, schedule.channels_per_bin(view), schedule.layout)
        found = Cycle(np.nonzero(bank)[1], bank.sum(axis=1))
    elif isinstance(schedule, RoundRobin | LowDiscrepancy):
        found = _by_turns(schedule, view)
    elif isinstance(schedule, RandomSubset):
        found = _subsets(schedule, view, rng)
    return None if found is None else (found, Plan(np.zeros((0, view.n_channels), np.bool_)))


def _by_turns(schedule: RoundRobin | LowDiscrepancy, view: View) -> Lists | None:
    k, g = schedule.channels_per_bin(view), view.groups
    if isinstance(schedule, LowDiscrepancy):
        g = _reordered(g, schedule.order, view.any_order)
    members = np.diff(g.start)
    visits = math.lcm(*np.unique(members).tolist())  # until all wires begin anew
    if g.n * visits > _MOST_KEPT:
        return None
    turns = g.members[g.start[:-1] + np.arange(visits)[:, None] % members]
    return Cycle(turns.ravel(), np.array([k]))


def _subsets(schedule: RandomSubset, view: View, rng: np.random.Generator) -> Lists:
    k = schedule.channels_per_bin(view)
    refuse_fixed_order(view, schedule.kind)
    seed = rng.integers(0, 2**64, dtype=np.uint64)
    if schedule.per == "bin":
        return Subsets(seed, view.groups, k, None)
    if view.trial_steps is None:
        raise SpecError(
            f"schedule.dwell: {view.step_s:g} s reaches from one trial into the next, but "
            "per: trial draws for each trial; leave dwell out"
        )
    trial = np.repeat(np.arange(len(view.trial_steps)), view.trial_steps)
    return Subsets(seed, view.groups, k, trial)

"""What a study offers to its implants: each recording once, and what they do for it, counted."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.activity import Activity
from implant_sim.hardware.streaming import Need, count
from implant_sim.recordings.base import RecordingSource
from implant_sim.recordings.poisson import PoissonSource
from implant_sim.study import limits
from implant_sim.study.keys import stage_seed
from implant_sim.study.scenario import Scenario
from implant_sim.study.withhold import hold_out
from sbtt_models.signals import Population, Recording

__all__ = ["Counted", "Offers"]

Counted: TypeAlias = tuple[Recording | Population, Activity]
"""What was offered, and what was done for it."""


class Offers:
    """Loads recordings as they are needed; may be used from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._loaded: dict[tuple[str, float], Recording] = {}
        self._named: dict[int, tuple[RecordingSource, str]] = {}

    def count(self, scenario: Scenario) -> Counted:
        """Count what an implant does, in the first repeat.

        Parameters
        ----------
        scenario : Scenario
            One point.

        Returns
        -------
        Counted
            Recording or population, and activity.

        Raises
        ------
        DataError, SpecError
            If the recording cannot be read, or schedule and implant do not fit it or each other.
        LimitError
            If memory or time would not suffice.
        """
        rng = np.random.default_rng(stage_seed(scenario.seed, 0, "schedule"))
        source, implant, schedule = scenario.recording, scenario.implant, scenario.schedule
        offer: Recording | Population
        if isinstance(source, PoissonSource) and scenario.score.held_out == 0:
            offer = source.population()
        else:
            offer = self._load(scenario)

        def allow(need: Need) -> None:
            limits.refuse_counting(need, scenario.time_limit_s)

        activity = count(offer, implant, schedule, rng, allow)
        if activity is not None:
            return offer, activity
        if isinstance(offer, Population):
            offer = self._load(scenario)
        limits.refuse_table(offer.counts.size)
        rng = np.random.default_rng(stage_seed(scenario.seed, 0, "schedule"))
        return offer, acquire(offer, implant, schedule, rng)[1]

    def step_s(self, scenario: Scenario) -> float:
        """The step of a point's front end: a bin, or the dwell where that is shorter. [s]

        Raises
        ------
        DataError
            If the recording cannot be read.
        """
        source, dwell_s = scenario.recording, scenario.schedule.dwell_s
        bin_s = source.bin_s if isinstance(source, PoissonSource) else self._load(scenario).bin_s
        return bin_s if dwell_s is None else bin_s / max(1, round(bin_s / dwell_s))

    def _load(self, scenario: Scenario) -> Recording:
        source, score = scenario.recording, scenario.score
        with self._lock:
            if id(source) not in self._named:  # kept, so that its identity stays its own
                self._named[id(source)] = source, source.model_dump_json()
            key = self._named[id(source)][1], score.held_out
            if key not in self._loaded:
                if isinstance(source, PoissonSource):
                    limits.refuse_table(source.n_entries)
                recording = source.load(self._root)
                self._loaded[key] = hold_out(recording, score, 0).held_in
            return self._loaded[key]

"""What a study offers to its implants: each recording once, and what they do for it, counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.activity import Activity
from implant_sim.hardware.streaming import Need, Taken, take, transmit
from implant_sim.recordings.base import RecordingSource
from implant_sim.recordings.poisson import PoissonSource
from implant_sim.study import limits
from implant_sim.study.acquisition import drifted
from implant_sim.study.keys import DataKey, DataKeys, stage_seed
from implant_sim.study.rows import Offer
from implant_sim.study.scenario import Scenario
from implant_sim.study.withhold import hold_out
from sbtt_models.signals import Recording
from sbtt_models.undrawn import Population

__all__ = ["Counted", "Offers"]

Counted: TypeAlias = tuple[Offer, Activity]
"""What was offered, without its samples, and what was done for it."""


_MOST_BINS = 2**22
"""Of what is kept to be sent by other radios; some ten bytes each."""
_MOST_ENTRIES = 2**25
"""Of the recordings that are kept when a further one is loaded; some twenty bytes each."""


@dataclass(slots=True)
class _Place:
    """Where what was sampled is kept; one thread makes it, the others wait."""

    lock: Lock
    offer: Recording | Population | None = None
    taken: Taken | None = None


def _chance(scenario: Scenario) -> np.random.Generator:
    return np.random.default_rng(stage_seed(scenario.seed, 0, "schedule"))


class Offers:
    """Loads recordings as they are needed; may be used from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._loaded: dict[tuple[object, ...], Recording] = {}
        self._named: dict[int, tuple[RecordingSource, str]] = {}
        self._taken: dict[DataKey, _Place] = {}

    def count(self, scenario: Scenario, key: DataKey) -> Counted:
        """Count what an implant does, in the first repeat.

        Parameters
        ----------
        scenario : Scenario
            One point.
        key : tuple
            Of the point. Where only the radio differs, what was sampled is used again.

        Returns
        -------
        Counted
            What was offered, and activity.

        Raises
        ------
        DataError, SpecError
            If the recording cannot be read, or schedule and implant do not fit it or each other.
        LimitError
            If memory or time would not suffice.
        """
        offer, activity = self._count(scenario, key)
        rule = scenario.pretraining
        if rule is None:
            return Offer.of(offer), activity
        if isinstance(offer, Population):
            offer = self._load(scenario)  # which trials are dense, a population does not know
        alone = scenario.model_copy(update={"schedule": rule.schedule, "pretraining": None})
        _, densely = self._count(alone, DataKeys().of(alone, self.step_s(alone)))
        which = np.random.default_rng(stage_seed(scenario.seed, 0, "dense trials"))
        trials = rule.chosen(offer.split, which)
        return Offer.of(offer), rule.charge(activity, densely, offer, trials)

    def _count(self, scenario: Scenario, key: DataKey) -> tuple[Recording | Population, Activity]:
        """Count all trials as `schedule` samples them."""
        implant, schedule = scenario.implanted, scenario.schedule
        shared = tuple(part for part in key if part[0] not in ("radio", "limits"))
        with self._lock:
            place = self._taken.setdefault(shared, _Place(Lock()))
        with place.lock:
            if place.offer is None:
                place.offer, place.taken = self._take(scenario)
                self._forget()
            offer, taken = place.offer, place.taken
        if taken is not None:
            return offer, transmit(taken, implant, _chance(scenario).spawn(4)[2])
        if isinstance(offer, Population):
            offer = self._load(scenario)
        limits.refuse_table(offer.counts.size)
        return offer, acquire(offer, implant, schedule, _chance(scenario))[1]

    def _take(self, scenario: Scenario) -> tuple[Recording | Population, Taken | None]:
        source = scenario.recording
        offer: Recording | Population
        whole = scenario.score.held_out == 0 and scenario.drift is None
        if isinstance(source, PoissonSource) and whole:
            offer = source.population()
        else:
            offer = self._load(scenario)

        def allow(need: Need) -> None:
            limits.refuse_counting(need, scenario.time_limit_s)

        streams = tuple(_chance(scenario).spawn(4))
        return offer, take(offer, scenario.implanted, scenario.schedule, streams, allow)

    def _forget(self) -> None:
        """Keep what was sampled last, up to some bins and entries in all."""
        with self._lock:
            bins, entries = 0, 0
            for number, (key, place) in enumerate(reversed(list(self._taken.items()))):
                bins += 0 if place.taken is None else place.taken.grid.n_bins
                entries += place.offer.counts.size if isinstance(place.offer, Recording) else 0
                if number and (bins > _MOST_BINS or entries > _MOST_ENTRIES):
                    del self._taken[key]

    def step_s(self, scenario: Scenario) -> float:
        """The step of a point's front end: a bin, or the dwell where that is shorter. [s]

        Raises
        ------
        DataError
            If the recording cannot be read.
        """
        declared, dwell_s = scenario.recording.declared, scenario.schedule.dwell_s
        bin_s = self._load(scenario).bin_s if declared is None else declared.bin_s
        return bin_s if dwell_s is None else bin_s / max(1, round(bin_s / dwell_s))

    def _load(self, scenario: Scenario) -> Recording:
        source, score = scenario.recording, scenario.score
        with self._lock:
            if id(source) not in self._named:  # kept, so that its identity stays its own
                self._named[id(source)] = source, source.model_dump_json()
            drift = scenario.drift and (scenario.drift.model_dump_json(), scenario.seed)
            key = self._named[id(source)][1], score.held_out, drift
            if key not in self._loaded:
                if isinstance(source, PoissonSource):
                    limits.refuse_table(source.n_entries)
                elif source.declared is not None:
                    limits.refuse_making(source.declared)
                self._make_room()
                recording = source.load(self._root)
                offered = hold_out(recording, score, 0).held_in
                self._loaded[key] = drifted(scenario, 0, offered)
            return self._loaded[key]

    def _make_room(self) -> None:
        """Let go of the recordings that came first, but for some entries in all."""
        kept = sum(recording.counts.size for recording in self._loaded.values())
        while self._loaded and kept > _MOST_ENTRIES:
            kept -= self._loaded.pop(next(iter(self._loaded))).counts.size

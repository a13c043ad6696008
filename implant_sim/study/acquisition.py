"""Hardware only: one operating point, sampled as the implant does, and priced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.activity import Activity
from implant_sim.hardware.energy import Ledger, price
from implant_sim.hardware.imaging import image
from implant_sim.hardware.verdict import Verdict, judge
from implant_sim.recordings import AnyRecording, RecordingSource
from implant_sim.study.keys import data_files, stage_seed
from implant_sim.study.pretraining import DenseTrials, Pretraining
from implant_sim.study.scenario import Scenario
from implant_sim.study.withhold import HeldOut, hold_out
from sbtt_models.decoders import DecoderSpec
from sbtt_models.signals import MaskedStream, Recording

__all__ = ["Acquisition", "acquisition", "drifted", "waited_for"]


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """What an implant delivered of a recording, and what that cost."""

    offered: HeldOut
    stream: MaskedStream
    activity: Activity
    ledger: Ledger | None = None
    """None where a microscope has read the recording."""
    verdict: Verdict | None = None
    dense: DenseTrials | None = None
    """What a decoder with `pretraining` learns from, in two stages."""


def acquisition(scenario: Scenario, repeat: int, root: Path) -> Acquisition:
    """Sample the recording as the implant does, and price every action.

    Parameters
    ----------
    scenario : Scenario
        One point.
    repeat : int
        Counts up from the scenario's seed.
    root : pathlib.Path
        Where relative paths of the recording start.

    Raises
    ------
    DataError, SpecError
        If the recording cannot be read, or schedule and implant do not fit it or each other.
    """
    states = tuple((path, path.stat().st_mtime_ns) for path in data_files(scenario, root))
    recording = _loaded(scenario.recording.model_dump_json(by_alias=True), root, states)
    offered = hold_out(recording, scenario.score, repeat)
    given = drifted(scenario, repeat, offered.held_in)
    rng = np.random.default_rng(stage_seed(scenario.seed, repeat, "schedule"))
    if scenario.implant is None:
        return Acquisition(offered, *image(given, scenario.schedule, rng))
    stream, activity = acquire(given, scenario.implant, scenario.schedule, rng)
    if scenario.drift is not None and scenario.drift.note:
        activity = replace(activity, notes=(*activity.notes, scenario.drift.note))
    dense = None
    if scenario.pretraining is not None:
        dense, activity = _dense_trials(
            scenario.pretraining, scenario, repeat, given, (stream, activity)
        )
        stream = dense.delivered()
    activity = waited_for(activity, scenario.decoder)
    ledger = price(activity, scenario.implant)
    return Acquisition(
        offered, stream, activity, ledger, judge(ledger, activity, scenario.implant), dense
    )


def drifted(scenario: Scenario, repeat: int, recording: Recording) -> Recording:
    """What the electrodes give of a recording: with a `drift`, something else in the test trials.

    Raises
    ------
    SpecError
        As :meth:`Drift.apply`.
    """
    if scenario.drift is None:
        return recording
    rng = np.random.default_rng(stage_seed(scenario.seed, repeat, "drift"))
    return scenario.drift.apply(recording, rng)


def _dense_trials(
    rule: Pretraining,
    scenario: Scenario,
    repeat: int,
    recording: Recording,
    usual: tuple[MaskedStream, Activity],
) -> tuple[DenseTrials, Activity]:
    """Sample some training trials densely, and charge that."""
    stream, activity = usual
    chance, which = (
        np.random.default_rng(stage_seed(scenario.seed, repeat, stage))
        for stage in ("schedule", "dense trials")
    )
    densely, done = acquire(recording, scenario.implanted, rule.schedule, chance)
    trials = rule.chosen(recording.split, which)
    dense = DenseTrials.of(stream, densely, trials)
    return dense, rule.charge(activity, done, recording, trials)


def waited_for(activity: Activity, decoder: DecoderSpec) -> Activity:
    """Add the bins that a causal decoder waits for to the latency.

    Any other decoder waits for the end of its window, which is no latency of a closed loop: there
    the latency is the link's alone.
    """
    wait_s = (decoder.waits or 0) * activity.bin_s
    return replace(activity, latency_s=activity.latency_s + wait_s)


@lru_cache(maxsize=1)  # a worker goes through many points of one recording
def _loaded(source: str, root: Path, states: tuple[tuple[Path, int], ...]) -> Recording:  # noqa: ARG001 - makes the cache honest
    reader: TypeAdapter[RecordingSource] = TypeAdapter(AnyRecording)
    return reader.validate_json(source).load(root)

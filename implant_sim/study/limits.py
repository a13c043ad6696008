"""What a study will need, predicted before anything is built, and whether the machine has it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from implant_sim.files import size_text
from implant_sim.hardware.streaming import Need
from implant_sim.recordings import AnyRecording
from implant_sim.recordings.base import Declared
from implant_sim.study.delivery import delivery_name
from implant_sim.study.duration import choosing_s, epoch_s, training_s
from implant_sim.study.keys import DataKeys
from implant_sim.study.load import Study
from implant_sim.study.scenario import Scenario
from sbtt_models.errors import LimitError

__all__ = [
    "Prediction",
    "allowed_memory_b",
    "jobs_that_fit",
    "predict",
    "refuse_counting",
    "refuse_declared",
    "refuse_disk",
    "refuse_making",
    "refuse_memory",
    "refuse_table",
]

_BASE_B = 0.6e9
"""A worker with its libraries, nothing loaded: resident size measured, rounded up. [byte]"""
_MEMORY_B_PER_ENTRY = 160.0
"""Peak of recording, stream, rates and scores for each (trial, bin, channel). [byte]"""
_MEMORY_B_PER_STEP = 12.0
"""Masks and valid shares for each (step, channel) of a schedule finer than a bin. [byte]"""
_ACQUIRED_B_PER_ENTRY = 45.0
"""Peak of recording, masks, exposure and counts, where nothing is decoded. [byte]"""
_MADE_B_PER_ENTRY = 30.0
"""Peak of a recording that is generated: counts as drawn and as kept, rates, means. [byte]"""
_COUNTED_B_PER_BIN = 200.0
"""Peak of a count without a table. [byte]"""
_COUNTED_B_PER_CHANNEL = 100.0
_COUNTED_S_PER_SAMPLE = 10e-9
_COUNTING_S = 600.0
"""The longest that counting may take where the scenario does not say."""
_DISK_B_PER_ENTRY = 3.5
"""Compressed arrays of one point: rates and truth dominate. [byte]"""
_DISK_B_PER_POINT = 2e6
"""Weights and tables. [byte]"""
_SHARE = 0.7
_SMALL = 1_000_000
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one study."""

    points: int
    repeats: int
    entries: int
    """(trial, bin, channel) of the largest recording."""
    steps_per_bin: int
    """Of the finest schedule."""
    memory_b: float
    """Of one worker, at its peak. [byte]"""
    disk_b: float
    """Of the whole run folder. [byte]"""
    training_s: float
    """Of all runs on one core, roughly, if none stops early. [s]"""
    choosing_s: float
    """Of all runs on one core, roughly, where channels are chosen by what the data say. [s]"""

    @property
    def runs(self) -> int:
        """Points x repeats."""
        return self.points * self.repeats


def predict(study: Study) -> Prediction:
    """Say what the points will need; a recording that tells its size is not loaded for it.

    Raises
    ------
    DataError
        If a recording cannot be read.
    LimitError
        If a recording alone is too large, or one epoch takes longer than a point may.
    """
    sizes: dict[str, Declared] = {}
    total, finest, seconds, choosing = 0, 1, 0.0, 0.0
    keys, trained = DataKeys(), set[str]()
    for point in study.points:
        scenario = point.scenario
        key = scenario.recording.model_dump_json()
        if key not in sizes:
            sizes[key] = _size(scenario.recording, study.root)
        size = sizes[key]
        total += size.n_bins * size.n_channels * study.repeats
        warm = point.index in study.starts
        once_s = _training_s(_begun(scenario, warm), size) * study.repeats
        name = delivery_name(keys, scenario, 0, str(study.starts[point.index]) if warm else None)
        if name not in trained:  # points that get the same data share one decoder
            trained.add(name)
            seconds += once_s
        choosing += choosing_s(scenario.schedule, size) * study.repeats
        if dwell_s := scenario.schedule.dwell_s:
            finest = max(finest, round(size.bin_s / dwell_s))
    largest = max(size.n_bins * size.n_channels for size in sizes.values())
    runs = study.n_points * study.repeats
    share = study.n_points / len(study.points)  # a search declares its first point only
    return Prediction(
        points=study.n_points,
        repeats=study.repeats,
        entries=largest,
        steps_per_bin=finest,
        memory_b=_BASE_B + _b_per_entry(finest) * largest,
        disk_b=_DISK_B_PER_ENTRY * total * share + _DISK_B_PER_POINT * runs,
        training_s=seconds * share,
        choosing_s=choosing * share,
    )


def _begun(scenario: Scenario, warm: bool) -> Scenario:
    """The scenario with the training that applies where the decoder begins with weights."""
    rule = scenario.warm_start
    if not warm or rule is None or rule.training is None:
        return scenario
    return scenario.model_copy(update={"training": rule.training})


def refuse_declared(study: Study) -> None:
    """Refuse at once a recording whose size is known and too large for the memory.

    Raises
    ------
    LimitError
        Naming need, bound, and what would fit.
    """
    sizes = [point.scenario.recording.declared for point in study.points]
    entries = max((s.n_bins * s.n_channels for s in sizes if s is not None), default=0)
    if entries > _SMALL:  # the machine is not asked about less
        refuse_memory(entries, 1)


def _size(source: AnyRecording, root: Path) -> Declared:
    if source.declared is not None:
        return source.declared
    recording = source.load(root)
    n_channels = recording.counts.shape[2]
    return Declared(recording.counts.size // n_channels, n_channels, recording.bin_s)


def _training_s(scenario: Scenario, size: Declared) -> float:
    """Of one run, all epochs; refused where the limit would end it in its first."""
    most_s = scenario.time_limit_s
    epoch = epoch_s(scenario.decoder, size.n_bins, size.n_channels)
    if most_s is not None and epoch is not None and epoch > most_s:
        raise LimitError(
            f"one epoch over {size.n_bins:,} bins of {size.n_channels:,} channels takes about "
            f"{epoch:,.0f} s, and time_limit is {most_s:g} s, which is enough for "
            f"{int(size.n_bins * most_s / epoch):,} bins: raise time_limit, or take fewer trials"
        )
    return training_s(scenario.decoder, scenario.training, size)


def _b_per_entry(steps_per_bin: int) -> float:
    extra = _MEMORY_B_PER_STEP * steps_per_bin if steps_per_bin > 1 else 0.0
    return _MEMORY_B_PER_ENTRY + extra


def allowed_memory_b() -> float:
    """Seven tenths of what is free, for this machine and its control group. [byte]"""
    free = float(psutil.virtual_memory().available)
    try:
        most = int((_CGROUP / "memory.max").read_text())
        free = min(free, most - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or no limit in it
        pass
    return _SHARE * free


def jobs_that_fit(prediction: Prediction, wanted: int) -> int:
    """Workers that the memory allows, at most as many as wanted.

    Raises
    ------
    LimitError
        If not even one fits.
    """
    allowed = refuse_memory(prediction.entries, prediction.steps_per_bin)
    fitting = int(allowed // prediction.memory_b)
    return min(wanted, fitting)


def refuse_memory(entries: int, steps_per_bin: int) -> float:
    """Refuse a point that does not fit; else, how much memory all workers may use. [byte]

    Raises
    ------
    LimitError
        Naming need, bound, and what would fit.
    """
    allowed, per_entry = allowed_memory_b(), _b_per_entry(steps_per_bin)
    memory_b = _BASE_B + per_entry * entries
    if memory_b > allowed:
        largest = max(0.0, (allowed - _BASE_B) / per_entry)
        raise LimitError(
            f"a point of {entries:,} (trial, bin, channel) entries needs about "
            f"{memory_b / 1e9:.1f} GB of memory; {allowed / 1e9:.1f} GB may be used; "
            f"at most {int(largest):,} entries fit: take fewer trials or channels, wider bins, or "
            "a longer dwell"
        )
    return allowed


def refuse_counting(need: Need, time_limit_s: float | None) -> None:
    """Refuse to count what would take too much memory or time.

    Raises
    ------
    LimitError
        Naming need, bound, and what would fit.
    """
    bound_s = _COUNTING_S if time_limit_s is None else time_limit_s
    fixed_b = _BASE_B + _COUNTED_B_PER_CHANNEL * need.n_channels
    memory_b = fixed_b + _COUNTED_B_PER_BIN * need.n_bins
    seconds = _COUNTED_S_PER_SAMPLE * need.n_samples
    small = memory_b < 1.1 * _BASE_B  # too little to ask the machine about, which takes a while
    allowed = math.inf if small else allowed_memory_b()
    if memory_b <= allowed and seconds <= bound_s:
        return
    what = f"counting {need.n_samples:,.0f} samples in {need.n_bins:,} bins"
    if memory_b > allowed:
        left = max(0.0, allowed - fixed_b)
        raise LimitError(
            f"{what} needs about {memory_b / 1e9:.1f} GB of memory; {allowed / 1e9:.1f} GB may be "
            f"used, which is enough for {int(left / _COUNTED_B_PER_BIN):,} bins: shorten the "
            "recording, or take wider bins"
        )
    raise LimitError(
        f"{what} takes about {seconds:,.0f} s; {bound_s:g} s may pass, which is enough for "
        f"{int(bound_s / _COUNTED_S_PER_SAMPLE):,} samples: shorten the recording, sample fewer "
        "channels, or raise time_limit"
    )


def refuse_making(size: Declared) -> None:
    """Refuse to generate a recording that is larger than the memory.

    Raises
    ------
    LimitError
        Naming need, bound, and what would fit.
    """
    n_entries = size.n_bins * size.n_channels
    memory_b = _BASE_B + _MADE_B_PER_ENTRY * n_entries
    if n_entries <= _SMALL or memory_b <= (allowed := allowed_memory_b()):
        return
    most = max(0.0, (allowed - _BASE_B) / _MADE_B_PER_ENTRY)
    raise LimitError(
        f"a recording of {n_entries:,} (trial, bin, channel) entries takes about "
        f"{size_text(memory_b)} of memory to generate; {size_text(allowed)} may be used, which is "
        f"enough for {int(most):,}: fewer trials or channels, or wider bins"
    )


def refuse_table(n_entries: int) -> None:
    """Refuse an acquisition that lays out more than the memory holds.

    Raises
    ------
    LimitError
        Naming need, bound, and what would fit.
    """
    memory_b, allowed = _BASE_B + _ACQUIRED_B_PER_ENTRY * n_entries, allowed_memory_b()
    if memory_b > allowed:
        most = max(0.0, (allowed - _BASE_B) / _ACQUIRED_B_PER_ENTRY)
        raise LimitError(
            f"an acquisition of {n_entries:,} (trial, bin, channel) entries needs about "
            f"{memory_b / 1e9:.1f} GB of memory; {allowed / 1e9:.1f} GB may be used, which is "
            f"enough for {int(most):,}: shorten the recording, take fewer channels, or a schedule "
            "that needs no table (full, static_subset, round_robin, low_discrepancy, blocks, "
            "random_subset)"
        )


def refuse_disk(prediction: Prediction, folder: Path) -> None:
    """Refuse a study whose results do not fit on the disk.

    Raises
    ------
    LimitError
        Naming need and space.
    """
    place = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    if prediction.disk_b > free:
        raise LimitError(
            f"{prediction.runs:,} runs need about {size_text(prediction.disk_b)} of disk; "
            f"{place} has {size_text(free)}; shorten the sweep or choose another folder"
        )

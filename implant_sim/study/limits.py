"""What a study will need, predicted before anything is built, and whether the machine has it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from implant_sim.hardware.streaming import Need
from implant_sim.study.scenario import Point, Study
from sbtt_models.spec import LimitError

__all__ = [
    "Prediction",
    "allowed_memory_b",
    "jobs_that_fit",
    "predict",
    "refuse_counting",
    "refuse_disk",
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

    @property
    def runs(self) -> int:
        """Points x repeats."""
        return self.points * self.repeats


def predict(study: Study) -> Prediction:
    """Load each different recording once, and say what its points will need.

    Raises
    ------
    DataError
        If a recording cannot be read.
    LimitError
        If a recording alone is too large.
    """
    sizes: dict[str, int] = {}
    bin_s: dict[str, float] = {}
    total, finest = 0, 1
    for point in study.points:
        key = _recording_key(point)
        if key not in sizes:
            recording = point.scenario.recording.load(study.root)
            sizes[key], bin_s[key] = recording.counts.size, recording.bin_s
        total += sizes[key] * study.repeats
        if dwell_s := point.scenario.schedule.dwell_s:
            finest = max(finest, round(bin_s[key] / dwell_s))
    largest = max(sizes.values())
    runs = len(study.points) * study.repeats
    return Prediction(
        points=len(study.points),
        repeats=study.repeats,
        entries=largest,
        steps_per_bin=finest,
        memory_b=_BASE_B + _b_per_entry(finest) * largest,
        disk_b=_DISK_B_PER_ENTRY * total + _DISK_B_PER_POINT * runs,
    )


def _b_per_entry(steps_per_bin: int) -> float:
    extra = _MEMORY_B_PER_STEP * steps_per_bin if steps_per_bin > 1 else 0.0
    return _MEMORY_B_PER_ENTRY + extra


def _recording_key(point: Point) -> str:
    return point.scenario.recording.model_dump_json()


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
    allowed = allowed_memory_b()
    fitting = int(allowed // prediction.memory_b)
    if fitting < 1:
        largest = max(0.0, (allowed - _BASE_B) / _b_per_entry(prediction.steps_per_bin))
        raise LimitError(
            f"a point of {prediction.entries:,} (trial, bin, channel) entries needs about "
            f"{prediction.memory_b / 1e9:.1f} GB of memory; {allowed / 1e9:.1f} GB may be used; "
            f"at most {int(largest):,} entries fit: take fewer trials or channels, wider bins, or "
            "a longer dwell"
        )
    return min(wanted, fitting)


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
            f"{prediction.runs:,} runs need about {prediction.disk_b / 1e9:.1f} GB of disk; "
            f"{place} has {free / 1e9:.1f} GB; shorten the sweep or choose another folder"
        )

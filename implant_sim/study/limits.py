"""What a study will need, predicted before anything is built, and whether the machine has it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from implant_sim.study.scenario import Point, Study
from sbtt_models.spec import LimitError

__all__ = ["Prediction", "allowed_memory_b", "jobs_that_fit", "predict", "refuse_disk"]

_BASE_B = 0.6e9
"""A worker with its libraries, nothing loaded: resident size measured, rounded up. [byte]"""
_MEMORY_B_PER_ENTRY = 160.0
"""Peak of recording, stream, rates and scores for each (trial, bin, channel). [byte]"""
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
    total = 0
    for point in study.points:
        key = _recording_key(point)
        if key not in sizes:
            sizes[key] = point.scenario.recording.load(study.root).counts.size
        total += sizes[key] * study.repeats
    largest = max(sizes.values())
    runs = len(study.points) * study.repeats
    return Prediction(
        points=len(study.points),
        repeats=study.repeats,
        entries=largest,
        memory_b=_BASE_B + _MEMORY_B_PER_ENTRY * largest,
        disk_b=_DISK_B_PER_ENTRY * total + _DISK_B_PER_POINT * runs,
    )


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
        largest = max(0.0, (allowed - _BASE_B) / _MEMORY_B_PER_ENTRY)
        raise LimitError(
            f"a point of {prediction.entries:,} (trial, bin, channel) entries needs about "
            f"{prediction.memory_b / 1e9:.1f} GB of memory; {allowed / 1e9:.1f} GB may be used; "
            f"at most {int(largest):,} entries fit: take fewer trials or channels, or wider bins"
        )
    return min(wanted, fitting)


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

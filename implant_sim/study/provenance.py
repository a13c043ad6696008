"""Where results come from: what run.json tells."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import implant_sim
from implant_sim.study.keys import code_digest, data_files
from implant_sim.study.load import Study
from implant_sim.study.store import SCHEMA, Entry

__all__ = ["listed", "now", "provenance"]

_PACKAGES = ("implant-sim", "numpy", "torch", "numba", "scipy", "scikit-learn", "pandas", "h5py")


def now() -> str:
    """The time, for people and machines."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(study: Study, entries: Sequence[Entry]) -> dict[str, Any]:
    """Versions, platform, data, seeds and points of a study."""
    return {
        "schema": SCHEMA,
        "name": study.name,
        "scenario_sha256": study.digest,
        "code_sha256": code_digest(),
        "version": implant_sim.__version__,
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in _PACKAGES},
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
        "data": sorted({f.name for p in study.points for f in data_files(p.scenario, study.root)}),
        "seeds": [study.seed + repeat for repeat in range(study.repeats)],
        "axes": list(study.axes),
        "skipped": [{"axes": s.axes, "condition": s.condition} for s in study.skipped],
        "started": now(),
        **listed(entries),
    }


def listed(entries: Iterable[Entry]) -> dict[str, Any]:
    """The points of a study, and where each is kept."""
    return {
        "points": [
            {"point": e.point, "repeat": e.repeat, "key": e.key, "axes": e.axes} for e in entries
        ]
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

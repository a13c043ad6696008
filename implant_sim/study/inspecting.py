"""What a scenario makes of its recording, before anything is sampled: to see that it is right."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from implant_sim.recordings.contents import contents
from implant_sim.study.load import Overrides, load
from implant_sim.study.paths import found
from sbtt_models.signals import Recording
from sbtt_models.undrawn import Population

__all__ = ["is_recording", "listed", "seen"]


def is_recording(name: str) -> bool:
    """Whether a name on the command line is a file of arrays rather than a scenario."""
    return Path(name).suffix.lower() not in ("", ".yaml", ".yml", ".json")


def listed(path: str) -> list[dict[str, Any]]:
    """The arrays of a file; see :func:`implant_sim.recordings.contents.contents`.

    A path that is not there is looked for where `IMPLANT_SIM_DATA` says.

    Raises
    ------
    DataError
        For a file that is missing, damaged or of another kind.
    """
    return [asdict(entry) for entry in contents(found(Path(), path))]


def seen(scenario: str, overrides: Overrides = ()) -> dict[str, Any]:
    """Read the recording of a scenario's first point, and say what came of it.

    Raises
    ------
    SimError
        For a scenario or recording that is not valid.
    """
    study = load(scenario, overrides)
    found = study.points[0].scenario.recording.load(study.root)
    told: dict[str, Any] = {
        "recording": found.name,
        "trials": found.lengths.size,
        "bins": int(found.lengths.sum()),
        "channels": found.n_channels,
        "bin_s": found.bin_s,
        "duration_s": float(found.lengths.sum()) * found.bin_s,
        "shortest_trial_bins": int(found.lengths.min()),
        "longest_trial_bins": int(found.lengths.max()),
    }
    return told if isinstance(found, Population) else told | _of_counts(found)


def _of_counts(found: Recording) -> dict[str, Any]:
    seconds = found.available.sum(axis=(0, 1)) * found.bin_s
    rates = found.counts.sum(axis=(0, 1)) / np.maximum(seconds, found.bin_s)
    what = "mean_value_hz" if found.real else "mean_rate_hz"
    told: dict[str, Any] = {
        what: float(rates.mean()),
        "largest_count": found.counts.max().item(),
        "silent_channels": found.silent_channels.size,
        "missing_share": 1
        - float(found.available.sum()) / float(found.lengths.sum()) / len(rates),
    }
    told |= {
        f"{part}_trials": getattr(found.split, part).size for part in ("train", "valid", "test")
    }
    if found.window_bins is not None:
        told["window_bins"] = found.window_bins
    if found.condition is not None:
        told["conditions"] = np.unique(found.condition).size
    if found.external is not None:
        told["external_inputs"] = found.external.shape[2]
    if found.behaviour is not None:
        moved = found.behaviour
        known = moved.values[moved.valid]
        spans = [
            f"{low:.4g} to {high:.4g}"
            for low, high in zip(known.min(0), known.max(0), strict=True)
        ]
        told["behaviour"] = (
            f"{moved.name}, {len(spans)} dimensions: {'; '.join(spans)} {moved.unit}"
        )
        told["behaviour_known_share"] = float(moved.valid.sum() / found.lengths.sum())
    return told

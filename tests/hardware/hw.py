"""Small implants and recordings for the tests of this folder."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.energy import price
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.hardware.verdict import judge
from sbtt_models.signals import Behaviour, Recording, Split

SCHEDULE = TypeAdapter(AnySchedule)
SOURCE = {"text": "made up for a test", "kind": "recalled"}
TREE: dict[str, Any] = {
    "sources": {"test": SOURCE},
    "array": {"area": "25 mm2", "source": "test"},
    "amplifier": {
        "kind": "nef", "nef": 4, "noise": "2 uV", "band": ["300 Hz", "1 kHz"], "supply": "3.3 V",
        "source": "test",
    },
    "adc": {
        "kind": "walden", "fom": "40 fJ", "bits": 10, "sample_rate": "2 kHz", "source": "test",
    },
    "processing": {
        "feature": "threshold", "per_sample": "1 pJ", "warm_up": "0 s", "source": "test",
    },
    "radio": {"kind": "uwb"},
    "overhead": {"power": "1 uW", "source": "test"},
}  # fmt: skip
GATED: dict[str, Any] = {
    "amplifier.coupling": "dc", "amplifier.gating": "per_bin", "amplifier.wake_time": "1 ms",
    "amplifier.wake_energy": "1 pJ", "amplifier.sleep_power": "1 nW",
}  # fmt: skip
MUXED: dict[str, Any] = {
    "multiplexer": {"placement": "after_amplifier", "ways": 4, "source": "test"},
    "adc.shared_by": 4,
}
HELD: dict[str, Any] = {
    "multiplexer": {"placement": "before_amplifier", "ways": 4, "source": "test"},
    "amplifier.shared_by": 4,
    "adc.shared_by": 4,
}


def tree(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tree of the small implant, with some dotted keys changed; None deletes."""
    result = deepcopy(TREE)
    for dotted, value in (changes or {}).items():
        *parents, last = dotted.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = deepcopy(value)
    return result


def implant(changes: dict[str, Any] | None = None) -> Implant:
    return Implant.model_validate(tree(changes))


def recording(
    n_trials: int = 12, n_bins: int = 20, n_channels: int = 8, seed: int = 0, **extra: Any
) -> Recording:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.uniform(0.05, 1.5, n_channels), (n_trials, n_bins, n_channels))
    cut = n_trials // 2
    split = Split(
        np.arange(cut),
        np.arange(cut, cut + n_trials // 4),
        np.arange(cut + n_trials // 4, n_trials),
    )
    given = {"lengths": np.full(n_trials, n_bins), **extra}
    return Recording("test", counts.astype(np.int32), 0.02, split=split, **given)


def moving(n_channels: int = 12, tuned: tuple[int, ...] = (2, 7), seed: int = 0) -> Recording:
    """A population of which only `tuned` knows the behaviour; the others fire more."""
    rng = np.random.default_rng(seed)
    n_trials, n_bins = 24, 60
    steps = rng.normal(size=(n_trials, n_bins + 8, len(tuned)))
    hidden = np.stack([steps[:, i : i + n_bins] for i in range(8)]).mean(axis=0) * 2
    rates = np.full((n_trials, n_bins, n_channels), 4.0)
    rates[:, :, list(tuned)] = np.exp(hidden)
    behaviour = Behaviour("test", "m/s", hidden, np.ones((n_trials, n_bins), bool))
    split = Split(np.arange(14), np.arange(14, 19), np.arange(19, 24))
    counts = rng.poisson(rates).astype(np.int32)
    return Recording("moving", counts, 0.05, np.full(n_trials, n_bins), split, behaviour=behaviour)


def run(rec: Recording, imp: Implant, schedule: dict[str, Any], seed: int = 0):
    """Stream, activity, ledger and verdict of one acquisition."""
    rng = np.random.default_rng(seed)
    stream, activity = acquire(rec, imp, SCHEDULE.validate_python(schedule), rng)
    ledger = price(activity, imp)
    return stream, activity, ledger, judge(ledger, activity, imp)

"""What each option beyond published SBTT is worth: one changed at a time, on seeds of its own.

    python benchmarks/decoders/ablations.py docs/ablations runs/ablations [--on SUBJECT]
        [--sampled K]... [--only NAME]...

Each variant is a sweep of its own in a folder of its own, so that a stopped study goes on where
it was. Differences to the decoder as shipped are paired by seed: the same recording, masks and
initial weights. On the synthetic data of the demonstration a seed is that of the recording; on a
recording, that of masks, weights and withheld entries.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import implant_sim

DATA_SEEDS = (6, 7, 8)  # 5 is the one that the settings were picked on
LONGER = "three times as long"
BASE = "as shipped"
LORENZ = {
    "recording": {"kind": "lorenz", "variant": "demo", "seed": DATA_SEEDS[0]},
    "schedule": {"kind": "random_subset", "bandwidth": 5},
}
REACH = {
    "recording": {
        "kind": "hdf5",
        "path": "m1_reach_public.h5",
        "counts": "spikes/counts",
        "bin": "50 ms",
        "behaviour": {"name": "hand velocity", "data": "behavior/hand_vel", "unit": "m/s"},
    },
    "schedule": {"kind": "random_subset", "fraction": 0.25},
    "repeats": 3,
}


@dataclass(frozen=True)
class Subject:
    """A decoder on a recording."""

    scenario: dict[str, Any]
    decoder: dict[str, Any]
    training: dict[str, Any]
    axis: str
    """How much is sampled."""
    sampled: tuple[float, ...]
    scores: dict[str, str]

    @property
    def seeds(self) -> str:
        """The column that tells seeds apart."""
        return "repeat" if "repeats" in self.scenario else "recording.seed"


_TRUE = {"rate_r2_expected": "R²", "bits_per_spike_all": "bits per spike"}
SUBJECTS = {
    "state_space": Subject(
        LORENZ,
        {"kind": "state_space"},
        {"epochs": 40, "learning_rate": 0.01},
        *("schedule.bandwidth", (15, 5, 3), _TRUE),
    ),
    "lfads": Subject(
        LORENZ,
        {
            "kind": "lfads",
            "generator": 64,
            "factors": 20,
            "dropout": 0.05,
            "initial_condition": {"encoder": 64, "size": 64, "kl_scale": 1e-4},
            "controller": {"encoder": 32, "size": 32, "outputs": 1, "kl_scale": 1e-4},
        },
        {"epochs": 60, "learning_rate": 0.01, "ramp_epochs": 20},
        *("schedule.bandwidth", (5,), _TRUE),
    ),
    "m1_reach": Subject(
        REACH,
        {"kind": "state_space", "dropout": 0.2},
        {"epochs": 60, "learning_rate": 0.01, "batch_size": 16},
        *("schedule.fraction", (0.25,)),
        {"velocity_r2": "velocity R²", "bits_per_spike_all": "bits per spike"},
    ),
}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    BASE: ({}, {}),
    "mask not given to the encoder": ({"mask_input": False}, {}),
    "input rescaled by the share seen": ({"rescale_input": "observed"}, {}),
    "input rescaled for coordinated dropout": ({"rescale_input": "dropout"}, {}),
    "no mask, input rescaled by the share seen": (
        {"mask_input": False, "rescale_input": "observed"},
        {},
    ),
    "no mask, input not rescaled": ({"mask_input": False, "rescale_input": "none"}, {}),
    "no coordinated dropout": ({}, {"coordinated_dropout": 0.0}),
    "coordinated dropout 0.15": ({}, {"coordinated_dropout": 0.15}),
    "coordinated dropout 0.5": ({}, {"coordinated_dropout": 0.5}),
    "constant learning rate 4e-3": ({}, {"schedule": "constant", "learning_rate": 0.004}),
    "rate that falls at a plateau": ({}, {"schedule": "plateau", "learning_rate": 0.004}),
    LONGER: ({}, {}),
    "validated on what the encoder saw": ({}, {"withheld_validation": 0.0}),
    "stopped by withheld training samples": (
        {},
        {"sample_validation": 0.1, "stop_by": "sample_loss"},
    ),
    "a fifth of the mask redrawn each epoch": ({}, {"redrawn_mask": 0.2}),
    "spikes jittered by one bin": ({}, {"jitter_bins": 1}),
    "trials shifted by up to two bins": ({}, {"shift_bins": 2}),
    "loss over all entries": ({}, {"loss_over": "all"}),
}


def scenario(on: Subject, name: str, sampled: list[float]) -> dict[str, Any]:
    decoder, training = VARIANTS[name]
    if name == LONGER:
        training = {"epochs": 3 * on.training["epochs"]}
    sweep: dict[str, list[Any]] = {on.axis: sampled}
    if on.seeds != "repeat":
        sweep[on.seeds] = list(DATA_SEEDS)
    return on.scenario | {
        "name": "ablation",
        "implant": "implants/gated_uwb.yaml",
        "decoder": on.decoder | decoder,
        "training": on.training | training,
        "sweep": sweep,
    }


def measured(
    on: Subject, name: str, sampled: list[float], runs: Path, jobs: int | None
) -> pd.DataFrame:
    """Run a variant, or what is missing of it: one row for each amount sampled and seed."""
    folder = runs / name.replace(" ", "_")
    rows = implant_sim.run(scenario(on, name, sampled), folder, jobs=jobs)
    if not (rows["status"] == "ok").all():
        raise RuntimeError(f"{folder}: a point failed")
    return rows.set_index([on.axis, on.seeds])[[*on.scores, "train_s"]]


def table(on: Subject, found: dict[str, pd.DataFrame], score: str) -> list[str]:
    base = found[BASE][score]
    sampled = list(dict.fromkeys(base.index.get_level_values(0)))
    lines = [
        f"| {on.scores[score]} | {' | '.join(f'{k:g} sampled' for k in sampled)} | training [s] |",
        "|---|" + "---:|" * (len(sampled) + 1),
    ]
    for name, rows in found.items():
        cells = []
        for k in sampled:
            values = rows[score].loc[k]
            difference = (rows[score] - base).loc[k]
            if name == BASE:
                cells.append(f"{values.mean():.3f} ± {values.std():.3f}")
            else:
                cells.append(f"{difference.mean():+.3f} ± {difference.std():.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} | {rows['train_s'].mean():.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--on", choices=SUBJECTS, default="state_space")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the recordings")
    parser.add_argument("--sampled", action="append", type=float, help="channels, or their share")
    parser.add_argument("--only", action="append", help="these variants, and the one as shipped")
    parser.add_argument("--jobs", type=int, help="points at a time; as many as there are cores")
    given = parser.parse_args()
    on, runs = SUBJECTS[given.on], given.runs / given.on
    if "path" in on.scenario["recording"]:
        on.scenario["recording"]["path"] = str((given.data / "m1_reach_public.h5").absolute())
    whole = [int(k) if float(k).is_integer() else k for k in given.sampled or on.sampled]
    names = dict.fromkeys([BASE, *(given.only or VARIANTS)])
    found = {name: measured(on, name, whole, runs, given.jobs) for name in names}
    given.out.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join("\n".join(table(on, found, score)) for score in on.scores)
    (given.out / f"{given.on}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

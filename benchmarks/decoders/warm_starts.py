"""Warm starts along the bandwidths of the demonstration's curve, against cold ones, by epochs.

    python benchmarks/decoders/warm_starts.py docs/warm_starts runs/warm_starts [--jobs N]
        [--only NAME]...

The first point of each chain (29 of 29 channels, or 2 where the order ascends) trains 40 epochs,
each other one as many as its arm says. All arms share a run folder, so that what they have in
common is trained once, and a stopped study goes on where it was. Scores as in `ablations.py`;
differences to 40 epochs from a cold start are paired by data seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

import implant_sim

DATA_SEEDS = (6, 7, 8)  # 5 is the one that the settings were picked on
BANDWIDTHS = (29, 25, 20, 15, 10, 5, 3, 2)
BASE = "cold, 40 epochs"
RATE = {"learning_rate": 0.01}


def warm(epochs: int, order: str = "descending") -> dict[str, Any]:
    rules = RATE | {"epochs": epochs}
    return {"warm_start": {"axis": "schedule.bandwidth", "order": order, "training": rules}}


ARMS: dict[str, dict[str, Any]] = {
    BASE: {},
    "warm, 10 epochs": warm(10),
    "cold, 10 epochs": {"training": RATE | {"epochs": 10}},
    "warm from sparse to dense, 10 epochs": warm(10, "ascending"),
}
SCORES = {"rate_r2_expected": "R²", "bits_per_spike_all": "bits per spike"}


def measured(arm: str, runs: Path, jobs: int | None) -> pd.DataFrame:
    """Run an arm, or what is missing of it: one row for each bandwidth and data seed."""
    scenario = {
        "name": "warm_starts",
        "recording": {"kind": "lorenz", "variant": "demo", "seed": DATA_SEEDS[0]},
        "implant": "implants/gated_uwb.yaml",
        "schedule": {"kind": "random_subset", "bandwidth": 10},
        "decoder": {"kind": "state_space"},
        "training": RATE | {"epochs": 40},
        "sweep": {"recording.seed": list(DATA_SEEDS), "schedule.bandwidth": list(BANDWIDTHS)},
    }
    rows = implant_sim.run(scenario | ARMS[arm], runs, jobs=jobs)
    if not (rows["status"] == "ok").all():
        raise RuntimeError(f"{arm}: a point failed")
    names = ["schedule.bandwidth", "recording.seed"]
    return rows.set_index(names)[[*SCORES, "train_s", "epochs"]]


def table(found: dict[str, pd.DataFrame], score: str) -> list[str]:
    base = found[BASE][score]
    lines = [
        f"| {SCORES[score]} | {' | '.join(map(str, BANDWIDTHS))} | epochs of the curve |",
        "|---|" + "---:|" * (len(BANDWIDTHS) + 1),
    ]
    for arm, rows in found.items():
        values = rows[score] if arm == BASE else rows[score] - base
        form = "{:.3f} ± {:.3f}" if arm == BASE else "{:+.3f} ± {:.3f}"
        cells = [form.format(values.loc[k].mean(), values.loc[k].std()) for k in BANDWIDTHS]
        epochs = rows["epochs"].sum() / len(DATA_SEEDS)
        lines.append(f"| {arm} | {' | '.join(cells)} | {epochs:.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--jobs", type=int, help="points at a time; as many as there are cores")
    parser.add_argument("--only", action="append", help="run these arms, and write no table")
    given = parser.parse_args()
    found = {arm: measured(arm, given.runs, given.jobs) for arm in given.only or ARMS}
    if given.only:
        return
    given.out.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join("\n".join(table(found, score)) for score in SCORES)
    (given.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

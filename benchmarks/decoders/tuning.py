"""A small population against the shipped settings, at 3 of 29 channels of the synthetic data.

    python benchmarks/decoders/tuning.py docs/tuning runs/tuning [--jobs N]

All arms see the same recordings, masks and validation entries. The population trains 4 members for
40 epochs each; `as long` is one training of as many epochs as all of them together; the numbers
that the population ends at are used anew, in one cycle of 40 epochs. The population goes by the
validation loss; the scores are of other entries, and choose nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

import implant_sim

DATA_SEEDS = (6, 7)  # 5 is the one that the settings were picked on
MEMBERS, GENERATIONS, EPOCHS = 4, 4, 8
SHIPPED = {"epochs": 40, "learning_rate": 0.01}
TUNING: dict[str, Any] = {
    "members": MEMBERS,
    "generations": GENERATIONS,
    "generation_epochs": EPOCHS,
    "burn_in_epochs": EPOCHS,
    "ranges": {
        "training.learning_rate": {"low": 1e-3, "high": 2e-2, "first": 1e-2, "scale": "log"},
        "training.coordinated_dropout": {"low": 0.1, "high": 0.7},
        "training.weight_decay": {"low": 1e-6, "high": 1e-3, "scale": "log", "explore": 0.8},
        "decoder.dropout": {"low": 0.0, "high": 0.4},
    },
}
ARMS: dict[str, dict[str, Any]] = {
    "as shipped, 40 epochs": {},
    "population": {"tuning": TUNING},
    "as shipped, as long": {
        "training": SHIPPED | {"epochs": MEMBERS * EPOCHS * (GENERATIONS + 1)}
    },
}
ANEW = "numbers found, one cycle of 40 epochs"
SCORES = {"valid": "validation loss", "rate_r2_expected": "R²", "bits_per_spike_all": "bits/spike"}


def measured(arm: str, runs: Path, jobs: int | None, changes: dict[str, Any]) -> pd.DataFrame:
    """Run an arm, or what is missing of it: one row for each data seed."""
    scenario = {
        "name": "tuning",
        "recording": {"kind": "lorenz", "variant": "demo", "seed": DATA_SEEDS[0]},
        "implant": "implants/gated_uwb.yaml",
        "schedule": {"kind": "random_subset", "bandwidth": 3},
        "decoder": {"kind": "state_space"},
        "training": SHIPPED,
        "sweep": {"recording.seed": list(DATA_SEEDS)},
    }
    folder = runs / arm.replace(" ", "_")
    rows = implant_sim.run(scenario | changes, folder, jobs=jobs)
    if not (rows["status"] == "ok").all():
        raise RuntimeError(f"{arm}: a point failed")
    told = [result_of(folder, point) for point in rows["point"]]
    rows["valid"] = [min(e["valid_loss"] for e in one["history"]) for one in told]
    rows["spent"] = [sum_of(one.get("tuning", [])) or one["row"]["epochs"] for one in told]
    rows["found"] = [last_of(one.get("tuning", [])) for one in told]
    return rows.set_index("recording.seed")[[*SCORES, "spent", "found"]]


def result_of(folder: Path, point: int) -> dict[str, Any]:
    """What is kept of a point."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    key = next(p["key"] for p in run["points"] if p["point"] == point)
    text = (folder / "points" / key / "result.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["content"])


def sum_of(table: list[dict[str, float]]) -> float:
    """Epochs of all members together."""
    last = max((row["generation"] for row in table), default=0.0)
    return sum(row["epoch"] for row in table if row["generation"] == last and "epoch" in row)


def last_of(table: list[dict[str, float]]) -> dict[str, float]:
    """The numbers of the member with the lowest loss of all."""
    if not table:
        return {}
    best = min(table, key=lambda row: row.get("best_loss", float("inf")))
    return {key: best[key] for key in TUNING["ranges"]}


def anew(population: pd.DataFrame) -> dict[str, Any]:
    """The scenario's changes that train once more with what the population ended at."""
    numbers = {key: [found[key] for found in population["found"]] for key in TUNING["ranges"]}
    return {"sweep": {"zip": [{"recording.seed": list(DATA_SEEDS)} | numbers]}}


def table(found: dict[str, pd.DataFrame]) -> list[str]:
    lines = [
        f"| | {' | '.join(SCORES.values())} | epochs in all | by seed: R² |",
        "|---|" + "---:|" * (len(SCORES) + 2),
    ]
    for arm, rows in found.items():
        cells = [f"{rows[s].mean():.3f} ± {rows[s].std():.3f}" for s in SCORES]
        seeds = ", ".join(f"{value:.3f}" for value in rows["rate_r2_expected"])
        lines.append(f"| {arm} | {' | '.join(cells)} | {rows['spent'].mean():.0f} | {seeds} |")
    lines += ["", "What the population ended at, by seed:", ""]
    for seed, numbers in found["population"]["found"].items():
        text = ", ".join(f"{key.split('.')[1]} {value:.2g}" for key, value in numbers.items())
        lines.append(f"- {seed}: {text}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--jobs", type=int, help="points at a time; as many as there are cores")
    given = parser.parse_args()
    found = {arm: measured(arm, given.runs, given.jobs, ARMS[arm]) for arm in ARMS}
    found[ANEW] = measured(ANEW, given.runs, given.jobs, anew(found["population"]))
    given.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(table(found))
    (given.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""The bandwidth curve on five draws of the data: ours, oracle, recipe, baselines; tables, picture.

    implant-sim run scenarios/paper/lorenz.yaml --out runs/lorenz
    implant-sim run scenarios/paper/lorenz_baselines.yaml --out runs/baselines
    python benchmarks/paper/lorenz.py docs/paper/lorenz runs/lorenz runs/baselines --afresh

Of each point the network alone is scored, too, and the oracle on the same samples; of LFADS that
takes gaps for silence, also its rates before they are rescaled; of always-on channels, also what a
calibration of the others is worth. `points.csv` keeps what is scored; what it has is scored again
with `--afresh` alone, which tells how far the new scores are from the old.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lorenz_figure import picture
from lorenz_tables import CALIBRATED, SUBSET, tables
from oracle import oracle

import sbtt_models
from implant_sim.study.acquisition import acquisition
from implant_sim.study.load import load
from implant_sim.study.score import score
from implant_sim.study.store import RunFolder
from sbtt_models import metrics
from sbtt_models.decoders.trial_mixture import FittedTrialMixture
from sbtt_models.decoders.zero_filled import FittedZeroFilled

HERE = Path(__file__).parent
SCENARIO = HERE.parents[1] / "scenarios" / "paper" / "lorenz.yaml"
SCORES = ("rate_r2", "rate_r2_expected", "bits_per_spike_all")
KEYS = ["method", "seed", "bandwidth", "repeat"]
ALONE = "network alone"


def scored(
    rates_of: Callable[..., Any],
    got: Any,
    scenario: Any,
    repeat: int,
    mean: np.ndarray | None = None,
) -> dict[str, float]:
    """As the study scores; and R² of all 29 channels, with what is known of unsampled ones."""
    recording = got.offered.held_in
    found = score(
        rates_of,
        got.stream,
        recording,
        options=scenario.score,
        repeat=repeat,
        calibration_mean=mean,
    )
    test = recording.split.test
    whole = metrics.r2(
        recording.expected[test], found.rates[test], where=recording.available[test]
    )
    return {name: getattr(found, name) for name in SCORES} | {"r2_all_channels": whole.mean}


def acquired(seed: int, schedule: dict[str, Any], repeat: int) -> tuple[Any, Any]:
    changes = {"sweep": {}, "recording.seed": seed, "schedule": schedule}
    scenario = load(SCENARIO, changes).points[0].scenario
    return acquisition(scenario, repeat, SCENARIO.parent), scenario


def training_means(recording: Any) -> np.ndarray:
    """Mean count of each channel in the training trials, as a calibration would tell. [1/bin]"""
    train = recording.split.train
    return metrics.channel_means(recording.counts[train], where=recording.available[train])


def variants(
    method: str, fitted: Any, recording: Any
) -> Iterator[tuple[str, Callable[..., Any], np.ndarray | None]]:
    """What one decoder stands for: names, rates, and means of channels never sampled if known."""
    yield method, fitted.rates, None
    if isinstance(fitted, FittedTrialMixture) and method == "ours":
        yield ALONE, fitted.fitted.rates, None
    if isinstance(fitted, FittedZeroFilled):
        yield f"{method}, raw", replace(fitted, share=np.ones_like(fitted.share)).rates, None
    if method == SUBSET:
        yield CALIBRATED, fitted.rates, training_means(recording)


def finished(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Points of a run folder that have a score: where each is, and what is kept of it."""
    store = RunFolder(folder)
    for place in sorted(store.points.glob("*")):
        content = store.result(place.name)
        if content is not None and content["row"].get("status") == "ok":
            yield place, content


def found_in(folder: Path, known: set[tuple[Any, ...]], is_ours: bool) -> Iterator[dict[str, Any]]:
    """Rows of the points of a run folder that are not known yet."""
    for place, content in finished(folder):
        row, repeat = content["row"], content["repeat"]
        seed, k = content["axes"]["recording.seed"], int(row["bandwidth"])
        method = "ours" if is_ours else content["axes"]["decoder"]
        if (method, seed, k, repeat) in known:
            continue
        got, scenario = acquired(seed, {"kind": row["schedule"], "bandwidth": k}, repeat)
        recording = got.offered.held_in
        asked = list(variants(method, sbtt_models.load(place, device="cpu"), recording))
        if is_ours:
            asked.append(("oracle", oracle(recording, seed), None))
        for name, rates_of, mean in asked:
            yield dict(zip(KEYS, (name, seed, k, repeat), strict=True)) | scored(
                rates_of, got, scenario, repeat, mean
            )


def told_apart(old: pd.DataFrame, new: pd.DataFrame) -> str:
    """How far scores of the same points are apart."""
    both = old.merge(new, on=KEYS, suffixes=("", " anew"))
    apart = [f"{name} {(both[name] - both[f'{name} anew']).abs().max():.5f}" for name in SCORES]
    return f"{len(both)} of {len(new)} rows were known; furthest apart: {', '.join(apart)}"


def recipe(out: Path) -> pd.DataFrame:
    """The published recipe by recipe.py; where that was not run, seed 5 as it was run before."""
    tree = json.loads((HERE / "published_recipe.json").read_text(encoding="utf-8"))
    first = pd.DataFrame(tree["points"]).assign(seed=5)
    parts = [first[["seed", "bandwidth", "rate_r2", "rate_r2_expected"]]]
    if (out / "recipe.csv").exists():
        names = {"recording.seed": "seed", "schedule.bandwidth": "bandwidth"}
        parts.insert(0, pd.read_csv(out / "recipe.csv").rename(columns=names))
    found = pd.concat(parts).drop_duplicates(["seed", "bandwidth"])
    return found.assign(method="recipe", repeat=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("baselines", type=Path)
    parser.add_argument("--afresh", action="store_true", help="score points again that are known")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "points.csv"
    old = pd.read_csv(kept) if kept.exists() else pd.DataFrame(columns=[*KEYS, *SCORES])
    skipped = set() if given.afresh else {tuple(row) for row in old[KEYS].to_numpy()}
    rows = list(found_in(given.ours, skipped, is_ours=True))
    rows += found_in(given.baselines, skipped, is_ours=False)
    new = pd.DataFrame(rows, columns=None if rows else old.columns).round(5)
    if given.afresh:
        print(told_apart(old, new))
    table = pd.concat([old, new] if len(old) else [new]).drop_duplicates(KEYS, keep="last")
    table = table.sort_values(KEYS)
    table.to_csv(kept, index=False)
    table = pd.concat([table, recipe(given.out)], ignore_index=True)
    text = tables(table)
    (given.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)
    picture(table, given.out / "curve.png")


if __name__ == "__main__":
    main()

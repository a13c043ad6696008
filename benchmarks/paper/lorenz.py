"""The bandwidth curve on five draws of the data: ours, oracle, recipe, baselines; tables, picture.

    implant-sim run scenarios/paper/lorenz.yaml --out runs/lorenz
    implant-sim run scenarios/paper/lorenz_baselines.yaml --out runs/baselines
    python benchmarks/paper/lorenz.py docs/paper/lorenz runs/lorenz runs/baselines

Of each point the network alone is scored, too, and the oracle on the same samples; of LFADS that
takes gaps for silence, also its rates before they are rescaled. `points.csv` keeps what is scored.
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
from lorenz_tables import tables
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


def scored(rates_of: Callable[..., Any], got: Any, scenario: Any, repeat: int) -> dict[str, float]:
    """As the study scores; and R² of all 29 channels, with what is known of unsampled ones."""
    recording = got.offered.held_in
    found = score(rates_of, got.stream, recording, options=scenario.score, repeat=repeat)
    test = recording.split.test
    whole = metrics.r2(
        recording.expected[test], found.rates[test], where=recording.available[test]
    )
    return {name: getattr(found, name) for name in SCORES} | {"r2_all_channels": whole.mean}


def acquired(seed: int, schedule: dict[str, Any], repeat: int) -> tuple[Any, Any]:
    changes = {"sweep": {}, "recording.seed": seed, "schedule": schedule}
    scenario = load(SCENARIO, changes).points[0].scenario
    return acquisition(scenario, repeat, SCENARIO.parent), scenario


def variants(method: str, fitted: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What one decoder stands for."""
    yield method, fitted.rates
    if isinstance(fitted, FittedTrialMixture) and method == "ours":
        yield ALONE, fitted.fitted.rates
    if isinstance(fitted, FittedZeroFilled):
        yield f"{method}, raw", replace(fitted, share=np.ones_like(fitted.share)).rates


def found_in(folder: Path, known: set[tuple[Any, ...]], is_ours: bool) -> Iterator[dict[str, Any]]:
    """Rows of the points of a run folder that are not known yet."""
    store = RunFolder(folder)
    for place in sorted(store.points.glob("*")):
        content = store.result(place.name)
        if content is None or content["row"].get("status") != "ok":
            continue
        row, repeat = content["row"], content["repeat"]
        seed, k = content["axes"]["recording.seed"], int(row["bandwidth"])
        method = "ours" if is_ours else content["axes"]["decoder"]
        if (method, seed, k, repeat) in known:
            continue
        got, scenario = acquired(seed, {"kind": row["schedule"], "bandwidth": k}, repeat)
        asked = list(variants(method, sbtt_models.load(place, device="cpu")))
        if is_ours:
            asked.append(("oracle", oracle(got.offered.held_in, seed)))
        for name, rates_of in asked:
            yield dict(zip(KEYS, (name, seed, k, repeat), strict=True)) | scored(
                rates_of, got, scenario, repeat
            )


def recipe(out: Path) -> pd.DataFrame:
    """The published recipe: seed 5 as it was run before, others by recipe.py."""
    tree = json.loads((HERE / "published_recipe.json").read_text(encoding="utf-8"))
    first = pd.DataFrame(tree["points"]).assign(seed=5)
    parts = [first[["seed", "bandwidth", "rate_r2", "rate_r2_expected"]]]
    if (out / "recipe.csv").exists():
        more = pd.read_csv(out / "recipe.csv")
        parts.append(
            more.rename(columns={"recording.seed": "seed", "schedule.bandwidth": "bandwidth"})
        )
    return pd.concat(parts).assign(method="recipe", repeat=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("baselines", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "points.csv"
    rows = pd.read_csv(kept).to_dict("records") if kept.exists() else []
    known = {tuple(row[key] for key in KEYS) for row in rows}
    rows += found_in(given.ours, known, is_ours=True)
    rows += found_in(given.baselines, known, is_ours=False)
    table = pd.DataFrame(rows).sort_values(KEYS).round(5)
    table.to_csv(kept, index=False)
    table = pd.concat([table, recipe(given.out)], ignore_index=True)
    text = tables(table)
    (given.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)
    picture(table, given.out / "curve.png")


if __name__ == "__main__":
    main()

"""Dense trials first, against sparse ones alone at equal training and at equal energy.

    implant-sim run scenarios/paper/lorenz.yaml --out runs/lorenz
    implant-sim run scenarios/paper/pretraining.yaml --out runs/pretraining
    python benchmarks/paper/pretraining.py docs/paper/pretraining runs/pretraining \
        docs/paper/lorenz/points.csv runs/lorenz

Sparse alone is the network alone of the bandwidth curve: the same recordings, masks, seeds, and as
many windows seen in training. At equal energy it takes more channels in every bin, until it draws
what the pretrained design draws with its dense trials; its score there is interpolated between the
bandwidths of the curve, linearly over the logarithm of the power. Both are scored once more as the
network of a mixture of trials.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

import sbtt_models
from implant_sim.study.acquisition import acquisition
from implant_sim.study.load import load
from implant_sim.study.score import score
from implant_sim.study.store import RunFolder
from sbtt_models.decoders import TrialMixture
from sbtt_models.decoders.trial_mixture import FittedTrialMixture
from sbtt_models.windows import window_of

mpl.use("Agg")
import matplotlib.pyplot as plt

SCENARIO = Path(__file__).parents[2] / "scenarios" / "paper" / "pretraining.yaml"
TRIALS, ADAPT = "pretraining.trials", "pretraining.adapt"
SESSION_S, DAY_S = 1560.0, 86_400.0
R2 = "rate_r2_expected"


def with_mixture(row: dict[str, Any], axes: dict[str, Any], place: Path) -> float:
    """R² of the same network as part of a mixture of the delivered training trials."""
    changes = {"sweep": {}, **axes}
    scenario = load(SCENARIO, changes).points[0].scenario
    got = acquisition(scenario, row["repeat"], SCENARIO.parent)
    network = sbtt_models.load(place, device="cpu")
    alone = FittedTrialMixture(TrialMixture(), network, window_of(got.stream), None, 0)
    best = alone.improved(got.stream)
    found = score(
        best.rates,
        got.stream,
        got.offered.held_in,
        options=scenario.score,
        repeat=row["repeat"],
    )
    assert found.rate_r2_expected is not None
    return found.rate_r2_expected


def pretrained(folder: Path, kept: Path) -> pd.DataFrame:
    """One row a point; what is in `kept` is not scored again."""
    rows = pd.read_csv(kept).to_dict("records") if kept.exists() else []
    known = {row["key"] for row in rows}
    store = RunFolder(folder)
    for place in sorted(store.points.glob("*")):
        content = store.result(place.name)
        if content is None or content["row"].get("status") != "ok" or place.name in known:
            continue
        axes, repeat = content["axes"], content["repeat"]
        row = {"key": place.name, "repeat": repeat, **axes}
        row |= {name: content["row"][name] for name in ("power_w", R2, "bits_per_spike_all")}
        rows.append(row | {"mixture": with_mixture({"repeat": repeat}, axes, place)})
    table = pd.DataFrame(rows)
    table.to_csv(kept, index=False)
    return table


def alone(points: Path, runs: Path) -> pd.DataFrame:
    """Sparse alone: power and scores at each data seed and bandwidth, repeat 0."""
    table = pd.read_csv(points)
    table = table[table["repeat"] == 0].set_index(["seed", "bandwidth"])
    store, power = RunFolder(runs), {}
    for place in store.points.glob("*"):
        content = store.result(place.name)
        if content is not None and content["repeat"] == 0:
            seed, k = (content["axes"][n] for n in ("recording.seed", "schedule.bandwidth"))
            power[seed, k] = content["row"]["power_w"]
    network, mixture = (table[table["method"] == m][R2] for m in ("network alone", "ours"))
    watts = pd.Series(power)
    return pd.DataFrame({"power_w": watts, R2: network, "mixture": mixture}).dropna()


def at_power(curve: pd.DataFrame, watts: float, name: str) -> float:
    """Score of sparse alone where it draws so much; NaN beyond the bandwidths that were run."""
    curve = curve.sort_values("power_w")
    powers = np.log(curve["power_w"])
    return float(np.interp(np.log(watts), powers, curve[name], left=np.nan, right=np.nan))


def compared(found: pd.DataFrame, sparse: pd.DataFrame) -> pd.DataFrame:
    """Each pretrained point beside sparse alone: at its bandwidth, and at its power."""
    rows = []
    for row in found.to_dict("records"):
        seed, k = row["recording.seed"], row["schedule.bandwidth"]
        curve = sparse.loc[seed]
        if k not in curve.index:
            continue
        usual = curve.loc[k]
        equal = {name: at_power(curve, row["power_w"], name) for name in (R2, "mixture")}
        sessions = SESSION_S / DAY_S
        rows.append(
            row
            | {
                "sparse_w": usual["power_w"],
                "daily_w": usual["power_w"] + (row["power_w"] - usual["power_w"]) * sessions,
                "gain": row[R2] - usual[R2],
                "gain_mixture": row["mixture"] - usual["mixture"],
                "gain_equal_power": row[R2] - equal[R2],
                "gain_mixture_equal_power": row["mixture"] - equal["mixture"],
                "sparse": usual[R2],
                "equal_power": equal[R2],
            }
        )
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> list[str]:
    columns = {
        R2: "R², pretrained",
        "gain": "against sparse alone",
        "gain_equal_power": "at equal energy",
        "gain_mixture": "in a mixture: against sparse alone",
        "gain_mixture_equal_power": "at equal energy, in a mixture",
    }
    lines = [
        "| channels of 29 | dense trials | adapted | data seeds | power: sparse [uW] | dense in "
        f"each recording [uW] | dense once a day [uW] | {' | '.join(columns.values())} |",
        "|---:|---:|---|" + "---:|" * (4 + len(columns)),
    ]
    keys = ["schedule.bandwidth", TRIALS, ADAPT]
    for (k, trials, adapt), group in rows.groupby(keys):
        watts = [f"{1e6 * group[n].mean():.1f}" for n in ("sparse_w", "power_w", "daily_w")]
        cells = [
            f"{group[name].mean():.3f} ± {group[name].std():.3f}"
            if name == R2
            else f"{group[name].mean():+.3f} ± {group[name].std():.3f}"
            for name in columns
        ]
        seeds = ", ".join(str(seed) for seed in sorted(group["recording.seed"]))
        lines.append(f"| {k} | {trials} | {adapt} | {seeds} | {' | '.join(watts + cells)} |")
    return lines


def picture(rows: pd.DataFrame, sparse: pd.DataFrame, path: Path) -> None:
    figure, axis = plt.subplots(figsize=(6.5, 4.4), constrained_layout=True)
    curve = sparse[sparse.index.get_level_values(0).isin(rows["recording.seed"])]
    mean = curve.groupby(level=1).mean()
    axis.plot(1e6 * mean["power_w"], mean[R2], "k-o", ms=4, label="sparse alone")
    for k, r2, watts in zip(mean.index, mean[R2], 1e6 * mean["power_w"], strict=True):
        axis.annotate(str(k), (watts, r2), textcoords="offset points", xytext=(4, -11), size=8)
    styles = {50: ("#56B4E9", "v"), 150: ("#0072B2", "s"), 400: ("#D55E00", "^")}
    whole = (
        rows[rows[ADAPT] == "all"].groupby([TRIALS, "schedule.bandwidth"]).mean(numeric_only=True)
    )
    for trials, (colour, mark) in styles.items():
        if trials not in whole.index:
            continue
        group = whole.loc[trials]
        for watts, filled in (("power_w", True), ("daily_w", False)):
            axis.plot(
                1e6 * group[watts],
                group[R2],
                mark,
                color=colour,
                mfc=colour if filled else "none",
                label=f"{trials} dense trials, {'each recording' if filled else 'once a day'}",
            )
    axis.set_xscale("log")
    ticks = [170, 200, 300, 500, 700]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("Power of the implant [uW]")
    axis.set_ylabel("R² of inferred rates, expected counts")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("out", "runs", "points", "curve"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sparse = alone(given.points, given.curve)
    rows = compared(pretrained(given.runs, given.out / "points.csv"), sparse)
    text = "\n".join(table(rows))
    (given.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    picture(rows, sparse, given.out / "pretraining.png")


if __name__ == "__main__":
    main()

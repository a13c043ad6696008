"""Tables and pictures of `recordings.py`, from its run folders.

python benchmarks/paper/recordings_tables.py runs/recordings docs/paper/recordings

What `NAME.csv` there holds already stays, unless a run folder has the same point and repeat anew:
the parts need not be run on one machine, nor at one time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from implant_sim.report.load import Run, load_run
from implant_sim.study.ridge import fit_ridge
from sbtt_models import metrics

mpl.use("Agg")
import matplotlib.pyplot as plt

SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
RATIOS = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2)
"""Shares of the input channels in the recipe of the SBTT paper's code."""
ONE_LAG_S = 0.08
MEASURES = {
    "velocity_r2": "Behaviour R², lags of 0 to 0.5 s",
    "velocity_r2_one_lag": "Behaviour R², one lag of about 80 ms",
    "co_bps": "Bits per spike, neurons never sampled",
    "bits_per_spike_all": "Bits per spike, withheld entries",
}
DECODERS = {
    "augmented_lds": "augmented Poisson dynamics",
    "state_space": "state space",
    "augmented, learned prior": "augmented Poisson dynamics, learned prior",
    "poisson_lds": "Poisson linear dynamics",
    "learned prior": "Poisson linear dynamics, learned prior",
    "kalman": "Kalman smoother",
    "smoothing": "Gaussian smoothing",
    "counts as they are": "counts as they are",
}
SCHEDULES = {
    "random": "random rotation",
    "always-on": "always-on, random channels",
    "best always-on": "always-on, best channels",
    "weighted": "rotation weighted by variance",
    "most telling always-on": "always-on, most telling channels",
    "hybrid, half, random": "half on the best channels, random rotation of the others",
    "hybrid, half, weighted": "half on the best channels, weighted rotation of the others",
    "hybrid, three quarters, random": "three quarters on the best channels, random rotation",
    "hybrid, three quarters, weighted": "three quarters on the best channels, weighted rotation",
    "hybrid, half, weighted, most telling": "half on the most telling, weighted rotation",
    "hybrid, three quarters, weighted, most telling": "three quarters on the most telling",
}
COLOURS = {
    "augmented_lds": "#0072B2",
    "state_space": "#009E73",
    "poisson_lds": "#CC79A7",
    "kalman": "#D55E00",
    "smoothing": "#7F7F7F",
    "counts as they are": "#B8A000",
}
MARKS = {"random": "o-", "always-on": "s--", "best always-on": "^:", "weighted": "D-."}
KEYS = ["decoder", "schedule", "share", "repeat"]
KEPT = ["part", *KEYS, *MEASURES, "bits_per_spike", "power_w"]


def read(folder: Path) -> pd.DataFrame:
    """One row for each point and repeat of all parts."""
    frames = []
    for part in sorted(folder.iterdir()):
        if not (part / "results.csv").is_file():
            continue
        run = load_run(part)
        rows = run.results[run.results["status"] == "ok"].copy()
        rows["part"], rows["share"] = part.name, rows["schedule.fraction"].astype(float)
        for name in ("decoder", "schedule"):
            rows[name] = rows[name].replace({"random_subset": "random"})
        rows["velocity_r2_one_lag"] = [
            one_lag(run, int(point), int(repeat))
            for point, repeat in zip(rows["point"], rows["repeat"], strict=True)
        ]
        frames.append(rows)
    return pd.concat(frames)[KEPT]


def joined(found: pd.DataFrame, kept: Path) -> pd.DataFrame:
    """Points found in run folders, and those of the table that are not among them."""
    known = [pd.read_csv(kept)] if kept.exists() else []
    rows = pd.concat([found, *known]).round({"share": 6}).drop_duplicates(KEYS)
    return rows.sort_values(["part", *KEYS])


def one_lag(run: Run, point: int, repeat: int) -> float:
    """R² of behaviour read out of the rates of one earlier bin, as the SBTT paper's code does."""
    arrays = run.arrays(point, repeat)
    if arrays is None:
        return float("nan")
    bin_s = float(run.results["bin_s"].iloc[0])
    rates, test = arrays["rates"], arrays["split/test"]
    judged = arrays["behaviour_valid"].copy()
    fitted = judged.copy()
    fitted[test], judged[np.setdiff1d(np.arange(len(judged)), test)] = False, False
    target = np.where(arrays["behaviour_valid"][..., None], arrays["behaviour"], 0.0)
    read_out = fit_ridge(rates, target, fitted, (round(ONE_LAG_S / bin_s),), n_folds=5)
    where = np.broadcast_to(judged[test][..., None], target[test].shape)
    found = metrics.r2(target[test], read_out.predict(rates[test]).astype(float), where=where)
    return float("nan") if found.mean is None else float(found.mean)


def cell(values: pd.Series) -> str:
    """Mean and standard deviation."""
    if not len(values):
        return ""
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def table(rows: pd.DataFrame, by: str, names: dict[str, str], measure: str) -> list[str]:
    """One line for each decoder or schedule, one column for each share."""
    shares = sorted(rows["share"].unique(), reverse=True)
    lines = [
        f"| {MEASURES[measure]} | " + " | ".join(f"{100 * s:g} %" for s in shares) + " |",
        "|---|" + "---:|" * len(shares),
    ]
    for key, name in names.items():
        own = rows[rows[by] == key]
        if len(own):
            cells = [cell(own.loc[own["share"] == s, measure].dropna()) for s in shares]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def verdicts(rows: pd.DataFrame) -> list[str]:
    """Paired differences of the augmented model to each rival, with their standard error."""
    rotated = rows[rows["schedule"] == "random"]
    ours = rotated[rotated["decoder"] == "augmented_lds"].set_index(["share", "repeat"])
    shares = sorted(ours.index.levels[0], reverse=True)
    head = " | ".join(f"{100 * s:g} %" for s in shares)
    lines = []
    for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
        lines += [f"| {MEASURES[measure]}: above | {head} |", "|---|" + "---:|" * len(shares)]
        for key, name in list(DECODERS.items())[1:]:
            theirs = rotated[rotated["decoder"] == key].set_index(["share", "repeat"])
            if not len(theirs):
                continue
            gain = (ours[measure] - theirs[measure]).dropna().groupby("share")
            lines.append(f"| {name} | " + " | ".join(signed(gain, s) for s in shares) + " |")
        fixed = rows[(rows["schedule"] == "always-on") & (rows["decoder"] == "kalman")]
        if len(fixed) and measure == "velocity_r2":
            mean, n = fixed.groupby("share")[measure].mean(), fixed.groupby("share").size().max()
            gain = (ours[measure] - mean.reindex(ours.index, level="share")).groupby("share")
            name = f"mean of {n} random always-on subsets, Kalman smoother"
            lines.append(f"| {name} | " + " | ".join(signed(gain, s) for s in shares) + " |")
        lines.append("")
    return lines


def above_best(own: pd.DataFrame) -> list[str]:
    """Paired differences of each schedule to the best always-on channels, of one decoder."""
    best = own[own["schedule"] == "best always-on"].set_index(["share", "repeat"])
    shares = sorted(best.index.unique("share"), reverse=True)
    head = " | ".join(f"{100 * s:g} %" for s in shares)
    lines = []
    for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
        title = f"{MEASURES[measure]}: above the best always-on channels"
        lines += [f"| {title} | {head} |", "|---|" + "---:|" * len(shares)]
        for key, name in SCHEDULES.items():
            other = own[own["schedule"] == key].set_index(["share", "repeat"])
            gain = (other[measure] - best[measure]).dropna().groupby("share")
            if key not in ("best always-on", "always-on") and len(gain):
                lines.append(f"| {name} | " + " | ".join(signed(gain, s) for s in shares) + " |")
        lines.append("")
    return lines


def signed(gain: pd.core.groupby.SeriesGroupBy, share: float) -> str:
    """Mean difference and its standard error; bold where it is above two of them."""
    if share not in gain.groups:
        return ""
    values = gain.get_group(share).dropna()
    if not len(values):
        return ""
    if len(values) == 1:
        return f"{values.mean():+.3f}"
    error = values.std() / np.sqrt(len(values))
    text = f"{values.mean():+.3f} ({error:.3f})"
    return f"**{text}**" if values.mean() > 2 * error else text


def draw(rows: pd.DataFrame, path: Path, title: str) -> None:
    """Three measures against the share of samples."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), constrained_layout=True)
    shown = ("velocity_r2", "co_bps", "bits_per_spike_all")
    for axis, measure in zip(axes, shown, strict=True):
        for decoder, colour in COLOURS.items():
            for schedule, mark in MARKS.items():
                own = rows[(rows["decoder"] == decoder) & (rows["schedule"] == schedule)]
                line = own.groupby("share")[measure].agg(["mean", "std"]).dropna(subset="mean")
                if decoder == "counts as they are" and measure == "bits_per_spike_all":
                    continue  # what was not sampled gets the channel's mean
                if len(line):
                    axis.errorbar(
                        100 * line.index, line["mean"], line["std"], fmt=mark, ms=4,
                        lw=1.4, capsize=2, color=colour,
                        label=f"{DECODERS[decoder]}; {SCHEDULES[schedule]}",
                    )  # fmt: skip
        axis.set_xscale("log", base=2)
        ticks = sorted(rows["share"].unique())
        axis.set_xticks([100 * s for s in ticks], [f"{100 * s:g}" for s in ticks], fontsize=7)
        axis.set_xlabel("Samples taken (% of the input channels)")
        axis.set_ylabel(MEASURES[measure])
        axis.spines[["top", "right"]].set_visible(False)
        low = rows.loc[rows["schedule"] == "random", measure].min()
        axis.set_ylim(bottom=min(0.0, low) - 0.01)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def ratios(rows: pd.DataFrame) -> list[str]:
    """The shares of the SBTT paper's code; nothing where they were not run."""
    rows = rows[rows["share"].isin(RATIOS) & (rows["schedule"] == "random")]
    compared = rows.loc[~rows["share"].isin(SHARES), "decoder"].unique()
    if not len(compared):
        return []
    names = {key: name for key, name in DECODERS.items() if key in compared}
    lines = ["**The shares of the SBTT paper's code**, random rotation.", ""]
    for measure in ("velocity_r2_one_lag", "velocity_r2", "co_bps"):
        lines += table(rows, "decoder", names, measure)
    return lines


def page(rows: pd.DataFrame) -> str:
    """All tables of one recording."""
    of_paper, rows = ratios(rows), rows[rows["share"].isin(SHARES)]
    rotated = rows[rows["schedule"] == "random"]
    lines = ["**Random rotation**, mean ± standard deviation over repeats.", ""]
    for measure in MEASURES:
        lines += table(rotated, "decoder", DECODERS, measure)
    lines += ["**Augmented model minus its rivals**, paired by repeat (standard error).", ""]
    lines += verdicts(rows)
    for decoder in DECODERS:
        own = rows[rows["decoder"] == decoder]
        if own["schedule"].nunique() < 2:
            continue
        lines += [f"**Schedules, {DECODERS[decoder]}**", ""]
        for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
            lines += table(own, "schedule", SCHEDULES, measure)
        if (own["schedule"] == "best always-on").any():
            lines += above_best(own)
    power = rows.assign(power_mw=1e3 * rows["power_w"])
    shares = sorted(rows["share"].unique(), reverse=True)
    lines += ["| power of the implant [mW] | " + " | ".join(f"{100 * s:g} %" for s in shares)]
    lines[-1] += " |"
    lines.append("|---|" + "---:|" * len(shares))
    for key, name in SCHEDULES.items():
        mean = power[power["schedule"] == key].groupby("share")["power_mw"].mean()
        if len(mean):
            cells = [f"{mean[s]:.3f}" if s in mean.index else "" for s in shares]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *of_paper]).rstrip() + "\n"


def main() -> None:
    runs, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
        kept = out / f"{folder.name}.csv"
        rows = joined(read(folder), kept)
        rows.to_csv(kept, index=False, float_format="%.6g")
        (out / f"{folder.name}.md").write_text(page(rows), encoding="utf-8")
        draw(rows[rows["share"].isin(SHARES)], out / f"{folder.name}.png", folder.name)


if __name__ == "__main__":
    main()

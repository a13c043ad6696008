"""Tables and pictures of the study of two-photon calcium.

An event is seen half a frame after its spikes, on average, and the rise of the indicator later. So
states are read out twice: of the rates of the same bin, as in the results table, and of these and
the rates one frame later, where nothing needs to be foreseen.

implant-sim run scenarios/paper/calcium.yaml --out runs/paper_calcium
python benchmarks/paper/calcium.py docs/paper/calcium runs/paper_calcium
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from implant_sim.study.ridge import fit_ridge
from sbtt_models import metrics

FREQUENCY, SEED, ARM = "recording.frequency", "recording.seed", "decoder"
BINS = "recording.bins_per_frame"
LINES, FRAMES, BLIND = "lines", "frames", "bins without line times"
STATES = ("X", "Y", "Z")
COLOURS = {"state space": "#0072B2", "LFADS": "#D55E00", "smoothing": "#7F7F7F"}
STYLES = {LINES: "o-", FRAMES: "s--", BLIND: "^:"}


def by_state(rows, folder):
    """R² of each state; parts of a bin are dimensions of their own, of which this is the mean."""
    columns = sorted(
        (c for c in rows.columns if c.startswith("velocity_r2_")),
        key=lambda c: int(c.rsplit("_", 1)[1]),
    )
    places = arrays_of(folder)
    for k, state in enumerate(STATES):
        rows[state] = rows[columns[k::3]].mean(axis=1)
    keys = zip(rows[FREQUENCY], rows[SEED], rows[ARM], strict=True)
    later = [of_both(places[key], n) for key, n in zip(keys, rows[BINS], strict=True)]
    for k, state in enumerate(STATES):
        rows[f"{state} later"] = [found[k] for found in later]
    return rows


def of_both(path, bins_per_frame):
    """R² of X, Y, Z read out of the rates of a bin and of those one frame later."""
    with h5py.File(path) as file:
        rates, states = file["rates"][:].astype(float), file["behaviour"][:].astype(float)
        lengths, test = file["lengths"][:], file["split/test"][:]
        fitted = np.concatenate([file["split/train"][:], file["split/valid"][:]])
    later = np.concatenate([rates[:, bins_per_frame:], rates[:, -bins_per_frame:]], axis=1)
    both = np.concatenate([rates, later], axis=2)
    inside = np.arange(rates.shape[1]) < (lengths - bins_per_frame)[:, None]
    where = inside.copy()
    where[test] = False
    where[np.setdiff1d(np.arange(len(lengths)), fitted)] = False
    read = fit_ridge(both, states, where, (0,)).predict(both[test])
    judged = np.broadcast_to(inside[test][:, :, None], read.shape)
    found = metrics.r2(states[test], read, where=judged).per_channel
    return found.reshape(-1, 3).mean(axis=0)


def arrays_of(folder):
    """The arrays of each point, by frequency, seed and arm."""
    found = {}
    for path in sorted(folder.glob("points/*/result.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))["content"]
        if kept["row"]["status"] == "ok":
            found[tuple(kept["axes"][key] for key in (FREQUENCY, SEED, ARM))] = path.with_name(
                "arrays.h5"
            )
    return found


def spread(values, sign=""):
    return f"{values.mean():{sign}.3f} ± {values.std(ddof=1):.3f}"


def states_table(rows, suffix):
    lines = [
        "| Lorenz frequency | arm | X | Y | Z | seeds | training |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for frequency, group in rows.groupby(FREQUENCY):
        for arm in dict.fromkeys(rows[ARM]):
            mine = group[group[ARM] == arm]
            if mine.empty:
                continue
            cells = " | ".join(spread(mine[s + suffix]) for s in STATES)
            seconds = f"{mine['train_s'].mean():.0f} s"
            lines.append(f"| {frequency:g} Hz | {arm} | {cells} | {len(mine)} | {seconds} |")
    return lines


def differences_table(rows, suffix):
    """Arms of one network, seed by seed: the same events, other bins."""
    pairs = [(LINES, FRAMES), (LINES, BLIND), (BLIND, FRAMES)]
    lines = [
        "| Lorenz frequency | network | difference | X | Y | Z |",
        "|---:|---|---|---:|---:|---:|",
    ]
    for frequency, group in rows.groupby(FREQUENCY):
        for network in COLOURS:
            of = {
                bins: group[group[ARM] == f"{network}, {bins}"].set_index(SEED) for bins in STYLES
            }
            for one, other in pairs:
                if of[one].empty or of[other].empty:
                    continue
                apart = (of[one][s + suffix] - of[other][s + suffix] for s in STATES)
                cells = " | ".join(spread(values.dropna(), "+") for values in apart)
                lines.append(f"| {frequency:g} Hz | {network} | {one} - {other} | {cells} |")
    return lines


def picture(rows, path):
    """Above: read out of the same bin. Below: of that and the one a frame later."""
    figure, axes = plt.subplots(
        2, 3, figsize=(10, 6.6), sharex=True, sharey=True, layout="constrained"
    )
    arms = list(dict.fromkeys(rows[ARM]))
    frequencies = sorted(rows[FREQUENCY].unique())
    for row, suffix in zip(axes, ("", " later"), strict=True):
        for axis, state in zip(row, STATES, strict=True):
            for i, arm in enumerate(arms):
                network, bins = arm.split(", ", 1)
                found = rows[rows[ARM] == arm].groupby(FREQUENCY)[state + suffix]
                mean, sd = found.mean(), found.std()
                place = [frequencies.index(f) for f in mean.index]
                axis.errorbar(
                    np.array(place) + 0.04 * (i - (len(arms) - 1) / 2), mean, sd,
                    fmt=STYLES[bins], color=COLOURS[network], ms=5, capsize=2, label=arm,
                    mfc=COLOURS[network] if bins == LINES else "white",
                )  # fmt: skip
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(axis="y", color="#e3e7ec", lw=0.6)
    for axis, state in zip(axes[0], STATES, strict=True):
        axis.set_title(state)
    for axis in axes[1]:
        axis.set_xticks(range(len(frequencies)), [f"{f:g}" for f in frequencies])
        axis.set_xlabel("Lorenz frequency [Hz]")
    axes[0, 0].set_ylabel("R², same bin")
    axes[1, 0].set_ylabel("R², same bin and one frame later")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    out, folder = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(folder / "results.csv")
    rows = by_state(rows[rows["status"] == "ok"].copy(), folder)
    lines = []
    for title, suffix in (("same bin", ""), ("same bin and one frame later", " later")):
        lines += [f"## Read out of the {title}", "", *states_table(rows, suffix), ""]
        lines += ["Differences, seed by seed:", "", *differences_table(rows, suffix), ""]
    (out / "tables.md").write_text("\n".join(lines), encoding="utf-8")
    states = [*STATES, *(f"{s} later" for s in STATES)]
    columns = [FREQUENCY, SEED, ARM, *states, "epochs", "n_parameters", "train_s"]
    rows[columns].to_csv(out / "states.csv", index=False, float_format="%.5g")
    picture(rows, out / "states.png")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""Tables and picture of the study of two-photon calcium.

implant-sim run scenarios/paper/calcium.yaml --out runs/paper_calcium
python benchmarks/paper/calcium.py docs/paper/calcium runs/paper_calcium
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

FREQUENCY, SEED, ARM = "recording.frequency", "recording.seed", "decoder"
STATES = ("X", "Y", "Z")
COLOURS = {"state space": "#0072B2", "LFADS": "#D55E00", "smoothing": "#7F7F7F"}
STYLES = {"lines": "o-", "frames": "s--", "bins without line times": "^:"}


def by_state(rows):
    """R² of each state: mean over the parts of a bin, which are dimensions of their own."""
    columns = [c for c in rows.columns if c.startswith("velocity_r2_")]
    for k, state in enumerate(STATES):
        mine = [c for c in columns if int(c.rsplit("_", 1)[1]) % 3 == k]
        rows[state] = rows[mine].mean(axis=1)
    return rows


def spread(values, sign=""):
    return f"{values.mean():{sign}.3f} ± {values.std(ddof=1):.3f}"


def states_table(rows):
    arms = list(dict.fromkeys(rows[ARM]))
    lines = [
        "| Lorenz frequency | arm | X | Y | Z | core-seconds of training |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for frequency, group in rows.groupby(FREQUENCY):
        for arm in arms:
            mine = group[group[ARM] == arm]
            cells = " | ".join(spread(mine[s]) for s in STATES)
            lines.append(f"| {frequency:g} Hz | {arm} | {cells} | {mine['train_s'].mean():.0f} |")
    return lines


def differences_table(rows):
    """Arms of one network, seed by seed: the same events, other bins."""
    pairs = [("lines", "frames"), ("lines", "bins without line times"),
             ("bins without line times", "frames")]  # fmt: skip
    lines = [
        "| Lorenz frequency | network | difference | X | Y | Z |",
        "|---:|---|---|---:|---:|---:|",
    ]
    for frequency, group in rows.groupby(FREQUENCY):
        for network in COLOURS:
            for one, other in pairs:
                arms = [
                    group[group[ARM] == f"{network}, {bins}"].set_index(SEED)
                    for bins in (one, other)
                ]
                if any(arm.empty for arm in arms):
                    continue
                cells = " | ".join(spread(arms[0][s] - arms[1][s], "+") for s in STATES)
                lines.append(f"| {frequency:g} Hz | {network} | {one} - {other} | {cells} |")
    return lines


def picture(rows, path):
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.8), sharey=True, constrained_layout=True)
    arms = list(dict.fromkeys(rows[ARM]))
    frequencies = sorted(rows[FREQUENCY].unique())
    for axis, state in zip(axes, STATES, strict=True):
        for i, arm in enumerate(arms):
            network, bins = arm.split(", ", 1)
            found = rows[rows[ARM] == arm].groupby(FREQUENCY)[state]
            place = np.arange(len(frequencies)) + 0.04 * (i - (len(arms) - 1) / 2)
            axis.errorbar(
                place, found.mean(), found.std(), fmt=STYLES[bins], color=COLOURS[network], ms=5,
                capsize=2, mfc=COLOURS[network] if bins == "lines" else "white", label=arm,
            )  # fmt: skip
        axis.set_title(state)
        axis.set_xticks(range(len(frequencies)), [f"{f:g}" for f in frequencies])
        axis.set_xlabel("Lorenz frequency [Hz]")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("R² of the state, test, 10 ms steps")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.savefig(path, dpi=130)


def example(folder, rows, path, frequency, seed, shown_s=1.5):
    """Z of the first test block as it was, and as each network reads it out."""
    figure, axis = plt.subplots(figsize=(9, 3), constrained_layout=True)
    for arm, colour in (("state space, lines", "#0072B2"), ("state space, frames", "#D55E00")):
        mine = rows[(rows[ARM] == arm) & (rows[FREQUENCY] == frequency) & (rows[SEED] == seed)]
        with h5py.File(found(folder, int(mine["point"].iloc[0]))) as file:
            trial = int(file["split/test"][0])
            true, read = file["behaviour"][trial], file["decoded"][trial]
        parts = true.shape[1] // 3
        true, read = (v.reshape(-1, 3)[:, 2] for v in (true, read))
        time_s = (np.arange(len(true)) + 0.5) * 0.03 / (3 if parts == 1 else parts)
        keep = (time_s > 5) & (time_s < 5 + shown_s)
        if colour == "#0072B2":
            axis.plot(time_s[keep] - 5, true[keep], color="black", lw=1.5, label="true")
        axis.plot(time_s[keep] - 5, read[keep], ".-", color=colour, ms=4, lw=1, label=arm)
    axis.set_xlabel("Time [s]")
    axis.set_ylabel("Z, mean taken off")
    axis.set_title(f"{frequency:g} Hz")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=130)


def found(folder, point):
    """The arrays of a point."""
    for path in sorted(folder.glob("points/*/result.json")):
        if f'"point": {point},' in path.read_text(encoding="utf-8"):
            return path.with_name("arrays.h5")
    raise FileNotFoundError(f"{folder}: no result of point {point}")


def main() -> None:
    out, folder = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    rows = by_state(pd.read_csv(folder / "results.csv"))
    rows = rows[rows["status"] == "ok"]
    short = rows.groupby([FREQUENCY, ARM])[SEED].nunique()
    lines = [*states_table(rows), "", f"Seeds: {short.min()} to {short.max()} for each row.", ""]
    lines += differences_table(rows)
    (out / "tables.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = [FREQUENCY, SEED, ARM, *STATES, "epochs", "n_parameters", "train_s"]
    rows[columns].to_csv(out / "states.csv", index=False, float_format="%.5g")
    picture(rows, out / "states.png")
    example(folder, rows, out / "example.png", max(rows[FREQUENCY]), min(rows[SEED]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()

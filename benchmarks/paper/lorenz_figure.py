"""Picture of docs/paper/lorenz.md: fidelity against channels sampled."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from lorenz_tables import BITS, CALIBRATED, PUBLISHED, R2, SUBSET, alike, authors

mpl.use("Agg")
import matplotlib.pyplot as plt

SERIES = {
    "oracle": ("oracle", "#000000", ":"),
    "ours": ("mixture of trials", "#0072B2", "o-"),
    "network alone": ("its network alone", "#56B4E9", "o-"),
    "recipe": ("published recipe", "#D55E00", "s--"),
    "LFADS": ("LFADS, trained with SBTT", "#8B3A8B", "v-"),
    "zero-filled LFADS": ("LFADS, gaps taken for silence, rescaled", "#CC79A7", "v--"),
    CALIBRATED: ("always-on channels, the others' means calibrated", "#009E73", "D-"),
    SUBSET: ("always-on channels, the others given the mean of these", "#009E73", "D:"),
    "GPFA": ("GPFA", "#E69F00", "^-"),
    "Kalman smoother": ("Kalman smoother", "#999999", "^-"),
    "smoothing": ("smoothing", "#999999", "x:"),
}
PANELS = (
    (R2, "R² of inferred rates, expected counts", (-0.1, 1.02), tuple(SERIES)),
    (
        PUBLISHED,
        "R² of inferred rates, published truth",
        (-0.1, 1.02),
        ("oracle", "ours", "network alone", "recipe"),
    ),
    (BITS, "Bits per spike, withheld entries", (-0.15, 1.4), tuple(SERIES)),
)


def picture(rows: pd.DataFrame, path: Path) -> None:
    """Means over the two data seeds that have baselines; bars reach to either."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 5.4), constrained_layout=True)
    rows = alike(rows)
    ticks = sorted(rows["bandwidth"].unique())
    for axis, (score, label, limits, methods) in zip(axes, PANELS, strict=True):
        for method in methods:
            name, colour, style = SERIES[method]
            values = rows[rows["method"] == method].dropna(subset=[score])
            if values.empty:
                continue
            each = values.groupby("bandwidth")[score]
            mean = each.mean()
            bars = (mean - each.min(), each.max() - mean)
            axis.errorbar(
                mean.index, mean, bars, fmt=style, color=colour, label=name, ms=4, capsize=2
            )
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(k) for k in ticks], fontsize=8)
        axis.minorticks_off()
        axis.set_xlabel("Channels sampled in each 20 ms bin, of 29")
        axis.set_ylabel(label)
        axis.set_ylim(*limits)
        axis.spines[["top", "right"]].set_visible(False)
    known = authors()
    (line,) = axes[1].plot(known.index, known, "^:", color="#7F7F7F", ms=4, mfc="none")
    handles, names = axes[0].get_legend_handles_labels()
    handles.append(line)
    names.append("the authors' own runs, their data")
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    seeds = " and ".join(str(seed) for seed in sorted(rows["seed"].unique()))
    figure.suptitle(f"Data seeds {seeds}, repeat 0: mean, and bars to either seed", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)

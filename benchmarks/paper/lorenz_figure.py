"""Picture of docs/paper/lorenz.md: fidelity against channels sampled."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

REFERENCE = Path(__file__).with_name("published_recipe.json")
SERIES = {
    "oracle": ("oracle", "#000000", ":"),
    "ours": ("mixture of trials", "#0072B2", "o-"),
    "network alone": ("its network alone", "#56B4E9", "o-"),
    "recipe": ("published recipe, seeds 2 and 5", "#D55E00", "s--"),
    "zero-filled LFADS": ("zero-filled LFADS, rescaled", "#CC79A7", "v-"),
    "always-on channels": ("always-on channels, as the mixture", "#009E73", "D-"),
    "GPFA": ("GPFA", "#E69F00", "^-"),
    "Kalman smoother": ("Kalman smoother", "#999999", "^-"),
    "smoothing": ("smoothing", "#999999", "x:"),
}
PANELS = (
    ("rate_r2_expected", "R² of inferred rates, expected counts", (-0.1, 1.02)),
    ("bits_per_spike_all", "Bits per spike, withheld entries", (-0.1, 1.45)),
)


def picture(rows: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.2), constrained_layout=True)
    rows = rows.copy()
    unsampled = rows["method"] == "always-on channels"
    rows.loc[unsampled, "rate_r2_expected"] = rows.loc[unsampled, "r2_all_channels"]
    for axis, (score, label, limits) in zip(axes, PANELS, strict=True):
        for method, (name, colour, style) in SERIES.items():
            values = rows.loc[rows["method"] == method].dropna(subset=[score])
            if values.empty:
                continue
            each = values.groupby("bandwidth")[score]
            mean, deviation = each.mean(), each.std().fillna(0)
            axis.errorbar(
                mean.index, mean, deviation, fmt=style, color=colour, label=name, ms=4, capsize=2
            )
        axis.set_xscale("log")
        ticks = sorted(rows["bandwidth"].unique())
        axis.set_xticks(ticks, [str(k) for k in ticks])
        axis.minorticks_off()
        axis.set_xlabel("Channels sampled in each 20 ms bin, of 29")
        axis.set_ylabel(label)
        axis.set_ylim(*limits)
        axis.spines[["top", "right"]].set_visible(False)
    authors = json.loads(REFERENCE.read_text(encoding="utf-8"))["authors_own_rate_r2"]
    known = pd.Series({int(k): v for k, v in authors.items()}).sort_index()
    label = "authors, their data, published truth"
    axes[0].plot(known.index, known, "^:", color="#7F7F7F", ms=4, mfc="none", label=label)
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)
    plt.close(figure)

"""The picture of one recording: fidelity against the share of samples."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from recordings import SHARES
from recordings_page import DECODERS, MEASURES, SCHEDULES

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#D55E00", "#7F7F7F", "#B8A000", "#56B4E9")
DRAWN = {
    "decoder": [
        "augmented_lds",
        "state_space",
        "poisson_lds",
        "kalman",
        "smoothing",
        "counts as they are",
    ],
    "schedule": [
        "random",
        "best always-on",
        "weighted",
        "most telling always-on",
        "hybrid, half, weighted",
        "hybrid, three quarters, weighted",
        "hybrid, half, weighted, most telling",
    ],
}


def draw(rows: pd.DataFrame, path: Path, title: str) -> None:
    """Three measures against the share of samples: of decoders above, of schedules below."""
    shown = ("velocity_r2", "co_bps", "bits_per_spike_all")
    rotated = rows[rows["schedule"] == "random"]
    ours = rows[rows["decoder"] == "augmented_lds"]
    fixed = rows[(rows["decoder"] == "kalman") & (rows["schedule"] == "always-on")]
    figure, axes = plt.subplots(2, 3, figsize=(14, 7.6), constrained_layout=True, sharex=True)
    for line, (by, own) in zip(axes, (("decoder", rotated), ("schedule", ours)), strict=True):
        names = DECODERS if by == "decoder" else SCHEDULES
        for axis, measure in zip(line, shown, strict=True):
            for key, colour in zip(DRAWN[by], COLOURS, strict=False):
                if key != "counts as they are" or measure != "bits_per_spike_all":
                    curve(axis, own[own[by] == key], measure, colour, names[key])
            if by == "schedule" and measure != "bits_per_spike_all":  # there it is far below 0
                name = "always-on, random channels (Kalman smoother)"
                curve(axis, fixed, measure, "black", name, "--")
            axis.set_ylabel(MEASURES[measure], fontsize=9)
            axis.spines[["top", "right"]].set_visible(False)
        head = "Random rotation" if by == "decoder" else "Augmented Poisson dynamics"
        line[0].set_title(head, loc="left", fontsize=10)
        if by == "decoder":
            line[1].legend(*line[0].get_legend_handles_labels(), fontsize=7, frameon=False)
    for axis in axes[1]:
        ticks = sorted(rows["share"].unique())
        axis.set_xscale("log", base=2)
        axis.set_xticks([100 * s for s in ticks], [f"{100 * s:g}" for s in ticks], fontsize=8)
        axis.set_xlabel("Samples taken (% of the input channels)")
    told = axes[1, 0].get_legend_handles_labels()
    figure.legend(*told, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_by_behaviour(recordings: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Rotation by behaviour and always-on channels: a column for each recording."""
    shown = {"by behaviour": "#D55E00", "best always-on": "#009E73"}
    shown["always-on, by behaviour"] = "#0072B2"
    decoders = {"augmented, learned prior": "-", "learned prior": "--"}
    figure, axes = plt.subplots(
        2, len(recordings), figsize=(14, 6), constrained_layout=True, sharex=True, squeeze=False
    )
    for column, (name, rows) in zip(axes.T, recordings.items(), strict=True):
        for axis, measure in zip(column, ("velocity_r2", "co_bps"), strict=True):
            for (decoder, dashes), (schedule, colour) in product(decoders.items(), shown.items()):
                own = rows[(rows["decoder"] == decoder) & (rows["schedule"] == schedule)]
                label = f"{SCHEDULES[schedule]}; {DECODERS[decoder]}"
                curve(axis, own, measure, colour, label, dashes)
            axis.spines[["top", "right"]].set_visible(False)
        column[0].set_title(name, loc="left", fontsize=10)
        ticks = [100 * share for share in SHARES[1:]]
        column[1].set_xscale("log", base=2)
        column[1].set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
        column[1].set_xlabel("Samples taken (%)")
    for axis, measure in zip(axes[:, 0], ("velocity_r2", "co_bps"), strict=True):
        axis.set_ylabel(MEASURES[measure], fontsize=9)
    told = {
        label: line
        for axis in axes.flat
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        told.values(), told, loc="outside lower center", ncols=2, fontsize=8, frameon=False
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def curve(
    axis: Axes, own: pd.DataFrame, measure: str, colour: str, name: str, dashes: str = "-"
) -> None:
    """Mean and standard deviation at each share."""
    line = own.groupby("share")[measure].agg(["mean", "std"]).dropna(subset="mean")
    if len(line):
        shown = {"ms": 4, "lw": 1.4, "capsize": 2, "color": colour, "label": name}
        axis.errorbar(100 * line.index, line["mean"], line["std"], fmt=f"o{dashes}", **shown)

"""The scatter plot of predicted against published power."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from implant_sim.study.silicon import Scored

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLOURS = {
    "amp": "#7f7f7f", "afe": "#0072b2", "afe_adc": "#56b4e9", "asic": "#009e73", "soc": "#e69f00",
    "implant": "#d55e00", "tx": "#cc79a7",
}  # fmt: skip


def scatter(scored: Scored, bounds: set[str], path: Path) -> None:
    """Each chip with its band; hollow where the published power is an upper bound."""
    figure, axes = plt.subplots(figsize=(6.4, 5.6), constrained_layout=True)
    ends = (2e-7, 10.0)
    axes.plot(ends, ends, color="0.3", linewidth=0.8)
    for factor in (5.0, 0.2):
        axes.plot(ends, [factor * e for e in ends], color="0.7", linewidth=0.8, linestyle="--")
    for scope, colour in _COLOURS.items():
        rows = [
            r
            for r in scored.devices
            if r.scope == scope and r.predicted_w is not None and r.published_w is not None
        ]
        for row in rows:
            axes.plot([row.published_w] * 2, [row.low_w, row.high_w], color=colour, linewidth=0.9)
        for hollow in (False, True):
            some = [r for r in rows if (r.id in bounds) == hollow]
            axes.scatter(
                [r.published_w or 0.0 for r in some],
                [r.predicted_w or 0.0 for r in some],
                s=22,
                color=colour,
                facecolor="white" if hollow else colour,
                zorder=3,
                label=scope if rows and not hollow else None,
            )
    axes.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends,
        xlabel="published power [W]", ylabel="predicted power and 80 % band [W]",
    )  # fmt: skip
    axes.legend(title="scope", frameon=False, fontsize=8)
    axes.text(0.98, 0.02, "dashed: a factor of 5; hollow: published as an upper bound",
              transform=axes.transAxes, ha="right", fontsize=7, color="0.3")  # fmt: skip
    figure.savefig(path, dpi=140)
    plt.close(figure)

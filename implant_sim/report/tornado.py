"""Which number of the implant moves its power most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from implant_sim.report import style
from implant_sim.report.cells import quantity
from implant_sim.report.priced import Swing
from implant_sim.report.summary import Point

__all__ = ["MAX_SWINGS", "tornado_bars"]

MAX_SWINGS = 12


def tornado_bars(point: Point, found: Sequence[Swing]) -> Figure | None:
    """One bar for each number: power from 10 to 90 % of its spread; None without any."""
    shown = found[:MAX_SWINGS]
    if not shown:
        return None
    now = point.mean("power_w")
    factor, unit = style.unit([now], "W")
    figure = Figure(figsize=(9.6, 1.0 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(shown))
    ends = [w / factor for s in shown for w in (s.low_w, s.high_w)]
    for row, swing in zip(rows, shown, strict=True):
        for watts, colour in ((swing.low_w, style.SKY), (swing.high_w, style.VERMILLION)):
            axes.barh(row, (watts - now) / factor, 0.62, now / factor, color=colour, lw=0)
        low, high = sorted((swing.low_w, swing.high_w))
        for watts, side, shift in ((low, "right", -5), (high, "left", 5)):
            axes.annotate(quantity(watts, "W"), (watts / factor, row), (shift, 0), va="center",
                          textcoords="offset points", ha=side, fontsize=8)  # fmt: skip
    axes.axvline(now / factor, color=style.INK, lw=0.9)
    axes.set_yticks(rows, [s.key for s in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"Power of the implant ({unit}); line: {quantity(now, 'W')}, as priced")
    axes.set_title(point.label)
    style.log_axis(axes, [now / factor], ends)
    axes.margins(x=0.09)
    for label, colour in (("10 % of its spread", style.SKY), ("90 %", style.VERMILLION)):
        axes.barh([0], [0], color=colour, label=label)
    figure.legend(loc="outside upper right", ncols=2, handlelength=1, handleheight=1)
    return figure

"""How lines look, and the legend that says so."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from implant_sim.report import style
from implant_sim.report.summary import Metric, Summary

__all__ = ["CROWD", "MAX_WHISKERS", "legend", "legend_rows", "looks"]

CROWD = 150  # points; beyond, markers become an image and lines would only hide them
MAX_WHISKERS = 24
"""Points; beyond, only those on the front show how far their power may lie."""


def looks(summary: Summary) -> list[tuple[str, str, str]]:
    """Name, colour and marker of each line."""
    return [
        (method, style.LINES[i % len(style.LINES)], style.MARKERS[i % len(style.MARKERS)])
        for i, method in enumerate(summary.methods)
    ]


def legend_rows(summary: Summary) -> int:
    """Rows that the legend takes at most."""
    columns = style.legend_columns([style.shortened(method) for method in summary.methods])
    return -(-(len(summary.methods) + 4 + bool(summary.banded)) // columns)


def legend(figure: Figure, summary: Summary, metric: Metric) -> None:
    """Say below the figure what lines, markers and whiskers mean, as far as there are any."""

    def entry(label: str, **look: object) -> Line2D:
        return Line2D([], [], label=label, **{"ls": "none", "ms": 6, "mew": 1.3, **look})  # type: ignore[arg-type]

    entries = []
    if len(summary.methods) > 1:
        entries = [
            entry(style.shortened(m), color=c, marker=k, ls="-", lw=1.6, mec="white", mew=0.8)
            for m, c, k in looks(summary)
            if any(np.isfinite(p.mean(metric.column)) for p in summary.of(m))
        ]
    kinds = {p.standing for p in summary.points if p.within_limits is not False}
    if sum(p.standing == "front" for p in summary.points) > 1:
        entries.append(
            entry("Pareto front", color=style.INK, ls=(0, (2.5, 2)), lw=1.0, marker="none")
        )
    if "tie" in kinds:
        entries.append(entry("tie with the front", marker="o", mfc="white", mec=style.MUTED))
    if "dominated" in kinds:
        entries.append(entry("dominated", marker="o", mfc="white", mec=style.PALE))
    if any(p.within_limits is False for p in summary.points):
        entries.append(entry("beyond a limit", marker="x", color=style.MUTED))
    if summary.banded and len(summary.points) <= CROWD:
        few = len(summary.banded) <= MAX_WHISKERS
        text = "80 % band of the priced numbers" + ("" if few else ", on the front")
        entries.append(entry(text, color=style.MUTED, ls="-", lw=0.8, marker="|", mew=0.8))
    if entries:
        columns = style.legend_columns([str(e.get_label()) for e in entries], len(entries))
        figure.legend(handles=entries, loc="outside lower center", ncols=min(4, columns))

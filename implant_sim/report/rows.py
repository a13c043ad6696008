"""Fidelity point by point, where the points of a run differ in words alone."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from implant_sim.report import style
from implant_sim.report.cells import quantity
from implant_sim.report.summary import Point, Summary

__all__ = ["in_rows", "point_rows"]

_FEW = 6  # lines that curves can still tell apart
_MOST = 40  # rows


def in_rows(summary: Summary) -> bool:
    """Whether no two points could be joined: no number was swept, and no bandwidth differs."""
    bands = {b for p in summary.points if math.isfinite(b := p.mean("bandwidth"))}
    alone = len(summary.methods) == len(summary.points)
    return summary.axis is None and len(bands) < 2 and alone and len(_scored(summary)) > _FEW


def point_rows(summary: Summary) -> Figure | None:
    """One row for each point, the best first: mean, repeats, one standard deviation, power."""
    metric, points = summary.metric, _scored(summary)
    if metric is None or not points:
        return None
    points = sorted(points, key=lambda p: -metric.better * p.mean(metric.column))[:_MOST]
    figure = Figure(figsize=(9.6, 0.8 + 0.24 * len(points)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(points))
    means = np.array([p.mean(metric.column) for p in points])
    spread = np.nan_to_num([p.sd(metric.column) for p in points])
    axes.errorbar(means, rows, xerr=spread, color=style.BLUE, lw=1, capsize=2.5, ls="none")
    for row, point in zip(rows, points, strict=True):
        values = point.values(metric.column)
        axes.scatter(values, np.full(values.size, row), s=6, color=style.BLUE, alpha=0.45, lw=0)
    axes.plot(means, rows, "o", ms=6, mfc=style.BLUE, mec="white", mew=0.8)
    axes.set_yticks(rows, [style.shortened(p.label) for p in points])
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel(metric.label + ("" if metric.better > 0 else " (less is better)"))
    if summary.powered:
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(rows, [_power(p) for p in points])
        beside.tick_params(axis="y", length=0)
        beside.spines["right"].set_visible(False)
    return figure


def _scored(summary: Summary) -> list[Point]:
    metric = summary.metric
    if metric is None:
        return []
    return [p for p in summary.points if math.isfinite(p.mean(metric.column))]


def _power(point: Point) -> str:
    watts = point.mean("power_w")
    return quantity(watts, "W") if math.isfinite(watts) else ""

"""Fidelity against power and against bandwidth: the curves that a study is run for."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from implant_sim.report import style
from implant_sim.report.legend import CROWD, MAX_WHISKERS, legend, legend_rows, looks
from implant_sim.report.rows import in_rows, point_rows
from implant_sim.report.summary import Metric, Point, Summary

__all__ = ["along", "fidelity_curves", "further_metrics", "heading"]

_PLACE = "place"


def fidelity_curves(summary: Summary) -> Figure | None:
    """The chosen fidelity against power, and against the swept number or bandwidth.

    Returns
    -------
    Figure or None
        None without two points that have a score and a place on an axis.
    """
    if in_rows(summary):
        return point_rows(summary)
    metric, axes_of = summary.metric, _axes_of(summary)
    if metric is None or not axes_of:
        return None
    placed = ((_x(p, axes_of[0]), p.mean(metric.column)) for p in summary.points)
    if sum(bool(np.isfinite(pair).all()) for pair in placed) < 2:
        return None
    figure = Figure(figsize=(9.6, 4.0 + 0.2 * (legend_rows(summary) - 1)), layout="constrained")
    for axes, column in zip(
        np.ravel(figure.subplots(1, len(axes_of), sharey=True)), axes_of, strict=True
    ):
        _panel(axes, summary, metric, column)
        if column == axes_of[0]:
            axes.set_ylabel(metric.label)
        if column == "power_w":
            axes.set_title("Fidelity against power")
            _front(axes, summary, metric)
        else:
            axes.set_title(f"Fidelity against {along(summary)}")
    legend(figure, summary, metric)
    return figure


def _axes_of(summary: Summary) -> list[str]:
    """What there is to draw against: power, where there is an implant, and what was swept."""
    found = ["power_w"] if summary.powered else []
    if summary.axis is not None:
        found.append(_PLACE)
    elif len({b for p in summary.points if np.isfinite(b := p.mean("bandwidth"))}) > 1:
        found.append("bandwidth")
    return found


def heading(summary: Summary) -> str:
    """What the fidelity is drawn against, for the section's heading."""
    if in_rows(summary):
        return "Fidelity, point by point"
    names = ["power" if column == "power_w" else along(summary) for column in _axes_of(summary)]
    return f"Fidelity against {' and '.join(names)}"


def further_metrics(summary: Summary) -> Figure | None:
    """Every other fidelity that the run has, against power."""
    shown = summary.others[:8]
    if not shown or len(summary.points) < 2 or not (axes_of := _axes_of(summary)):
        return None
    if in_rows(summary):  # lines of single points, too many to be told apart
        return None
    rows = -(-len(shown) // 4)
    columns = -(-len(shown) // rows)
    figure = Figure(figsize=(9.6, 2.35 * rows + 0.1), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes, metric in zip(panels, shown, strict=False):
        _panel(axes, summary, metric, axes_of[0] if summary.axis is None else _PLACE, small=True)
        axes.set_title(metric.label + ("" if metric.better > 0 else " ↓"), fontsize=8.5)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def along(summary: Summary) -> str:
    """What the points of a line differ in, in words.

    Examples
    --------
    >>> along(Summary([], [], None, [], 1))
    'bandwidth'
    """
    if summary.axis is None:
        return "bandwidth"
    label = summary.axis.label
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _panel(
    axes: Axes, summary: Summary, metric: Metric, column: str, *, small: bool = False
) -> None:
    """Lines of means with a band of one standard deviation, and each repeat as a dot."""
    factor, label = _unit(summary, column)
    crowded = len(summary.points) > CROWD
    axes.grid(axis="y")
    places: list[float] = []
    ends: list[float] = []
    for method, colour, marker in looks(summary):
        points = [p for p in summary.of(method) if np.isfinite(p.mean(metric.column))]
        if summary.axis is None:
            points.sort(key=lambda p: p.mean(column))
        if not points:
            continue
        x = np.array([_x(p, column) for p in points]) / factor
        y = np.array([p.mean(metric.column) for p in points])
        places.extend(x.tolist())
        if not crowded:
            sd = np.nan_to_num(np.array([p.sd(metric.column) for p in points]))
            alone = len(points) == 1 and len(summary.methods) > 1
            _spread(axes, x, y, sd, colour, alone=alone, line=_in_line(points), small=small)
            if not small:
                _repeats(axes, points, x, metric, colour)
                if column == "power_w":
                    ends += _whiskers(axes, _whiskered(summary, points), metric, factor, colour)
        _marks(axes, points, x, y, colour, marker, 3.0 if crowded else 4.0 if small else 6.5)
    axes.set_xlabel(label)
    style.log_axis(axes, places, ends)


def _x(point: Point, column: str) -> float:
    if column == _PLACE:
        return np.nan if point.place is None else point.place
    return point.mean(column)


def _whiskered(summary: Summary, points: list[Point]) -> list[Point]:
    """Points that show their band; where all would hide the curves, those on the front."""
    few = len(summary.banded) <= MAX_WHISKERS
    return [p for p in points if p.band is not None and (few or p.standing == "front")]


def _whiskers(
    axes: Axes, points: list[Point], metric: Metric, factor: float, colour: str
) -> list[float]:
    """A thin line from 10 to 90 % of the power; returns the ends."""
    ends: list[float] = []
    for point in points:
        low, high = (watts / factor for watts in point.band or ())
        y = point.mean(metric.column)
        axes.plot([low, high], [y, y], color=colour, lw=0.8, alpha=0.6, marker="|", ms=4, mew=0.8,
                  zorder=1.5)  # fmt: skip
        ends += [low, high]
    return ends


def _in_line(points: list[Point]) -> bool:
    """Points that differ in nothing but their place can be joined."""
    bands = [p.mean("bandwidth") if p.place is None else p.place for p in points]
    return len(set(bands)) in (1, len(bands))


def _spread(
    axes: Axes,
    x: Float[np.ndarray, " point"],
    y: Float[np.ndarray, " point"],
    sd: Float[np.ndarray, " point"],
    colour: str,
    *,
    alone: bool,
    line: bool,
    small: bool,
) -> None:
    if len(x) > 1 and line:
        axes.plot(x, y, color=colour, lw=1.1 if small else 1.6, alpha=0.85, zorder=2)
        axes.fill_between(x, y - sd, y + sd, color=colour, alpha=0.13, lw=0, zorder=1)
    elif sd.any():
        axes.errorbar(x, y, sd, color=colour, lw=1, capsize=2.5, ls="none", zorder=1)
    if alone:  # something to compare lines with, such as full sampling
        axes.axhline(y[0], color=colour, lw=0.8, ls=(0, (1, 2.5)), alpha=0.7, zorder=0.5)


def _repeats(
    axes: Axes, points: list[Point], x: Float[np.ndarray, " point"], metric: Metric, colour: str
) -> None:
    values = [p.values(metric.column) for p in points]
    at = np.repeat(x, [v.size for v in values])
    axes.scatter(
        at, np.concatenate(values), s=6, color=colour, alpha=0.45, lw=0, zorder=3,
        rasterized=at.size > CROWD,
    )  # fmt: skip


def _marks(
    axes: Axes,
    points: list[Point],
    x: Float[np.ndarray, " point"],
    y: Float[np.ndarray, " point"],
    colour: str,
    marker: str,
    size: float,
) -> None:
    """Filled on the front, hollow if tied with it, grey where beaten, crossed beyond limits."""
    kinds = np.array([_kind(p) for p in points])
    image = len(points) > CROWD
    looks: dict[str, dict[str, Any]] = {
        "beyond": {"marker": "x", "mec": colour, "mew": 1.4, "zorder": 5},
        "dominated": {
            "ms": size - 0.8,
            "mfc": "white",
            "mec": style.PALE,
            "mew": 1.2,
            "zorder": 4,
        },
        "tie": {"mfc": "white", "mec": colour, "mew": 1.4, "zorder": 5},
        "front": {"mfc": colour, "mec": "white", "mew": 0.8, "zorder": 6},
    }
    for kind, look in looks.items():
        mine = kinds == kind
        if mine.any():
            drawn = {"marker": marker, "ms": size, "ls": "none", "rasterized": image, **look}
            axes.plot(x[mine], y[mine], **drawn)
    beaten = kinds == "dominated"
    if beaten.any() and size > 6:
        axes.plot(x[beaten], y[beaten], marker, ms=size - 4, mfc=colour, mec="none", zorder=5)


def _kind(point: Point) -> str:
    return "beyond" if point.within_limits is False else point.standing or "front"


def _front(axes: Axes, summary: Summary, metric: Metric) -> None:
    """The Pareto front as a staircase: what each power buys at best."""
    factor, _ = _unit(summary, "power_w")
    front = [p for p in summary.points if p.standing == "front"]
    front.sort(key=lambda p: p.mean("power_w"))
    if len(front) < 2:
        return
    x = np.array([p.mean("power_w") for p in front]) / factor
    y = np.array([p.mean(metric.column) for p in front])
    axes.step(x, y, where="post", color=style.INK, lw=1.0, ls=(0, (2.5, 2)), zorder=3.5)


def _unit(summary: Summary, column: str) -> tuple[float, str]:
    if column == "bandwidth":
        return 1.0, "Channels sampled per bin"
    if column == _PLACE and summary.axis is not None:
        factor, unit = style.unit(summary.axis.values.tolist(), summary.axis.base)
        return factor, summary.axis.label + (f" ({unit})" if unit else "")
    factor, unit = style.unit([p.mean(column) for p in summary.points], "W")
    return factor, f"Power of the implant ({unit})"

"""Where the power goes: one stacked bar for each point, one colour for each component."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from implant_sim.report import style
from implant_sim.report.cells import quantity
from implant_sim.report.designs import designs
from implant_sim.report.summary import Point, Summary

__all__ = ["MAX_BARS", "chosen", "closes", "energy_bars"]

MAX_BARS = 16
_BEYOND = 2.5  # times the longest bar; a band beyond is cut off there, or bars would shrink


def energy_bars(summary: Summary) -> Figure | None:
    """Power by component of each point; None where the run has no power."""
    points = chosen(summary)
    if not points:
        return None
    names = [c for c in style.COMPONENTS if any(_watts(p, c) > 0 for p in points)]
    factor, unit = style.unit([p.mean("power_w") for p in points], "W")
    figure = Figure(figsize=(9.6, 0.9 + 0.3 * len(points)), layout="constrained")
    axes = figure.subplots()
    top = max(p.mean("power_w") for p in points) / factor
    rows = np.arange(len(points))
    left = np.zeros(len(points))
    for name in names:
        width = np.array([_watts(p, name) for p in points]) / factor
        axes.barh(rows, width, 0.68, left, color=style.COMPONENTS[name], label=_title(name),
                  edgecolor="white", linewidth=0.6)  # fmt: skip
        left += width
    bands = [p.band for p in points if p.band is not None]
    widest = max((high / factor for _, high in bands), default=0.0)
    end = max(top * 1.16, min(widest * 1.03, _BEYOND * top))
    for row, point in enumerate(points):
        total = point.mean("power_w") / factor
        text = f"{total:.3g} {unit}"
        if point.band is not None:
            low, high = point.band
            text += f" ({quantity(low, 'W')} to {quantity(high, 'W')})"
            _whisker(axes, row, low / factor, high / factor, end)
        text += "  beyond a limit" if point.within_limits is False else ""
        axes.text(total + 0.008 * end, row, text, va="center", fontsize=8)
    axes.set_yticks(rows, [style.shortened(p.label) for p in points])
    axes.set_ylim(len(points) - (0.4 if bands else 0.5), -0.5)
    axes.set_xlim(0, end)
    axes.set_xlabel(f"Power of the implant ({unit})")
    axes.tick_params(axis="y", length=0)
    if bands:
        axes.plot([], [], color=style.INK, lw=0.9, marker="|", label="80 % band")
    entries = len(names) + bool(bands)
    figure.legend(loc="outside upper center", ncols=entries, handlelength=1, handleheight=1)
    return figure


def _whisker(axes: Axes, row: int, low: float, high: float, end: float) -> None:
    """The band of the total, at the lower edge of its bar; an arrow where it leaves the figure."""
    y = row + 0.42
    axes.plot([low, min(high, end)], [y, y], color=style.INK, lw=0.9, solid_capstyle="butt")
    axes.plot([low], [y], marker="|", ms=4, mew=0.9, color=style.INK)
    if high <= end:
        axes.plot([high], [y], marker="|", ms=4, mew=0.9, color=style.INK)
    else:
        axes.plot([0.997 * end], [y], marker=">", ms=3.5, color=style.INK)


def chosen(summary: Summary) -> list[Point]:
    """The designs that get a bar, line by line: all, or front and some of the rest."""
    known = {p.index: p for p in designs(summary)}
    points = [
        known[p.index]
        for m in summary.methods
        for p in reversed(summary.of(m))
        if p.index in known and np.isfinite(p.mean("power_w"))
    ]
    if len(points) <= MAX_BARS:
        return points
    front = [p.index for p in points if p.standing == "front"][:MAX_BARS]
    rest = [p.index for p in points if p.index not in front]
    n = MAX_BARS - len(front)
    even = [rest[i] for i in np.linspace(0, len(rest) - 1, n).round().astype(int)] if n else []
    kept = {*front, *even}
    return [p for p in points if p.index in kept]


def closes(point: Point) -> float:
    """Largest relative gap between a point's power and the sum of its components."""
    total = point.values("power_w")
    parts = sum(
        (np.nan_to_num(point.values(f"power_{c}_w")) for c in style.COMPONENTS),
        np.zeros(len(total)),
    )
    known = np.isfinite(total) & (total > 0)
    return float(np.abs(parts[known] / total[known] - 1).max()) if known.any() else 0.0


def _watts(point: Point, component: str) -> float:
    return float(np.nan_to_num(point.mean(f"power_{component}_w")))


def _title(component: str) -> str:
    return {"adc": "ADC"}.get(component, component.capitalize())

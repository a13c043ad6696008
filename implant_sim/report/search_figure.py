"""How a search went: what it looked at, its front, and how soon it had found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from implant_sim.report import style
from implant_sim.report.searched import label_of
from implant_sim.report.summary import Metric

__all__ = ["dicts", "search_figure"]

_LOOKS = {
    "ok": ("run in full", {"marker": "o", "color": style.SKY, "s": 26}),
    "broken": ("outside a condition", {"marker": "X", "color": style.VERMILLION, "s": 30}),
}


def search_figure(told: Mapping[str, Any], measures: Sequence[Metric]) -> Figure | None:
    """Both first objectives of all points, and the hypervolume after each.

    Parameters
    ----------
    told : mapping
        ``search.json``.
    measures : sequence of Metric
        What the run is judged by, called by what was decoded.

    Returns
    -------
    Figure or None
        None without two objectives, or without a front.
    """
    objectives = told.get("objectives")
    front, points = dicts(told.get("front")), dicts(told.get("points"))
    if not isinstance(objectives, dict) or len(objectives) < 2 or not front:
        return None
    columns = list(objectives)[:2]
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    scale, unit = _scale(points, columns[0])
    for state, (label, look) in _LOOKS.items():
        values = _values([p for p in points if p.get("state") == state], columns)
        if len(values):
            left.scatter(values[:, 0] / scale, values[:, 1], label=label, zorder=2, **look)
    _front(left, front, columns, scale, told)
    left.set_xlabel(f"{label_of(columns[0], measures)}{f' ({unit})' if unit else ''}")
    left.set_ylabel(label_of(columns[1], measures))
    left.set_title("What was looked at, and the front")
    found = _values(points, columns)
    style.log_axis(left, found[:, 0] / scale, found[:, 0] / scale)
    _progress(right, told, len(points))
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def dicts(value: Any) -> list[dict[str, Any]]:
    """The records of a list; what is none is left out."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _scale(points: Sequence[Mapping[str, Any]], column: str) -> tuple[float, str]:
    values = [v for v in _values(points, [column, column])[:, 0] if v > 0]
    return style.unit(values, "W") if column.endswith("_w") and values else (1.0, "")


def _values(
    points: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> Float[np.ndarray, "point column"]:
    """Of the points that have both."""
    rows = [[p.get(column) for column in columns] for p in points]
    known = [row for row in rows if all(isinstance(v, int | float) for v in row)]
    return np.array(known, float).reshape(-1, len(columns))


def _front(
    axes: Axes,
    front: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    scale: float,
    told: Mapping[str, Any],
) -> None:
    values = _values(front, columns)
    values = values[np.argsort(values[:, 0], kind="stable")]
    axes.step(
        values[:, 0] / scale, values[:, 1], where="post", color=style.INK, lw=1.1, label="front"
    )
    for key, name, marker, size in (("knee", "knee", "D", 52), ("designs", "design", "*", 150)):
        of = dicts(told.get(key)) if key == "designs" else [{"point": told.get(key)}]
        wanted = [design.get("point") for design in of]
        marked = _values([p for p in dicts(told["points"]) if p.get("point") in wanted], columns)
        if len(marked):
            axes.scatter(
                marked[:, 0] / scale, marked[:, 1], marker=marker, s=size, zorder=3, label=name,
                facecolor="none" if key == "knee" else style.ORANGE, edgecolor=style.INK, lw=0.9,
            )  # fmt: skip


def _progress(axes: Axes, told: Mapping[str, Any], n: int) -> None:
    volume = told.get("hypervolume") or {}
    shares = volume.get("share") or []
    at = np.array([*volume.get("points", []), n - 1], float) + 1
    axes.step(at, [*shares, *shares[-1:]], where="post", color=style.BLUE)
    axes.set_xlim(0, n + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 1.04)
    axes.set_xlabel("Designs looked at")
    axes.set_ylabel("Hypervolume, share of the last")
    axes.set_title("How soon it was found")

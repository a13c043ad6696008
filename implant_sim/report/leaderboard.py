"""Who is best at equal power: the arms of a study that names budgets in watts, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from implant_sim.report.cells import Cell, Table, cell_of, quantity, spread
from implant_sim.report.load import Run, clean
from implant_sim.report.pareto import difference
from implant_sim.report.summary import METRICS, Metric, Point, Summary, aligned
from sbtt_models.units import to_si

__all__ = ["Board", "Standing", "boards", "left_out", "table"]

_BUDGET = "schedule.power"
_PLACE = ("recording", "implant", "implant.radio", _BUDGET)
"""What arms have in common that compete with each other."""
_ARM = ("schedule", "schedule.kind", "decoder", "decoder.kind")
_TIE_SE = 2.0
_RANKED_BY = {"velocity_r2": "bits_per_spike_all", "bits_per_spike_all": "rate_r2_expected"}
"""Measures that are fair to every schedule, in order; and what is shown beside each. R² of rates
leaves channels out that were never sampled."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One arm of a contest."""

    point: Point
    arm: str
    gap: float
    """Mean paired difference to the first; 0 for the first."""
    error: float
    """Two standard errors of it."""
    level: bool
    """Whether it ties with the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """All arms on one recording and implant with one budget, best first."""

    place: Mapping[str, str]
    metric: Metric
    standings: tuple[Standing, ...]

    @property
    def title(self) -> str:
        """Recording, implant and budget."""
        return ", ".join(self.place.values())

    @property
    def budget_w(self) -> float:
        """What each arm may draw. [W]"""
        return to_si(self.place[_BUDGET], "W")


def boards(run: Run, summary: Summary) -> list[Board]:
    """The contests of a run, in the order of its points; none where no budget is named.

    Arms are ranked by decoded behaviour, where there is one, or by bits per spike on all withheld
    entries. One whose paired difference to the first is within two standard errors ties with it.

    Parameters
    ----------
    run : Run
    summary : Summary
        Of the run.

    Returns
    -------
    list of Board
    """
    if _BUDGET not in run.results:
        return []
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point in summary.points:
        row = point.rows[0]
        if point.ok and row.get(_BUDGET) is not None:
            groups.setdefault(tuple(_said(row, key) for key in _PLACE), []).append(point)
    found = []
    for place, points in groups.items():
        metric = next((m for m in _ranking(summary) if all(_has(p, m) for p in points)), None)
        if metric is not None:
            named = {key: text for key, text in zip(_PLACE, place, strict=True) if text}
            found.append(Board(named, metric, _ranked(points, metric, summary.n_repeats)))
    return found


def _ranking(summary: Summary) -> list[Metric]:
    return [m for name in _RANKED_BY for m in summary.measures if m.column == name]


def _ranked(points: list[Point], metric: Metric, n_repeats: int) -> tuple[Standing, ...]:
    order = sorted(points, key=lambda p: -metric.better * p.mean(metric.column))
    first = aligned(order[0], metric, n_repeats)
    standings = []
    for point in order:
        gap, error = difference(aligned(point, metric, n_repeats), first)
        level = n_repeats > 1 and abs(gap) <= _TIE_SE * error
        standings.append(
            Standing(point, _arm(point), gap, _TIE_SE * error, point is order[0] or level)
        )
    return tuple(standings)


def table(board: Board) -> Table:
    """One contest, as the page shows it."""
    rows = []
    beside = next(m for m in METRICS if m.column == _RANKED_BY[board.metric.column])
    for rank, s in enumerate(board.standings, 1):
        error = f" ± {s.error:.3f}" if len(s.point.rows) > 1 else ""
        against = f"{s.gap:+.3f}{error}" if rank > 1 else "first"
        kind = "good" if rank == 1 else "" if s.level else "muted"
        rows.append(
            [
                Cell(f"{rank}. {s.arm}", rank),
                spread(s.point, board.metric.column),
                Cell(against + (", tie" if rank > 1 and s.level else ""), s.gap, kind),
                spread(s.point, beside.column),
                cell_of(s.point, "bandwidth", ""),
                cell_of(s.point, "power_w", "W"),
                cell_of(s.point, "link_rate_bps", "bit/s"),
            ]
        )
    headings = ["Schedule and decoder", board.metric.label, "Against the first"]
    return Table([*headings, beside.label, "Channels per bin", "Power", "Link"], rows)


def left_out(run: Run) -> list[str]:
    """What a budget could not buy, and recordings that were not there, one line each."""
    lines: dict[str, int] = {}
    for skipped in run.meta.get("skipped", []):
        if isinstance(skipped, Mapping) and isinstance(skipped.get("condition"), str):
            text = clean(skipped["condition"])
            lines[text] = lines.get(text, 0) + 1
    return [f"{n} point{'s' * (n > 1)} left out: {text}" for text, n in lines.items()]


def _has(point: Point, metric: Metric) -> bool:
    return math.isfinite(point.mean(metric.column))


def _arm(point: Point) -> str:
    parts = dict.fromkeys(_said(point.rows[0], key) for key in _ARM)
    return " · ".join(part for part in parts if part)


def _said(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None or value != value:
        return ""
    text = clean(value).replace("_", " ")
    if key != _BUDGET:
        return text
    try:
        return quantity(to_si(text, "W"), "W")
    except ValueError:
        return text

"""From rows to points and methods: means over repeats, which fidelity, who is on the front."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from implant_sim.report.load import Run, clean
from implant_sim.report.naming import Axis, name_points, numeric
from implant_sim.report.pareto import Standing, difference, standings

__all__ = ["METRICS", "Metric", "Point", "Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A column that says how well the activity was recovered."""

    column: str
    label: str
    says: str
    better: int = 1
    """1 where more is better, -1 where less is."""


METRICS = (
    Metric("velocity_r2", "Velocity R²", "behaviour decoded from the rates, test trials"),
    Metric("rate_r2_expected", "Rate R²", "inferred against expected counts, test trials"),
    Metric("bits_per_spike_all", "Bits per spike", "on withheld entries, observed or not"),
    Metric("bits_per_spike", "Bits per spike, observed", "on withheld entries that were observed"),
    Metric("co_bps", "Co-smoothing (bits per spike)", "on channels that nothing ever saw"),
    Metric("held_out_bps", "Held-out channels (bits per spike)", "that the decoder was not shown"),
    Metric("forward_bps", "Forward prediction (bits per spike)", "on bins after those shown"),
    Metric("rate_r2", "Rate R², published truth", "inferred against the published rates"),
    Metric("rate_r2_log", "Log-rate R²", "on logarithms of rates"),
    Metric("rate_r2_unobserved", "Rate R², unobserved", "on entries that were not sampled"),
    Metric("psth_r2", "PSTH R²", "condition averages against those of the counts"),
    Metric("nll", "NLL (nat per entry)", "on withheld entries that were observed", -1),
)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One operating point over its repeats."""

    index: int
    method: str
    """What it shares with the other points of its line."""
    label: str
    rows: tuple[dict[str, Any], ...]
    """Its rows of the results table, one for each repeat."""
    standing: Standing | None = None
    place: float | None = None
    """Along `Summary.axis`."""

    def values(self, column: str) -> Float[np.ndarray, " repeat"]:
        """One value per row; NaN where there is none."""
        return np.array([_number(row.get(column)) for row in self.rows])

    def mean(self, column: str) -> float:
        """Mean over repeats, NaN if there is none."""
        values = self.values(column)
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else float("nan")

    def sd(self, column: str) -> float:
        """Standard deviation over repeats, NaN for fewer than two."""
        values = self.values(column)
        values = values[np.isfinite(values)]
        return float(values.std(ddof=1)) if values.size > 1 else float("nan")

    def first(self, column: str) -> str:
        """Text of the first repeat that has one."""
        values = (row.get(column) for row in self.rows)
        return next((clean(v) for v in values if v is not None and not pd.isna(v)), "")

    @property
    def band(self) -> tuple[float, float] | None:
        """10 and 90 % of the power by the spreads of the prices; None where none is known. [W]"""
        low, high = self.mean("power_p10_w"), self.mean("power_p90_w")
        return (low, high) if np.isfinite(low) and np.isfinite(high) else None

    @property
    def ok(self) -> bool:
        """Some repeat ran to its end."""
        return any(row["status"] == "ok" for row in self.rows)

    @property
    def within_limits(self) -> bool | None:
        """False if any repeat broke a limit; None where nothing was said."""
        found = [row["within_limits"] for row in self.rows]
        said = [bool(v) for v in found if v is not None and not pd.isna(v)]
        return all(said) if said else None


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """All points of a run, and what they are judged by."""

    points: list[Point]
    methods: list[str]
    metric: Metric | None
    """The fidelity that the run is judged by; None for hardware only."""
    others: list[Metric]
    """Further fidelities that the run has."""
    n_repeats: int
    axis: Axis | None = None
    """A swept number that the points of a line stand along, where it is not the bandwidth."""

    @property
    def measures(self) -> list[Metric]:
        """All fidelities that the run has, the one that judges first."""
        return [] if self.metric is None else [self.metric, *self.others]

    @property
    def powered(self) -> bool:
        """Whether any point has a power; what a microscope has read has none."""
        return any(np.isfinite(p.mean("power_w")) for p in self.points)

    def of(self, method: str) -> list[Point]:
        """The points of one line, by place, then cheapest first."""
        mine = [p for p in self.points if p.method == method]
        return sorted(mine, key=lambda p: (p.place or 0.0, p.mean("bandwidth"), p.mean("power_w")))

    @property
    def banded(self) -> list[Point]:
        """Points whose power is known with its band."""
        return [p for p in self.points if p.band is not None]

    @property
    def best(self) -> Point | None:
        """The point of highest fidelity, within limits where there is one."""
        if self.metric is None:
            return None
        scored = [p for p in self.points if np.isfinite(p.mean(self.metric.column))]
        allowed = [p for p in scored if p.within_limits is not False] or scored
        column, sign = self.metric.column, self.metric.better
        return max(allowed, key=lambda p: sign * p.mean(column), default=None)

    @property
    def thrifty(self) -> Point | None:
        """The cheapest point that ties with the best."""
        best, metric = self.best, self.metric
        if best is None or metric is None:
            return None
        ties = [best]
        for p in self.points:
            gap, se = difference(
                aligned(best, metric, self.n_repeats), aligned(p, metric, self.n_repeats)
            )
            if p.within_limits is best.within_limits and gap <= 2 * se:
                ties.append(p)
        return min(ties, key=lambda p: p.mean("power_w"))


def aligned(point: Point, metric: Metric, n_repeats: int) -> Float[np.ndarray, " repeat"]:
    """Values by repeat number, turned so that more is better; NaN where missing."""
    out = np.full(n_repeats, np.nan)
    out[[int(row["repeat"]) for row in point.rows]] = point.values(metric.column) * metric.better
    return out


def summarise(run: Run) -> Summary:
    """Group the rows of a run."""
    results = run.results
    groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in results.sort_values(["point", "repeat"], kind="stable").to_dict("records"):
        groups[int(row["point"])].append({str(k): v for k, v in row.items()})
    names, axis = name_points(pd.DataFrame([rows[0] for rows in groups.values()]), run.axes)
    places = [None] * len(names) if axis is None else axis.values.tolist()
    points = [
        Point(i, name.method, name.label, tuple(rows), None, place)
        for (i, rows), name, place in zip(groups.items(), names, places, strict=True)
    ]
    have = [
        _named(m, results)
        for m in METRICS
        if m.column in results and numeric(results[m.column]).notna().any()
    ]
    n_repeats = int(numeric(results["repeat"]).max()) + 1
    methods = list(dict.fromkeys(p.method for p in points))
    if not have:
        return Summary(points, methods, None, [], n_repeats, axis)
    judged = _judged(points, have[0], n_repeats)
    return Summary(judged, methods, have[0], have[1:], n_repeats, axis)


def _named(metric: Metric, results: pd.DataFrame) -> Metric:
    """The same measure, called by what was decoded where that is no velocity."""
    if metric.column != "velocity_r2" or "behaviour" not in results:
        return metric
    names = sorted({clean(name) for name in results["behaviour"].dropna()})
    if not names or all("velocity" in name.lower() for name in names):
        return metric
    name = names[0] if len(names) == 1 else "behaviour"
    return replace(metric, label=f"{name[:1].upper()}{name[1:]} R²")


def _judged(points: list[Point], metric: Metric, n_repeats: int) -> list[Point]:
    """Standings among the points within limits; among all, if there is none."""
    scored = [p for p in points if np.isfinite(p.mean(metric.column))]
    allowed = [p for p in scored if p.within_limits is not False] or scored
    if not allowed:
        return points
    cost = np.array([p.mean("power_w") for p in allowed])
    values = np.stack([aligned(p, metric, n_repeats) for p in allowed])
    ranks = dict(zip((p.index for p in allowed), standings(cost, values), strict=True))
    return [replace(p, standing=ranks.get(p.index)) for p in points]


def _number(value: Any) -> float:
    """A cell as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")

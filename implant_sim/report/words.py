"""What a report says in words: headline, tiles, warnings, provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from implant_sim.report.bars import closes
from implant_sim.report.cells import Cell, Table, quantity
from implant_sim.report.load import Run, clean
from implant_sim.report.summary import Metric, Point, Summary
from implant_sim.study.store import RunFolder

__all__ = ["Tile", "failures", "notes", "provenance", "tiles", "what"]

_MAX_FAILURES = 50
_WORTH_SAYING = 0.01  # of the power


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the summary."""

    heading: str
    value: str
    text: str
    kind: str = ""


def what(run: Run, summary: Summary) -> str:
    """One line: which recording, which implant, how much was run."""
    results = run.results

    def names(column: str) -> str:
        if column not in results:
            return ""
        found = list(dict.fromkeys(clean(v) for v in results[column].dropna()))
        return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")

    parts = [names("recording"), names("implant"), names("decoder")]
    n = len(summary.points)
    parts.append(f"{n} operating point{'s' * (n != 1)}")
    if summary.n_repeats > 1:
        parts.append(f"{summary.n_repeats} repeats")
    return " · ".join(p for p in parts if p)


def tiles(summary: Summary) -> list[Tile]:
    """The headline: how good, how cheap, and whether it may be worn."""
    out: list[Tile] = []
    metric, best, thrifty = summary.metric, summary.best, summary.thrifty
    if metric is not None and best is not None:
        heading = f"Best {metric.label}" if len(summary.points) > 1 else metric.label
        if any(p.within_limits is False for p in summary.points) and best.within_limits:
            heading += ", within limits"
        out.append(Tile(heading, _score(best, metric), _at(best), "good"))
    if metric is not None and best is not None and thrifty is not None and thrifty is not best:
        saved = 1 - thrifty.mean("power_w") / best.mean("power_w")
        if saved >= _WORTH_SAYING:
            text = f"{thrifty.label}, {metric.label} {_score(thrifty, metric)}"
            power = quantity(thrifty.mean("power_w"), "W")
            out.append(
                Tile("Cheapest that ties with it", power, f"{text}: {saved:.0%} less power")
            )
    powered = [p for p in summary.points if math.isfinite(p.mean("power_w"))]
    if len(powered) > 1:
        least = min(powered, key=lambda p: p.mean("power_w"))
        text = least.label
        if metric is not None:
            text += f", {metric.label} {_score(least, metric)}"
        power = quantity(least.mean("power_w"), "W")
        out.append(Tile("Least power", power, text + _within(least)))
    elif powered:
        point = powered[0]
        power = quantity(point.mean("power_w"), "W")
        out.append(Tile("Power of the implant", power, point.label + _within(point)))
    return out + _worn(summary)


def _within(point: Point) -> str:
    if point.band is None:
        return ""
    low, high = point.band
    return f"; 80 % band {quantity(low, 'W')} to {quantity(high, 'W')}"


def _worn(summary: Summary) -> list[Tile]:
    judged = [p for p in summary.points if p.within_limits is not None]
    if not judged:
        return []
    fine = sum(p.within_limits is True for p in judged)
    reasons = sorted({p.first("limited_by") for p in judged if p.within_limits is False} - {""})
    text = "heat, battery, link and latency as the scenario limits them"
    if fine < len(judged):
        text = "beyond a limit: " + (", ".join(reasons) or "see below")
    value = f"{fine} of {len(judged)}" if len(judged) > 1 else ("yes" if fine else "no")
    return [Tile("Within limits", value, text, "good" if fine == len(judged) else "bad")]


def _score(point: Point, metric: Metric) -> str:
    mean, sd = point.mean(metric.column), point.sd(metric.column)
    if not math.isfinite(mean):
        return "–"
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if math.isfinite(sd) else "")


def _at(point: Point) -> str:
    power = point.mean("power_w")
    return point.label + (f", {quantity(power, 'W')}" if math.isfinite(power) else "")


def notes(run: Run, summary: Summary) -> list[str]:
    """What would mislead if it went unsaid."""
    out: list[str] = []
    points = summary.points
    looked_at = ("ok", "infeasible", "pruned") if run.search else ("ok",)
    failed = int((~run.results["status"].isin(looked_at)).sum())
    if failed:
        out.append(f"{failed} of {len(run.results)} runs did not finish; see the end of Results.")
    gap = max((closes(p) for p in points), default=0.0)
    if gap > 1e-9:
        out.append(f"The parts of the power miss its total by up to {gap:.2g} of it: a fault.")
    if any(p.first("judged_twice").lower() == "true" for p in points):
        out.append(
            "The test trials also chose the weights, as in the published demo: scores are higher "
            "than on trials kept apart."
        )
    silent = max((p.mean("n_silent") for p in points), default=math.nan)
    if silent > 0:
        out.append(
            f"{silent:g} channel{'s never fire' if silent > 1 else ' never fires'} in this "
            "recording; means over channels leave silent channels out."
        )
    unseen = [p for p in points if p.mean("n_never_observed") > 0]
    if unseen:
        most = max(p.mean("n_never_observed") for p in unseen)
        out.append(
            f"{len(unseen)} points leave channels without any sample (up to {most:g}); rate R² "
            "leaves those channels out, bits per spike on all withheld entries does not."
        )
    if begun := [energy for p in points if math.isfinite(energy := p.mean("start_energy_j"))]:
        out.append(
            f"{len(begun)} points begin with the weights of a neighbour, and have learned from "
            f"its samples, too (up to {max(begun):.3g} J of the implant, not charged to them)."
        )
    if summary.metric is not None and summary.n_repeats == 1 and len(points) > 1:
        out.append("One repeat: differences between points have no error bar.")
    return out


def failures(run: Run) -> Table | None:
    """Runs that did not end well, and why."""
    bad = run.results[run.results["status"] != "ok"]
    if bad.empty:
        return None
    rows = []
    for _, row in bad.head(_MAX_FAILURES).iterrows():
        point, repeat = int(row["point"]), int(row["repeat"])
        content = RunFolder(run.folder).result(run.keys.get((point, repeat), "")) or {}
        error = clean(content.get("error") or row.get("error") or "")[:500]
        cells = [Cell(str(point), point), Cell(str(repeat), repeat)]
        rows.append([*cells, Cell(clean(row["status"]), None, "bad"), Cell(error, None, "source")])
    return Table(["Point", "Repeat", "Status", "Why"], rows)


def provenance(run: Run) -> list[tuple[str, str]]:
    """Versions, platform, seeds and digests, as run.json has them."""
    rows = [
        (clean(key).replace("_", " "), _plain(value))
        for key, value in run.meta.items()
        if key != "points"
    ]
    seeds = sorted({clean(s) for s in run.results.get("seed", []) if s == s})
    if seeds and not any(name.startswith("seed") for name, _ in rows):
        rows.append(("seeds", ", ".join(seeds[:20])))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(k)} {_plain(v)}" for k, v in value.items())[:2000]
    if isinstance(value, list):
        return ", ".join(_plain(v) for v in value[:50])
    if isinstance(value, float):
        return f"{value:.6g}"
    return clean(value if isinstance(value, str) else json.dumps(value))[:2000]

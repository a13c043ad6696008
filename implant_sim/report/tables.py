"""The tables of a report: numbers as people read them, each with the value that it sorts by."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from implant_sim.report.cells import Cell, Table, cell_of, quantity, spread
from implant_sim.report.designs import designs
from implant_sim.report.load import Run, clean
from implant_sim.report.naming import numeric
from implant_sim.report.pareto import difference
from implant_sim.report.summary import Point, Summary, aligned

__all__ = ["BAND", "comparison", "energy", "limits", "results"]

_MAX_ENERGY_ROWS = 200
_MAX_COMPARED = 200
BAND = "80 % band"
_VERDICT = {"front": "Pareto front", "tie": "tie", "dominated": "dominated", None: ""}


def results(summary: Summary) -> Table:
    """One row for each point: what was varied, what it costs, what it achieves."""
    points, banded = summary.points, bool(summary.banded)
    hardware = [
        ("bandwidth", "Channels per bin" if summary.powered else "Neurons per bin", ""),
        ("sampled_fraction", "Sampled", "%"),
        ("power_w", "Power", "W"),
        ("link_rate_bps", "Link", "bit/s"),
    ]
    hardware = [h for h in hardware if any(np.isfinite(p.mean(h[0])) for p in points)]
    metrics = summary.measures
    extra = [("train_s", "Training", "s"), ("epochs", "Epochs", "")]
    extra = [e for e in extra if any(np.isfinite(p.mean(e[0])) for p in points)]
    judged = summary.metric is not None and summary.powered and len(points) > 1
    headings = ["Point", "Repeats", *(h[1] for h in hardware)]
    if banded:
        headings.insert(headings.index("Power") + 1, BAND)
    headings += [m.label for m in metrics]
    headings += [*(e[1] for e in extra), "Status"]
    if judged:
        headings.insert(headings.index(metrics[0].label) + 1, "Standing")
    rows = []
    for p in points:
        scores = [spread(p, m.column) for m in metrics]
        if judged:
            scores.insert(1, _standing(p))
        row = [Cell(p.label, float(p.index)), Cell(str(len(p.rows)), float(len(p.rows)))]
        for column, _, base in hardware:
            row.append(cell_of(p, column, base))
            if banded and column == "power_w":
                row.append(_band(p))
        row += scores
        row += [cell_of(p, column, base) for column, _, base in extra]
        rows.append([*row, _status(p)])
    return Table(headings, rows)


def _band(point: Point) -> Cell:
    """From 10 to 90 % of the power; sorts by its lower end."""
    if point.band is None:
        return Cell("–", -math.inf, "muted")
    low, high = point.band
    return Cell(f"{quantity(low, 'W')} to {quantity(high, 'W')}", low)


def _standing(point: Point) -> Cell:
    if point.standing is None and point.within_limits is False:
        return Cell("beyond a limit", None, "bad")
    kind = {"front": "good", "dominated": "muted"}.get(point.standing or "", "")
    return Cell(_VERDICT[point.standing], None, kind)


def _status(point: Point) -> Cell:
    counts = Counter(clean(row["status"]) for row in point.rows)
    if list(counts) == ["ok"]:
        return Cell("ok", None)
    text = ", ".join(f"{n} {status}" for status, n in counts.items())
    return Cell(text, None, "bad")


def limits(summary: Summary) -> Table | None:
    """Heat, battery, link and latency of each design, and which limit binds."""
    columns = [
        ("heat_k", "Heating", "K"),
        ("flux_w_m2", "Heat flux", "W/m²"),
        ("battery_h", "Battery life", "h"),
        ("link_rate_bps", "Link", "bit/s"),
        ("latency_s", "Latency", "s"),
        ("margin", "Margin", ""),
    ]
    points, banded = designs(summary), bool(summary.banded)
    columns = [c for c in columns if any(np.isfinite(p.mean(c[0])) for p in points)]
    if not columns and all(p.within_limits is None for p in points):
        return None
    rows = []
    for p in points:
        row = [
            Cell(p.label, float(p.index)),
            Cell(quantity(p.mean("power_w"), "W"), p.mean("power_w")),
        ]
        row += [_band(p)] if banded else []
        row += [_limit(p, column, base) for column, _, base in columns]
        rows.append([*row, _verdict(p)])
    band = [BAND] if banded else []
    return Table(["Point", "Power", *band, *(c[1] for c in columns), "Verdict"], rows)


def _limit(point: Point, column: str, base: str) -> Cell:
    mean = point.mean(column)
    if not math.isfinite(mean):
        return Cell("–", -math.inf, "muted")
    if base in ("", "h", "W/m²"):
        return Cell(f"{mean:.3g} {base}".rstrip(), mean)
    return Cell(quantity(mean, base), mean)


def _verdict(point: Point) -> Cell:
    if point.within_limits is None:
        return Cell("no limit given", None, "muted")
    by = point.first("limited_by")
    if point.within_limits:
        return Cell("within limits" + (f", nearest: {by}" if by else ""), None, "good")
    return Cell("beyond: " + (by or "a limit"), None, "bad")


def comparison(summary: Summary) -> Table | None:
    """Paired differences between lines at the same place; None for one line, or too many."""
    metric = summary.metric
    if metric is None or len(summary.methods) < 2:
        return None
    rows = []
    by_place: dict[float, list[Point]] = {}
    for p in summary.points:
        place = p.mean("bandwidth") if p.place is None else p.place
        if math.isfinite(place) and math.isfinite(p.mean(metric.column)):
            by_place.setdefault(float(f"{place:.9g}"), []).append(p)
    for place in sorted(by_place, reverse=True):
        lines = Counter(p.method for p in by_place[place])
        group = [p for p in by_place[place] if lines[p.method] == 1]  # else: which to compare?
        for i, a in enumerate(group):
            for b in group[i + 1 :]:
                rows.append(_compared(a, b, place, summary))
    if not 0 < len(rows) <= _MAX_COMPARED:
        return None
    first = "Channels per bin" if summary.axis is None else summary.axis.label
    return Table([first, "First", "Second", "First − second", "Power", "Verdict"], rows)


def _compared(a: Point, b: Point, place: float, summary: Summary) -> list[Cell]:
    metric = summary.metric
    if metric is None:  # not reached: comparison() has asked
        return []
    mean, se = difference(
        aligned(a, metric, summary.n_repeats), aligned(b, metric, summary.n_repeats)
    )
    tie = not math.isfinite(mean) or abs(mean) <= 2 * se
    known = summary.n_repeats > 1  # else nothing is known of how far chance goes
    first = f"{(a if mean > 0 else b).method} is {'better' if known else 'ahead'}"
    verdict = "tie" if tie else first
    shown = mean * metric.better
    error = f" ± {2 * se:.3f}" if known else ""
    return [
        Cell(quantity(place, "" if summary.axis is None else summary.axis.base, 6), place),
        Cell(a.method or a.label),
        Cell(b.method or b.label),
        Cell(f"{shown:+.3f}{error}", shown),
        Cell(f"{quantity(a.mean('power_w'), 'W')} / {quantity(b.mean('power_w'), 'W')}"),
        Cell(verdict, None, "" if known and not tie else "muted"),
    ]


def energy(run: Run, summary: Summary) -> list[tuple[str, Table]]:
    """The ledger of each point's first repeat, as far as a page should hold them."""
    ledger = run.energy
    if ledger.empty or not {"point", "component", "action"} <= set(ledger):
        return []
    first = summary.thrifty or (summary.points[0] if summary.points else None)
    order = sorted(summary.points, key=lambda p: (p is not first, p.index))
    out: list[tuple[str, Table]] = []
    n_rows = 0
    for point in order:
        rows = ledger[ledger["point"] == point.index]
        if "repeat" in rows and len(rows):
            rows = rows[rows["repeat"] == rows["repeat"].min()]
        n_rows += len(rows)
        if not len(rows) or (out and n_rows > _MAX_ENERGY_ROWS):
            continue
        numbers = {c: numeric(rows[c]).to_numpy(float) for c in ("count", "price_j", "energy_j")}
        total = float(np.nansum(numbers["energy_j"]))
        table = []
        for i, (_, row) in enumerate(rows.iterrows()):
            count, price, joule = (float(numbers[c][i]) for c in numbers)
            share = joule / total if total > 0 else 0.0
            table.append(
                [
                    Cell(clean(row["component"])),
                    Cell(clean(row["action"])),
                    Cell(f"{count:.4g}", count),
                    Cell(quantity(price, "J", 4), price),
                    Cell(quantity(joule, "J", 4), joule),
                    Cell(f"{share:.1%}" if share >= 1e-3 or share == 0 else "< 0.1%", share),
                    _source(row.get("source", "")),
                ]
            )
        headings = [
            "Component",
            "Action",
            "Count",
            "Price",
            "Energy",
            "Share",
            "Source of the price",
        ]
        out.append((f"{point.label}: {quantity(total, 'J', 4)} in all", Table(headings, table)))
    return out


def _source(text: object) -> Cell:
    """Where a price comes from; one that is only recalled must stand out."""
    said = clean(text)
    return Cell(said, None, "source recalled" if "recalled" in said else "source")

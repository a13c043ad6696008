"""The numbers of the figures as CSV, one file for each figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from implant_sim import files
from implant_sim.report import leaderboard
from implant_sim.report.activity import Example, busiest, liveliest, scored_bins
from implant_sim.report.gathered import Gathered
from implant_sim.report.load import clean
from implant_sim.report.search_figure import dicts
from implant_sim.report.style import COMPONENTS
from implant_sim.report.summary import Summary

__all__ = ["write_figure_data"]

Row: TypeAlias = Mapping[str, Any]


def write_figure_data(folder: Path, of: Gathered) -> list[Path]:
    """Write the numbers of the figures into ``figures/``, each under its figure's name.

    ``fidelity.csv`` has each point with power, place and every measure, mean and standard
    deviation, and so the numbers of ``further``, too; ``leaderboard.csv`` is there where budgets
    are named.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    of : Gathered
        What lies in it.

    Returns
    -------
    list of pathlib.Path
        Files; a figure without anything to show has none.
    """
    tables: dict[str, Callable[[], Iterable[Row]]] = {
        "fidelity": lambda: _fidelity(of.summary),
        "energy": lambda: _energy(of.summary),
        "leaderboard": lambda: _leaderboard(of),
        "search": lambda: _search(of.run.search),
        "tornado": lambda: _tornado(of),
        "raster": lambda: _raster(of.shown),
        "rates": lambda: _rates(of.shown),
        "behaviour": lambda: _behaviour(of.shown),
    }
    files.make_folder(folder / "figures")
    written = []
    for name, make in tables.items():
        if rows := list(make()):
            written.append(folder / "figures" / f"{name}.csv")
            files.write_text(written[-1], _csv(rows))
    return written


def _fidelity(summary: Summary) -> Iterator[Row]:
    places = ["power_w", "bandwidth", "sampled_fraction", "link_rate_bps", "heat_k"]
    for p in summary.points:
        yield (
            {"point": p.index, "line": p.method, "label": p.label, "place": p.place}
            | {c: p.mean(c) for c in places}
            | {f"{m.column}{end}": v for m in summary.measures for end, v in
               (("", p.mean(m.column)), ("_sd", p.sd(m.column)))}
            | {"repeats": len(p.rows), "standing": p.standing}
        )  # fmt: skip


def _energy(summary: Summary) -> Iterator[Row]:
    for p in summary.points:
        low, high = p.band or (math.nan, math.nan)
        if math.isfinite(power := p.mean("power_w")):
            yield (
                {"point": p.index, "label": p.label, "power_w": power}
                | {f"power_{c}_w": p.mean(f"power_{c}_w") for c in COMPONENTS}
                | {"power_p10_w": low, "power_p90_w": high}
            )


def _leaderboard(of: Gathered) -> Iterator[Row]:
    for board in leaderboard.boards(of.run, of.summary):
        column = board.metric.column
        for rank, s in enumerate(board.standings, 1):
            yield dict(board.place) | {
                "rank": rank,
                "arm": s.arm,
                "measure": column,
                "mean": s.point.mean(column),
                "sd": s.point.sd(column),
                "against_first": s.gap,
                "two_standard_errors": s.error,
                "tie": s.level,
                "bandwidth": s.point.mean("bandwidth"),
                "power_w": s.point.mean("power_w"),
            }


def _search(told: Mapping[str, Any]) -> Iterator[Row]:
    """Designs as they were looked at, with the share of the hypervolume that was then found."""
    objectives = told.get("objectives")
    if not isinstance(objectives, dict):
        return
    volume = told.get("hypervolume") or {}
    found = dict(zip(volume.get("points", []), volume.get("share", []), strict=False))
    front = {p.get("point") for p in dicts(told.get("front"))}
    chosen = {p.get("point"): p.get("name") for p in dicts(told.get("designs"))}
    share = None
    for p in dicts(told.get("points")):
        number = p.get("point")
        share = found.get(number, share)
        yield (
            {"point": number, "state": p.get("state")}
            | {name: p.get(name) for name in objectives}
            | {"front": number in front, "knee": number == told.get("knee")}
            | {"design": chosen.get(number), "hypervolume_share": share}
        )


def _tornado(of: Gathered) -> Iterator[Row]:
    if of.looked_at is None:
        return
    point = of.looked_at.point
    for swing in of.swings:
        yield {
            "point": point.index,
            "number": swing.key,
            "power_w": point.mean("power_w"),
            "power_at_p10_w": swing.low_w,
            "power_at_p90_w": swing.high_w,
        }


def _raster(shown: Sequence[Example]) -> Iterator[Row]:
    """Cells that were sampled, or in which something fired; all others are empty."""
    if not shown:
        return
    order = busiest(shown[0])
    for example in shown:
        exposure, counts = example.exposure, example.cut("counts")
        fired = example.cut("true_counts") if "true_counts" in example.arrays else counts
        for channel in order:
            for b in np.flatnonzero((exposure[:, channel] > 0) | (fired[:, channel] > 0)):
                yield _at(example, int(channel), float(example.times[b])) | {
                    "exposure": float(exposure[b, channel]),
                    "delivered": counts[b, channel].item(),
                    "fired": fired[b, channel].item(),
                }


def _rates(shown: Sequence[Example]) -> Iterator[Row]:
    if not shown:
        return
    truth, name = shown[0].truth
    for example in shown:
        inferred = example.cut("rates")
        for channel in liveliest(shown[0]):
            for b, time_s in enumerate(example.times):
                yield _at(example, int(channel), float(time_s)) | {
                    f"{name.replace(' ', '_')}_per_s": float(truth[b, channel]) / example.bin_s,
                    "inferred_per_s": float(inferred[b, channel]) / example.bin_s,
                }


def _at(example: Example, channel: int, time_s: float) -> dict[str, Any]:
    return {
        "point": example.point,
        "label": example.title,
        "trial": example.trial,
        "channel": channel,
        "time_s": time_s,
    }


def _behaviour(shown: Sequence[Example]) -> Iterator[Row]:
    shown = [e for e in shown if e.decodes]
    if not shown:
        return
    trials, bins = scored_bins(shown[0])
    for example in shown:
        true, decoded = example.arrays["behaviour"], example.arrays["decoded"]
        for trial, b in zip(trials, bins, strict=True):
            for dim in range(true.shape[2]):
                yield {
                    "point": example.point,
                    "label": example.title,
                    "trial": int(trial),
                    "bin": int(b),
                    "dimension": dim,
                    "true": float(true[trial, b, dim]),
                    "decoded": float(decoded[trial, b, dim]),
                }


def _csv(rows: Sequence[Row]) -> str:
    buffer = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _plain(value) for name, value in row.items()})
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Empty where there is nothing; no text that a spreadsheet would run."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text[:1] in "=+-@" else text
    return value

"""What a run hands out beside its page: a summary in Markdown, the numbers of the figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from implant_sim import files
from implant_sim.report import leaderboard, words
from implant_sim.report.leaderboard import Board
from implant_sim.report.load import Run, clean
from implant_sim.report.style import COMPONENTS
from implant_sim.report.summary import METRICS, Summary
from implant_sim.report.tables import Table, results

__all__ = ["cell", "markdown", "write_figure_data", "write_summary"]

_MOST_ROWS = 12
_MOST_ARMS = 5


def write_summary(folder: Path, run: Run, summary: Summary) -> Path:
    """Write ``summary.md``: a run for people in a hurry.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    run, summary
        What lies in it.

    Returns
    -------
    pathlib.Path
    """
    contests = leaderboard.boards(run, summary)
    parts = [f"# {cell(run.name)}", cell(words.what(run, summary))]
    parts += [
        f"- **{cell(tile.heading)}**: {cell(tile.value)} ({cell(tile.text)})"
        for tile in words.tiles(summary)
        if not contests or tile.heading == "Within limits"
    ]
    for board in contests:
        shown = leaderboard.table(board)
        best, rest = shown.rows[:_MOST_ARMS], len(shown.rows) - _MOST_ARMS
        parts += [f"## {cell(board.title)}", markdown(Table(shown.headings, best)).rstrip()]
        parts += [f"{rest} more in report.html and figures/leaderboard.csv."] if rest > 0 else []
    if not contests:
        shown = results(summary)
        parts.append(markdown(Table(shown.headings, shown.rows[:_MOST_ROWS])).rstrip())
    said = [*words.notes(run, summary), *leaderboard.left_out(run)]
    parts += ["\n".join(f"- {cell(line)}" for line in said)] if said else []
    parts.append("Mean ± standard deviation over repeats. All of it: report.html, results.csv.")
    path = folder / "summary.md"
    files.write_text(path, "\n\n".join(parts) + "\n")
    return path


def write_figure_data(folder: Path, run: Run, summary: Summary) -> list[Path]:
    """Write the numbers of the figures as CSV into ``figures/``.

    ``fidelity.csv``: each point with power, place and every measure, mean and standard deviation;
    ``energy.csv``: its power by component; ``leaderboard.csv`` where budgets are named. What the
    rasters and traces show are single trials, which are in each point's ``arrays.h5``.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    run, summary
        What lies in it.

    Returns
    -------
    list of pathlib.Path
    """
    measures = [m for m in METRICS if any(math.isfinite(p.mean(m.column)) for p in summary.points)]
    places = ["power_w", "bandwidth", "sampled_fraction", "link_rate_bps", "heat_k"]
    fidelity: list[dict[str, Any]] = [
        {"point": p.index, "line": p.method, "label": p.label, "place": p.place}
        | {c: p.mean(c) for c in places}
        | {f"{m.column}{end}": v for m in measures for end, v in
           (("", p.mean(m.column)), ("_sd", p.sd(m.column)))}
        | {"repeats": len(p.rows), "standing": p.standing}
        for p in summary.points
    ]  # fmt: skip
    energy = [
        {"point": p.index, "label": p.label, "power_w": p.mean("power_w")}
        | {f"power_{c}_w": p.mean(f"power_{c}_w") for c in COMPONENTS}
        for p in summary.points
    ]
    tables = {"fidelity": fidelity, "energy": energy}
    ranked = [row for board in leaderboard.boards(run, summary) for row in _ranked(board)]
    if ranked:
        tables["leaderboard"] = ranked
    files.make_folder(folder / "figures")
    written = []
    for name, rows in tables.items():
        written.append(folder / "figures" / f"{name}.csv")
        files.write_text(written[-1], _csv(rows))
    return written


def _ranked(board: Board) -> Iterable[dict[str, Any]]:
    for rank, s in enumerate(board.standings, 1):
        column = board.metric.column
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


def _csv(rows: Sequence[dict[str, Any]]) -> str:
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


def markdown(table: Table) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(cell(h) for h in table.headings) + " |"]
    lines.append("|" + " --- |" * len(table.headings))
    lines += ["| " + " | ".join(cell(c.text) for c in row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    flat = " ".join(clean(text).split())
    for mark in "\\`*_[]<>|#":
        flat = flat.replace(mark, f"\\{mark}") if mark != "<" else flat.replace(mark, "&lt;")
    return flat

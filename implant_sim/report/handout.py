"""What a run hands out beside its page: a summary in Markdown."""

from __future__ import annotations

from pathlib import Path

from implant_sim import files
from implant_sim.report import leaderboard, words
from implant_sim.report.cells import Table
from implant_sim.report.load import Run, clean
from implant_sim.report.summary import Summary
from implant_sim.report.tables import results

__all__ = ["cell", "markdown", "write_summary"]

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

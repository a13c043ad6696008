"""All that the figures of a run and their numbers are made from, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from implant_sim.report.activity import Example, examples
from implant_sim.report.load import Run, load_run
from implant_sim.report.priced import Counted, Swing, counted, swings
from implant_sim.report.summary import Summary, summarise

__all__ = ["Gathered", "gather"]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A run folder, and what is looked at in it."""

    run: Run
    summary: Summary
    known: Mapping[int, Counted]
    """Points whose power can be priced anew, by index."""
    looked_at: Counted | None
    """The one whose numbers are looked at: the cheapest of the best, or the dearest of all."""
    swings: tuple[Swing, ...]
    """What each of its numbers moves, the most first."""
    shown: tuple[Example, ...]
    """Points whose activity is looked at."""


def gather(folder: Path) -> Gathered:
    """Read a run folder.

    Raises
    ------
    DataError
        If it is none.
    """
    run = load_run(folder)
    summary = summarise(run)
    known = counted(run, summary)
    looked_at = _chosen(summary, known)
    moved = () if looked_at is None else tuple(swings(looked_at))
    return Gathered(run, summary, known, looked_at, moved, tuple(examples(run, summary)))


def _chosen(summary: Summary, known: Mapping[int, Counted]) -> Counted | None:
    thrifty = summary.thrifty
    if thrifty is not None and thrifty.index in known:
        return known[thrifty.index]
    return max(known.values(), key=lambda c: c.point.mean("power_w"), default=None)

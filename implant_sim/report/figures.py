"""All figures of a run, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from implant_sim.report import activity, bars, curves
from implant_sim.report.load import Run, load_run
from implant_sim.report.priced import Counted, counted, swings
from implant_sim.report.search_figure import search_figure
from implant_sim.report.style import draw
from implant_sim.report.summary import Summary, summarise
from implant_sim.report.tornado import tornado_bars

__all__ = ["chosen", "draw_all", "figures"]


def figures(folder: Path) -> dict[str, str]:
    """Draw the figures of a run.

    Parameters
    ----------
    folder : pathlib.Path
        A run folder.

    Returns
    -------
    dict of str to str
        SVG documents: ``fidelity``, ``further``, ``search``, ``energy``, ``tornado``, ``raster``,
        ``rates``, ``behaviour``, as far as the run has something to show.

    Raises
    ------
    DataError
        If this is no run folder.
    """
    run = load_run(folder)
    summary = summarise(run)
    known = counted(run, summary)
    return {name: svg.decode() for name, svg in draw_all(run, summary, known, "svg").items()}


def draw_all(
    run: Run, summary: Summary, known: Mapping[int, Counted], kind: Literal["svg", "png"]
) -> dict[str, bytes]:
    """Draw what there is to show, as files of one kind."""
    looked_at = chosen(summary, known)
    shown = activity.examples(run, summary)
    makers: dict[str, Callable[[], Figure | None]] = {
        "fidelity": lambda: curves.fidelity_curves(summary),
        "further": lambda: curves.further_metrics(summary),
        "search": lambda: search_figure(run.search),
        "energy": lambda: bars.energy_bars(summary),
        "tornado": lambda: (
            None if looked_at is None else tornado_bars(looked_at.point, swings(looked_at))
        ),
        "raster": lambda: activity.raster(shown),
        "rates": lambda: activity.rates(shown),
        "behaviour": lambda: activity.behaviour(shown, summary),
    }
    drawn = {name: draw(make, kind) for name, make in makers.items()}
    return {name: image for name, image in drawn.items() if image is not None}


def chosen(summary: Summary, known: Mapping[int, Counted]) -> Counted | None:
    """The point whose numbers are looked at: the cheapest of the best, or the dearest of all."""
    thrifty = summary.thrifty
    if thrifty is not None and thrifty.index in known:
        return known[thrifty.index]
    return max(known.values(), key=lambda c: c.point.mean("power_w"), default=None)

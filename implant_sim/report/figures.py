"""All figures of a run, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from implant_sim.report import activity, bars, curves
from implant_sim.report.gathered import Gathered, gather
from implant_sim.report.search_figure import search_figure
from implant_sim.report.style import draw
from implant_sim.report.tornado import tornado_bars

__all__ = ["draw_all", "figures"]


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
    return {name: svg.decode() for name, svg in draw_all(gather(folder), "svg").items()}


def draw_all(of: Gathered, kind: Literal["svg", "png"]) -> dict[str, bytes]:
    """Draw what there is to show, as files of one kind."""
    makers: dict[str, Callable[[], Figure | None]] = {
        "fidelity": lambda: curves.fidelity_curves(of.summary),
        "further": lambda: curves.further_metrics(of.summary),
        "search": lambda: search_figure(of.run.search, of.summary.measures),
        "energy": lambda: bars.energy_bars(of.summary),
        "tornado": lambda: (
            None if of.looked_at is None else tornado_bars(of.looked_at.point, of.swings)
        ),
        "raster": lambda: activity.raster(of.shown),
        "rates": lambda: activity.rates(of.shown),
        "behaviour": lambda: activity.behaviour(of.shown, of.summary),
    }
    drawn = {name: draw(make, kind) for name, make in makers.items()}
    return {name: image for name, image in drawn.items() if image is not None}

"""Hardware only: what each point of a study costs, without a decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from implant_sim.study.rows import energy_rows, hardware_row
from implant_sim.study.run import acquisition
from implant_sim.study.scenario import Study
from implant_sim.study.sweep import axes_text
from sbtt_models.spec import SpecError

__all__ = ["Budget", "budgets"]


@dataclass(frozen=True, slots=True)
class Budget:
    """The power of one point."""

    point: int
    axes: dict[str, Any]
    title: str
    row: dict[str, Any]
    """Columns of the results table that need no decoder, and the status."""
    energy: list[dict[str, Any]]
    """Rows of the energy table."""
    error: str = ""


def budgets(study: Study) -> Iterator[Budget]:
    """Price each point once, with the first repeat's random draws.

    Yields
    ------
    Budget
        With status ``infeasible`` where schedule and implant do not fit together.

    Raises
    ------
    DataError
        If a recording cannot be read.
    """
    for point in study.points:
        title = f"point {point.index}: {axes_text(point.axes) or study.name}"
        try:
            got = acquisition(point.scenario, 0, study.root)
        except SpecError as error:
            row = {"status": "infeasible"}
            yield Budget(point.index, point.axes, title, row, [], str(error))
            continue
        held_in = got.offered.held_in
        row = {"status": "ok"} | hardware_row(held_in, got.activity, got.ledger, got.verdict)
        yield Budget(point.index, point.axes, title, row, energy_rows(got.ledger))

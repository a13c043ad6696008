"""Cells and tables: numbers as people read them, each with the value that it sorts by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from implant_sim.report.style import unit
from implant_sim.report.summary import Point

__all__ = ["Cell", "Table", "cell_of", "quantity", "spread"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is shown, and the number that sorts it."""

    text: str
    value: float | None = None
    """None sorts by text."""
    kind: str = ""
    """Style: "good", "bad", "muted" or none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def quantity(value: float, base: str, digits: int = 3) -> str:
    """A number with a suitable prefix; a dash where there is none.

    Examples
    --------
    >>> quantity(3.2e-3, "W"), quantity(float("nan"), "W")
    ('3.2 mW', '–')
    """
    if not math.isfinite(value):
        return "–"
    factor, name = unit([value], base)
    return f"{value / factor:.{digits}g} {name}".rstrip()


def spread(point: Point, column: str, base: str = "", digits: int = 3) -> Cell:
    """Mean and standard deviation over repeats."""
    mean, sd = point.mean(column), point.sd(column)
    if not math.isfinite(mean):
        return Cell("–", -math.inf, "muted")
    if base:
        return Cell(quantity(mean, base), mean)
    text = f"{mean:.{digits}f}" if abs(mean) < 1000 else f"{mean:.4g}"
    return Cell(text + (f" ± {sd:.{digits}f}" if math.isfinite(sd) else ""), mean)


def cell_of(point: Point, column: str, base: str) -> Cell:
    """The mean over repeats, in its unit; ``%`` of a fraction."""
    mean = point.mean(column)
    if not math.isfinite(mean):
        return Cell("–", -math.inf, "muted")
    if base == "%":
        return Cell(f"{100 * mean:.3g} %", mean)
    return Cell(quantity(mean, base) if base else f"{mean:.4g}", mean)

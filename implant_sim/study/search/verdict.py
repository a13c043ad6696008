"""What came of a point, as a search looks at it: objectives, and how far limits are broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from implant_sim.study.expression import Chain, Condition, Literal, Name

__all__ = ["mean_row", "objectives_of", "violation_of"]


def mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over repeats; what is no number is taken from the first."""
    first = dict(rows[0])
    for name, value in first.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            values = [row.get(name) for row in rows]
            known = [v for v in values if isinstance(v, int | float)]
            first[name] = float(np.mean(known)) if len(known) == len(values) else None
    return first


def objectives_of(row: Mapping[str, Any], objectives: Mapping[str, str]) -> list[float]:
    """Values to be minimised; empty if one is not known."""
    found = []
    for column, way in objectives.items():
        value = row.get(column)
        if not isinstance(value, int | float) or not np.isfinite(value):
            return []
        found.append(float(value) if way == "min" else -float(value))
    return found


def violation_of(row: Mapping[str, Any], conditions: Iterable[Condition]) -> float:
    """0 where all hold; else the sum of how far each is broken, relative to its bound."""
    return sum(_broken(row, condition) for condition in conditions)


def _broken(row: Mapping[str, Any], condition: Condition) -> float:
    if condition.holds(row.get):
        return 0.0
    match condition.root:
        case Chain((Name(column), Literal(bound)), _):
            value = row.get(column)
            if isinstance(value, int | float) and isinstance(bound, int | float):
                return max(abs(value - bound) / (abs(bound) or 1.0), 1e-9)
    return 1.0

"""What came of a point, as a search looks at it: objectives, and how far limits are broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from implant_sim.study.expression import (
    AllOf,
    Chain,
    Condition,
    Literal,
    Name,
    parse_condition,  # noqa: F401 - of the examples
)
from sbtt_models.units import measure

__all__ = ["broken_in", "mean_row", "number_of", "objectives_of", "room_of", "violation_of"]


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
        value = number_of(row.get(column))
        if value is None:
            return []
        found.append(value if way == "min" else -value)
    return found


def violation_of(row: Mapping[str, Any], conditions: Iterable[Condition]) -> float:
    """0 where all hold; else the sum of how far each is broken, relative to its bound."""
    return sum(_broken(row, condition) for condition in conditions)


def broken_in(row: Mapping[str, Any], conditions: Iterable[Condition]) -> str:
    """The conditions that do not hold, for people; empty where all do."""
    return " and ".join(f"not {c.text}" for c in conditions if not c.holds(row.get))


def _broken(row: Mapping[str, Any], condition: Condition) -> float:
    if condition.holds(row.get):
        return 0.0
    room = room_of(row, condition)
    return 1.0 if room is None else max(-room, 1e-9)


def room_of(row: Mapping[str, Any], condition: Condition) -> float | None:
    """What is left to the bound, as a share of it; below 0 beyond it.

    Parameters
    ----------
    row : mapping
        Columns and keys, with their values.
    condition : Condition

    Returns
    -------
    float or None
        To a bound of 0 the distance itself. Of several conditions in one the least room. None
        where a column has no value, or for what compares no number with a bound.

    Examples
    --------
    >>> room_of({"heat_k": 0.25}, parse_condition("heat_k < 1 K"))
    0.75
    """
    return _room(row, condition.root)


def _room(row: Mapping[str, Any], node: Any) -> float | None:
    match node:
        case AllOf(parts):
            rooms = [_room(row, part) for part in parts]
            return None if None in rooms else min(room for room in rooms if room is not None)
        case Chain((Name(column), Literal(bound)), ("<" | "<=" | ">" | ">=" as operator,)):
            value, bound = number_of(row.get(column)), number_of(bound)
            if value is None or bound is None:
                return None
            side = 1.0 if operator.startswith("<") else -1.0
            return side * (bound - value) / (abs(bound) or 1.0)
    return None


def number_of(value: Any) -> float | None:
    """A number, or a quantity in SI; None for anything else, and what is not finite."""
    found = measure(value) if isinstance(value, str) else (value, None)
    number = None if found is None else found[0]
    if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
        return None
    return float(number)

"""Columns that a search may look at, and the unit that each is in."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from implant_sim.study.expression import Chain, Condition, Literal, Name
from implant_sim.study.faults import nearest
from implant_sim.study.tables import EXTRA, RESULTS
from implant_sim.study.yaml_loader import printable
from sbtt_models.errors import SpecError
from sbtt_models.units import measure, to_si

__all__ = ["condition_checked", "objective_checked"]

_TEXTS = (
    "scenario", "status", "recording", "implant", "decoder", "schedule", "within_limits",
    "limited_by", "behaviour", "decoded_by", "started_from",
)  # fmt: skip
_KNOWN = (*RESULTS, *EXTRA)
_ONE_OF_SEVERAL = re.compile(r"velocity_r2_\d+")
_UNITS = {
    "_w_m2": "W/m2", "_w": "W", "_k": "K", "_bps": "bit/s", "_hz": "Hz", "_s": "s", "_j": "J",
    "_h": "h",
}  # fmt: skip
"""What the end of a column's name says, longer ends first."""


def condition_checked(condition: Condition, keys: Collection[str]) -> Condition:
    """The condition, with quantities in the units of the columns that they are compared with.

    Parameters
    ----------
    condition : Condition
        As read.
    keys : collection of str
        Dotted keys that the space varies, which a condition may name, too.

    Raises
    ------
    SpecError
        For a name that is neither column nor key, and for a quantity of another dimension than its
        column.

    Examples
    --------
    >>> from implant_sim.study.expression import parse_condition
    >>> checked = condition_checked(parse_condition("battery_h > 2 d"), ())
    >>> checked.holds({"battery_h": 47.0}.get)
    False
    """
    for name in condition.names:
        _refuse_unknown(name, keys)
    return replace(condition, root=_in_units(condition.root, condition.text))


def objective_checked(name: str, keys: Collection[str]) -> str:
    """An objective that has a number for each point.

    Raises
    ------
    SpecError
        For what is neither column nor key, and for columns of text.
    """
    _refuse_unknown(name, keys)
    if name in _TEXTS and name not in keys:
        raise SpecError(f"column {name} holds no number; put it into a condition instead")
    return name


def _refuse_unknown(name: str, keys: Collection[str]) -> None:
    if name not in _KNOWN and name not in keys and not _ONE_OF_SEVERAL.fullmatch(name):
        raise SpecError(
            f"{printable(name)!r} is no column of results.csv and no key that the space varies"
            f"{nearest(name, [*_KNOWN, *keys])}; put text in quotes"
        )


def _in_units(node: Any, text: str) -> Any:
    if not isinstance(node, Chain):
        for part in ("parts", "inner"):
            if hasattr(node, part):
                inside = getattr(node, part)
                new = (
                    tuple(_in_units(one, text) for one in inside)
                    if isinstance(inside, tuple)
                    else _in_units(inside, text)
                )
                return replace(node, **{part: new})
        return node
    units = {_unit_of(v.key) for v in node.values if isinstance(v, Name)} - {None}
    if len(units) != 1:  # nothing known, or columns compared with each other
        return node
    (unit,) = units
    return replace(node, values=tuple(_in_unit(value, str(unit), text) for value in node.values))


def _in_unit(value: Any, unit: str, text: str) -> Any:
    written = value.value if isinstance(value, Literal) else None
    if not isinstance(written, str) or measure(written) is None:
        return value
    try:
        number = to_si(written, "s" if unit == "h" else unit)
    except ValueError as error:
        raise SpecError(f"{text!r}: {error}") from None
    return Literal(number / to_si("1 h", "s") if unit == "h" else number)


def _unit_of(name: str) -> str | None:
    """The unit of a column; empty for pure numbers, None for text and for dotted keys."""
    if name in _TEXTS or (name not in _KNOWN and not _ONE_OF_SEVERAL.fullmatch(name)):
        return None
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")

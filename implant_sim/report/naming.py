"""Names of points and of the lines that join them, from what a sweep varied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from implant_sim.report.load import clean
from sbtt_models.units import to_si

__all__ = ["Axis", "Name", "name_points", "numeric", "read_axis"]

_NAMES = ("schedule", "decoder", "implant", "recording")
_PLACES = ("schedule.bandwidth", "schedule.fraction", "schedule.power")
"""Axes that the column of bandwidths tells better."""
_TRAILING_NUMBER = re.compile(r"[\s,(]*[~≈]?\d[\d.,]*\s*(%|channels|ch|of\s+\d+)?\)?\s*$")
_MAX_LINES = 9


# what a swept number may be in; the first in which all values of a column can be read
_BASES = (
    "", "s", "Hz", "V", "A", "W", "J", "ohm", "bit/s", "bit", "F", "C", "K", "m", "m2", "W/m2",
)  # fmt: skip
_SHOWN = {"ohm": "Ω", "m2": "m²", "W/m2": "W/m²"}
_CAPITALS = {"adc": "ADC", "nef": "NEF", "pef": "PEF", "enob": "ENOB"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept number that places the points along their line."""

    column: str
    label: str
    """What it is called, in words."""
    base: str
    """Its unit, without prefix; empty for a pure number."""
    values: Float[np.ndarray, " row"]
    """In `base`, one for each point."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a point is called."""

    method: str
    """Shared by the points of one line; empty where there is only one line."""
    label: str
    """Its own."""


def numeric(column: pd.Series) -> pd.Series:
    """The numbers of a column; NaN where there is none."""
    return pd.to_numeric(column, errors="coerce")


def read_axis(firsts: pd.DataFrame, column: str) -> Axis | None:
    """Read a column of numbers, or of numbers with a unit such as ``5 ms``; None for words."""
    if pd.api.types.is_bool_dtype(firsts[column]):
        return None
    numbers = numeric(firsts[column]).to_numpy(float)
    base = ""
    if not np.isfinite(numbers).all():
        texts = [clean(v) for v in firsts[column]]
        found = next(((b, v) for b in _BASES if (v := _in_unit(texts, b)) is not None), None)
        if found is None:
            return None
        base, numbers = found
    return Axis(column, _title(column), _SHOWN.get(base, base), numbers)


def _in_unit(texts: list[str], base: str) -> Float[np.ndarray, " row"] | None:
    try:
        return np.array([to_si(text, base) for text in texts])
    except ValueError:
        return None


def _title(column: str) -> str:
    """The name of an axis: ``implant.adc.sample_rate`` is the ADC sample rate."""
    parts = [p for p in clean(column).split(".") if p not in ("implant", "schedule", "recording")]
    words = [_CAPITALS.get(w, w) for part in parts for w in part.split("_") if w]
    text = " ".join(words) or clean(column)
    return text[:1].upper() + text[1:]


def name_points(firsts: pd.DataFrame, axes: tuple[str, ...]) -> tuple[list[Name], Axis | None]:
    """Name points by what varies between them.

    What varies in words (schedule, decoder, a label of the sweep) makes lines; numbers are
    places along a line: the bandwidth, or the swept number with the most values where the
    bandwidth was not what was swept. A label such as ``"random 25 %"`` loses its number, as long
    as no two points of a line then stand in the same place.

    Parameters
    ----------
    firsts : pandas.DataFrame
        One row for each point.
    axes : tuple of str
        Columns that the sweep varied.

    Returns
    -------
    list of Name
        One for each point.
    Axis or None
        What places points along their lines; None where the bandwidth does, or nothing.
    """
    varies = [str(c) for c in firsts if firsts[c].nunique(dropna=False) > 1]
    columns = _telling(firsts, varies, axes)
    swept = (read_axis(firsts, c) for c in columns if c not in _NAMES)
    numbers = [axis for axis in swept if axis is not None]
    read = {axis.column for axis in numbers}
    rows = [row for _, row in firsts.iterrows()]
    words = [[_said(row[c]) for c in columns if c not in read] for row in rows]
    whole = [" · ".join(parts) for parts in words]
    short = [" · ".join(_without_number(part) for part in parts) for parts in words]
    details = [", ".join(_detail(axis, row) for axis in numbers) for row in rows]
    by_band = "bandwidth" in varies
    swept_band = any(c in axes and c in varies for c in _PLACES)
    if numbers and not swept_band:
        found = _along_numbers(whole, short, details, numbers, by_band, rows)
        if found is not None:
            return found
    bands = [f"{row['bandwidth']:g} ch" if by_band else "" for row in rows]
    methods = short if _apart(short, bands, details) else whole
    lines = [_joined(m, d) for m, d in zip(methods, details, strict=True)]
    if by_band and numbers and len(set(lines)) <= _MAX_LINES:
        methods, details = lines, [""] * len(rows)
    return [
        Name(m, _joined(m, b, d) or _only(row))
        for m, b, d, row in zip(methods, bands, details, rows, strict=True)
    ], None


def _telling(firsts: pd.DataFrame, varies: list[str], axes: tuple[str, ...]) -> list[str]:
    """Columns that tell points apart; schedule.kind, when swept, only repeats the schedule."""
    columns = list[str]()
    for c in dict.fromkeys([*_NAMES, *axes]):
        if (
            c in varies
            and c not in _PLACES
            and not any(firsts[c].equals(firsts[k]) for k in columns)
        ):
            columns.append(c)
    return _without_repeated(firsts, columns)


def _without_repeated(firsts: pd.DataFrame, columns: list[str]) -> list[str]:
    """Leave out axes that a name already tells, as where both were zipped.

    A number stays unless another one is left to place the points.
    """
    names = [c for c in columns if c in _NAMES]
    told = [c for c in columns if c not in names and any(_tells(firsts, n, c) for n in names)]
    numbers = [c for c in columns if c not in _NAMES and read_axis(firsts, c) is not None]
    spare = any(c not in told for c in numbers)
    return [c for c in columns if c not in told or (c in numbers and not spare)]


def _tells(firsts: pd.DataFrame, name: str, column: str) -> bool:
    """Whether all points of one name have one value."""
    return bool((firsts.groupby(name, dropna=False)[column].nunique(dropna=False) == 1).all())


def _along_numbers(
    whole: list[str],
    short: list[str],
    details: list[str],
    numbers: list[Axis],
    by_band: bool,
    rows: list[pd.Series],
) -> tuple[list[Name], Axis] | None:
    """Names where a swept number is the place; None where it does not tell the points apart."""
    if _apart(short, details):
        methods = whole if len(set(whole)) == len(set(short)) else short
    elif _apart(whole, details) and not by_band:
        methods = whole
    else:
        return None
    axis = max(numbers, key=lambda n: len(set(n.values.tolist())))
    others = [n for n in numbers if n is not axis]
    along = [", ".join(_detail(n, row) for n in others) for row in rows]
    lines = [_joined(m, o) for m, o in zip(methods, along, strict=True)]
    labels = [_joined(w, d) for w, d in zip(whole, details, strict=True)]
    methods = lines if len(set(lines)) <= _MAX_LINES else methods
    return [Name(m, label) for m, label in zip(methods, labels, strict=True)], axis


def _apart(*columns: list[str]) -> bool:
    """Whether no two points agree in all of these."""
    return len(set(zip(*columns, strict=True))) == len(columns[0])


def _detail(axis: Axis, row: pd.Series) -> str:
    return f"{axis.column.split('.')[-1].replace('_', ' ')} {_said(row[axis.column])}"


def _only(row: pd.Series) -> str:
    """What to call a point that has no rival."""
    return _said(row["schedule"]) if pd.notna(row.get("schedule")) else "this point"


def _said(value: Any) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:g}" if isinstance(value, float) else clean(value).replace("_", " ")


def _without_number(value: Any) -> str:
    said = _said(value)
    return _TRAILING_NUMBER.sub("", said) or said


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))

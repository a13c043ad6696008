"""Names of points and of the lines that join them, from what a sweep varied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from implant_sim.report.load import clean

__all__ = ["Name", "name_points", "numeric"]

_PLACES = ("schedule.bandwidth", "schedule.fraction")  # the bandwidth column says it better
_TRAILING_NUMBER = re.compile(r"[\s,(]*[~≈]?\d[\d.,]*\s*(%|channels|ch|of\s+\d+)?\)?\s*$")
_MAX_LINES = 9


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


def name_points(firsts: pd.DataFrame, axes: tuple[str, ...]) -> list[Name]:
    """Name points by what varies between them.

    What varies in words (schedule, decoder, a label of the sweep) makes lines; numbers are
    places along a line. A label such as ``"random 25 %"`` loses its number, as long as no two
    points of a line then stand in the same place.

    Parameters
    ----------
    firsts : pandas.DataFrame
        One row for each point.
    axes : tuple of str
        Columns that the sweep varied.
    """
    varies = [c for c in firsts if firsts[c].nunique(dropna=False) > 1]
    candidates = dict.fromkeys(["schedule", "decoder", "implant", "recording", *axes])
    columns = list[str]()
    for c in candidates:  # schedule.kind, when swept, only repeats the column schedule
        if (
            c in varies
            and c not in _PLACES
            and not any(firsts[c].equals(firsts[k]) for k in columns)
        ):
            columns.append(c)
    words = [c for c in columns if numeric(firsts[c]).isna().any()]
    numbers = [c for c in columns if c not in words]
    rows = [row for _, row in firsts.iterrows()]
    whole = [" · ".join(_said(row[c]) for c in words) for row in rows]
    short = [" · ".join(_without_number(row[c]) for c in words) for row in rows]
    by_band = "bandwidth" in varies
    bands = [f"{row['bandwidth']:g} ch" if by_band else "" for row in rows]
    details = [", ".join(f"{c.split('.')[-1]} {_said(row[c])}" for c in numbers) for row in rows]
    places = list(zip(short, bands, details, strict=True))
    methods = short if len(set(places)) == len(rows) else whole
    lines = [_joined(m, d) for m, d in zip(methods, details, strict=True)]
    if by_band and numbers and len(set(lines)) <= _MAX_LINES:
        methods, details = lines, [""] * len(rows)
    return [
        Name(m, _joined(m, b, d) or _only(row))
        for m, b, d, row in zip(methods, bands, details, rows, strict=True)
    ]


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

"""A run folder as the report sees it; what is missing or damaged is left out, not guessed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from implant_sim.study.store import RunFolder
from sbtt_models.errors import DataError

__all__ = ["Run", "clean", "load_run"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TEXT = ("scenario", "status", "recording", "implant", "decoder", "schedule", "limited_by")
_MAX_TEXT = 200_000


def clean(value: object) -> str:
    """Text for people: no control characters, no reversed writing, no formula guard."""
    text = _CONTROL.sub("", str(value))
    return text[1:] if re.match(r"'[=+\-@\t\r]", text) else text


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a run folder holds."""

    folder: Path
    results: pd.DataFrame
    """results.csv: one row for each point and repeat."""
    energy: pd.DataFrame
    """energy.csv: one row for each point, repeat, component and action."""
    axes: tuple[str, ...]
    """Columns that the sweep varied."""
    scenario: str
    """scenario.yaml."""
    meta: dict[str, Any]
    """run.json."""
    keys: dict[tuple[int, int], str]
    """(point, repeat) -> the point's folder."""
    search: dict[str, Any] = field(default_factory=dict)
    """search.json; empty without a search."""

    @property
    def name(self) -> str:
        """The scenario's name."""
        names = self.results["scenario"].dropna()
        return clean(names.iloc[0]) if len(names) else self.folder.name

    def arrays(self, point: int, repeat: int) -> dict[str, Shaped[np.ndarray, " ..."]] | None:
        """Arrays of a point; None where there are none to be read."""
        key = self.keys.get((point, repeat))
        if key is None:
            return None
        try:
            arrays, _ = RunFolder(self.folder).arrays(key)
        except DataError:
            return None
        needed = {"counts", "observed", "rates", "lengths", "split/test"}
        return arrays if needed <= set(arrays) else None


def load_run(folder: Path) -> Run:
    """Read the tables of a run folder.

    Raises
    ------
    DataError
        If there is no results.csv with points in it.
    """
    path = folder / "results.csv"
    if not path.is_file():
        raise DataError(f"{folder}: no results.csv; give the folder of a run")
    results = _table(path)
    if results.empty or not {"point", "repeat", "status"} <= set(results):
        raise DataError(f"{path}: no points; has the run written any?")
    for name in ("scenario", "within_limits", "power_w"):
        if name not in results:
            results[name] = None
    for name in _TEXT:
        if name in results:
            results[name] = results[name].map(lambda v: None if pd.isna(v) else clean(v))
    results["within_limits"] = results["within_limits"].map(_truth)
    energy = folder / "energy.csv"
    entries = RunFolder(folder).entries()
    axes = dict.fromkeys(axis for entry in entries for axis in entry.axes if axis in results)
    dotted = dict.fromkeys(str(c) for c in results if "." in str(c))
    return Run(
        folder,
        results,
        _table(energy) if energy.is_file() else pd.DataFrame(),
        tuple(axes or dotted),
        _text(folder / "scenario.yaml"),
        _json(folder / "run.json"),
        {(e.point, e.repeat): e.key for e in entries},
        _json(folder / "search.json"),
    )


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error


def _truth(value: object) -> bool | None:
    text = str(value).strip().lower()
    return {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}.get(
        text
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_MAX_TEXT]
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

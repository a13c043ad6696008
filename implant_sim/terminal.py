"""What the command prints: data on stdout, complaints on stderr, no control characters."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["complain", "print_budget", "print_json", "print_results", "rows", "say"]

_SHOWN = (
    "status", "power_w", "heat_k", "within_limits", "rate_r2_expected", "bits_per_spike_all",
    "velocity_r2", "train_s",
)  # fmt: skip


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of rows."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def print_json(value: Any) -> None:
    """JSON on stdout; what is not finite becomes null."""
    typer.echo(json.dumps(_plain(value), indent=1, allow_nan=False, ensure_ascii=True))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(text: str) -> None:
    """Data, on stdout."""
    typer.echo(_printable(text))


def complain(text: str) -> None:
    """Errors and warnings, on stderr."""
    typer.echo(_printable(text), err=True)


def _printable(text: str) -> str:
    from implant_sim.study.yaml_loader import printable

    return "\n".join(printable(line) for line in text.split("\n"))


def print_results(results: pd.DataFrame, axes: Iterable[str]) -> None:
    """The results table, by the columns that people look at first."""
    kept = [c for c in _SHOWN if c == "status" or results[c].notna().any()]
    _print_table(["point", "repeat", *axes, *kept], rows(results))


def print_budget(
    title: str, row: Mapping[str, Any], energy: Sequence[Mapping[str, Any]], error: str
) -> None:
    """The ledger of one point, and its sums."""
    say(title)
    if error:
        say(f"  {row['status']}: {error}")
        return
    _print_table(["component", "action", "count", "price_j", "energy_j", "source"], energy, "  ")
    for name, value in row.items():
        if value is not None and name not in ("status", "point", "repeat"):
            say(f"  {name}: {_cell(value)}")
    say("")


def _print_table(columns: list[str], rows: Iterable[Mapping[str, Any]], indent: str = "") -> None:
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        say(indent + "  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

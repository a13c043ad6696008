"""What the command prints: data on stdout, complaints on stderr, no control characters."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from implant_sim.hardware.sensitivity import Tornado
    from implant_sim.study.expand import Skipped
    from implant_sim.study.silicon import Scored

__all__ = [
    "cell",
    "complain",
    "duration",
    "json_text",
    "print_budget",
    "print_budgets",
    "print_fit",
    "print_json",
    "print_json_list",
    "print_results",
    "print_silicon",
    "print_skipped",
    "print_table",
    "print_tornado",
    "rows",
    "say",
]

_SHOWN = (
    "status", "power_w", "power_p10_w", "power_p90_w", "heat_k", "within_limits",
    "rate_r2_expected", "bits_per_spike_all", "velocity_r2", "train_s",
)  # fmt: skip


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of rows."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def print_json(value: Any) -> None:
    """JSON on stdout; what is not finite becomes null."""
    typer.echo(json.dumps(_plain(value), indent=1, allow_nan=False, ensure_ascii=True))


def json_text(value: Any) -> str:
    """The same on one line."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError):  # numpy's numbers, or what is not finite
        return json.dumps(_plain(value), allow_nan=False, ensure_ascii=True)


def print_json_list(head: Mapping[str, Any], name: str, texts: Sequence[str]) -> None:
    """An object on stdout that ends in a list, of which each entry has a line of its own."""
    begin = json_text(head).removesuffix("}")
    typer.echo(f"{begin}, {json.dumps(name)}: [\n" + ",\n".join(texts) + "\n]}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def duration(seconds: float) -> str:
    """A time for people, rounded."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


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
    print_table(["point", "repeat", *axes, *kept], rows(results))


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """How many points each condition left out, on stderr."""
    for condition, n in Counter(point.condition for point in skipped).items():
        complain(f"skipped: {n} points, where {condition}")


def print_budget(
    title: str, row: Mapping[str, Any], energy: Sequence[Mapping[str, Any]], error: str
) -> None:
    """The ledger of one point, and its sums."""
    say(title)
    if error:
        say(f"  {row['status']}: {error}")
        return
    print_table(["component", "action", "count", "price_j", "energy_j", "source"], energy, "  ")
    for name, value in row.items():
        if value is not None and name not in ("status", "point", "repeat"):
            say(f"  {name}: {cell(value)}")
    say("")


def print_budgets(points: Sequence[Mapping[str, Any]], axes: Iterable[str]) -> None:
    """Many points, a line each."""
    columns = (
        "status", "power_w", "power_p10_w", "power_p90_w", "heat_k", "link_rate_bps", "latency_s",
        "within_limits", "limited_by", "margin", "error",
    )  # fmt: skip
    kept = [name for name in columns if any(point.get(name) not in (None, "") for point in points)]
    print_table(["point", *axes, *kept], points)


def print_tornado(found: Tornado) -> None:
    """What each number of the implant moves by itself, the most first."""
    ends = ("low", "high")
    columns = ["parameter", "range", *(f"{end} {name}" for end in ends for name in (
        "value", "power_w", "heat_k", "margin"))]  # fmt: skip
    table = [
        {"parameter": bar.key, "range": bar.range}
        | {f"{end} {k}": v for end in ends for k, v in asdict(getattr(bar, end)).items()}
        for bar in found.bars
    ]
    print_table(columns, table, "  ")
    say(f"  moves the verdict's margin most: {found.limiting}")
    say(f"  turns the verdict by itself: {', '.join(found.deciding) or 'none'}")
    say("")


def print_fit(found: Mapping[str, Any]) -> None:
    """A fitted implant: factors, new values, and what is left over."""
    print_table(["parameter", "factor", "value"], found["parameters"])
    print_table(["component", "measured_w", "before_w", "after_w", "log10_ratio"], found["fit"])
    say(f"written: {found['out']}")


def print_silicon(scored: Scored) -> None:
    """The chips, predicted and published, and how well that went."""
    columns = ["id", "scope", "predicted_w", "low_w", "high_w", "published_w", "log10_ratio"]
    given = [asdict(row) for row in scored.devices]
    print_table(columns, (row for row in given if row["predicted_w"] is not None))
    for row in given:
        if row["predicted_w"] is None:
            say(f"{row['id']}: not predicted: {row['reason']}")
    for name, value in scored.summary.items():
        if isinstance(value, int | float):
            say(f"{name}: {cell(value)}")
    for name, ratio in scored.summary["identities"].items():
        say(f"{name}: follows from its own cells, so not scored: log10 ratio {cell(ratio)}")
    for name, bound in scored.summary["upper_bounds"].items():
        verdict = "within" if bound["consistent"] else "not within"
        say(f"{name}: published as an upper bound, so not scored; {verdict} the band")
    say(f"priors: {', '.join(scored.summary['priors']['rows'])}")


def print_table(columns: list[str], rows: Iterable[Mapping[str, Any]], indent: str = "") -> None:
    """Rows under their headings, as wide as they need."""
    lines = [columns, *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (f"{text:<{width}}" for text, width in zip(line, widths, strict=True))
        say(indent + "  ".join(cells).rstrip())


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

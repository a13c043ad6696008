"""Points that one implant and schedule stand behind: their power and limits are shown once."""

from __future__ import annotations

from dataclasses import replace

from implant_sim.report.summary import Point, Summary

__all__ = ["designs"]

_TOLD = (
    "implant", "schedule", "recording", "bandwidth", "sampled_fraction", "heat_k", "flux_w_m2",
    "battery_h", "link_rate_bps", "latency_s", "margin", "within_limits", "limited_by",
    "packet_loss", "coverage", "revisit_gap_mean_s", "revisit_gap_max_s", "coverage_gini",
    "switch_hz", "valid_fraction", "side_info_bps", "detection_probability", "false_hz",
)  # fmt: skip


def designs(summary: Summary) -> list[Point]:
    """One point for all that differ only in what follows the implant, as in their decoders.

    It has the standing of the best of them, and is called by what their labels share.
    """
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point in summary.points:
        groups.setdefault(_key(point), []).append(point)
    named = [(_shared([p.label for p in points]), points) for points in groups.values()]
    labels = [label for label, _ in named]
    return [
        points[0]
        if len(points) == 1
        else replace(
            _foremost(points),
            label=label if label and labels.count(label) == 1 else _listed(points),
        )
        for label, points in named
    ]


def _key(point: Point) -> tuple[str, ...]:
    """All that is told of the implant, repeat by repeat."""
    return tuple(
        f"{row['repeat']} {name} {row[name]}"
        for row in point.rows
        for name in sorted(row)
        if name in _TOLD or name.startswith("power_")
    )


def _foremost(points: list[Point]) -> Point:
    return next((p for p in points if p.standing == "front"), points[0])


def _shared(labels: list[str]) -> str:
    parts = [label.split(" · ") for label in labels]
    return " · ".join(part for part in parts[0] if all(part in others for others in parts))


def _listed(points: list[Point]) -> str:
    more = len(points) - 1
    return f"{points[0].label} and {more} other{'s' if more > 1 else ''}"

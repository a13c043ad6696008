"""How the schedule covers the array and what the detector finds, as a table."""

from __future__ import annotations

import math

from implant_sim.report.cells import Cell, Table, cell_of
from implant_sim.report.designs import designs
from implant_sim.report.summary import Summary

__all__ = ["sampling"]

_COLUMNS = (
    ("coverage", "Channels ever seen", "%"),
    ("revisit_gap_mean_s", "Mean time to the next visit", "s"),
    ("revisit_gap_max_s", "Longest time to the next visit", "s"),
    ("coverage_gini", "Unevenness of visits (Gini)", ""),
    ("switch_hz", "Changes of channel", "Hz"),
    ("valid_fraction", "Samples valid after settling", "%"),
    ("side_info_bps", "Side information", "bit/s"),
    ("detection_probability", "Spikes found", "%"),
    ("false_hz", "False spikes per channel", "per s"),
)


_SCANNED = (
    ("coverage", "Neurons ever seen", "%"),
    *_COLUMNS[1:3],
)
"""What is said of a scan: a microscope has no multiplexer, and no amplifier that settles."""


def sampling(summary: Summary) -> tuple[Table | None, str]:
    """How each design's schedule covers the array and what its detector finds.

    Returns
    -------
    Table or None
        Columns that differ between points, and are known; None where none does.
    str
        What all points have in common, in words; empty for nothing.
    """
    points = [p for p in designs(summary) if any(math.isfinite(p.mean(c[0])) for c in _COLUMNS)]
    shown, common = [], []
    for column, heading, base in _COLUMNS if summary.powered else _SCANNED:
        cells = [cell_of(p, column, base) for p in points]
        texts = {cell.text for cell in cells}
        if len(texts) > 1:
            shown.append((heading, cells))
        elif cells and (cells[0].value or 0.0) > 0:  # neither unknown nor none at all
            common.append(f"{heading[:1].lower()}{heading[1:]} {cells[0].text}")
    text = ""
    if common:
        text = (
            ("Equal for all points: " if len(summary.points) > 1 else "") + "; ".join(common) + "."
        )
    if not shown:
        return None, text[:1].upper() + text[1:]
    rows = [
        [Cell(p.label, float(p.index)), *(cells[i] for _, cells in shown)]
        for i, p in enumerate(points)
    ]
    return Table(["Point", *(heading for heading, _ in shown)], rows), text

"""Warm starts along a sweep: a point begins with the weights of its neighbour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from sbtt_models.decoders.base import Adapt
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.training import Training
from sbtt_models.units import measure

if TYPE_CHECKING:
    from implant_sim.study.load import Point

__all__ = ["WarmStart", "starts_of"]


class WarmStart(Spec):
    """Points that differ along one axis of the sweep train one after the other.

    The first is trained as without this block. Each other one begins with the weights of the one
    before it along the axis, all else equal, the repeat included. They have then learned from the
    samples of all before it, too; what those cost is told (`start_energy_j`), not charged.
    Decoders that are fitted afresh take no part.
    """

    axis: str
    """A key of the sweep."""
    order: Literal["descending", "ascending", "listed"] = "descending"
    """Of the axis' numbers; or as the sweep lists its values."""
    adapt: Adapt = "all"
    """What still learns: all weights, the encoder, or its first layer."""
    training: Training | None = None
    """How a decoder learns that begins so. None: as the first."""


def starts_of(rule: WarmStart, points: Sequence[Point], together: Sequence[str]) -> dict[int, int]:
    """Which point begins where which one ended.

    Parameters
    ----------
    rule : WarmStart
    points : sequence of Point
    together : sequence of str
        Keys that walk with the axis.

    Returns
    -------
    dict of int to int
        Index of a point -> that of the one whose weights it begins with, which comes first.

    Raises
    ------
    SpecError
        If the axis is none of the sweep, has no order, or no two points differ in it alone.
    """
    if any(rule.axis not in point.axes for point in points):
        raise SpecError(
            f"warm_start.axis: {rule.axis} is no axis of the sweep; name one of "
            f"{', '.join(points[0].axes) or 'those that you give it'}"
        )
    groups: dict[tuple[tuple[str, Any], ...], dict[Any, list[int]]] = {}
    for point in points:
        if not point.scenario.decoder.goes_on:
            continue
        others = tuple((k, v) for k, v in point.axes.items() if k not in {rule.axis, *together})
        values = groups.setdefault(others, {})
        values.setdefault(point.axes[rule.axis], []).append(point.index)
    found: dict[int, int] = {}
    for values in groups.values():
        line = [values[value] for value in _in_order(rule, list(values))]
        for before, after in pairwise(line):
            found |= dict.fromkeys(after, before[0])
    if not found:
        raise SpecError(
            f"warm_start.axis: no two points with a network differ in {rule.axis} alone; sweep it "
            "over a grid"
        )
    return found


def _in_order(rule: WarmStart, values: list[Any]) -> list[Any]:
    if rule.order == "listed":
        return values
    numbers = {value: _number(value) for value in values}
    for value, number in numbers.items():
        if number is None:
            raise SpecError(
                f"warm_start.order: {rule.axis}: {value!r} is no number, so that it is neither "
                "above nor below another; choose order: listed"
            )
    return sorted(values, key=lambda v: numbers[v] or 0.0, reverse=rule.order == "descending")


def _number(value: object) -> float | None:
    if isinstance(value, str):
        quantity = measure(value)
        return None if quantity is None else float(quantity[0])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

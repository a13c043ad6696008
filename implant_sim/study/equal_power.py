"""Budgets in watts: `schedule.power` becomes the most channels that it pays for.

What a channel costs depends on implant, radio and recording, so that this is settled where all of
them are known: before a study's points are named and run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from implant_sim.hardware.energy import price
from implant_sim.hardware.schedules.base import Budgeted
from implant_sim.study.acquisition import waited_for
from implant_sim.study.budget import Shop
from implant_sim.study.expand import Skipped
from implant_sim.study.load import Point, Study
from implant_sim.study.scenario import Scenario
from sbtt_models.errors import SpecError

__all__ = ["largest_within", "settled"]


def settled(study: Study, shop: Shop | None = None) -> Study:
    """Give each point whose schedule names a power the bandwidth that comes nearest from below.

    The power is that of the whole implant in the first repeat. It rises with the bandwidth, so
    that few bandwidths are looked at.

    Parameters
    ----------
    study : Study
        As loaded. The points of a search are left alone: there, power is an objective or a
        constraint.
    shop : Shop, optional
        Kept from a call before.

    Returns
    -------
    Study
        The same where no schedule names a power. Points that cannot be had for theirs are among
        `skipped`, with the least power that they need.

    Raises
    ------
    DataError
        If a recording cannot be read.
    SpecError
        If no point is left, or a microscope has read the recording.
    """
    if study.space is not None or all(_watts(p.scenario) is None for p in study.points):
        return study
    shop = shop or Shop(study.root)
    points, skipped = list[Point](), list(study.skipped)
    for point in study.points:
        if _watts(point.scenario) is None:
            found: Scenario | str = point.scenario
        else:
            found = _settle(point.scenario, shop)
        if isinstance(found, str):
            skipped.append(Skipped(point.axes, found))
        else:
            points.append(Point(len(points), point.axes, found))
    if not points:
        raise SpecError(f"schedule.power: no point can be had for it; the first: {found}")
    return replace(study, points=tuple(points), skipped=tuple(skipped))


def _watts(scenario: Scenario) -> float | None:
    schedule = scenario.schedule
    return schedule.power_w if isinstance(schedule, Budgeted) else None


def _settle(scenario: Scenario, shop: Shop) -> Scenario | str:
    """The point with its bandwidth, or why it has none."""
    schedule, budget_w = scenario.schedule, _watts(scenario)
    if not isinstance(schedule, Budgeted) or budget_w is None:
        return scenario
    implant, at = scenario.implanted, schedule.with_bandwidth
    least = schedule.least_bandwidth
    try:
        channels, least_w = _price(scenario, at(least), shop)
    except SpecError:  # not for its power: the run will say what is wrong
        return scenario.model_copy(update={"schedule": at(least)})
    if least_w > budget_w:
        return (
            f"schedule.power is {1e3 * budget_w:.4g} mW, and {least} of {channels} channels in a "
            f"bin need {1e3 * least_w:.4g} mW on {implant.name}"
        )
    wires = np.unique(implant.groups(channels)).size

    def power_w(k: int) -> float:
        try:
            return _price(scenario, at(k), shop)[1]
        except SpecError:  # more than its wires carry
            return math.inf

    most = largest_within(power_w, budget_w, (least, least_w), wires)
    return scenario.model_copy(update={"schedule": at(most)})


def _price(scenario: Scenario, schedule: Budgeted, shop: Shop) -> tuple[int, float]:
    """Channels of the recording, and what the implant draws. [W]"""
    alone = scenario.model_copy(update={"schedule": schedule})
    key = shop.keys.of(alone, shop.offers.step_s(alone))
    offer, activity = shop.offers.count(alone, key)
    activity = waited_for(activity, scenario.decoder)
    ledger = price(activity, scenario.implanted, shop.prices.of(scenario.implanted))
    return offer.n_channels, ledger.power_w


def largest_within(
    cost: Callable[[int], float], budget: float, low: tuple[int, float], high: int
) -> int:
    """The largest whole number whose cost keeps within a budget.

    Parameters
    ----------
    cost : callable
        Rises with the number; may be infinite.
    budget : float
        At least the cost of `low`.
    low : tuple of int and float
        The smallest number, and its cost.
    high : int
        The largest number.

    Examples
    --------
    >>> largest_within(lambda k: 3.0 * k + 5, 50.0, (1, 8.0), 100)
    15
    """
    (below, below_cost), above = low, high
    if below >= above:
        return below
    above_cost = cost(above)
    if above_cost <= budget:
        return above
    straight = True
    while above - below > 1:
        middle = (below + above) // 2
        if straight and math.isfinite(above_cost):  # costs are nearly a straight line
            share = (budget - below_cost) / (above_cost - below_cost)
            middle = min(max(below + int(share * (above - below)), below + 1), above - 1)
        value = cost(middle)
        straight = not straight or above - below < 8
        if value <= budget:
            below, below_cost = middle, value
        else:
            above, above_cost = middle, value
    return below

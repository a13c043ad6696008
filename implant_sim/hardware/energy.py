"""Price an activity: the only place that knows prices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from implant_sim.hardware.activity import Action, Activity, priced_as
from implant_sim.hardware.components.base import SourceKind
from implant_sim.hardware.implant import COMPONENTS, Implant, Priced
from sbtt_models.errors import SpecError

__all__ = ["LOSSES", "Ledger", "Prices", "Row", "price", "priced"]

LOSSES = ("regulate", "rectify", "link")
"""Stages of delivery, from the load outwards; each must pass on what all behind it draw."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ledger."""

    component: str
    action: str
    n_actions: float
    """Times, or seconds for what costs by the second, or joules for what is lost on delivery."""
    price_j: float
    energy_j: float
    source: str
    source_kind: SourceKind


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every action with its price. Nothing is summed before it is asked for."""

    rows: tuple[Row, ...]
    duration_s: float

    @property
    def energy_j(self) -> float:
        """Energy of the whole acquisition. [J]"""
        return math.fsum(row.energy_j for row in self.rows)

    @property
    def power_w(self) -> float:
        """Mean power, which is the sum of `component_w` to rounding. [W]"""
        return self.energy_j / self.duration_s

    @property
    def component_w(self) -> Mapping[str, float]:
        """Mean power of each component; 0 where it did nothing. [W]"""
        spent = {name: list[float]() for name in COMPONENTS}
        for row in self.rows:
            spent[row.component].append(row.energy_j)
        return {name: math.fsum(parts) / self.duration_s for name, parts in spent.items()}

    @property
    def columns(self) -> Mapping[str, float]:
        """`component_w` under the names of results.csv: `power_amplifier_w` and so on. [W]"""
        return {f"power_{name}_w": watts for name, watts in self.component_w.items()}

    def energy_of(self, component: str, action: str | None = None) -> float:
        """Energy of a component, or of one of its actions, with calibration and commands. [J]"""
        return math.fsum(
            row.energy_j
            for row in self.rows
            if row.component == component and (action is None or priced_as(row.action) == action)
        )


Prices = Mapping[tuple[str, str], Priced]


def price(activity: Activity, implant: Implant, prices: Prices | None = None) -> Ledger:
    """Give each action its price, then add what is lost on the way of that energy.

    Parameters
    ----------
    activity : Activity
        Counted actions.
    implant : Implant
        Its price list.
    prices : mapping, optional
        That list, where it is at hand.

    Returns
    -------
    Ledger
        One row for each action.

    Raises
    ------
    SpecError
        For an action that has no price: it is never taken as free.
    """
    return Ledger(priced(activity.actions, implant, prices), activity.duration_s)


def priced(
    actions: Sequence[Action], implant: Implant, prices: Prices | None = None
) -> tuple[Row, ...]:
    """The rows of `price`, where nothing but the actions is known.

    Parameters
    ----------
    actions : sequence of Action
        Counted; without what is lost on delivery.
    implant : Implant
        Its price list.
    prices : mapping, optional
        That list, where it is at hand.

    Returns
    -------
    tuple of Row
        One for each action, then the losses.

    Raises
    ------
    SpecError
        For an action that has no price.
    """
    prices = implant.price_list() if prices is None else prices
    rows = []
    for done in actions:
        known = prices.get((done.component, priced_as(done.action)))
        if known is None:
            raise SpecError(
                f"implant {implant.name!r}: {done.component} did {done.action!r} "
                f"{done.n_actions:g} times, which has no price; this activity was counted on "
                "another implant, or the block lacks the number that prices it"
            )
        energy = done.n_actions * known.price_j
        rows.append(
            Row(done.component, done.action, done.n_actions, known.price_j, energy, known.source,
                known.source_kind)
        )  # fmt: skip
    for stage in LOSSES:
        if (known := prices.get(("delivery", stage))) is not None:
            load = math.fsum(row.energy_j for row in rows)
            rows.append(
                Row("delivery", stage, load, known.price_j, load * known.price_j, known.source,
                    known.source_kind)
            )  # fmt: skip
    return tuple(rows)

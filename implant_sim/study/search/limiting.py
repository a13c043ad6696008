"""What limits a design: the condition nearest to its bound, and what each number could do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from implant_sim.hardware.parameters import parameters, scaled
from implant_sim.study.axes import Choice
from implant_sim.study.budget import Shop, budgets
from implant_sim.study.expand import put
from implant_sim.study.expression import Condition
from implant_sim.study.load import Point, Study
from implant_sim.study.rows import HARDWARE
from implant_sim.study.scenario import Scenario
from implant_sim.study.search.space import LIMITS, Space
from implant_sim.study.search.verdict import room_of
from implant_sim.study.yaml_loader import Node
from sbtt_models.errors import SimError
from sbtt_models.units import measure

__all__ = ["Change", "changes", "rooms"]

_LADDER = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""Factors on a number that are tried, up and down, until what holds turns."""
_HALVINGS = 7
_NOT_NUMBERS = {"source", "sources", "uncertainty", "limits", "name", "constants", "seed", "path"}
"""Keys below which nothing is a property of the design."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one number of a design, changed by itself, would have to become."""

    key: str
    now: float | str
    to: float | str
    """The first value found at which the conditions begin, or cease, to hold."""
    factor: float

    def as_json(self) -> dict[str, Any]:
        """As `search.json` tells it."""
        return {"key": self.key, "now": self.now, "to": self.to, "factor": self.factor}


@dataclass(frozen=True, slots=True)
class _Number:
    key: str
    now: float | str
    make: Callable[[float], tuple[Scenario, float | str]]
    """A factor on it -> the scenario with it, and the value that it has there."""


def rooms(row: Mapping[str, Any], conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """How much room each condition has, the least first.

    The room is a share of the bound; that of the implant's own limits is the verdict's margin.
    """
    found = [{"condition": c.text, "room": room_of(row, c)} for c in conditions]
    for told in found:
        if told["condition"] == LIMITS:
            told["limited_by"] = row.get("limited_by")
    known = [told for told in found if told["room"] is not None]
    return sorted(known, key=lambda told: float(told["room"]))


def changes(study: Study, space: Space, shop: Shop, choice: Choice) -> tuple[bool, list[Change]]:
    """Change one number at a time, up and down, until the conditions turn.

    Parameters
    ----------
    study : Study
    space : Space
        Its constraints; those that need a decoder are left aside.
    shop : Shop
        What pricing has made so far.
    choice : Choice
        The design.

    Returns
    -------
    bool
        Whether the conditions hold for the design.
    list of Change
        The numbers that can turn that by themselves within a factor of 100, the least change
        first. Prices and body of the implant, and what is written under `implant` and `schedule`.
    """
    known = HARDWARE | set(choice)
    conditions = [c for c in space.constraints if set(c.names) <= known]
    labels = {key: label for key, (label, _) in choice.items()}

    def holds(scenario: Scenario) -> bool:
        point = Point(0, labels, scenario)
        try:
            (budget,) = budgets(replace(study, points=(point,)), jobs=1, shop=shop)
        except SimError:
            return False
        row = labels | budget.row
        return not budget.error and all(c.holds(row.get) for c in conditions)

    tree = space.expander.tree({key: node for key, (_, node) in choice.items()})
    scenario = space.expander.check(choice)
    now = holds(scenario)
    numbers = _numbers(study.root, scenario, tree, tuple(choice))
    found = [change for number in numbers if (change := _turn(number, holds, now)) is not None]
    return now, sorted(found, key=lambda change: abs(math.log(change.factor)))


def _turn(number: _Number, holds: Callable[[Scenario], bool], now: bool) -> Change | None:
    """The smaller of the changes up and down that turn what holds."""
    turns = (_along(number, holds, now, side) for side in (1, -1))
    return min(
        (turn for turn in turns if turn is not None),
        key=lambda turn: abs(math.log(turn.factor)),
        default=None,
    )


def _along(
    number: _Number, holds: Callable[[Scenario], bool], now: bool, side: int
) -> Change | None:
    before = 1.0
    for step in _LADDER:
        made = _made(number, step**side)
        if made is None:
            return None
        if holds(made[0]) == now:
            before = step**side
            continue
        near, far = before, step**side
        for _ in range(_HALVINGS):
            middle = math.sqrt(near * far)
            at = _made(number, middle)
            if at is None or holds(at[0]) == now:
                near = middle
            else:
                far, made = middle, at
        return Change(number.key, number.now, made[1], far)
    return None


def _made(number: _Number, factor: float) -> tuple[Scenario, float | str] | None:
    """None where the value cannot be."""
    try:
        return number.make(factor)
    except (SimError, ValidationError):
        return None


def _numbers(
    root: Path, scenario: Scenario, tree: Node, varied: tuple[str, ...]
) -> Iterator[_Number]:
    implant = scenario.implanted
    priced = {f"implant.{found.key}": found for found in parameters(implant)}
    for key, found in priced.items():
        if key in varied:
            continue

        def price(factor: float, found: Any = found) -> tuple[Scenario, float]:
            changed = scaled(implant, found, factor)
            block = changed.power.battery if found.block == "power.battery" else None
            owner = block or getattr(changed, found.block.split(".")[0])
            return scenario.model_copy(update={"implant": changed}), getattr(owner, found.field)

        yield _Number(key, found.value, price)
    for block in ("implant", "schedule"):
        for key, node in _leaves(tree.mapping[block], block):
            if key not in priced and key not in varied:
                yield _Number(key, node.plain(), partial(_written, tree, root, key, node))


def _written(
    tree: Node, root: Path, key: str, node: Node, factor: float
) -> tuple[Scenario, float | str]:
    value = _times(node.value, factor)
    changed = put(tree, key, Node(value, node.place, node.key_place), root)
    # not by way of an expander: nobody reads what is wrong with a value that cannot be
    return Scenario.model_validate(changed.plain()), value


def _times(value: Any, factor: float) -> float | str:
    """A number or a quantity, with as many digits as count; whole numbers stay whole."""
    if isinstance(value, int):
        return round(value * factor)
    if isinstance(value, str):
        unit = value.strip().lstrip("+-.0123456789eE").strip()
        number = float(value.strip().removesuffix(unit))
        return f"{number * factor:.4g} {unit}".strip()
    return float(f"{value * factor:.4g}")


def _leaves(node: Node, key: str) -> Iterator[tuple[str, Node]]:
    """Numbers and quantities in a block, by their dotted keys."""
    for name, child in node.mapping.items():
        if name in _NOT_NUMBERS:
            continue
        value = child.value
        if isinstance(value, str):
            value = value if measure(value) is not None else None
        if isinstance(value, int | float | str) and not isinstance(value, bool) and value:
            yield f"{key}.{name}", child
        yield from _leaves(child, f"{key}.{name}")

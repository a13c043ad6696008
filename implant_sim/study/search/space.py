"""A design space as a scenario writes it down."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from implant_sim.study.axes import Axis
from implant_sim.study.expand import Expander
from implant_sim.study.expression import Condition, parse_condition
from implant_sim.study.read_axes import Faults, axis_of, conditions_of
from implant_sim.study.rows import HARDWARE
from implant_sim.study.search.bisect import Bisection
from implant_sim.study.search.columns import condition_checked, objective_checked
from implant_sim.study.search.propose import Drawn, Proposer, Sampled
from implant_sim.study.search.spec import Search
from implant_sim.study.tree import as_node
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.errors import SpecError
from sbtt_models.units import measure

__all__ = ["LIMITS", "Space", "axes_of", "conditions_in"]

LIMITS = "margin >= 0"
"""The implant's own limits hold, and its radio's capacity."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a search goes through."""

    search: Search
    axes: tuple[Axis, ...]
    expander: Expander[Any]
    """From a choice to a checked scenario."""
    constraints: tuple[Condition, ...]
    targets: Mapping[str, Condition]
    """By name; the name of the only one is empty."""

    @property
    def columns(self) -> set[str]:
        """All that objectives and conditions look at."""
        conditions = [*self.constraints, *self.targets.values()]
        return {*self.search.aims, *(name for c in conditions for name in c.names)}

    @property
    def needs_decoder(self) -> bool:
        """Whether a column cannot be known from the hardware alone."""
        varied = {key for axis in self.axes for key in axis.keys}
        return not self.columns <= HARDWARE | varied

    @property
    def batch(self) -> int:
        """Points to ask for at a time; many where nothing is learnt and little is at stake."""
        by_chance = self.search.sampler.kind == "random"
        usual = 2 if self.needs_decoder else 200 if by_chance else 50
        return self.search.sampler.batch or usual

    def proposer(self) -> Proposer:
        """Who proposes its points.

        Raises
        ------
        SpecError
            If optuna is needed and not installed, or there is no order to bisect.
        """
        search, sampler = self.search, self.search.sampler
        is_end = search.question is not None and search.question.is_end
        bisects = not self.axes or (len(self.axes) == 1 and is_end and sampler.kind is None)
        if not bisects and sampler.kind == "random":
            return Drawn(self.axes, sampler.seed)
        if not bisects and sampler.kind != "bisection":
            return Sampled(self.axes, len(search.aims), sampler)
        if len(self.axes) > 1:
            raise SpecError(
                f"search.sampler: bisection goes along one axis; the space has {len(self.axes)}"
            )
        upwards = next(iter(search.aims.values())) == "max"
        return Bisection(next(iter(self.axes), None), upwards)


def axes_of(block: Node, known: tuple[str, ...], otherwise: Mapping[str, Any]) -> list[Axis]:
    """The axes of ``search.space``, or those of a question that has its own.

    Raises
    ------
    SpecError
        All faults at once.
    """
    faults: list[str] = []
    read = Faults(faults)
    written = block.mapping.get("space")
    space = as_node(otherwise, str(block.place)) if written is None else written
    axes = [
        read(axis_of, key, _as_range(node), known, "search.space", False)
        for key, node in space.mapping.items()
    ]
    if faults:
        raise SpecError("\n".join(faults))
    return axes


def _as_range(node: Node) -> Node:
    """Two rising numbers are the ends of a range; everything else stays what it is."""
    if not isinstance(node.value, list) or len(node.value) != 2:
        return node
    low, high = (_number(child.value) for child in node.value)
    if low is None or high is None or not low < high:
        return node
    ends = dict(zip(("from", "to"), node.value, strict=True))
    return Node(ends, node.place, node.key_place)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        found = measure(value)
        return None if found is None else found[0]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def conditions_in(block: Node, keys: Collection[str]) -> dict[str, Any]:
    """`skip`, `constraints` and `targets`, read; names of columns and units of bounds are checked.

    Parameters
    ----------
    block : Node
        ``search:``.
    keys : collection of str
        Dotted keys that the space varies.

    Raises
    ------
    SpecError
        All faults at once, each with its place.
    """
    faults: list[str] = []
    read = Faults(faults)
    check = partial(condition_checked, keys=keys)
    aims = block.mapping.get("objectives")
    for name, node in (aims.mapping if aims is not None else {}).items():
        read(_objective, name, node, keys)
    found: dict[str, Any] = {
        "skip": read(conditions_of, block.mapping.get("skip"), "search.skip"),
        "constraints": read(
            conditions_of, block.mapping.get("constraints"), "search.constraints", check
        ),
        "targets": read(_targets, block.mapping.get("target"), check),
    }
    if faults:
        raise SpecError("\n".join(faults))
    if block.mapping.get("question") is not None:  # its answer is a design that may be built
        found["constraints"] = (*found["constraints"], parse_condition(LIMITS))
    return found


def _objective(name: str, node: Node, keys: Collection[str]) -> None:
    try:
        objective_checked(name, keys)
    except SpecError as error:
        raise SpecError(f"{node.key_place or node.place}: search.objectives: {error}") from None


def _targets(node: Node | None, check: Callable[[Condition], Condition]) -> dict[str, Condition]:
    if node is None or node.value is None:
        return {}
    named = node.mapping or {"": node}
    for name in named:
        if not re.fullmatch(r"[A-Za-z0-9_]{0,40}", name):
            raise SpecError(
                f"{node.place}: search.target: {printable(name)!r} cannot name a file; use up to "
                "40 letters, digits and '_'"
            )
    return {name: conditions_of(child, "search.target", check)[0] for name, child in named.items()}

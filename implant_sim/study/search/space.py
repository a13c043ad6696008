"""A design space as a scenario writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from implant_sim.study.axes import Axis
from implant_sim.study.expand import Expander
from implant_sim.study.expression import Condition
from implant_sim.study.read_axes import Faults, axis_of, conditions_of
from implant_sim.study.search.spec import Search
from implant_sim.study.yaml_loader import Node
from sbtt_models.spec import SpecError, measure

__all__ = ["Space", "axes_of", "conditions_in"]


@dataclass(frozen=True, slots=True)
class Space:
    """What a search goes through."""

    search: Search
    axes: tuple[Axis, ...]
    expander: Expander[Any]
    """From a choice to a checked scenario."""
    constraints: tuple[Condition, ...]
    target: Condition | None


def axes_of(block: Node, known: tuple[str, ...]) -> list[Axis]:
    """The axes of ``search.space``.

    Raises
    ------
    SpecError
        All faults at once.
    """
    faults: list[str] = []
    read = Faults(faults)
    axes = [
        read(axis_of, key, _as_range(node), known, "search.space", False)
        for key, node in block.mapping["space"].mapping.items()
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


def conditions_in(block: Node) -> dict[str, Any]:
    """`skip`, `constraints` and `target`, read.

    Raises
    ------
    SpecError
        With its place.
    """
    found: dict[str, Any] = {
        name: conditions_of(block.mapping.get(name), f"search.{name}")
        for name in ("skip", "constraints", "target")
    }
    found["target"] = next(iter(found["target"]), None)
    return found

"""Axes and conditions, read from a scenario's tree; faults are told with their places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from implant_sim.study.axes import Axis, listed, ranged
from implant_sim.study.expression import Condition, parse_condition
from implant_sim.study.faults import nearest
from implant_sim.study.tree import split_key
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.errors import SpecError

__all__ = ["OWN", "Faults", "axis_of", "conditions_of", "zipped"]

OWN = ("zip", "sample", "skip", "missing")
"""Keys of a sweep that are no axes."""
# repeats count up from the seed; a warm start joins points
_NOT_AN_AXIS = ("name", "seed", "repeats", "sweep", "search", "warm_start")


class Faults:
    """Reads on after a fault, and keeps it."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(self, read: Callable[..., Any], *given: Any) -> Any:
        """What `read` returns of what is given, or None."""
        try:
            return read(*given)
        except SpecError as error:
            self._lines += str(error).split("\n")
            return None


def axis_of(key: str, node: Node, known: tuple[str, ...], what: str, grid: bool) -> Axis:
    """Read one axis: a list of values, or a range.

    Parameters
    ----------
    key, node
        The dotted key, and what is written for it.
    known : tuple of str
        Top-level keys of a scenario.
    what : str
        The block that it stands in.
    grid : bool
        Whether a range must say how many points it has.

    Raises
    ------
    SpecError
        With its place.
    """
    shown = f"{what}.{printable(key)}"
    _refuse_key(key, node, known, what)
    if isinstance(node.value, dict):
        axis = ranged(key, node, shown)
        if grid and axis.range.points is None:
            raise SpecError(
                f"{node.place}: {shown}: say how many 'points' it has, or draw them: "
                "sample: {points: 100}"
            )
        return axis
    if not isinstance(node.value, list) or not node.value:
        raise SpecError(
            f"{node.place}: {shown}: must be a list of at least one value, or a range such as "
            "{from: 1, to: 10, points: 4}"
        )
    return listed({key: node.value}, node.key_place or node.place)


def _refuse_key(key: str, node: Node, known: tuple[str, ...], what: str) -> None:
    place = node.key_place or node.place
    try:
        first = split_key(key)[0]
    except SpecError as error:
        raise SpecError(f"{place}: {what}: {error}") from None
    if first in _NOT_AN_AXIS:
        raise SpecError(f"{place}: {what}.{printable(key)}: {first!r} cannot be swept")
    if first not in known:
        near = nearest(first, [*known, *(OWN if what == "sweep" else ())])
        raise SpecError(f"{place}: {what}.{printable(key)}: unknown key {first!r}{near}")


def zipped(node: Node, known: tuple[str, ...], read: Faults) -> list[Axis | None]:
    """Read blocks of lists that walk together; None in place of one with a fault."""
    blocks = node.value if isinstance(node.value, list) else [node]
    return [read(_walking_together, block, known) for block in blocks]


def _walking_together(block: Node, known: tuple[str, ...]) -> Axis:
    columns = block.mapping
    if not columns:
        raise SpecError(f"{block.place}: sweep.zip: must be a block of 'dotted.key: [values]'")
    for key, node in columns.items():
        _refuse_key(key, node, known, "sweep.zip")
        if not isinstance(node.value, list) or not node.value:
            raise SpecError(f"{node.place}: sweep.zip.{printable(key)}: must be a list of values")
    lists = {key: node.value for key, node in columns.items() if isinstance(node.value, list)}
    lengths = {key: len(nodes) for key, nodes in lists.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{printable(key)} has {n}" for key, n in lengths.items())
        raise SpecError(f"{block.place}: sweep.zip: lists differ in length: {told}")
    return listed(lists, block.key_place or block.place)


def conditions_of(
    node: Node | None, what: str, check: Callable[[Condition], Condition] = lambda read: read
) -> tuple[Condition, ...]:
    """Read a list of conditions, and look at each with `check`.

    Raises
    ------
    SpecError
        For what is no list of text, or no condition.
    """
    if node is None or node.value is None:
        return ()
    texts = node.value if isinstance(node.value, list) else [node]
    faults: list[str] = []
    read = Faults(faults)

    def one(text: Node) -> Condition:
        if not isinstance(text.value, str):
            raise SpecError(f'{text.place}: {what}: must be text, such as "a.b > 20"')
        try:
            return check(parse_condition(text.value))
        except SpecError as error:
            raise SpecError(f"{text.place}: {what}: {error}") from None

    found = [read(one, text) for text in texts]
    if faults:
        raise SpecError("\n".join(faults))
    return tuple(found)

"""Dotted keys: how ``--set`` and ``sweep:`` reach into a scenario, values keeping their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from implant_sim.study.yaml_loader import Node, Place, parse, printable
from sbtt_models.errors import SpecError

__all__ = ["as_node", "assignment", "get", "graft", "in_order", "split_key"]

_MAX_KEY = 200
_TAIL_IS_ONE_KEY = ("sweep",)  # sweep.schedule.bandwidth names the axis "schedule.bandwidth"


def split_key(key: str) -> tuple[str, ...]:
    """Cut a dotted key into its steps.

    Raises
    ------
    SpecError
        For an empty step, a control character or an absurd length.
    """
    steps = tuple(key.split("."))
    if not all(steps) or len(key) > _MAX_KEY or not key.isprintable():
        raise SpecError(
            f"{printable(key[:60])!r} is not a dotted key; write for example schedule.bandwidth"
        )
    if steps[0] in _TAIL_IS_ONE_KEY and len(steps) > 2 and steps[1] != "sample":
        return (steps[0], ".".join(steps[1:]))
    if steps[:2] == ("search", "space") and len(steps) > 3:
        return (*steps[:2], ".".join(steps[2:]))
    return steps


def assignment(text: str) -> tuple[str, Node]:
    """Read one ``key.path=value`` of the command line; the value is YAML.

    Raises
    ------
    SpecError
        Without ``=``, and for a value that is no YAML.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise SpecError(f"--set {printable(text[:60])}: write key.path=value")
    source = f"--set {printable(key)}"
    node = parse(value, source) if value.strip() else Node(None, Place(source))
    return key.strip(), _at(node, Place(source))


def as_node(value: Any, source: str) -> Node:
    """Wrap ordinary Python values (dict, list, scalar), all placed at `source`.

    Raises
    ------
    SpecError
        For a key that is not text or a value of another type.
    """
    place = Place(source)
    if isinstance(value, dict):
        bad = [key for key in value if not isinstance(key, str)]
        if bad:
            raise SpecError(f"{source}: key {bad[0]!r} must be text")
        return Node({k: _keyed(as_node(v, source), place) for k, v in value.items()}, place)
    if isinstance(value, list | tuple):
        return Node([as_node(child, source) for child in value], place)
    if value is None or isinstance(value, str | int | float | bool):
        return Node(value, place)
    raise SpecError(f"{source}: a value of type {type(value).__name__} is not YAML")


def get(root: Node, steps: Iterable[str]) -> Node | None:
    """The node at the end of the steps, or None."""
    node: Node | None = root
    for step in steps:
        if node is None:
            return None
        if isinstance(node.value, list):
            inside = step.isdecimal() and int(step) < len(node.value)
            node = node.value[int(step)] if inside else None
        else:
            node = node.mapping.get(step)
    return node


def graft(root: Node, steps: tuple[str, ...], new: Node, what: str) -> Node:
    """A tree like `root` with `new` at the end of the steps; blocks on the way are made.

    A new ``kind`` starts its block afresh: the other keys belonged to the old kind, and a price
    or a width carried over in silence would be a wrong number.

    Parameters
    ----------
    root : Node
        A mapping.
    steps : tuple of str
        Keys, or indices into lists.
    new : Node
        The value.
    what : str
        What the errors call the value's origin.

    Raises
    ------
    SpecError
        Where a step leads into a plain value, or past the end of a list.
    """
    if not steps:
        return Node(new.value, new.place, root.key_place or new.key_place)
    step, rest = steps[0], steps[1:]
    if isinstance(root.value, list):
        if not step.isdecimal() or int(step) >= len(root.value):
            raise SpecError(f"{what}: {step!r} is not one of the {len(root.value)} list entries")
        children = list(root.value)
        children[int(step)] = graft(children[int(step)], rest, new, what)
        return Node(children, root.place, root.key_place)
    if root.value is not None and not isinstance(root.value, dict):
        raise SpecError(
            f"{what}: {step!r} has no place there: {root.value!r} is a value, no block"
        )
    children_by_key = dict(root.mapping)
    old = children_by_key.get(step)
    if not rest and step == "kind" and (old is None or old.value != new.value):
        children_by_key = {}
    if old is None:
        old = Node(None, new.place, new.key_place or new.place)
    children_by_key[step] = graft(old, rest, new, what)
    return Node(children_by_key, root.place, root.key_place)


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys so that a block comes before what is set inside it, and a kind before its siblings."""
    return sorted(keys, key=lambda key: (key.count("."), not key.endswith("kind")))


def _keyed(node: Node, place: Place) -> Node:
    return Node(node.value, node.place, place)


def _at(node: Node, place: Place) -> Node:
    """The node with every place replaced: columns inside a command line help nobody."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _keyed(_at(child, place), place) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_at(child, place) for child in value]
    return Node(value, place, node.key_place and place)

"""What is wrong with a scenario, said so that it can be mended: place, key, value, near names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from implant_sim.study.yaml_loader import Node, Place, printable

__all__ = ["describe", "nearest"]

_MAX_INPUT = 60
_OF_BLOCKS = ("model_type", "model_attributes_type", "dict_type")
_OF_NAMES = ("extra_forbidden", "union_tag_invalid", "union_tag_not_found", *_OF_BLOCKS)
"""Faults whose way out names what there is."""


def nearest(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, or nothing.

    Examples
    --------
    >>> nearest("round_robbin", ["full", "round_robin"])
    "; did you mean 'round_robin'?"
    """
    close = [name for name in known if name.lower() == word.lower()]
    close = close or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def describe(error: ValidationError, root: Node, model: type[BaseModel]) -> list[str]:
    """One line for each fault that pydantic found.

    Parameters
    ----------
    error : pydantic.ValidationError
        The faults.
    root : Node
        The tree that was validated.
    model : type
        What it was validated against; its schema knows the right names.

    Returns
    -------
    list of str
        ``file:line:column: dotted.key: what, and the way out``, in the order of the file.
    """
    lines = []
    for fault in error.errors(include_url=False):
        path, node, rest = _locate(root, fault["loc"])
        # the schema takes a second to write down: for names that are wrong, not for numbers
        named = fault["type"] in _OF_NAMES
        known = _known(_schema_of(model), root, path) if named else {}
        place, text = _say(fault, path, node, rest, known)
        key = ".".join(path)
        lines.append((place, f"{place}: {key + ': ' if key else ''}{text}"))
    lines.sort(key=lambda line: (line[0].source, line[0].line, line[0].column))
    return list(dict.fromkeys(text for _, text in lines))


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _locate(root: Node, loc: tuple[int | str, ...]) -> tuple[tuple[str, ...], Node, list[str]]:
    """Follow pydantic's location; what is left over names a missing key or a union's member."""
    path: list[str] = []
    rest: list[str] = []
    node, tag_due = root, False
    for step in loc:
        kind = node.mapping.get("kind")
        if tag_due and kind is not None and kind.value == step:
            tag_due = False
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node, tag_due = node.value[step], True
            path.append(str(step))
        elif isinstance(step, str) and step in node.mapping:
            node, tag_due = node.mapping[step], True
            path.append(step)
        else:
            rest.append(str(step))
    return tuple(path), node, rest


def _say(
    fault: Any, path: tuple[str, ...], node: Node, rest: list[str], known: dict[str, list[str]]
) -> tuple[Place, str]:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        text = f"unknown key{nearest(path[-1], known['siblings'])}"
        return node.key_place or node.place, f"{text}{_list(known['siblings'])}"
    if kind == "missing":
        return node.place, f"{rest[-1] if rest else 'a key'!r} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = known["kinds"]
        given = node.mapping.get("kind")
        if isinstance(node.value, str):  # a block that may be written as its kind alone
            kinds = sorted(tag.strip(" '") for tag in context.get("expected_tags", "").split(","))
            given = node
        if given is None:
            return node.place, f"'kind' is missing{_list(kinds)}"
        return given.place, (
            f"unknown kind {_short(given.value)}{nearest(str(given.value), kinds)}{_list(kinds)}"
        )
    text = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        choices = [
            part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")
        ]
        text += nearest(str(fault["input"]), choices)
    if kind in _OF_BLOCKS:
        text = f"must be a block of keys{_list(known['inside'])}"
    if kind == "value_error" or isinstance(node.value, dict | list):
        return node.place, printable(text)
    return node.place, f"{printable(text)}, got {_short(node.value)}"


def _list(names: list[str]) -> str:
    return f" (known: {', '.join(names)})" if names else ""


def _short(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= _MAX_INPUT else f"{text[:_MAX_INPUT]}..."


def _known(schema: dict[str, Any], root: Node, path: tuple[str, ...]) -> dict[str, list[str]]:
    """Names that would be right at `path`: beside its last step, its kinds, in its block."""
    node, here, above = root, _resolve(schema, schema, root), {}
    for step in path:
        above = here
        if isinstance(node.value, list):
            node = node.value[int(step)]
            below = above.get("items", {})
        else:
            node = node.mapping[step]
            below = above.get("properties", {}).get(step, {})
        here = _resolve(schema, below, node)
    kinds = here.get("discriminator", {}).get("mapping", {})
    blocks = (_resolve(schema, option, node) for option in here.get("anyOf", [here]))
    inside: dict[str, Any] = next(
        (block["properties"] for block in blocks if "properties" in block), {}
    )
    return {
        "siblings": sorted(above.get("properties", {})),
        "kinds": sorted(kinds),
        "inside": sorted(inside),
    }


def _resolve(schema: dict[str, Any], here: dict[str, Any], node: Node) -> dict[str, Any]:
    """Follow references, and choose the member of a union that the node asks for."""
    while True:
        kind = node.mapping.get("kind")
        members = here.get("discriminator", {}).get("mapping", {})
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[-1]]
        elif kind is not None and kind.value in members:
            here = {"$ref": members[kind.value]}
        elif "anyOf" in here and isinstance(node.value, dict | list):
            wanted = "items" if isinstance(node.value, list) else "properties"
            options = [_resolve(schema, option, node) for option in here["anyOf"]]
            return next((o for o in options if wanted in o or "discriminator" in o), {})
        else:
            return here

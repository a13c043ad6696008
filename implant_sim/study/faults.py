"""What is wrong with a scenario, said so that it can be mended: place, key, value, near names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from implant_sim.study.names import Known, known_at
from implant_sim.study.yaml_loader import Node, Place, printable

__all__ = ["describe", "nearest"]

_MAX_INPUT = 60
_OF_BLOCKS = ("model_type", "model_attributes_type", "dict_type")


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
        tag = fault.get("ctx", {}).get("discriminator", "'kind'").strip("'")
        place, text = _say(fault, path, node, rest, tag, known_at(model, root, path, tag))
        key = ".".join(path)
        lines.append((place, f"{place}: {key + ': ' if key else ''}{text}"))
    lines.sort(key=lambda line: (line[0].source, line[0].line, line[0].column))
    return list(dict.fromkeys(text for _, text in lines))


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
    fault: Any, path: tuple[str, ...], node: Node, rest: list[str], tag: str, known: Known
) -> tuple[Place, str]:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        text = f"unknown key{nearest(path[-1], known.siblings)}"
        return node.key_place or node.place, f"{text}{_list(known.siblings)}"
    if kind == "missing":
        return node.place, f"{rest[-1] if rest else 'a key'!r} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        # a block that may be written as its kind alone is its own kind
        given = node if isinstance(node.value, str) else node.mapping.get(tag)
        if given is None:
            return node.place, f"{tag!r} is missing{_list(known.kinds)}"
        return given.place, (
            f"unknown {tag} {_short(given.value)}{nearest(str(given.value), known.kinds)}"
            f"{_list(known.kinds)}"
        )
    text = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        choices = [
            part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")
        ]
        text += nearest(str(fault["input"]), choices)
    if kind in _OF_BLOCKS:
        text = f"must be a block of keys{_list(known.inside)}"
        if known.kinds and not known.inside:
            text = f"must be a block of keys with its {tag!r}{_list(known.kinds)}"
    if kind in ("list_type", "tuple_type"):
        text = "must be a list"
    if kind == "value_error" or isinstance(node.value, dict | list):
        return node.place, printable(text)
    return node.place, f"{printable(text)}, got {_short(node.value)}"


def _list(names: Sequence[str]) -> str:
    return f" (known: {', '.join(names)})" if names else ""


def _short(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= _MAX_INPUT else f"{text[:_MAX_INPUT]}..."

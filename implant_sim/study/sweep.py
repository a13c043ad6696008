"""From a scenario with a ``sweep:`` to its points: counted before they are built."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import PurePath
from typing import Any, TypeAlias

from implant_sim.study.faults import nearest
from implant_sim.study.tree import split_key
from implant_sim.study.yaml_loader import Node, Place, printable
from sbtt_models.spec import LimitError, SpecError

__all__ = ["MAX_RUNS", "Axes", "axes_of", "axes_text", "combinations"]

MAX_RUNS = 10_000
"""Points times repeats of one run folder."""

Label: TypeAlias = str | int | float | bool | None
Axes: TypeAlias = dict[str, list[tuple[Label, Node]]]
_NOT_AN_AXIS = ("name", "seed", "repeats", "sweep", "search")  # repeats count up from the seed


def axes_of(root: Node, known: tuple[str, ...]) -> Axes:
    """Read the ``sweep:`` block: for each dotted key its values with the labels for tables.

    Parameters
    ----------
    root : Node
        The scenario's tree.
    known : tuple of str
        Top-level keys of a scenario; an axis must begin with one.

    Raises
    ------
    SpecError
        For a sweep that is no mapping of lists, an empty list or an axis that cannot be swept;
        all faults at once.
    """
    block = root.mapping.get("sweep")
    if block is None or block.value is None:
        return {}
    if not isinstance(block.value, dict):
        raise SpecError(f"{block.place}: sweep: must be a block of 'dotted.key: [values]'")
    axes: Axes = {}
    faults = []
    for key, node in block.value.items():
        shown, place = printable(key), node.key_place or node.place
        try:
            first = split_key(key)[0]
        except SpecError as error:
            faults.append(f"{place}: sweep: {error}")
            continue
        if first in _NOT_AN_AXIS:
            faults.append(f"{place}: sweep.{shown}: {first!r} cannot be swept")
        elif first not in known:
            faults.append(f"{place}: sweep.{shown}: unknown key {first!r}{nearest(first, known)}")
        elif not isinstance(node.value, list) or not node.value:
            faults.append(f"{node.place}: sweep.{shown}: must be a list of at least one value")
        else:
            values = [_without_label(value, place) for value in node.value]
            axes[key] = list(zip(_labels(node.value), values, strict=True))
    if faults:
        raise SpecError("\n".join(faults))
    return axes


def combinations(axes: Axes, repeats: int) -> Iterator[dict[str, tuple[Label, Node]]]:
    """Every point of the grid, last axis fastest.

    Raises
    ------
    LimitError
        At once, before anything is built, if points x repeats exceed 10,000.
    """
    points = math.prod(len(values) for values in axes.values())
    if points * repeats > MAX_RUNS:
        raise LimitError(
            f"the sweep has {points:,} points x {repeats:,} repeats = {points * repeats:,} runs; "
            f"the limit is {MAX_RUNS:,}; shorten an axis or lower repeats"
        )
    return (dict(zip(axes, choice, strict=True)) for choice in product(*axes.values()))


def axes_text(axes: Mapping[str, Label]) -> str:
    """What the sweep chose, on one line.

    Examples
    --------
    >>> axes_text({"schedule.bandwidth": 5, "decoder": "lfads"})
    'schedule.bandwidth=5, decoder=lfads'
    """
    return ", ".join(f"{key}={value}" for key, value in axes.items())


def _without_label(node: Node, axis: Place) -> Node:
    """The value as it enters the tree; a fault of its key is a fault of the axis."""
    if "label" not in node.mapping:
        return Node(node.value, node.place, axis)
    kept = {key: child for key, child in node.mapping.items() if key != "label"}
    return Node(kept, node.place, axis)


def _labels(values: list[Node]) -> list[Label]:
    """Short names of an axis' values, each different from the others."""
    blocks = [value.plain() for value in values]
    labels = [_label(block, blocks) for block in blocks]
    seen: dict[Label, int] = {}
    for i, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1 and isinstance(blocks[i], dict | list):
            labels[i] = f"{label} #{seen[label]}"
    return labels


def _label(block: Any, blocks: list[Any]) -> Label:
    if isinstance(block, dict):
        if "label" in block:
            return printable(str(block["label"]))
        kind = block.get("kind")
        rivals = [b for b in blocks if isinstance(b, dict) and b.get("kind") == kind]
        told = [k for k, v in block.items() if any(rival.get(k) != v for rival in rivals)]
        words = [] if kind is None else [str(kind)]
        return printable(" ".join(words + [f"{k}={_text(block[k])}" for k in told]) or "block")
    if isinstance(block, list):
        return printable(_text(block))
    if isinstance(block, str) and block.endswith((".yaml", ".yml")):
        return printable(PurePath(block).stem)
    return printable(block) if isinstance(block, str) else block


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

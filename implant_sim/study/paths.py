"""Relative paths in a scenario: they start beside its file, or where the command was typed.

A file that is not there is looked for in the folder of recordings that `IMPLANT_SIM_DATA` names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from implant_sim.study.find import is_file
from implant_sim.study.tree import get, graft
from implant_sim.study.yaml_loader import Node

__all__ = [
    "WITH_PATHS",
    "absolute",
    "files_of",
    "found",
    "from_here",
    "is_path_key",
    "missing",
    "portable",
]

WITH_PATHS = ("recording", "schedule")
"""Blocks that may name files."""


def is_path_key(name: str) -> bool:
    """Whether a key of a recording or a schedule names a file."""
    return name == "path" or name.endswith("_path")


def from_here(key: str, node: Node) -> Node:
    """Paths given on the command line start where the command was typed."""
    if key in WITH_PATHS and isinstance(node.value, dict):
        inside = {k: from_here(f"{key}.{k}", child) for k, child in node.mapping.items()}
        return Node(inside, node.place, node.key_place)
    for axes in ("sweep", "search.space"):
        if key.startswith(f"{axes}.") and isinstance(node.value, list):
            axis = [from_here(key.removeprefix(f"{axes}."), child) for child in node.value]
            return Node(axis, node.place, node.key_place)
        if key == axes and isinstance(node.value, dict):
            inside = {k: from_here(f"{axes}.{k}", child) for k, child in node.mapping.items()}
            return Node(inside, node.place, node.key_place)
    if not isinstance(node.value, str):
        return node
    block, _, name = key.rpartition(".")
    here = Path.cwd() / node.value
    if block in WITH_PATHS and is_path_key(name):
        here = found(Path.cwd(), node.value)
    elif key != "implant" or not is_file(here):
        return node
    return Node(str(here), node.place, node.key_place)


def absolute(tree: Node, root: Path) -> Node:
    """Make the paths of a scenario absolute; see `found`."""
    for key in WITH_PATHS:
        if key in tree.mapping:
            tree = graft(tree, (key,), _absolute(tree.mapping[key], root), key)
    return tree


def portable(tree: Node, root: Path) -> Node:
    """Make the paths among the values of axes absolute, too.

    So that the copy in the run folder can be run again. Tables name values as they are written.
    """
    for steps in (("sweep",), ("search", "space")):
        block = get(tree, steps)
        if block is not None and block.mapping:
            tree = graft(tree, steps, _axes(block, root), ".".join(steps))
    return tree


def _axes(block: Node, root: Path) -> Node:
    """Axes whose values are whole blocks that may name files, or are such names."""
    for key, axis in block.mapping.items():
        if key == "zip":
            parts = axis.value if isinstance(axis.value, list) else [axis]
            values = [_axes(part, root) for part in parts]
        elif isinstance(axis.value, list):
            values = [_value(key, value, root) for value in axis.value]
        else:
            continue
        found_here = {**block.mapping, key: Node(values, axis.place, axis.key_place)}
        block = Node(found_here, block.place, block.key_place)
    return block


def _value(key: str, node: Node, root: Path) -> Node:
    """A value of an axis."""
    if key in WITH_PATHS:
        return _absolute(node, root)
    if not isinstance(node.value, str):
        return node
    block, _, name = key.rpartition(".")
    if block in WITH_PATHS and is_path_key(name):
        return Node(str(found(root, node.value)), node.place, node.key_place)
    if key == "implant" and is_file(root / node.value):
        return Node(str(root / node.value), node.place, node.key_place)
    return node


def _absolute(block: Node, root: Path) -> Node:
    for name, node in block.mapping.items():
        if is_path_key(name) and isinstance(node.value, str):
            new = Node(str(found(root, node.value)), node.place, node.key_place)
            block = graft(block, (name,), new, name)
    return block


def found(root: Path, name: str) -> Path:
    """Where a relative path leads: beside the scenario, or to the folder of recordings."""
    beside, folder = root / name, os.environ.get("IMPLANT_SIM_DATA")
    if folder and not Path(name).is_absolute() and not is_file(beside):
        known = Path(folder).absolute() / name
        if is_file(known):
            return known
    return beside


def files_of(scenario: BaseModel, root: Path) -> Iterator[tuple[str, Path]]:
    """The dotted keys of a checked scenario that name files, and the files."""
    for key in WITH_PATHS:
        for name, value in vars(getattr(scenario, key)).items():
            if is_path_key(name) and value:
                yield f"{key}.{name}", root / value


def missing(scenario: BaseModel, root: Path) -> str:
    """Which file of a checked scenario is not there; empty if all are."""
    gone = [path.name for _, path in files_of(scenario, root) if not is_file(path)]
    return f"there is no file {gone[0]} (IMPLANT_SIM_DATA may name its folder)" if gone else ""

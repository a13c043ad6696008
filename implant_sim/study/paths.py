"""Relative paths in a scenario: they start beside its file, or where the command was typed."""

from __future__ import annotations

from pathlib import Path

from implant_sim.study.find import is_file
from implant_sim.study.tree import graft
from implant_sim.study.yaml_loader import Node

__all__ = ["WITH_PATHS", "absolute", "from_here", "is_path_key"]

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
    if key.startswith("sweep.") and isinstance(node.value, list):
        axis = [from_here(key.removeprefix("sweep."), child) for child in node.value]
        return Node(axis, node.place, node.key_place)
    if key == "sweep" and isinstance(node.value, dict):
        axes = {k: from_here(f"sweep.{k}", child) for k, child in node.mapping.items()}
        return Node(axes, node.place, node.key_place)
    if not isinstance(node.value, str):
        return node
    block, _, name = key.rpartition(".")
    here = Path.cwd() / node.value
    if (block in WITH_PATHS and is_path_key(name)) or (key == "implant" and is_file(here)):
        return Node(str(here), node.place, node.key_place)
    return node


def absolute(tree: Node, root: Path) -> Node:
    """Make paths absolute, so that the copy in the run folder can be run again."""
    for key in WITH_PATHS:
        block = tree.mapping.get(key)
        for name, node in [] if block is None else block.mapping.items():
            if is_path_key(name) and isinstance(node.value, str):
                new = Node(str(root / node.value), node.place, node.key_place)
                tree = graft(tree, (key, name), new, name)
    return tree

"""Where scenarios and implants are: a path, or the name of one that comes with the package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from implant_sim.study.faults import nearest
from implant_sim.study.tree import as_node, graft
from implant_sim.study.yaml_loader import Node, parse_file, printable
from sbtt_models.errors import SpecError

__all__ = ["is_file", "read_scenario", "shipped", "with_implant"]


def shipped(folder: str = "") -> tuple[str, ...]:
    """Names of the scenarios that come with the package; ``implants`` for the implants.

    Those of the paper's experiments are called ``paper/NAME``.
    """
    place = files("scenarios").joinpath(folder) if folder else files("scenarios")
    names = (item.name for item in place.iterdir()) if place.is_dir() else ()
    found = sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))
    return (*found, *(f"paper/{name}" for name in shipped("paper"))) if not folder else (*found,)


def read_scenario(scenario: str | Path | Mapping[str, Any]) -> tuple[Path, Node]:
    """The folder that its relative paths start from, and the tree of a scenario.

    Raises
    ------
    SpecError
        If there is no such scenario, or it is no block of keys.
    """
    if isinstance(scenario, Mapping):
        return Path.cwd(), as_node(dict(scenario), "scenario")
    path = _find(str(scenario))
    tree = parse_file(path)
    if not isinstance(tree.value, dict):
        raise SpecError(f"{tree.place}: a scenario is a block of keys, beginning with 'name:'")
    return path.resolve().parent, tree


def with_implant(tree: Node, root: Path) -> Node:
    """Read in the file that ``implant:`` names, beside the scenario or among the shipped ones.

    Raises
    ------
    SpecError
        If there is no such file.
    """
    node = tree.mapping.get("implant")
    if node is None or not isinstance(node.value, str):
        return tree
    name, presets = node.value, files("scenarios").joinpath("implants")
    stem = name.removeprefix("implants/").removesuffix(".yaml")
    path = root / name
    if not is_file(path) and stem in shipped("implants"):
        path = Path(str(presets.joinpath(f"{stem}.yaml")))
    if not is_file(path):
        known = shipped("implants")
        raise SpecError(
            f"{node.place}: implant: no file {printable(name)!r} beside the scenario and no "
            f"shipped implant of that name{nearest(stem, known)} (shipped: {', '.join(known)})"
        )
    block = parse_file(path)
    if not isinstance(block.value, dict):
        raise SpecError(f"{block.place}: an implant is a block of keys, beginning with 'name:'")
    return graft(tree, ("implant",), Node(block.value, block.place, node.key_place), "implant")


def is_file(path: Path) -> bool:
    """Whether a file is there; False too for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False


def _find(name: str) -> Path:
    """A file, or a shipped scenario by name."""
    path = Path(name)
    if name in shipped() and not path.is_file():
        return Path(str(files("scenarios").joinpath(f"{name}.yaml")))
    if not name.endswith((".yaml", ".yml")) and "/" not in name and not is_file(path):
        known = shipped()
        raise SpecError(
            f"{printable(name)}: no such file or shipped scenario{nearest(name, known)} "
            f"(shipped: {', '.join(known)})"
        )
    return path

"""A scenario: what a YAML file says, checked whole, and the points that its sweep spans."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import Field, ValidationError, field_validator

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.recordings import AnyRecording
from implant_sim.study.faults import describe
from implant_sim.study.find import is_file, read_scenario, with_implant
from implant_sim.study.points import Points
from implant_sim.study.sweep import Axes, Label, axes_of, combinations
from implant_sim.study.tree import as_node, assignment, get, graft, in_order, split_key
from implant_sim.study.withhold import ScoreOptions
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.decoders import AnyDecoder
from sbtt_models.spec import LimitError, Seconds, SimError, Spec, SpecError
from sbtt_models.training import Training

__all__ = ["WITH_PATHS", "Overrides", "Point", "Scenario", "Study", "is_path_key", "load"]

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10)),
}
_MAX_FAULTS = 30
WITH_PATHS = ("recording", "schedule")
"""Blocks that may name files."""


class Scenario(Spec):
    """One implant, one recording, one way to sample and to decode; and what varies."""

    name: str = Field(min_length=1, max_length=80)
    """Names the default run folder."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seeds schedule, link, initial weights and batches; repeats count up from it."""
    repeats: int = Field(1, ge=1, le=1000)
    recording: AnyRecording
    implant: Implant
    """A block, or the path of a YAML file that holds one."""
    schedule: AnySchedule
    decoder: AnyDecoder
    training: Training = Training()
    score: ScoreOptions = ScoreOptions()
    time_limit_s: Seconds | None = Field(None, gt=0, alias="time_limit")
    """The longest that one point may take; beyond it its status is `timeout`."""
    sweep: dict[str, list[Any]] = Field(default_factory=dict)
    """A grid: dotted key -> values. A value may be a whole block, with a `label` for tables."""

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name.endswith("."):
            raise ValueError(
                f"{printable(name)!r} cannot name a folder; use letters, digits, '_', '-', '.'"
            )
        if name.split(".")[0].lower() in _RESERVED:
            raise ValueError(f"{name!r} is a reserved file name; choose another")
        return name


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point of a study."""

    index: int
    axes: dict[str, Label]
    """What the sweep chose here, as tables show it."""
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Study:
    """A scenario read, resolved and expanded."""

    name: str
    root: Path
    """Relative paths of the recording start here."""
    tree: dict[str, Any]
    """The whole scenario as resolved: overrides applied, the implant's file read in."""
    points: tuple[Point, ...]
    repeats: int
    seed: int

    @property
    def axes(self) -> tuple[str, ...]:
        """The swept keys."""
        return tuple(self.points[0].axes)

    @property
    def digest(self) -> str:
        """Names the resolved scenario."""
        text = json.dumps(self.tree, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def load(scenario: str | Path | Mapping[str, Any], overrides: Overrides = ()) -> Study:
    """Read a scenario, apply overrides, check every point.

    Parameters
    ----------
    scenario : str, pathlib.Path or mapping
        A file, the name of a shipped scenario, or the content itself.
    overrides : sequence of str, or mapping
        ``key.path=value`` texts, or dotted keys with values. Relative paths among them start in
        the working directory.

    Returns
    -------
    Study
        With at least one point.

    Raises
    ------
    SpecError
        All faults at once, each as ``file:line:column: key: what``.
    LimitError
        For a sweep with too many points.
    """
    root, tree = read_scenario(scenario)
    pairs = (
        {key: as_node(value, f"override {printable(key)}") for key, value in overrides.items()}
        if isinstance(overrides, Mapping)
        else dict(assignment(text) for text in overrides)
    )
    tree = with_implant(tree, root)
    for key in in_order(pairs):
        tree = _set(tree, key, _from_here(key, pairs[key]), root)
    tree = _absolute(tree, root)
    axes = axes_of(tree, tuple(Scenario.model_fields))
    _refuse_swept(pairs, axes)
    repeats = get(tree, ["repeats"])
    count = repeats.value if repeats is not None and isinstance(repeats.value, int) else 1
    points, faults = [], dict[str, None]()
    bare = Node({k: v for k, v in tree.mapping.items() if k != "sweep"}, tree.place)

    def put(block: Node, key: str, node: Node) -> Node:
        return _absolute(_set(block, key, node, root), root)

    checked = Points(Scenario, bare, tuple(axes), put, inner="implant")
    for index, choice in enumerate(combinations(axes, max(count, 1))):
        values = {key: node for key, (_, node) in choice.items()}
        try:
            found = checked.check(values, partial(_whole, values, bare, root))
            labels = {key: label for key, (label, _) in choice.items()}
            points.append(Point(index, labels, found))
        except SpecError as error:
            faults.update(dict.fromkeys(str(error).split("\n")))
            if len(faults) > _MAX_FAULTS:
                break
    if faults:
        raise SpecError("\n".join(list(faults)[:_MAX_FAULTS]))
    first = points[0].scenario
    return Study(first.name, root, tree.plain(), tuple(points), first.repeats, first.seed)


def _refuse_swept(pairs: Mapping[str, Node], axes: Axes) -> None:
    """An override of a swept key would be swept away in silence."""
    for key, node in pairs.items():
        if key in axes:
            raise SpecError(
                f"{node.place}: {printable(key)} is an axis of the sweep; set "
                f"sweep.{printable(key)}=[...], or sweep=null for one point"
            )


def _whole(choice: Mapping[str, Node], bare: Node, root: Path) -> Scenario:
    """Check a point as a whole; what is wrong is told with its place in the file."""
    tree = bare
    for key in in_order(choice):
        tree = _set(tree, key, choice[key], root)
    tree = _absolute(tree, root)
    try:
        return Scenario.model_validate(tree.plain())
    except ValidationError as error:
        raise SpecError("\n".join(describe(error, tree, Scenario))) from None
    except LimitError:
        raise
    except SimError as error:  # a member's own check
        place = tree.place.source
        raise SpecError(error.args[0] if place in str(error) else f"{place}: {error}") from error


def _set(tree: Node, key: str, node: Node, root: Path) -> Node:
    what = f"{node.key_place or node.place}: {printable(key)}"
    return with_implant(graft(tree, split_key(key), node, what), root)


def is_path_key(name: str) -> bool:
    """Whether a key of a recording or a schedule names a file."""
    return name == "path" or name.endswith("_path")


def _from_here(key: str, node: Node) -> Node:
    """Paths given on the command line start where the command was typed."""
    if key in WITH_PATHS and isinstance(node.value, dict):
        inside = {k: _from_here(f"{key}.{k}", child) for k, child in node.mapping.items()}
        return Node(inside, node.place, node.key_place)
    if key.startswith("sweep.") and isinstance(node.value, list):
        axis = [_from_here(key.removeprefix("sweep."), child) for child in node.value]
        return Node(axis, node.place, node.key_place)
    if key == "sweep" and isinstance(node.value, dict):
        axes = {k: _from_here(f"sweep.{k}", child) for k, child in node.mapping.items()}
        return Node(axes, node.place, node.key_place)
    if not isinstance(node.value, str):
        return node
    block, _, name = key.rpartition(".")
    here = Path.cwd() / node.value
    if (block in WITH_PATHS and is_path_key(name)) or (key == "implant" and is_file(here)):
        return Node(str(here), node.place, node.key_place)
    return node


def _absolute(tree: Node, root: Path) -> Node:
    """Make paths absolute, so that the copy in the run folder can be run again."""
    for key in WITH_PATHS:
        block = tree.mapping.get(key)
        for name, node in [] if block is None else block.mapping.items():
            if is_path_key(name) and isinstance(node.value, str):
                new = Node(str(root / node.value), node.place, node.key_place)
                tree = graft(tree, (key, name), new, name)
    return tree

"""A study: a scenario read from YAML, checked whole, and the points that its sweep spans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from implant_sim.study.expand import Expander, Skipped, labels_of, put
from implant_sim.study.find import read_scenario, with_implant
from implant_sim.study.paths import absolute, from_here, missing, portable
from implant_sim.study.scenario import MOST_REPEATS, Scenario
from implant_sim.study.search.space import Space, axes_of, conditions_in
from implant_sim.study.sweep import Label, Plan, plan_of
from implant_sim.study.tree import as_node, assignment, get, in_order
from implant_sim.study.warm_start import starts_of
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.errors import SpecError

__all__ = ["Overrides", "Point", "Study", "load"]

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
_MAX_FAULTS = 30


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
    skipped: tuple[Skipped, ...] = ()
    """Points that a condition left out."""
    space: Space | None = None
    """What a search goes through; `points` then holds the scenario that it starts from."""
    starts: Mapping[int, int] = field(default_factory=dict)
    """Index of a point -> that of the one whose weights it begins with."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The swept keys."""
        if self.space is not None:
            return tuple(key for axis in self.space.axes for key in axis.keys)
        return tuple(self.points[0].axes)

    @property
    def n_points(self) -> int:
        """How many there are; of a search, how many its budget allows to be run."""
        return len(self.points) if self.space is None else self.space.search.budget.points

    @property
    def decodes(self) -> bool:
        """Whether a decoder is needed; a search may look at the hardware alone."""
        return self.space is None or self.space.needs_decoder

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
        tree = put(tree, key, from_here(key, pairs[key]), root)
    tree = absolute(tree, root)
    plan = plan_of(tree, tuple(Scenario.model_fields))
    _refuse_swept(pairs, plan.keys)
    points, skipped = _expanded(tree, plan, root)
    first = points[0].scenario
    space = _space_of(tree, root, first, pairs)
    named = (first.name, root, portable(tree, root).plain(), points, first.repeats, first.seed)
    return Study(*named, skipped, space, _starts(tree, plan, points))


def _starts(tree: Node, plan: Plan, points: Sequence[Point]) -> dict[int, int]:
    """Who begins with whose weights."""
    rule = points[0].scenario.warm_start
    if rule is None:
        return {}
    together = [key for axis in plan.axes if rule.axis in axis.keys for key in axis.keys]
    try:
        return starts_of(rule, points, together)
    except SpecError as error:
        raise SpecError(f"{tree.mapping['warm_start'].place}: {error}") from None


def _space_of(tree: Node, root: Path, first: Scenario, pairs: Mapping[str, Node]) -> Space | None:
    search = first.search
    if search is None:
        return None
    if "sweep" in tree.mapping and tree.mapping["sweep"].value:
        raise SpecError(f"{tree.place}: has both sweep and search; set sweep=null or search=null")
    question = search.question
    own = {} if question is None else question.space()
    axes = axes_of(tree.mapping["search"], tuple(Scenario.model_fields), own)
    keys = tuple(key for axis in axes for key in axis.keys)
    _refuse_swept(pairs, keys, "search")
    if question is not None and (lacking := question.lacks(first, keys)):
        raise SpecError(f"{tree.mapping['search'].place}: search.question: {lacking}")
    whole = first.repeats == 1 and not isinstance(first.decoder, NeuralSpec)
    if search.pruning is not None and whole and "decoder" not in keys:
        raise SpecError(
            f"{tree.mapping['search'].place}: search.pruning: decoder {first.decoder.kind} has no "
            "epochs, and there is one repeat: nothing can be cut short; raise repeats"
        )
    varying = ("search", "sweep")
    bare = Node({k: v for k, v in tree.mapping.items() if k not in varying}, tree.place)
    conditions = conditions_in(tree.mapping["search"], keys)
    expander = Expander(Scenario, bare, keys, root, conditions["skip"])
    return Space(search, tuple(axes), expander, conditions["constraints"], conditions["targets"])


def _expanded(tree: Node, plan: Plan, root: Path) -> tuple[tuple[Point, ...], tuple[Skipped, ...]]:
    """Every point that no condition leaves out, checked; all faults at once."""
    repeats = get(tree, ["repeats"])
    count = repeats.value if repeats is not None and isinstance(repeats.value, int) else 1
    count = count if 1 <= count <= MOST_REPEATS else 1  # else the first point tells what is wrong
    bare = Node({k: v for k, v in tree.mapping.items() if k != "sweep"}, tree.place)
    expander = Expander(Scenario, bare, plan.keys, root, plan.skip)
    points, skipped, faults = list[Point](), list[Skipped](), dict[str, None]()
    for choice in plan.choices(count):
        try:
            if (left_out := expander.skipped(choice)) is not None:
                skipped.append(left_out)
                continue
            scenario = expander.check(choice)
            if plan.skip_missing and (gone := missing(scenario, root)):
                skipped.append(Skipped(labels_of(choice), gone))
                continue
            points.append(Point(len(points), labels_of(choice), scenario))
        except SpecError as error:
            faults.update(dict.fromkeys(str(error).split("\n")))
            if len(faults) > _MAX_FAULTS:
                break
    if faults:
        raise SpecError("\n".join(list(faults)[:_MAX_FAULTS]))
    expander.refuse_unmet()
    if not points:
        raise SpecError(
            f"{tree.place}: sweep: all {len(skipped)} points are left out, the first by "
            f"{skipped[0].condition!r}; weaken the conditions"
        )
    return tuple(points), tuple(skipped)


def _refuse_swept(pairs: Mapping[str, Node], keys: Sequence[str], block: str = "sweep") -> None:
    """An override of a swept key would be swept away in silence."""
    for key, node in pairs.items():
        if key in keys:
            raise SpecError(
                f"{node.place}: {printable(key)} is an axis of the {block}; set "
                f"{block}{'.space' if block == 'search' else ''}.{printable(key)}=[...], or "
                f"{block}=null for one point"
            )

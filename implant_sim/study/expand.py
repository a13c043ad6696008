"""From the choices of a sweep or a search to checked scenarios; impossible ones are skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from implant_sim.study.axes import Choice, Label
from implant_sim.study.expression import Condition
from implant_sim.study.faults import describe, nearest
from implant_sim.study.find import with_implant
from implant_sim.study.paths import absolute
from implant_sim.study.points import Points
from implant_sim.study.tree import get, graft, in_order, split_key
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.errors import LimitError, SimError, SpecError

__all__ = ["Expander", "Skipped", "labels_of", "put"]

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A point that was left out."""

    axes: dict[str, Label]
    condition: str
    """The first condition that held."""


class Expander(Generic[Model]):
    """Puts choices into a scenario's tree and checks what comes of it."""

    def __init__(
        self,
        model: type[Model],
        bare: Node,
        keys: Sequence[str],
        root: Path,
        skip: Sequence[Condition] = (),
    ) -> None:
        """Prepare for choices of these keys; `bare` is the tree without them."""
        self._model, self._bare, self._root, self._skip = model, bare, root, skip
        self._unmet = {name: c for c in skip for name in c.names}
        self._met = dict[str, None]()
        self._points = Points(model, bare, tuple(keys), self._put, inner="implant")

    def skipped(self, choice: Choice) -> Skipped | None:
        """Whether a condition leaves the point out; looked at before it is checked.

        Raises
        ------
        SpecError
            Where a condition compares what cannot be compared.
        """
        if not self._skip:
            return None
        tree = self.tree(_values(choice))

        def lookup(name: str) -> object:
            node = get(tree, split_key(name))
            if node is not None:
                self._unmet.pop(name, None)
            return None if node is None else node.plain()

        for name in list(self._unmet):
            lookup(name)
        self._met.update(dict.fromkeys(_dotted(tree)) if self._unmet else {})
        held = next((c for c in self._skip if c.holds(lookup)), None)
        return None if held is None else Skipped(labels_of(choice), held.text)

    def refuse_unmet(self) -> None:
        """A name that no point has would never skip anything.

        Raises
        ------
        SpecError
            Naming it, and the nearest that there is.
        """
        for name, condition in self._unmet.items():
            raise SpecError(
                f"skip: {condition.text!r}: no point has {printable(name)!r}"
                f"{nearest(name, list(self._met))}; name a key that is varied or written down, "
                "and put text in quotes"
            )

    def check(self, choice: Choice) -> Model:
        """The scenario of a choice.

        Raises
        ------
        SpecError
            All its faults, with their places.
        """
        values = _values(choice)
        return self._points.check(values, partial(self._whole, values))

    def tree(self, values: Mapping[str, Node]) -> Node:
        """The whole tree of a point."""
        tree = self._bare
        for key in in_order(values):
            tree = put(tree, key, values[key], self._root)
        return absolute(tree, self._root)

    def _put(self, block: Node, key: str, node: Node) -> Node:
        return absolute(put(block, key, node, self._root), self._root)

    def _whole(self, values: Mapping[str, Node]) -> Model:
        """Check a point as a whole; what is wrong is told with its place in the file."""
        tree = self.tree(values)
        try:
            return self._model.model_validate(tree.plain())
        except ValidationError as error:
            raise SpecError("\n".join(describe(error, tree, self._model))) from None
        except LimitError:
            raise
        except SimError as error:  # a member's own check
            place = tree.place.source
            text = error.args[0] if place in str(error) else f"{place}: {error}"
            raise SpecError(text) from error


def put(tree: Node, key: str, node: Node, root: Path) -> Node:
    """A tree with a value at a dotted key; an implant's file is read in."""
    what = f"{node.key_place or node.place}: {printable(key)}"
    return with_implant(graft(tree, split_key(key), node, what), root)


def labels_of(choice: Choice) -> dict[str, Label]:
    """What tables show of a choice."""
    return {key: label for key, (label, _) in choice.items()}


def _values(choice: Choice) -> dict[str, Node]:
    return {key: node for key, (_, node) in choice.items()}


def _dotted(node: Node, before: str = "") -> list[str]:
    found = []
    for key, child in node.mapping.items():
        found += [before + key, *_dotted(child, f"{before}{key}.")]
    return found

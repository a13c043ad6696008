"""Many points from one tree: each block is put together and checked once, however many hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from implant_sim.study.tree import in_order, split_key
from implant_sim.study.yaml_loader import Node
from sbtt_models.errors import SimError

__all__ = ["Points"]

Model = TypeVar("Model", bound=BaseModel)
Put = Callable[[Node, str, Node], Node]
"""Tree, dotted key, value -> a tree with the value in it, files read and paths absolute."""
_Choice = tuple[int, ...]  # identities of the values that the axes have chosen


class Points(Generic[Model]):
    """Checks the points of a sweep against a model.

    A block that the axes leave as it was, or that they made before, is taken over as it was
    checked; what joins blocks is checked for each point, if the model checks such things. A point
    that fails, or whose model would see its input before its blocks are checked, is checked as a
    whole, so that faults are told as of any other file.
    """

    def __init__(
        self, model: type[Model], bare: Node, axes: Sequence[str], put: Put, inner: str
    ) -> None:
        """Prepare for these axes; the blocks inside the block `inner` are kept, too."""
        self._model, self._bare, self._put, self._inner = model, bare, put, inner
        self._axes = in_order(axes)
        steps = {key: split_key(key) for key in self._axes}
        self._touched = tuple(dict.fromkeys(step[0] for step in steps.values()))
        self._names = tuple(dict.fromkeys([*bare.mapping, *self._touched]))
        self._keys = {n: [k for k in self._axes if steps[k][0] == n] for n in self._names}
        self._inside = {key: step[1] if len(step) > 1 else "" for key, step in steps.items()}
        self._of_part: dict[str, list[str]] = {}
        self._trees: dict[tuple[str, _Choice], Node] = {}
        self._blocks: dict[tuple[str, _Choice], Any] = {}
        self._parts: dict[tuple[str, _Choice], Any] = {}
        self._direct = _sees_only_blocks(model)
        self._joins = bool(model.__pydantic_decorators__.model_validators)
        self._last: Model | None = None

    def check(self, choice: Mapping[str, Node], whole: Callable[[], Model]) -> Model:
        """Check a point.

        Parameters
        ----------
        choice : mapping of str to Node
            The value of each axis.
        whole : callable
            Checks the point as a whole, and raises what is wrong with it.

        Returns
        -------
        BaseModel
            As `whole` would give it.
        """
        if not self._direct:
            return whole()
        known = self._known(choice)
        if known is not None and self._last is not None and not self._joins:
            return self._last.model_copy(update=known)
        try:
            found = self._model.model_validate(self._content(choice))
        except (ValidationError, SimError):
            return whole()
        for name in self._names:
            self._keep(name, choice, found)
        self._last = found
        return found

    def _known(self, choice: Mapping[str, Node]) -> dict[str, Any] | None:
        """The blocks that the axes touch, by their fields, if each has been checked before."""
        found = {}
        for name in self._touched:
            place = name, self._chosen(name, choice)
            if place not in self._blocks:
                return None
            found[_field_of(self._model, name)] = self._blocks[place]
        return found

    def _content(self, choice: Mapping[str, Node]) -> dict[str, Any]:
        return {name: self._block(name, choice) for name in self._names}

    def _chosen(self, name: str, choice: Mapping[str, Node]) -> _Choice:
        """What the axes chose in a block."""
        return tuple([id(choice[key]) for key in self._keys[name]])

    def _block(self, name: str, choice: Mapping[str, Node]) -> Any:
        of = self._chosen(name, choice)
        if (name, of) in self._blocks:
            return self._blocks[name, of]
        tree = self._tree(name, self._keys[name], choice)
        if name != self._inner or not isinstance(tree.value, dict):
            return tree.plain()
        return {
            part: self._parts[part, chosen] if (part, chosen) in self._parts else node.plain()
            for part, node in tree.value.items()
            for chosen in (self._choice_of_part(part, choice),)
        }

    def _tree(self, name: str, keys: list[str], choice: Mapping[str, Node]) -> Node:
        """The block with the values of some axes in it."""
        if not keys:
            return self._bare.mapping[name]
        of = tuple(id(choice[key]) for key in keys)
        if (name, of) not in self._trees:
            *before, last = keys
            there = before or name in self._bare.mapping
            inside = {name: self._tree(name, before, choice)} if there else {}
            tree = self._put(Node(inside, self._bare.place), last, choice[last])
            self._trees[name, of] = tree.mapping[name]
        return self._trees[name, of]

    def _choice_of_part(self, part: str, choice: Mapping[str, Node]) -> _Choice:
        """What the axes chose in a part of the inner block, or for the whole of it."""
        if part not in self._of_part:
            keys, inside = self._keys[self._inner], self._inside
            self._of_part[part] = [key for key in keys if inside[key] in ("", part)]
        return tuple([id(choice[key]) for key in self._of_part[part]])

    def _keep(self, name: str, choice: Mapping[str, Node], found: Model) -> None:
        of = self._chosen(name, choice)
        if (name, of) in self._blocks:
            return
        block = getattr(found, _field_of(type(found), name))
        self._blocks[name, of] = block
        kind: type[BaseModel] = type(block)
        if name == self._inner and _sees_only_blocks(kind):
            for part in self._tree(name, self._keys[name], choice).mapping:
                value = getattr(block, _field_of(kind, part))
                self._parts[part, self._choice_of_part(part, choice)] = value


@cache
def _field_of(model: type[BaseModel], key: str) -> str:
    """The Python name of a YAML key."""
    fields = model.model_fields
    return key if key in fields else next(n for n, f in fields.items() if f.alias == key)


@cache
def _sees_only_blocks(model: type[BaseModel]) -> bool:
    """Whether nothing of a model looks at its input before the blocks in it are checked."""
    known = model.__pydantic_decorators__
    of_model = (check.info.mode for check in known.model_validators.values())
    of_fields = (check.info.mode for check in known.field_validators.values())
    return {*of_model, *of_fields} <= {"after"}

"""Many points from one tree: each block is put together and checked once, however many hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        self._top = {key: split_key(key)[0] for key in self._axes}
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
        for name in self._bare.mapping | dict.fromkeys(self._top.values()):
            self._keep(name, choice, found)
        self._last = found
        return found

    def _known(self, choice: Mapping[str, Node]) -> dict[str, Any] | None:
        """The blocks that the axes touch, by their fields, if each has been checked before."""
        found = {}
        for name in dict.fromkeys(self._top.values()):
            place = name, tuple(id(choice[key]) for key in self._keys(name))
            if place not in self._blocks:
                return None
            found[_field_of(self._model, name)] = self._blocks[place]
        return found

    def _content(self, choice: Mapping[str, Node]) -> dict[str, Any]:
        names = dict.fromkeys([*self._bare.mapping, *self._top.values()])
        return {name: self._block(name, choice) for name in names}

    def _keys(self, name: str) -> list[str]:
        return [key for key in self._axes if self._top[key] == name]

    def _block(self, name: str, choice: Mapping[str, Node]) -> Any:
        keys = self._keys(name)
        of = tuple(id(choice[key]) for key in keys)
        if (name, of) in self._blocks:
            return self._blocks[name, of]
        tree = self._tree(name, keys, choice)
        if name != self._inner or not isinstance(tree.value, dict):
            return tree.plain()
        return {
            part: self._parts[part, chosen] if (part, chosen) in self._parts else node.plain()
            for part, node in tree.value.items()
            for chosen in (self._choice_of_part(part, keys, choice),)
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

    def _choice_of_part(self, part: str, keys: list[str], choice: Mapping[str, Node]) -> _Choice:
        """What the axes chose in a part of the inner block, or for the whole of it."""
        return tuple(id(choice[key]) for key in keys if split_key(key)[1:2] in ((), (part,)))

    def _keep(self, name: str, choice: Mapping[str, Node], found: Model) -> None:
        keys = self._keys(name)
        of = tuple(id(choice[key]) for key in keys)
        if (name, of) in self._blocks:
            return
        block = getattr(found, _field_of(type(found), name))
        self._blocks[name, of] = block
        if name == self._inner and _sees_only_blocks(type(block)):
            for part in self._tree(name, keys, choice).mapping:
                value = getattr(block, _field_of(type(block), part))
                self._parts[part, self._choice_of_part(part, keys, choice)] = value


def _field_of(model: type[BaseModel], key: str) -> str:
    """The Python name of a YAML key."""
    fields = model.model_fields
    return key if key in fields else next(n for n, f in fields.items() if f.alias == key)


def _sees_only_blocks(model: type[BaseModel]) -> bool:
    """Whether nothing of a model looks at its input before the blocks in it are checked."""
    known = model.__pydantic_decorators__
    of_model = (check.info.mode for check in known.model_validators.values())
    of_fields = (check.info.mode for check in known.field_validators.values())
    return {*of_model, *of_fields} <= {"after"}

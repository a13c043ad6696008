"""The names that a scenario may use at a place, read off its types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from implant_sim.study.yaml_loader import Node

__all__ = ["Known", "known_at", "members", "tags_of"]


@dataclass(frozen=True, slots=True)
class Known:
    """Names that would be right at a place."""

    siblings: tuple[str, ...] = ()
    """Keys beside the last step."""
    kinds: tuple[str, ...] = ()
    """What a block there may be."""
    inside: tuple[str, ...] = ()
    """Keys in a block there."""


def members(annotation: Any) -> list[type[BaseModel]]:
    """The classes in an annotation, in its order: of a union, or of what a container holds."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [member for part in get_args(annotation) for member in members(part)]


def tags_of(member: type[BaseModel], tag: str = "kind") -> tuple[str, ...]:
    """What a union tells a member by; other blocks have none."""
    field = member.model_fields.get(tag)
    return () if field is None else tuple(map(str, get_args(field.annotation)))


def known_at(
    model: type[BaseModel], root: Node, path: tuple[str, ...], tag: str = "kind"
) -> Known:
    """Look up the names at the end of a path.

    The JSON schema would tell them, too, but it takes more than a second to write down.

    Parameters
    ----------
    model : type
        What the tree is validated against.
    root : Node
        The tree.
    path : tuple of str
        Keys, or indices into lists, that lead to the place.
    tag : str
        The key that tells the members of a union apart there.

    Examples
    --------
    >>> from implant_sim.study.sweep import Sample
    >>> from implant_sim.study.tree import as_node
    >>> known_at(Sample, as_node({"sed": 1}, "a.yaml"), ("sed",)).siblings
    ('kind', 'points', 'seed')
    """
    node, here, above = root, [model], list[type[BaseModel]]()
    for step in path:
        above = _chosen(here, node)
        if isinstance(node.value, list):
            node = node.value[int(step)]
            continue
        node = node.mapping[step]
        fields = [field for field in map(_fields, above) if step in field]
        if fields:
            here = [found for field in fields for found in members(field[step])]
        # else a key of a plain mapping: what it holds, and its kind, are known already
    kinds = {name for member in here for name in tags_of(member, tag)}
    return Known(_keys(above), tuple(sorted(kinds)), _keys(_chosen(here, node)))


def _chosen(here: list[type[BaseModel]], node: Node) -> list[type[BaseModel]]:
    """Of the members of a union, the one that a block asks for."""
    kind = node.mapping.get("kind")
    asked = [m for m in here if kind is not None and str(kind.value) in tags_of(m)]
    return asked or here


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _keys(models: list[type[BaseModel]]) -> tuple[str, ...]:
    """Of one block; of several, none of which is asked for, not even those of the first."""
    return tuple(sorted(_fields(models[0]))) if len(models) == 1 else ()

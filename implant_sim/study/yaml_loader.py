"""YAML as people mean it, with the place of every value kept for error messages.

PyYAML alone reads ``5e-12`` as text, ``no`` as False, lets the last of two equal keys win, follows
aliases that grow without bound and can build Python objects. Here scalars follow the YAML 1.2 core
schema, and what a scenario never needs (tags, anchors, aliases, merge keys) is refused. The
C loader is never used: it crashes the process on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from sbtt_models.errors import SpecError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Node", "Place", "parse", "parse_file", "printable"]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
_MAX_DIGITS = 100

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file with line and column (from 1), or an option."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """``file:line:column``, as editors understand it."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a YAML tree, and where it stands."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    key_place: Place | None = None
    """Where the key of this value stands, inside a mapping."""

    def plain(self) -> Any:
        """The value as ordinary Python: dict, list, scalar."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    @property
    def mapping(self) -> dict[str, Node]:
        """The children by key; empty where this is no mapping."""
        return self.value if isinstance(self.value, dict) else {}


def parse_file(path: Path) -> Node:
    """Read one YAML document from a file.

    Parameters
    ----------
    path : pathlib.Path
        A regular file of at most 1 MB, UTF-8, with or without byte-order mark.

    Returns
    -------
    Node
        The document's root; scalars typed as the YAML 1.2 core schema types them.

    Raises
    ------
    SpecError
        For a file that cannot be read and for everything that :func:`parse` refuses.
    """
    name = printable(str(path))
    try:
        if not path.is_file():
            raise SpecError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SpecError(f"{name}: cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise SpecError(f"{name}: exceeds {MAX_BYTES:,} bytes; a scenario holds values, not data")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SpecError(f"{name}: is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{name}:{line}: is not UTF-8 text ({error.reason})") from error
    return parse(text, name)


def parse(text: str, source: str) -> Node:
    """Read one YAML document from text.

    Parameters
    ----------
    text : str
        The document.
    source : str
        What the errors call it.

    Raises
    ------
    SpecError
        For bad syntax, tags, anchors, aliases, duplicate keys, keys that are no text, nesting
        beyond 50 levels, more than one document; every duplicate of the file is named at once.
    """
    text = text.removeprefix("\ufeff")
    _refuse_control_characters(text, source)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise SpecError(_syntax(error, source)) from error
    finally:
        loader.dispose()
    if root is None:
        raise SpecError(f"{source}: is empty")
    faults: list[str] = []
    node = _convert(root, source, faults)
    if faults:
        raise SpecError("\n".join(faults))
    return node


def printable(text: str) -> str:
    """The text without control characters, which could command a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _refuse_control_characters(text: str, source: str) -> None:
    bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if bad is not None:
        line, start = text.count("\n", 0, bad.start()) + 1, text.rfind("\n", 0, bad.start())
        raise SpecError(
            f"{source}:{line}:{bad.start() - start}: control character "
            f"U+{ord(bad.group()):04X} is not allowed in YAML"
        )


def _syntax(error: yaml.MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
    problem = printable(error.problem or "not valid YAML")
    if "'\\t'" in problem:
        problem = "a tab cannot indent YAML; use spaces"
    context = f" ({printable(error.context)})" if error.context else ""
    return f"{place}: {problem}{context}"


class _Loader(yaml.SafeLoader):
    """Composes plain nodes only: each refusal happens before anything is built."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        refused = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            refused = "anchors and aliases are not allowed; write the value out"
        elif getattr(event, "tag", None) is not None:
            refused = f"tag {event.tag!r} is not allowed; a scenario holds plain values"
        elif self._depth >= MAX_DEPTH:
            refused = f"nested deeper than {MAX_DEPTH} levels"
        if refused:
            raise yaml.composer.ComposerError(None, None, refused, event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


# The YAML 1.2 core schema; everything else is text.
_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def _convert(
    node: yaml.Node, source: str, faults: list[str], key_place: Place | None = None
) -> Node:
    place = Place(source, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        return Node(dict(_items(node, source, faults)), place, key_place)
    if isinstance(node, yaml.SequenceNode):
        children = [_convert(child, source, faults) for child in node.value]
        return Node(children, place, key_place)
    try:
        return Node(_scalar(node), place, key_place)
    except ValueError as error:
        faults.append(f"{place}: {error}")
        return Node(None, place, key_place)


def _items(node: yaml.MappingNode, source: str, faults: list[str]) -> Iterator[tuple[str, Node]]:
    seen: dict[str, int] = {}
    for key, child in node.value:
        place = Place(source, key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode) or not isinstance(_scalar(key), str):
            faults.append(f"{place}: a key must be text; quote it if it is meant so")
            continue
        if key.value in seen:
            faults.append(
                f"{place}: key {printable(key.value)!r} is given twice (first in line "
                f"{seen[key.value]}); remove one"
            )
            continue
        seen[key.value] = place.line
        yield key.value, _convert(child, source, faults, place)


def _scalar(node: yaml.Node) -> Scalar:
    kind, text = node.tag.rsplit(":", 1)[-1], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"a whole number of {len(text)} digits is no quantity")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if kind == "float":
        named = text.lower().lstrip("+-")
        if named in (".inf", ".nan"):
            return float(text.lower().replace(".", ""))
        return float(text)
    return str(text)

"""Conditions such as ``schedule.bandwidth > 20 and implant.radio.kind == 'ble'``.

A closed grammar, read by hand: nothing of it is ever run as code.

    condition = both {"or" both}          both = one {"and" one}
    one = "not" one | "(" condition ")" | value {operator value}
    operator = "<" | "<=" | ">" | ">=" | "==" | "!=" | "in" | "not in"
    value = number [unit] | 'text' | true | false | null | name | "[" value {"," value} "]"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, TypeAlias

from implant_sim.study.yaml_loader import printable
from sbtt_models.errors import SpecError
from sbtt_models.units import measure

__all__ = ["AllOf", "AnyOf", "Chain", "Condition", "Literal", "Name", "Not", "parse_condition"]

_MAX_TEXT = 500
_MAX_DEPTH = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<word>[A-Za-z_µμΩ%][\w.µμΩ%/^]*)"
    r"|(?P<mark><=|>=|==|!=|[<>()\[\],-]))"
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS = ("and", "or", "not", "in")

Lookup: TypeAlias = Callable[[str], Any]
"""Name -> value: a number, text, a truth, a list, or None where there is none."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written; a quantity is text until it is compared."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted key, or a column."""

    key: str


@dataclass(frozen=True, slots=True)
class Chain:
    """``a < b <= c``."""

    values: tuple[Any, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: Any


@dataclass(frozen=True, slots=True)
class AllOf:
    """``and``."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """``or``."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that has been read."""

    text: str
    root: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it looks at, each once."""
        return tuple(dict.fromkeys(_names(self.root)))

    def holds(self, lookup: Lookup) -> bool:
        """Whether it is true.

        Parameters
        ----------
        lookup : callable
            Name -> value. A comparison with a name that has none is false, but for ``== null``.

        Raises
        ------
        SpecError
            Where text is ordered with a number, or quantities of two dimensions are compared.
        """
        try:
            return _true(self.root, lookup)
        except TypeError as error:
            raise SpecError(f"{self.text!r}: {error}") from None


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises
    ------
    SpecError
        Saying where it stops making sense.

    Examples
    --------
    >>> parse_condition("a.b > 2 uV and not c == 'x'").holds({"a.b": "3 uV", "c": "y"}.get)
    True
    """
    return Condition(text, _Reader(text).whole())


class _Reader:
    """Reads one condition from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > _MAX_TEXT:
            raise SpecError(f"a condition of {len(text)} characters; at most {_MAX_TEXT} are read")
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                self._stop(f"does not make sense at {text[at:].strip()[:20]!r}")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        self._at = 0

    def whole(self) -> Any:
        found = self._either(0)
        if self._at < len(self._tokens):
            self._stop(f"is complete before {self._tokens[self._at][1]!r}")
        return found

    def _stop(self, what: str) -> NoReturn:
        raise SpecError(
            f"condition {printable(self._text)!r} {printable(what)}; write for example "
            "\"schedule.bandwidth > 20 and implant.radio.kind == 'ble'\""
        )

    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "its end")

    def _take(self, *marks: str) -> str | None:
        kind, text = self._next()
        if kind in ("mark", "word") and text in marks:
            self._at += 1
            return text
        return None

    def _either(self, depth: int) -> Any:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self, depth: int) -> Any:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            self._stop(f"is nested more than {_MAX_DEPTH} deep")
        if self._take("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            found = self._either(depth + 1)
            if not self._take(")"):
                self._stop(f"lacks a ')' before {self._next()[1]!r}")
            return found
        values, operators = [self._value(depth)], list[str]()
        while operator := self._operator():
            operators.append(operator)
            values.append(self._value(depth))
        return Chain(tuple(values), tuple(operators)) if operators else values[0]

    def _operator(self) -> str | None:
        if self._take("not"):
            if not self._take("in"):
                self._stop("lacks 'in' after 'not'")
            return "not in"
        return self._take(*_ORDER, "==", "!=", "in")

    def _value(self, depth: int) -> Any:
        kind, text = self._next()
        self._at += 1
        if kind == "text":
            return Literal(text[1:-1])
        if text == "-" and self._next()[0] == "number":
            kind, text = "number", "-" + self._next()[1]
            self._at += 1
        if kind == "number":
            return self._number(text)
        if text == "[" and depth < _MAX_DEPTH:
            values = [self._value(depth + 1)]
            while self._take(","):
                values.append(self._value(depth + 1))
            if not self._take("]"):
                self._stop(f"lacks a ']' before {self._next()[1]!r}")
            return Literal([getattr(value, "value", None) for value in values])
        if kind != "word" or text in _WORDS:
            self._stop(f"lacks a value before {text!r}")
        return Literal(_CONSTANTS[text]) if text in _CONSTANTS else Name(text)

    def _number(self, text: str) -> Literal:
        kind, unit = self._next()
        if kind != "word" or unit in _WORDS:
            return Literal(float(text) if set(text) & set(".eE") else int(text))
        self._at += 1
        if measure(f"{text} {unit}") is None:
            self._stop(f"has an unknown unit {unit!r}")
        return Literal(f"{text} {unit}")


def _names(node: Any) -> list[str]:
    if isinstance(node, Name):
        return [node.key]
    inside = getattr(node, "parts", None) or getattr(node, "values", None)
    if isinstance(node, Not):
        inside = (node.inner,)
    return [name for part in inside or () for name in _names(part)]


def _true(node: Any, lookup: Lookup) -> bool:
    match node:
        case AllOf(parts):
            return all(_true(part, lookup) for part in parts)
        case AnyOf(parts):
            return any(_true(part, lookup) for part in parts)
        case Not(inner):
            return not _true(inner, lookup)
        case Chain(values, operators):
            given = [_given(value, lookup) for value in values]
            pairs = zip(operators, pairwise(given), strict=True)
            return all(_compared(operator, a, b) for operator, (a, b) in pairs)
    return bool(_given(node, lookup))


def _given(node: Any, lookup: Lookup) -> Any:
    return lookup(node.key) if isinstance(node, Name) else node.value


def _compared(operator: str, a: Any, b: Any) -> bool:
    if operator.endswith("in"):
        if not isinstance(b, list):
            raise TypeError("'in' needs a list, such as ['ble', 'uwb']")
        return (operator == "in") == any(_compared("==", a, value) for value in b)
    if a is None or b is None:
        equal = a is None and b is None
        return {"==": equal, "!=": not equal}.get(operator, False)
    a, b = _alike(a, b)
    if operator in ("==", "!="):
        return bool((a == b) == (operator == "=="))
    if not (_is_number(a) and _is_number(b)):
        raise TypeError(f"{_shown(a)} and {_shown(b)} have no order")
    return _ORDER[operator](a, b)


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Quantities as SI numbers, if both are; a bare number counts as SI already."""
    if isinstance(a, str) == isinstance(b, str) and not isinstance(a, str):
        return a, b
    read = [measure(v) if isinstance(v, str) else (v, None) for v in (a, b)]
    if None in read or not all(_is_number(found and found[0]) for found in read):
        return a, b
    (x, dim_x), (y, dim_y) = (found or (0.0, None) for found in read)
    if dim_x is not None and dim_y is not None and dim_x != dim_y:
        raise TypeError(f"{_shown(a)} and {_shown(b)} differ in dimension")
    return x, y


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return printable(repr(value)[:40])

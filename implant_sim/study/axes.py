"""What a key may be: a list of values, or a range with its unit and scale."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError, model_validator
from typing_extensions import override

from implant_sim.study.faults import describe
from implant_sim.study.yaml_loader import Node, Place, printable
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.units import measure, to_si

__all__ = ["Axis", "Choice", "Label", "Listed", "Range", "Ranged", "axes_text", "listed", "ranged"]

Label: TypeAlias = str | int | float | bool | None
Choice: TypeAlias = dict[str, tuple[Label, Node]]
"""Dotted key -> what tables show, and the value as it enters the tree."""
_DIGITS = 6
"""Digits that count of a value inside a range, so that it reads as people write."""


class Range(Spec):
    """Numbers from one end to the other, both included."""

    from_: int | float | str = Field(alias="from")
    """A number, or a quantity such as `2 uV`."""
    to: int | float | str
    """Of the same dimension."""
    points: int | None = Field(None, ge=2)
    """How many a grid takes, evenly on the scale. Not needed where values are drawn."""
    scale: Literal["linear", "log", "integer", "log_integer"] | None = None
    """How they are spaced. Without it: integer if both ends are whole numbers, else linear."""

    @model_validator(mode="after")
    def _can_be(self) -> Range:
        low, high = self.ends
        if not low < high:
            raise ValueError(f"'from' must be below 'to', got {self.from_} and {self.to}")
        if self.spacing.startswith("log") and low <= 0:
            raise ValueError(f"a log scale needs 'from' above 0, got {self.from_}")
        if self.whole and not (low.is_integer() and high.is_integer()):
            raise ValueError(f"{self.spacing} needs whole ends, got {self.from_} and {self.to}")
        return self

    @property
    def unit(self) -> str:
        """As the lower end is written; empty for pure numbers."""
        return _unit_of(self.from_)

    @property
    def ends(self) -> tuple[float, float]:
        """In `unit`."""
        return _ends_of(self.from_, self.to)

    @property
    def spacing(self) -> str:
        """The scale that applies."""
        integers = isinstance(self.from_, int) and isinstance(self.to, int)
        return self.scale or ("integer" if integers else "linear")

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return self.spacing.endswith("integer")

    def value(self, share: float) -> int | float | str:
        """What lies at a share of the way, 0 to 1, on the scale."""
        low, high = self.ends
        if self.whole and self.spacing == "integer" and 0 < share < 1:
            return self.spelt(math.floor(low + share * (high - low + 1)))
        if self.spacing.startswith("log"):
            found = low * (high / low) ** share
        else:
            found = low + share * (high - low)
        return self.spelt(min(max(found, low), high))

    def grid(self, index: int) -> int | float | str:
        """One of `points` values, evenly on the scale."""
        share = index / ((self.points or 2) - 1)
        low, high = self.ends
        if self.spacing == "integer":
            return self.spelt(low + share * (high - low))
        return self.value(share)

    def spelt(self, value: float) -> int | float | str:
        """A value in `unit`, as it is written."""
        number = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        return f"{number:g} {self.unit}" if self.unit else number


def _unit_of(end: float | str) -> str:
    return str(end).strip().lstrip("+-.0123456789eE").strip()


@lru_cache(maxsize=256)  # asked of each value that is drawn
def _ends_of(low: float | str, high: float | str) -> tuple[float, float]:
    """Both ends of a range, in the unit of the lower."""
    unit = _unit_of(low)
    if unit and (not isinstance(low, str) or measure(low) is None):
        raise ValueError(f"{low!r} is no quantity")
    if bool(unit) != isinstance(high, str):
        raise ValueError(f"{low} and {high}: give both ends a unit, or none")
    return to_si(low, unit), to_si(high, unit)


class Axis(ABC):
    """One direction of a sweep or of a search space; one key, or several that walk together."""

    keys: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int:
        """Values that a grid takes."""

    @abstractmethod
    def __getitem__(self, index: int) -> Choice:
        """One of them."""

    @property
    def is_ordered(self) -> bool:
        """Whether neighbours in the list are likely to be alike."""
        return True

    @abstractmethod
    def at(self, share: float) -> Choice:
        """What lies at a share of the way, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Listed(Axis):
    """Values that were written down."""

    keys: tuple[str, ...]
    values: Sequence[Choice]

    @override
    def __len__(self) -> int:
        return len(self.values)

    @override
    def __getitem__(self, index: int) -> Choice:
        return self.values[index]

    @property
    @override
    def is_ordered(self) -> bool:
        """Numbers and quantities that rise or fall."""
        numbers = self._numbers
        return numbers is not None and numbers in (sorted(numbers), sorted(numbers)[::-1])

    @property
    def falls(self) -> bool:
        """Whether the first of its numbers is above the last."""
        numbers = self._numbers
        return numbers is not None and numbers[0] > numbers[-1]

    @property
    def _numbers(self) -> list[float] | None:
        """In SI; None where there are several keys, or values that are no numbers."""
        written = [next(iter(row.values()))[1].value for row in self.values]
        found = [measure(v) if isinstance(v, str) else None for v in written]
        read = [v if f is None else f[0] for v, f in zip(written, found, strict=True)]
        bare = [v for v in read if not isinstance(v, bool)]
        numbers = [float(v) for v in bare if isinstance(v, int | float)]
        return numbers if len(self.keys) == 1 and len(numbers) == len(read) else None

    @override
    def at(self, share: float) -> Choice:
        return self.values[min(int(share * len(self)), len(self) - 1)]


@dataclass(frozen=True, slots=True)
class Ranged(Axis):
    """Values on a range, each made once, so that equal values are one object."""

    keys: tuple[str, ...]
    range: Range
    place: Place
    _made: dict[Any, Choice]

    @override
    def __len__(self) -> int:
        return self.range.points or 0

    @override
    def __getitem__(self, index: int) -> Choice:
        return self.of(self.range.grid(index))

    @override
    def at(self, share: float) -> Choice:
        return self.of(self.range.value(share))

    def of(self, value: int | float | str) -> Choice:
        """A value of the range, as it enters the tree."""
        if value not in self._made:
            self._made[value] = {self.keys[0]: (value, Node(value, self.place, self.place))}
        return self._made[value]


def ranged(key: str, node: Node, what: str) -> Ranged:
    """Read a block as a range.

    Parameters
    ----------
    key : str
        The dotted key that takes its values.
    node : Node
        ``{from, to, points, scale}``.
    what : str
        What the errors call it.

    Raises
    ------
    SpecError
        For a block that is no range.
    """
    try:
        found = Range.model_validate(node.plain())
    except ValidationError as error:
        lines = describe(error, node, Range)
        raise SpecError("\n".join(_inside(line, node, what) for line in lines)) from None
    return Ranged((key,), found, node.key_place or node.place, {})


def _inside(line: str, node: Node, what: str) -> str:
    """A fault of the block, with the key that the block belongs to."""
    place, _, text = line.partition(": ")
    return f"{place}: {what}: {text}" if place.startswith(node.place.source) else line


def listed(columns: Mapping[str, list[Node]], place: Place) -> Listed:
    """Read lists of equal length, one for each key; they walk together."""
    chosen = [
        list(zip(_labels(nodes), (_without_label(v, place) for v in nodes), strict=True))
        for nodes in columns.values()
    ]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*chosen, strict=True)]
    return Listed(tuple(columns), rows)


def axes_text(axes: Mapping[str, Label]) -> str:
    """What was chosen, on one line.

    Examples
    --------
    >>> axes_text({"schedule.bandwidth": 5, "decoder": "lfads"})
    'schedule.bandwidth=5, decoder=lfads'
    """
    return ", ".join(f"{key}={value}" for key, value in axes.items())


def _without_label(node: Node, axis: Place) -> Node:
    """The value as it enters the tree; a fault of its key is a fault of the axis."""
    if "label" not in node.mapping:
        return Node(node.value, node.place, axis)
    kept = {key: child for key, child in node.mapping.items() if key != "label"}
    return Node(kept, node.place, axis)


def _labels(values: list[Node]) -> list[Label]:
    """Short names of an axis' values; different values have different ones."""
    blocks = [value.plain() for value in values]
    labels = [_label(block, blocks) for block in blocks]
    seen: dict[Label, list[Any]] = {}
    for i, label in enumerate(labels):
        alike = seen.setdefault(label, [])
        if blocks[i] not in alike:
            alike.append(blocks[i])
        if isinstance(blocks[i], dict | list) and (number := alike.index(blocks[i])):
            labels[i] = f"{label} #{number + 1}"
    return labels


def _label(block: Any, blocks: list[Any]) -> Label:
    if isinstance(block, dict):
        if "label" in block:
            return printable(str(block["label"]))
        kind = block.get("kind")
        rivals = [b for b in blocks if isinstance(b, dict) and b.get("kind") == kind]
        told = [k for k, v in block.items() if any(rival.get(k) != v for rival in rivals)]
        words = [] if kind is None else [str(kind)]
        return printable(" ".join(words + [f"{k}={_text(block[k])}" for k in told]) or "block")
    if isinstance(block, list):
        return printable(_text(block))
    if isinstance(block, str) and block.endswith((".yaml", ".yml")):
        return printable(PurePath(block).stem)
    return printable(block) if isinstance(block, str) else block


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""From a scenario with a ``sweep:`` to its points: counted before they are built."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from implant_sim.study.axes import Axis, Choice, Label, Range, axes_text
from implant_sim.study.expression import Condition
from implant_sim.study.faults import describe
from implant_sim.study.read_axes import OWN, Faults, axis_of, conditions_of, zipped
from implant_sim.study.yaml_loader import Node, printable
from sbtt_models.errors import LimitError, SpecError
from sbtt_models.spec import Spec

__all__ = [
    "MAX_RUNS",
    "Axis",
    "Choice",
    "Label",
    "Plan",
    "Sample",
    "Sweep",
    "axes_text",
    "plan_of",
]

MAX_RUNS = 10_000
"""Points times repeats of one run folder."""


class Sample(Spec):
    """Draw the points of a sweep instead of taking every combination."""

    kind: Literal["random", "latin_hypercube"] = "latin_hypercube"
    """Each point by itself, or so that every axis is covered evenly."""
    points: int = Field(ge=1, le=MAX_RUNS)
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the draw alone."""

    def shares(self, n_axes: int) -> list[list[float]]:
        """For each point the share of the way along each axis, 0 to 1."""
        rng = np.random.default_rng(self.seed)
        u = rng.random((self.points, n_axes))
        if self.kind == "latin_hypercube":
            strata = np.stack([rng.permutation(self.points) for _ in range(n_axes)], axis=1)
            u = (strata + u) / self.points
        return u.tolist()


class Sweep(Spec):
    """Dotted key -> a list of values, or a range. Every combination is a point.

    A value may be a whole block, with a `label` for tables.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[Any] | Range] = Field(init=False)

    zip: tuple[dict[str, list[Any]], ...] = ()
    """Blocks of dotted keys whose lists walk together; each block is one axis."""
    sample: Sample | None = None
    """Draw so many points instead of the whole grid."""
    skip: tuple[str, ...] = ()
    """Conditions; a point for which one holds is left out, and that is said:
    `schedule.bandwidth > 20 and implant.radio.kind == 'ble'`."""
    missing: Literal["refuse", "skip"] = "refuse"
    """What becomes of points whose recording is not there: all is refused, or they are left out,
    and that is said."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep that has been read, and not been expanded."""

    axes: tuple[Axis, ...] = ()
    sample: Sample | None = None
    skip: tuple[Condition, ...] = ()
    skip_missing: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The swept keys."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def count(self) -> int:
        """Points before any is skipped."""
        return self.sample.points if self.sample else math.prod(len(axis) for axis in self.axes)

    def choices(self, repeats: int) -> Iterator[Choice]:
        """Every point, last axis fastest, or those that are drawn.

        Raises
        ------
        LimitError
            At once, before anything is built, if points x repeats exceed 10,000.
        """
        if self.count * repeats > MAX_RUNS:
            raise LimitError(self._too_many(repeats))
        if self.sample:
            rows = self.sample.shares(len(self.axes))
            drawn = ([a.at(u) for a, u in zip(self.axes, row, strict=True)] for row in rows)
            return (_joined(parts) for parts in drawn)
        grid = product(*(range(len(axis)) for axis in self.axes))
        each = ([a[i] for a, i in zip(self.axes, index, strict=True)] for index in grid)
        return (_joined(parts) for parts in each)

    def _too_many(self, repeats: int) -> str:
        longest = max(self.axes, key=len)
        others = repeats * (self.count // len(longest))
        fits = MAX_RUNS // others
        way_out = (
            f"{' with '.join(printable(k) for k in longest.keys)} may have {fits:,} of its "
            f"{len(longest):,} values"
            if fits
            else f"even one value of {printable(longest.keys[0])} makes {others:,} runs"
        )
        return (
            f"the sweep has {self.count:,} points x {repeats:,} repeats = "
            f"{self.count * repeats:,} runs; the limit is {MAX_RUNS:,}; {way_out}; shorten an "
            f"axis, lower repeats, or draw: sweep.sample={{points: {MAX_RUNS // repeats}}}"
        )


def plan_of(root: Node, known: tuple[str, ...]) -> Plan:
    """Read the ``sweep:`` block.

    Parameters
    ----------
    root : Node
        The scenario's tree.
    known : tuple of str
        Top-level keys of a scenario; an axis must begin with one.

    Raises
    ------
    SpecError
        For a sweep that is no mapping of lists and ranges, an empty list or an axis that cannot
        be swept; all faults at once.
    """
    block = root.mapping.get("sweep")
    if block is None or block.value is None:
        return Plan()
    if not isinstance(block.value, dict):
        raise SpecError(f"{block.place}: sweep: must be a block of 'dotted.key: [values]'")
    faults: list[str] = []
    read = Faults(faults)
    sample = read(_sample_of, block.mapping.get("sample"))
    skip = read(conditions_of, block.mapping.get("skip"), "sweep.skip") or ()
    skip_missing = read(_skips_missing, block.mapping.get("missing"))
    axes: list[Axis | None] = []
    for key, node in block.value.items():
        if key == "zip":
            axes += zipped(node, known, read)
        elif key not in OWN:
            axes.append(read(axis_of, key, node, known, "sweep", not sample))
    found = [axis for axis in axes if axis is not None]
    keys = [key for axis in found for key in axis.keys]
    faults += [
        f"{block.place}: sweep: {printable(key)} is swept twice"
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    if faults:
        raise SpecError("\n".join(faults))
    if not found and (sample or skip):
        raise SpecError(f"{block.place}: sweep: names no key to vary")
    return Plan(tuple(found), sample, skip, bool(skip_missing))


def _sample_of(node: Node | None) -> Sample | None:
    if node is None or node.value is None:
        return None
    try:
        return Sample.model_validate(node.plain())
    except ValidationError as error:
        raise SpecError("\n".join(describe(error, node, Sample))) from None


def _skips_missing(node: Node | None) -> bool:
    if node is not None and node.value not in ("refuse", "skip"):
        raise SpecError(f"{node.place}: sweep.missing: must be refuse or skip")
    return node is not None and node.value == "skip"


def _joined(parts: Sequence[Mapping[str, tuple[Label, Node]]]) -> Choice:
    return {key: value for part in parts for key, value in part.items()}

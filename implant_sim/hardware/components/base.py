"""What the blocks of an implant have in common: aliases without unit, sources, a price list."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.fields import FieldInfo

from implant_sim.hardware.physics.constants import Constants
from sbtt_models.spec import Spec

__all__ = [
    "Block",
    "Component",
    "Price",
    "Source",
    "SourceKind",
    "SourceRef",
    "fields_of",
    "keys_of",
]

SourceKind = Literal["measured", "derived", "recalled"]

_SUFFIX = re.compile(r"_(w_m2|w_kg|kg_m3|k_w|v_m|s_m|m2|bps|ohm|hz|db|j|w|s|v|k|m|c|f)$")


def _without_unit(name: str) -> str:
    """The YAML key of a field: ``noise_v`` is written ``noise``."""
    return _SUFFIX.sub("", name)


class Source(Spec):
    """Where a number comes from, and how far to trust it."""

    text: str = Field(min_length=1, max_length=1000)
    """Paper, data sheet or calculation."""
    kind: SourceKind
    """measured: published for a part; derived: calculated from such; recalled: to be verified."""


SourceRef = str | Source
"""A key of the implant's list of sources, or a source in full."""


class Block(Spec):
    """A block of an implant. Every number that it is given needs a source."""

    model_config = ConfigDict(alias_generator=_without_unit)

    default_sources: ClassVar[Mapping[str, Source]] = MappingProxyType({})
    """Where the defaults of the fields come from, by the field's name."""
    price_fields: ClassVar[frozenset[str]] = frozenset({"source"})
    """Fields that change prices and verdicts, never what is counted; a field not declared may."""
    signal_fields: ClassVar[frozenset[str]] = frozenset()
    """Likewise where neither raw samples are sent nor a threshold is set, so that no voltage is
    looked at."""

    source: SourceRef | dict[str, SourceRef] | None = Field(None, union_mode="left_to_right")
    """For the whole block, or for each of its keys."""

    def numbers(self) -> dict[str, Any]:
        """The fields that hold a number, by their Python name."""
        return {name: value for name, value in vars(self).items() if _numeric(value)}

    def default_of(self, field: str) -> tuple[object, Source | None]:
        """The value of a field where none is given, and its source."""
        return fields_of(type(self))[field].default, self.default_sources.get(field)

    def source_of(self, field: str, known: Mapping[str, Source]) -> Source | None:
        """Find the source of a field.

        Parameters
        ----------
        field : str
            Python name of the field.
        known : mapping of str to Source
            The implant's list.

        Returns
        -------
        Source or None
            None where there is none.

        Raises
        ------
        KeyError
            For a key that the list does not hold.
        """
        # by value, not by whether it was written, so that a resolved scenario reads back the same
        usual, usual_source = self.default_of(field)
        default = getattr(self, field) == usual
        cited = self.source
        reference: SourceRef | None
        if isinstance(cited, dict):
            key = fields_of(type(self))[field].alias or field
            reference = cited.get(key, cited.get(field))
        else:
            reference = None if default else cited
        if reference is None:
            return usual_source if default else None
        return reference if isinstance(reference, Source) else known[reference]


@functools.cache
def fields_of(block: type[Block]) -> Mapping[str, FieldInfo]:
    """`model_fields`, which pydantic takes a while to hand out."""
    return dict(block.model_fields)


@functools.cache
def keys_of(block: type[Block]) -> frozenset[str]:
    """What its fields may be called: their names, and their YAML keys."""
    fields = fields_of(block)
    return frozenset({*fields, *(field.alias or name for name, field in fields.items())})


def _numeric(value: object) -> bool:
    if type(value) is float:  # most are
        return True
    if isinstance(value, tuple):
        return any(_numeric(v) for v in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Price:
    """Energy of one action, or of one second, and the fields that it was computed from."""

    value_j: float
    fields: tuple[str, ...]


class Component(Block, ABC):
    """A block that costs energy."""

    @abstractmethod
    def prices(self, constants: Constants) -> Mapping[str, Price]:
        """The price of each action that the component knows. [J per action, or per second]"""

"""One group of one file, seen through a layout: names resolved, errors located."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Shaped

from implant_sim.recordings.base import MAX_BIN_S
from implant_sim.recordings.cutting import Rows
from implant_sim.recordings.fields import Layout
from implant_sim.recordings.files import ArrayFile, is_pattern, matching
from sbtt_models.errors import DataError

__all__ = ["Scope", "Table"]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """All bins of a group, one below the other, and the pieces they form."""

    counts: Int32[np.ndarray, "row channel"] | Float32[np.ndarray, "row channel"]
    rows: Rows
    recorded: Bool[np.ndarray, "row channel"] | None = None
    starts_s: Float[np.ndarray, " piece"] | None = None
    """When each piece starts, where events have a clock. [s]"""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Where names of a layout lead to."""

    layout: Layout
    file: ArrayFile
    group: str = ""

    def at(self, name: str) -> str:
        """Path of a data set in the file; a name that starts with a slash leaves the group."""
        return name.lstrip("/") if name.startswith("/") else f"{self.group}/{name}".strip("/")

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """Read a data set of the group; see `ArrayFile.read`."""
        return self.file.read(self.at(name))

    def numbers(self, name: str) -> Shaped[np.ndarray, "..."]:
        """Read a data set of numbers; see `ArrayFile.numbers`."""
        return self.file.numbers(self.at(name))

    def matching(self, pattern: str) -> list[str]:
        """Data sets that a pattern such as ``units/*/times`` names, in natural order.

        Empty for what is no pattern, or the name of a data set.
        """
        if not is_pattern(pattern) or self.file.has(self.at(pattern)):
            return []
        return [f"/{name}" for name in matching(self.at(pattern), self.file.names())]

    def where(self, name: str) -> str:
        """File and data set, for errors."""
        return self.file.where(self.at(name))

    def bin_width(self) -> float:
        """Bin width, as given or as the file holds it. [s]

        Raises
        ------
        DataError
            If the file holds no such number.
        """
        given = self.layout.bin_s
        if not isinstance(given, str):
            return given
        width = None
        if not self.file.has(self.at(given)):
            width = self.file.attribute(self.group, given)
        if width is None:
            values = self.numbers(given).ravel()
            width = float(values[0]) if values.size == 1 else np.nan
        if not 0 < width <= MAX_BIN_S:
            raise DataError(
                f"{self.where(given)}: a bin width must be one number of seconds between 0 and "
                f"{MAX_BIN_S:g}, got {width!r}; write the width itself, as `bin: 50 ms`"
            )
        return width

"""HDF5 of any layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from typing_extensions import override

from implant_sim.recordings.files import ArrayFile, Hdf5File
from implant_sim.recordings.layout import LayoutSource

__all__ = ["Hdf5Source"]


class Hdf5Source(LayoutSource):
    """An HDF5 file of any layout."""

    kind: Literal["hdf5"] = "hdf5"

    @override
    def _open(self, path: Path) -> ArrayFile:
        return Hdf5File(path)

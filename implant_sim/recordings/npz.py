"""NumPy archives of any layout."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped
from typing_extensions import override

from implant_sim.recordings.assemble import check_size
from implant_sim.recordings.files import ArrayFile
from implant_sim.recordings.layout import LayoutSource
from implant_sim.recordings.opening import opening, reading
from sbtt_models.errors import DataError

__all__ = ["NpzFile", "NpzSource"]


class NpzSource(LayoutSource):
    """An archive of ``numpy.savez``, without pickled objects; fields as for ``hdf5``."""

    kind: Literal["npz"] = "npz"

    @override
    def _open(self, path: Path) -> ArrayFile:
        return NpzFile(path)


class NpzFile(ArrayFile):
    """A NumPy archive, without pickled objects."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with opening(path, "NPZ"):
            self._zip = zipfile.ZipFile(path)

    @override
    def names(self) -> list[str]:
        return [
            name.removesuffix(".npy") for name in self._zip.namelist() if name.endswith(".npy")
        ]

    @override
    def _get(self, name: str) -> Shaped[np.ndarray, "..."] | None:
        if not self.has(name):
            return None
        with self._zip.open(f"{name}.npy") as stream:
            self._check_header(stream, name)
        with self._zip.open(f"{name}.npy") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    @override
    def outline(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with reading(self.where(name)), self._zip.open(f"{name}.npy") as stream:
            return self._check_header(stream, name)

    def _check_header(self, stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype]:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise DataError(f"{self.where(name)}: NPY version {version} is not read; save it anew")
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise DataError(
                f"{self.where(name)}: holds pickled Python objects, which are never opened; save "
                "it as an array of numbers (trials of unequal length: padded, with `length`)"
            )
        check_size(shape, dtype.itemsize, self.where(name))
        return shape, dtype

    @override
    def close(self) -> None:
        self._zip.close()

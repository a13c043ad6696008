"""MATLAB files: the old format through SciPy, v7.3 (which is HDF5) through h5py.

Names of fields in structs are joined by slashes. MATLAB has no vectors: a matrix of one row or one
column is read as one. A cell array, or a field of a struct array, with one matrix for each trial
is read as one table: ``spikes`` holds all trials one after the other, ``spikes/start`` and
``spikes/length`` say where each lies, for the layout fields of these names; empty cells are left
out. ``spikes/count`` says how much each cell holds, with zeros for empty ones: spikes of units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Shaped
from typing_extensions import override

from implant_sim.recordings.assemble import check_size
from implant_sim.recordings.files import ArrayFile, Hdf5File
from implant_sim.recordings.layout import LayoutSource
from implant_sim.recordings.opening import opening, reading
from implant_sim.recordings.ragged import joined
from sbtt_models.errors import DataError, LimitError

__all__ = ["MatSource", "open_mat"]

_Array = Shaped[np.ndarray, "..."]
_MAX_DEPTH = 16


class MatSource(LayoutSource):
    """A MATLAB file of any layout, v7.3 included; fields as for ``hdf5``, and `axes` as in MATLAB.

    Indices stay as the other formats count them, from 0: subtract 1 in MATLAB.
    """

    kind: Literal["mat"] = "mat"

    @override
    def _open(self, path: Path) -> ArrayFile:
        return open_mat(path)


def open_mat(path: Path) -> ArrayFile:
    """Open a MATLAB file of either format."""
    with reading(path.name):
        modern = h5py.is_hdf5(path)
    return _ModernMat(path) if modern else _OldMat(path)


def _vector(array: _Array) -> _Array:
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


class _OldMat(ArrayFile):
    """MATLAB 4 to 7.2."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._arrays: dict[str, _Array] = {}
        import scipy.io  # a quarter of a second, and only this format needs it

        with opening(path, "MATLAB file"):
            for name, shape, _ in scipy.io.whosmat(path):
                check_size(tuple(shape), 8, f"{self.name}: {name}")
            tree = scipy.io.loadmat(path, struct_as_record=False)
        for name, value in tree.items():
            if not name.startswith("__"):
                self._add(name, value, 0)

    def _add(self, name: str, value: Any, depth: int) -> None:
        """Flatten structs and cells into named arrays; what is neither is left out."""
        if not isinstance(value, np.ndarray) or depth > _MAX_DEPTH:
            return
        if value.dtype.kind != "O":
            self._arrays[name] = _vector(value)
            return
        items = list(value.ravel(order="F"))
        if items and all(hasattr(item, "_fieldnames") for item in items):
            for field in items[0]._fieldnames:
                values = [getattr(item, field, None) for item in items]
                if len(items) == 1:
                    self._add(f"{name}/{field}", values[0], depth + 1)
                else:
                    self._add_cells(f"{name}/{field}", values)
        else:
            self._add_cells(name, items)

    def _add_cells(self, name: str, cells: list[Any]) -> None:
        arrays = [cell for cell in cells if isinstance(cell, np.ndarray)]
        if arrays and all(a.dtype.kind in "SU" for a in arrays):
            self._arrays[name] = np.array(["".join(map(str, a.ravel())) for a in arrays])
            return
        try:
            table = joined(arrays, self.where(name))
        except (DataError, LimitError):
            return  # a cell array of something else; an error only if it is asked for
        self._arrays |= {f"{name}{suffix}": array for suffix, array in table.items()}

    @override
    def names(self) -> list[str]:
        return list(self._arrays)

    @override
    def _get(self, name: str) -> _Array | None:
        return self._arrays.get(name)

    @override
    def close(self) -> None:
        self._arrays = {}


class _ModernMat(Hdf5File):
    """MATLAB 7.3: HDF5 with axes in reverse, and cells as references."""

    @override
    def outline(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        shape, dtype = super().outline(name)
        return shape[::-1], dtype

    @override
    def names(self) -> list[str]:
        return [name for name in super().names() if not name.startswith("#")]

    @override
    def _is_ragged(self, item: h5py.Dataset) -> bool:
        return h5py.check_ref_dtype(item.dtype) is not None

    @override
    def _cells(self, item: h5py.Dataset, name: str) -> list[_Array]:
        return [self._referred(ref, name) for ref in item[()].T.ravel(order="F")]

    @override
    def _get(self, name: str) -> _Array | None:
        array, item = super()._get(name), self._follow(name)
        if array is None or not isinstance(item, h5py.Dataset) or self._is_ragged(item):
            return array  # cells were turned one by one
        if item.attrs.get("MATLAB_empty"):
            raise DataError(f"{self.where(name)}: is empty")
        return _vector(array.T)

    def _referred(self, reference: object, name: str) -> _Array:
        item = self._file[reference] if isinstance(reference, h5py.Reference) else None
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            raise DataError(f"{self.where(name)}: a cell does not hold a matrix")
        if item.attrs.get("MATLAB_empty"):
            return np.empty((0, 0))  # what it stores is its shape
        check_size(item.shape or (), item.dtype.itemsize, self.where(name))
        return np.asarray(item[()]).T

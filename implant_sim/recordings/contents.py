"""What a file of named arrays holds, for whoever is to write its `recording:` block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from implant_sim.recordings.files import ArrayFile, Hdf5File, find
from implant_sim.recordings.mat import open_mat
from implant_sim.recordings.npz import NpzFile
from implant_sim.recordings.opening import reading
from sbtt_models.errors import SimError

__all__ = ["Entry", "contents"]

_MOST_BYTES = 256 * 2**20
"""Larger arrays are not read: their values stay unsaid."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One array of a file."""

    name: str
    shape: tuple[int, ...]
    """Empty for a single value."""
    dtype: str
    values: str
    """Smallest and largest, or the first texts; what cannot be read says why."""
    unit: str
    """As the file says."""


def contents(path: Path) -> list[Entry]:
    """List the arrays of an HDF5, NPZ or MATLAB file.

    Raises
    ------
    DataError
        For a file that is missing, damaged or of another kind.
    """
    with _open(find(path, Path())) as file:
        return [_entry(file, name) for name in file.names()]


def _open(path: Path) -> ArrayFile:
    with reading(path.name):
        if path.suffix.lower() == ".mat":
            return open_mat(path)
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        return NpzFile(path) if zipped and not h5py.is_hdf5(path) else Hdf5File(path)


def _entry(file: ArrayFile, name: str) -> Entry:
    try:
        shape, dtype = file.outline(name)
        n_bytes = float(np.prod(shape, dtype=float)) * dtype.itemsize
        values = _values(file.read(name)) if n_bytes <= _MOST_BYTES else "large, not read"
        return Entry(name, shape, str(dtype), values, file.unit(name))
    except SimError as error:
        return Entry(name, (), "", str(error), "")


def _values(array: Shaped[np.ndarray, "..."]) -> str:
    if array.size == 0:
        return "none"
    if array.dtype.kind not in "biuf":
        kinds = {"S": "text", "U": "text", "O": "text or references"}
        shown = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)
                 for v in array.ravel()[:3].tolist()]  # fmt: skip
        return ", ".join(shown)[:60] if array.dtype.kind in kinds else "no numbers"
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    missing = array.size - finite.size
    span = f"{finite.min():.6g} to {finite.max():.6g}" if finite.size else "none finite"
    whole = array.dtype.kind == "f" and finite.size and (finite == np.round(finite)).all()
    return span + ", whole" * bool(whole) + f", {missing} not finite" * bool(missing)

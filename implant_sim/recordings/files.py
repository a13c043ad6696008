"""Files of named arrays: found, digested, opened, sized before they are read, never trusted."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped
from typing_extensions import override

from implant_sim.recordings.assemble import check_size
from implant_sim.recordings.opening import opening, plain, reading
from implant_sim.recordings.ragged import SUFFIXES, base_of, joined
from sbtt_models.errors import DataError

__all__ = ["ArrayFile", "Hdf5File", "digest", "find", "is_pattern", "matching", "near"]

_MAX_LINKS = 8


def near(name: str, known: list[str]) -> str:
    """Say what there is instead of a missing name: near ones first.

    Examples
    --------
    >>> near("spikes/count", ["spikes/counts", "time"])
    "did you mean 'spikes/counts'? It holds: spikes/counts, time"
    """
    if not known:
        return "it holds no data sets"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = plain(", ".join(known[:20])) + (
        f" and {len(known) - 20} more" if len(known) > 20 else ""
    )
    return f"{hint}{'It' if hint else 'it'} holds: {shown}"


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several, as ``trial_*`` does."""
    return any(mark in name for mark in "*?[")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Names, as deep as a pattern, that it stands for; numbers in them sort by their value.

    Examples
    --------
    >>> matching("unit*/t", ["unit10/t", "unit9/t", "unit9/x", "unit9/t/raw"])
    ['unit9/t', 'unit10/t']
    """
    depth = pattern.count("/")
    level = (name for name in names if name.count("/") == depth)
    return sorted((name for name in level if fnmatch.fnmatchcase(name, pattern)), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(n or 0), text) for text, n in re.findall(r"(\D*)(\d{0,18})", name)]


def find(path: Path, root: Path) -> Path:
    """Resolve the path of a recording, and refuse what is no regular file.

    Raises
    ------
    DataError
        For a missing file, a folder, a device.
    """
    full = root / path
    try:
        if full.is_file():
            return full
        if full.is_dir():
            raise DataError(f"{path}: is a folder; name one file in it")
        there = sorted(p.name for p in full.parent.iterdir()) if full.parent.is_dir() else []
        exists, dangles = full.exists(), full.is_symlink()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if exists:
        raise DataError(f"{path}: is no regular file")
    if dangles:
        raise DataError(f"{path}: is a link that leads to no file; mend the link")
    close = difflib.get_close_matches(full.name, there, n=1)
    hint = (
        f"; did you mean {close[0]!r}?"
        if close
        else "; paths start at the scenario's folder, then at the one that IMPLANT_SIM_DATA names"
    )
    raise DataError(f"{path}: there is no such file{hint}")


def digest(path: Path) -> str:
    """Name and SHA-256 of a file, for the provenance of a result.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    with reading(path.name), path.open("rb") as stream:
        return f"{path.name} sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


class ArrayFile(ABC):
    """A file that holds named arrays. Names are paths with slashes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @abstractmethod
    def names(self) -> list[str]:
        """All data sets."""

    @abstractmethod
    def _get(self, name: str) -> Shaped[np.ndarray, "..."] | None:
        """One array, its size checked beforehand; None if there is none of this name."""

    def attribute(self, group: str, name: str) -> float | None:
        """A scalar attribute, in formats that have them."""
        del group, name
        return None

    def unit(self, name: str) -> str:
        """What the file says an array is in; empty if nothing."""
        del name
        return ""

    def outline(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, without reading it where the format allows.

        Raises
        ------
        DataError
            As :meth:`read`.
        """
        array = self.read(name)
        return array.shape, array.dtype

    def where(self, name: str) -> str:
        """File and data set, for errors."""
        return f"{self.name}: {name}"

    def has(self, name: str) -> bool:
        """Whether there is such a data set."""
        return name in self.names()

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """Read one array.

        Raises
        ------
        DataError
            If it is missing, too large, damaged, or lives in another file.
        """
        with reading(self.where(name)):
            array = self._get(name)
        if array is None:
            raise DataError(f"{self.name}: no data set {name!r}; {near(name, self.names())}")
        return array

    def numbers(self, name: str) -> Shaped[np.ndarray, "..."]:
        """Read one array of numbers; raises DataError for text, references and records."""
        array = self.read(name)
        if array.dtype.kind not in "biuf":
            raise DataError(f"{self.where(name)}: must hold numbers, got dtype {array.dtype}")
        return array

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Hdf5File(ArrayFile):
    """HDF5. External links, external storage and virtual data sets are refused."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with opening(path, "HDF5"):
            self._file = h5py.File(path, "r")

    @override
    def names(self) -> list[str]:
        found: list[str] = []

        def note(name: str | bytes, item: object) -> None:
            if isinstance(item, h5py.Dataset):  # a damaged name arrives as bytes
                name = name if isinstance(name, str) else name.decode("utf-8", "replace")
                found.extend([name, *(name + s for s in SUFFIXES if self._is_ragged(item))])

        with reading(self.name):
            self._file.visititems(note)
        return found

    @override
    def has(self, name: str) -> bool:
        with reading(self.where(name)):
            if isinstance(self._follow(name), h5py.Dataset):
                return True
            base, suffix = base_of(name)
            item = self._follow(base) if suffix else None
            return isinstance(item, h5py.Dataset) and self._is_ragged(item)

    def _is_ragged(self, item: h5py.Dataset) -> bool:
        """Whether it holds rows of numbers, each of its own length."""
        row = h5py.check_vlen_dtype(item.dtype)
        return isinstance(row, np.dtype) and row.kind in "biuf"

    def _cells(self, item: h5py.Dataset, name: str) -> list[Shaped[np.ndarray, "..."]]:
        """Rows of a ragged data set, read one by one: their sizes are not known before."""
        total, rows = 0, []
        for at in np.ndindex(item.shape or ()):
            rows.append(np.asarray(item[at]))
            total += rows[-1].size
            check_size((total,), 8, self.where(name))
        return rows

    def _follow(self, name: str) -> h5py.Dataset | h5py.Group | None:
        """Walk link by link, so that no link leads out of the file unseen."""
        item, todo = self._file, [part for part in name.split("/") if part]
        for _ in range(_MAX_LINKS * 16):
            if not todo:
                return item
            link = item.get(todo[0], getlink=True) if isinstance(item, h5py.Group) else None
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise DataError(
                    f"{self.where(name)}: is a link into another file ({link.filename!r}), which "
                    "is not followed; copy the data into this file"
                )
            if isinstance(link, h5py.SoftLink):
                item = self._file if link.path.startswith("/") else item
                todo = [part for part in link.path.split("/") if part] + todo[1:]
            else:
                item = item[todo.pop(0)]
        raise DataError(f"{self.where(name)}: too many links lead to it; copy the data itself")

    @override
    def _get(self, name: str) -> Shaped[np.ndarray, "..."] | None:
        item, part = self._follow(name), ""
        if not isinstance(item, h5py.Dataset):
            base, part = base_of(name)
            item = self._follow(base) if part else None
        if not isinstance(item, h5py.Dataset) or (part and not self._is_ragged(item)):
            return None
        if item.is_virtual or item.external:
            raise DataError(
                f"{self.where(name)}: is a virtual or externally stored data set, which is not "
                "followed; copy the data into this file"
            )
        if item.shape is None:
            raise DataError(f"{self.where(name)}: is empty")
        check_size(item.shape, item.dtype.itemsize, self.where(name))
        if self._is_ragged(item):
            return joined(self._cells(item, name), self.where(name))[part]
        return np.asarray(item[()])

    @override
    def attribute(self, group: str, name: str) -> float | None:
        with reading(self.where(name)):
            for place in (self._follow(group), self._file):
                if place is not None and name in place.attrs:
                    return float(place.attrs[name])
        return None

    @override
    def outline(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with reading(self.where(name)):
            item = self._follow(name)
        if not isinstance(item, h5py.Dataset) or item.shape is None or self._is_ragged(item):
            return super().outline(name)
        return item.shape, item.dtype

    @override
    def unit(self, name: str) -> str:
        with reading(self.where(name)):
            item = self._follow(name)
            found = [item.attrs[key] for key in ("units", "unit") if item and key in item.attrs]
        return plain(str(found[0]))[:40] if found else ""

    @override
    def close(self) -> None:
        self._file.close()

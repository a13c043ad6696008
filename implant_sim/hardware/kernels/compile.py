"""`kernel`, the decorator of every compiled loop, and the folder of its cache.

numba reads ``NUMBA_CACHE_DIR`` when it is first imported, so this module sets it before, unless
the user has. It also trusts its cache: a truncated file raises in the middle of a run, and a
flipped byte is executed. Here each file ends in its digest, and whatever does not match is
compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["allowed_threads", "cache_folder", "kernel", "without_blas"]


def cache_folder(environment: dict[str, str]) -> Path:
    """The folder of compiled kernels: the user's own, one for each version of what made it."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    # code compiled without bounds checks would be loaded into a run that asks for them
    checked = "-checked" if environment.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0") else ""
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    name = f"{version('implant-sim')}-{python}-numba{version('numba')}{checked}"
    return Path(base) / "implant-sim" / "kernels" / name


if "NUMBA_CACHE_DIR" not in os.environ and "numba" not in sys.modules:
    try:
        _folder = cache_folder(dict(os.environ))
        _folder.mkdir(parents=True, exist_ok=True)
        if os.access(_folder, os.W_OK):
            os.environ["NUMBA_CACHE_DIR"] = str(_folder)
    except (OSError, RuntimeError):  # no home, or not writable: numba finds its own place, or none
        pass

import numba  # noqa: E402
from numba.core.caching import IndexDataCacheFile  # noqa: E402

_DIGEST = 32


class _CheckedFile(IndexDataCacheFile):
    """numba's cache files, with a digest at the end of each."""

    @classmethod
    def instead_of(cls, plain: IndexDataCacheFile) -> _CheckedFile:
        """Take over the paths of numba's own object."""
        checked = cls.__new__(cls)
        checked.__dict__.update(plain.__dict__)
        return checked

    def _damaged(self, path: str) -> None:
        warnings.warn(
            f"{path} is damaged: the kernel is compiled again", RuntimeWarning, stacklevel=2
        )

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + hashlib.sha256(data).digest()

    def _load_data(self, name: str) -> Any:
        path = self._data_path(name)
        data = Path(path).read_bytes()
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            self._damaged(path)
            raise OSError(path)  # which numba takes for a miss
        return pickle.loads(data)  # noqa: S301 - own folder, digest checked

    def _load_index(self) -> dict[Any, Any]:
        try:
            index: dict[Any, Any] = super()._load_index()
            return index
        except Exception:  # whatever unpickling garbage raises
            self._damaged(self._index_path)
            return {}

    def save(self, key: Any, data: Any) -> None:
        """Write an entry; a full disk or a read-only folder costs the cache, not the run."""
        try:
            super().save(key, data)
        except OSError as error:
            warnings.warn(f"kernels are not cached: {error}", RuntimeWarning, stacklevel=2)


def allowed_threads() -> int:
    """Threads that numba may use: the cores, or what ``NUMBA_NUM_THREADS`` says."""
    # asked of its settings, since numba.get_num_threads starts them
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def without_blas() -> None:
    """Spare numba its look for BLAS, which imports scipy.linalg and takes a third of a second.

    No kernel here multiplies matrices. For a command of ours, not for a library: whoever else
    compiles in this process would miss ``numpy.dot``.
    """
    try:
        from numba.np import linalg
    except ImportError:  # a numba that keeps it elsewhere
        return
    linalg.ensure_blas = _no_blas


def _no_blas() -> None:
    raise ImportError("not looked for")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop at its first call and keep the code between runs."""
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder that it may write to
        return numba.njit(nogil=True)(function)
    cache: Any = getattr(compiled, "_cache", None)
    plain = getattr(cache, "_cache_file", None)
    if isinstance(plain, IndexDataCacheFile):  # not under NUMBA_DISABLE_JIT
        cache._cache_file = _CheckedFile.instead_of(plain)
    return compiled

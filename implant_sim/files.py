"""The one place that writes to disk: temporary name, fsync, rename, fsync of the folder.

A reader sees an old file, a new file or none, never half of one, whatever happens to the writer.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbtt_models.spec import SimError

__all__ = [
    "WriteError",
    "commit_folder",
    "exclusive",
    "make_folder",
    "remove_leftovers",
    "remove_tree",
    "write_bytes",
    "write_text",
]

_TEMPORARY = ".tmp-"


class WriteError(SimError):
    """A result that could not be written; the text names the path and the space left."""

    exit_code = 1


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, all or nothing, and keep it through a crash.

    Parameters
    ----------
    path : pathlib.Path
        Its folder must exist.
    data : bytes
        The whole content.

    Raises
    ------
    WriteError
        If the disk is full, the folder is missing or may not be written.
    """
    temporary = path.with_name(f"{path.name}{_TEMPORARY}{uuid.uuid4().hex[:12]}")
    with _explained(path):
        try:
            _write(temporary, data)
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Put UTF-8 text at `path`, as :func:`write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def make_folder(path: Path) -> None:
    """Create a folder and its parents.

    Raises
    ------
    WriteError
        If it cannot be created, or something else has its name.
    """
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def commit_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; at the end it takes the place of `path`, as one step.

    Parameters
    ----------
    path : pathlib.Path
        Where the finished folder will be. One that is there already is replaced.

    Yields
    ------
    pathlib.Path
        The folder to write into. It vanishes if the body raises.

    Raises
    ------
    WriteError
        If any file cannot be kept.
    """
    temporary = path.with_name(f"{path.name}{_TEMPORARY}{uuid.uuid4().hex[:12]}")
    make_folder(temporary)
    try:
        yield temporary
        with _explained(path):
            for file in sorted(temporary.rglob("*")):
                _fsync_folder(file)  # a file written by a library is flushed the same way
            _fsync_folder(temporary)
            if path.exists():
                # rename(2) cannot replace a full folder; between the two steps there is none,
                # which a reader takes for "not computed yet"
                old = path.with_name(f"{path.name}{_TEMPORARY}{uuid.uuid4().hex[:12]}")
                _rename(path, old)
                shutil.rmtree(old, ignore_errors=True)
            _rename(temporary, path)
            _fsync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` for one process; the lock vanishes with the process, however it ends.

    Raises
    ------
    SimError
        If another process holds it; names its pid.
    WriteError
        If the folder cannot be written.
    """
    path = folder / ".lock"
    with _explained(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 64).decode("ascii", "replace").strip() or "unknown"
            raise SimError(
                f"{folder} is in use by process {holder}; wait for it, stop it, or choose another "
                "folder with --out"
            ) from None
        with _explained(path):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> int:
    """Delete what writers that died have left in `folder`; returns how many there were.

    The caller must know that no other writer is at work there.
    """
    leftovers = list(folder.glob(f"*{_TEMPORARY}*"))
    for path in leftovers:
        remove_tree(path)
    return len(leftovers)


def remove_tree(path: Path) -> None:
    """Delete a file, a link or a folder with all it holds; nothing there is fine too."""
    with _explained(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = error.strerror or str(error)
        raise WriteError(f"cannot write {path}: {problem}; {_space(path)}") from error


def _space(path: Path) -> str:
    for folder in (path, *path.parents):
        if folder.is_dir():
            return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB are free there"
    return "no folder above it exists"


# The three system calls stand alone, so that tests can make the n-th of them fail.


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

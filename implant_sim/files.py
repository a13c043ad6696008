"""The one place that writes to disk: temporary name, fsync, rename, fsync of the folder.

A reader sees an old file, a new file or none, never half of one, whatever happens to the writer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbtt_models import atomic
from sbtt_models.errors import SimError

__all__ = [
    "WriteError",
    "append_line",
    "commit_folder",
    "exclusive",
    "make_folder",
    "note",
    "remove_leftovers",
    "remove_tree",
    "size_text",
    "write_bytes",
    "write_text",
]

_POLL_S = 0.005


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
    with _explained(path):
        atomic.put(path, data)


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
    temporary = atomic.temporary_of(path)
    make_folder(temporary)
    try:
        yield temporary
        with _explained(path):
            for file in sorted(temporary.rglob("*")):
                atomic.fsync(file)  # a file written by a library is flushed the same way
            atomic.fsync(temporary)
            _replace_folder(temporary, path)
            atomic.fsync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _replace_folder(source: Path, target: Path) -> None:
    """Rename, where rename(2) cannot replace a full folder.

    Between the two steps there is none, which a reader takes for "not computed yet"; another
    writer may put its own there.
    """
    while True:
        if target.exists():
            old = atomic.temporary_of(target)
            try:
                atomic.rename(target, old)
            except FileNotFoundError:  # another writer was quicker
                continue
            shutil.rmtree(old, ignore_errors=True)
        try:
            return atomic.rename(source, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def note(path: Path, text: str) -> None:
    """Put text at `path` in one step, as :func:`write_text` does, but not to outlive a crash."""
    temporary = atomic.temporary_of(path)
    with _explained(path):
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, after whatever a writer that died has left there.

    One call of the system for each line, so that several processes may append.

    Raises
    ------
    WriteError
        If the disk is full or the file may not be written.
    """
    with _explained(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            _append(handle, (("\n" if torn else "") + line + "\n").encode("utf-8"))
        finally:
            os.close(handle)


@contextmanager
def exclusive(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold `folder` for one process; the lock vanishes with the process, however it ends.

    Parameters
    ----------
    folder : pathlib.Path
    wait_s : float
        How long to wait for another process that holds it. [s]

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
    end = time.monotonic() + wait_s
    try:
        while not _locked(handle):
            if time.monotonic() < end:
                time.sleep(_POLL_S)
                continue
            os.lseek(handle, 0, os.SEEK_SET)
            holder = os.read(handle, 64).decode("ascii", "replace").strip() or "unknown"
            raise SimError(
                f"{folder} is in use by process {holder}; wait for it, stop it, or choose another "
                "folder with --out"
            )
        with _explained(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_leftovers(folder: Path) -> int:
    """Delete what writers that died have left in `folder`; returns how many there were.

    The caller must know that no other writer is at work there.
    """
    leftovers = list(folder.glob(f"*{atomic.TEMPORARY}*"))
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
            return f"{size_text(shutil.disk_usage(folder).free)} are free there"
    return "no folder above it exists"


def size_text(size_b: float) -> str:
    """A size for people.

    Examples
    --------
    >>> size_text(2.34e9), size_text(300_000)
    ('2.3 GB', '0.3 MB')
    """
    return f"{size_b / 1e9:.1f} GB" if size_b >= 1e9 else f"{size_b / 1e6:.1f} MB"


# Stands alone, so that tests can make it fail.


def _append(handle: int, data: bytes) -> None:
    if os.write(handle, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

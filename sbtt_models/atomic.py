"""Writing a file so that it appears whole or not at all, and outlives a crash. Torch-free."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["TEMPORARY", "fsync", "put", "rename", "temporary_of"]

TEMPORARY = ".tmp-"
"""In the name of what is being written."""


def temporary_of(path: Path) -> Path:
    """A name beside `path` that nobody else has."""
    return path.with_name(f"{path.name}{TEMPORARY}{uuid.uuid4().hex[:12]}")


def put(path: Path, data: bytes) -> None:
    """Put `data` at `path`: temporary name, fsync, rename, fsync of the folder.

    Raises
    ------
    OSError
        As the system says it; the temporary file is gone then.
    """
    temporary = temporary_of(path)
    try:
        write(temporary, data)
        rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


# The system calls stand alone, so that tests can make the n-th of them fail.


def write(path: Path, data: bytes) -> None:
    """Write a new file, down to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename(source: Path, target: Path) -> None:
    """Rename in one step; a file that is there is replaced."""
    source.replace(target)


def fsync(path: Path) -> None:
    """Flush a file or a folder down to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""An index of the point folders, so that a thousand of them are looked up at once.

The folders are the truth: what the index says of one counts as long as its files bear the stamp
they had when their digests were compared. A lost, damaged or old index is made anew.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from implant_sim import files
from sbtt_models.errors import SimError

__all__ = ["Index", "Kept", "stamp_of"]

_VERSION = 1
_BUSY_S = 30.0
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "gpfs", "beegfs", "9p"}


@dataclass(frozen=True, slots=True)
class Kept:
    """What the tables need of a point."""

    stamp: str
    row: dict[str, Any]
    energy: list[dict[str, Any]]
    error: str = ""

    @property
    def status(self) -> str:
        """How the point ended."""
        return str(self.row.get("status"))


def stamp_of(folder: Path) -> str | None:
    """Names, sizes and times of change of a folder's files; None if there is no folder.

    The time of change, unlike that of modification, is set by the system alone.
    """
    parts = []
    try:
        for file in _walk(folder):
            state = file.stat()
            parts.append(f"{file.path[len(str(folder)) :]} {state.st_size} {state.st_ctime_ns}")
    except OSError:
        return None
    return "\n".join(sorted(parts))


def _walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        for file in found:
            if file.is_dir(follow_symlinks=False):
                yield from _walk(file.path)
            else:
                yield file


class Index:
    """``index.sqlite`` of a run folder. Without it everything works, more slowly."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "index.sqlite"
        self._told = False

    def read(self, keys: Iterable[str]) -> dict[str, Kept]:
        """What is known of these points; of none, if there is no index."""
        wanted = set(keys)
        try:
            with self._open() as base:
                rows = base.execute("SELECT key, stamp, content FROM points").fetchall()
            return {k: Kept(s, **json.loads(c)) for k, s, c in rows if k in wanted}
        except (sqlite3.Error, SimError, OSError, ValueError, TypeError) as error:
            self._give_up(error)
            return {}

    def write(self, found: Mapping[str, Kept]) -> None:
        """Note what was found, in one transaction."""
        if not found:
            return
        try:
            with self._open() as base:
                base.execute("BEGIN IMMEDIATE")
                base.executemany(
                    "INSERT OR REPLACE INTO points VALUES (?, ?, ?)",
                    ((key, kept.stamp, _text(kept)) for key, kept in found.items()),
                )
                base.execute("COMMIT")
        except (sqlite3.Error, SimError, OSError) as error:
            self._give_up(error)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            self._create()
        with self._connection(self._path) as base:
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                raise sqlite3.DatabaseError(f"of version {version}")
            yield base

    def _create(self) -> None:
        """Put an empty one in place, in one step: nobody sees it half made."""
        with files.exclusive(self._folder, _BUSY_S):
            if self._path.exists():  # another was quicker
                return
            draft = self._path.with_name(f"{self._path.name}.tmp-{uuid.uuid4().hex[:12]}")
            with self._connection(draft) as base:
                base.execute(
                    "CREATE TABLE points"
                    "(key TEXT PRIMARY KEY, stamp TEXT NOT NULL, content TEXT NOT NULL)"
                )
                base.execute(f"PRAGMA user_version = {_VERSION}")
            draft.replace(self._path)

    @contextmanager
    def _connection(self, path: Path) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as base:
            # write-ahead logs need shared memory, which no network file system has
            base.execute(f"PRAGMA journal_mode = {'DELETE' if _is_remote(path) else 'WAL'}")
            base.execute("PRAGMA synchronous = FULL")
            yield base

    def _give_up(self, error: Exception) -> None:
        """Take a damaged index away; do without one that cannot be written."""
        broken = isinstance(error, sqlite3.DatabaseError | ValueError | TypeError)
        # an operational error is one of locks or of the disk, but for tables that are not there
        passing = isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)
        if broken and not passing:
            with suppress(OSError, SimError), files.exclusive(self._folder, _BUSY_S):
                for end in ("", "-wal", "-shm"):
                    files.remove_tree(self._path.with_name(self._path.name + end))
        if not self._told:
            self._told = True
            sys.stderr.write(f"{self._path}: {error}; the point folders are read instead\n")


def _text(kept: Kept) -> str:
    content = {"row": kept.row, "energy": kept.energy, "error": kept.error}
    return json.dumps(content, ensure_ascii=False)


def _is_remote(path: Path) -> bool:
    """Whether a file lies on another machine, as far as the kernel tells."""
    place = path.absolute().parent
    kinds = {}
    with suppress(OSError), open("/proc/mounts", encoding="utf-8") as mounts:  # noqa: PTH123
        for line in mounts:
            _, mounted, kind, *_ = line.split(" ")
            kinds[mounted] = kind
    found = next((kinds[str(p)] for p in (place, *place.parents) if str(p) in kinds), "")
    return found in _NETWORK

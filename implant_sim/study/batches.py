"""Points without a folder of their own: rows of the tables, many to a file."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from implant_sim import files
from implant_sim.study.sealed import sealed, unsealed

__all__ = ["Batches"]


class Batches:
    """The folder ``batches`` of a run folder; each file is written whole or not at all."""

    def __init__(self, path: Path, schema: int) -> None:
        self.path, self._schema = path, schema
        self._read = set[str]()
        self._rows: dict[str, dict[str, Any]] = {}

    def commit(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep contents of points, each with its ``key``, in one file.

        Raises
        ------
        WriteError
            If the disk is full or may not be written; then none is kept.
        """
        files.make_folder(self.path)
        name = f"{uuid.uuid4().hex[:20]}.json"
        text = sealed({"schema": self._schema, "rows": list(rows)}, indent=None)
        files.write_text(self.path / name, text)

    def contents(self) -> dict[str, dict[str, Any]]:
        """What every whole file holds, by key; damaged files hold nothing."""
        for path in self.path.glob("*.json"):
            if path.name not in self._read:  # they never change
                content = unsealed(path) or {}
                rows = content.get("rows", []) if content.get("schema") == self._schema else []
                self._read.add(path.name)
                self._rows.update((row["key"], row) for row in rows)
        return self._rows

    def forget(self) -> None:
        """Take all of them away."""
        files.remove_tree(self.path)
        self._read, self._rows = set(), {}

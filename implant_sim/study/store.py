"""The run folder: one sub-folder for each finished point, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Shaped
from typing_extensions import override

from implant_sim import files
from implant_sim.study import arrays

__all__ = ["FINAL", "SCHEMA", "Entry", "Outcome", "RunFolder"]

SCHEMA = 1
"""Version of the run folder's layout; part of every key."""
FINAL = ("ok", "infeasible", "diverged")
"""Statuses that a second try would repeat; the others are tried again on resume."""
RESULT, ARRAYS, RUN = "result.json", "arrays.h5", "run.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a table's row comes from: the point and repeat of a study, and its folder's name."""

    point: int
    repeat: int
    key: str
    axes: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one point and repeat."""

    row: dict[str, Any]
    """Columns of the results table."""
    energy: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the energy table."""
    arrays: dict[str, Shaped[np.ndarray, " ..."]] = field(default_factory=dict)
    attrs: dict[str, float | int | str] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    """History, durations, sources; a traceback where it failed."""
    save: Callable[[Path], object] | None = None
    """Writes the decoder's weights into a folder."""


class RunFolder:
    """Reads and writes one run folder. Any number may read; one coordinator at a time writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points = path / "points"

    def commit(self, entry: Entry, outcome: Outcome) -> None:
        """Keep one outcome, whole or not at all.

        Raises
        ------
        WriteError
            If the disk is full or may not be written.
        """
        with files.commit_folder(self.points / entry.key) as folder:
            if outcome.arrays:
                files.write_bytes(folder / ARRAYS, arrays.pack(outcome.arrays, outcome.attrs))
            if outcome.save is not None:
                outcome.save(folder)
            content = {
                "schema": SCHEMA,
                "key": entry.key,
                "point": entry.point,
                "repeat": entry.repeat,
                "axes": entry.axes,
                "row": outcome.row,
                "energy": outcome.energy,
                **outcome.detail,
                "files": {
                    file.relative_to(folder).as_posix(): _sha256(file)
                    for file in sorted(folder.rglob("*"))
                    if file.is_file()
                },
            }
            files.write_text(folder / RESULT, _sealed(content))

    def result(self, key: str, *, verify: bool = False) -> dict[str, Any] | None:
        """The content of a point's ``result.json``; None if it is missing or damaged.

        Parameters
        ----------
        key : str
            The point's folder.
        verify : bool
            Also compare the digest of every other file in the folder.
        """
        folder = self.points / key
        content = _unsealed(folder / RESULT)
        if content is None or content.get("schema") != SCHEMA or content.get("key") != key:
            return None
        if verify:
            for name, digest in content["files"].items():
                file = folder / name
                if not file.is_file() or _sha256(file) != digest:
                    return None
        return content

    def arrays(
        self, key: str
    ) -> tuple[dict[str, Shaped[np.ndarray, " ..."]], dict[str, float | int | str]]:
        """The arrays of a point, and their attributes."""
        return arrays.read(self.points / key / ARRAYS)

    def entries(self) -> list[Entry]:
        """The points of the study that ran here last; of every folder, if run.json is lost."""
        try:
            run = json.loads((self.path / RUN).read_text(encoding="utf-8"))
            return [Entry(p["point"], p["repeat"], p["key"], p["axes"]) for p in run["points"]]
        except (OSError, ValueError, KeyError, TypeError):
            found = (self.result(f.name) for f in sorted(self.points.glob("*")) if f.is_dir())
            return [
                Entry(c["point"], c["repeat"], c["key"], c["axes"]) for c in found if c is not None
            ]

    def write_scenario(self, tree: Mapping[str, Any]) -> None:
        """Keep the scenario as resolved; it can be run again."""
        text = yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)
        files.write_text(self.path / "scenario.yaml", text)

    def write_run(self, content: Mapping[str, Any]) -> None:
        """Keep the provenance."""
        files.write_text(
            self.path / RUN, json.dumps(_jsonable(content), indent=1, ensure_ascii=False) + "\n"
        )


class _Dumper(yaml.SafeDumper):
    """Writes what the loader of scenarios reads back unchanged."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(float, _float)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sealed(content: Mapping[str, Any]) -> str:
    """JSON with a digest of itself, so that a flipped bit is noticed."""
    body = json.dumps(_jsonable(content), indent=1, ensure_ascii=False, allow_nan=False)
    return _seal(body)


def _seal(body: str) -> str:
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"digest": "{digest}", "content":\n{body}}}\n'


def _unsealed(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
        body = text.partition("\n")[2].removesuffix("}\n")
        if _seal(body) != text:
            return None
        content = json.loads(body)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _jsonable(value: Any) -> Any:
    """Plain JSON: numpy scalars become Python's, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(child) for child in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

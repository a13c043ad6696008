"""The run folder: one sub-folder for each finished point, written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Shaped
from typing_extensions import override

from implant_sim import files
from implant_sim.study import arrays
from implant_sim.study.batches import Batches
from implant_sim.study.index import Index, Kept, stamp_of
from implant_sim.study.sealed import in_lines, sealed, sha256, unsealed

__all__ = ["FINAL", "SCHEMA", "Entry", "Outcome", "RunFolder"]

SCHEMA = 1
"""Version of the run folder's layout; part of every key."""
FINAL = ("ok", "infeasible", "diverged")
"""Statuses that a second try would repeat; the others are tried again on resume."""
RESULT, ARRAYS, RUN = "result.json", "arrays.h5", "run.json"
TRAINING = "training"
_KEY = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a table's row comes from: the point and repeat of a study, and its folder's name."""

    point: int
    repeat: int
    key: str
    axes: dict[str, Any]
    start: str | None = None
    """Key of the one whose weights it begins with."""


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
    """Reads and writes one run folder; any number may, since what is written is written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points = path / "points"
        self._batches = Batches(path / "batches", SCHEMA)
        self._index = Index(path)

    def training(self, key: str) -> Path:
        """Where the training of a point that is not finished keeps its checkpoints."""
        return self.path / TRAINING / key

    def forget_trainings(self, but: Collection[str]) -> None:
        """Remove what trainings have left, except those of some points."""
        for old in (self.path / TRAINING).glob("*"):
            if old.name not in but:
                files.remove_tree(old)

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
            content = _content(entry, outcome) | {
                "files": {
                    file.relative_to(folder).as_posix(): sha256(file)
                    for file in sorted(folder.rglob("*"))
                    if file.is_file()
                }
            }
            files.write_text(folder / RESULT, sealed(content))

    def commit_rows(self, outcomes: Sequence[tuple[Entry, Outcome]]) -> None:
        """Keep rows of many points in one file, whole or not at all; for those without arrays.

        Raises
        ------
        WriteError
            If the disk is full or may not be written.
        """
        self._batches.commit([_content(entry, outcome) for entry, outcome in outcomes])

    def kept_rows(self, keys: Iterable[str]) -> set[str]:
        """Which of these points have their rows in a batch."""
        return self._batches.contents().keys() & set(keys)

    def forget(self) -> None:
        """Take away every point that was kept, in folders and in batches."""
        for old in self.points.iterdir():
            if _KEY.fullmatch(old.name):
                files.remove_tree(old)
        self._batches.forget()

    def discard(self, key: str) -> None:
        """Take the folder of a point away, if there is one."""
        files.remove_tree(self.points / key)

    def kept(self, keys: Iterable[str]) -> dict[str, Kept]:
        """What the tables need of these points, as far as they are kept and undamaged.

        Digests of a point's files are compared when it is looked at first, and again when the
        files have changed since.
        """
        wanted = list(dict.fromkeys(keys))
        known = self._index.read(wanted)
        batched = self._batches.contents()
        found, new = dict[str, Kept](), dict[str, Kept]()
        for key in wanted:
            stamp = stamp_of(self.points / key)
            if stamp is None and key in batched:
                found[key] = _kept("", batched[key])
            elif stamp is not None and key in known and known[key].stamp == stamp:
                found[key] = known[key]
            elif stamp is not None and (content := self.result(key, verify=True)) is not None:
                found[key] = new[key] = _kept(stamp, content)
        self._index.write(new)
        return found

    def result(self, key: str, *, verify: bool = False) -> dict[str, Any] | None:
        """The content of a point's ``result.json``, or of its row in a batch.

        None if it is missing or damaged.

        Parameters
        ----------
        key : str
            The point's folder.
        verify : bool
            Also compare the digest of every other file in the folder.
        """
        folder = self.points / key
        if not folder.is_dir():
            return self._batches.contents().get(key)
        content = unsealed(folder / RESULT)
        if content is None or content.get("schema") != SCHEMA or content.get("key") != key:
            return None
        if verify:
            for name, digest in content.get("files", {}).items():
                file = folder / name
                if not file.is_file() or sha256(file) != digest:
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
            names = sorted({f.name for f in self.points.glob("*")} | {*self._batches.contents()})
            found = (self.result(name) for name in names)
            return [
                Entry(c["point"], c["repeat"], c["key"], c["axes"]) for c in found if c is not None
            ]

    def write_scenario(self, tree: Mapping[str, Any], name: str = "scenario.yaml") -> None:
        """Keep the scenario as resolved; it can be run again."""
        text = yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)
        files.write_text(self.path / name, text)

    def write_run(self, content: Mapping[str, Any]) -> None:
        """Keep the provenance."""
        files.write_text(self.path / RUN, in_lines(content))


def _content(entry: Entry, outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "key": entry.key,
        "point": entry.point,
        "repeat": entry.repeat,
        "axes": entry.axes,
        "row": outcome.row,
        "energy": outcome.energy,
        **outcome.detail,
    }


def _kept(stamp: str, content: Mapping[str, Any]) -> Kept:
    return Kept(stamp, content["row"], content["energy"], str(content.get("error", "")))


class _Dumper(yaml.SafeDumper):
    """Writes what the loader of scenarios reads back unchanged."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    # PyYAML takes 1e-07 for text, and would write its tag, which our loader refuses
    mantissa, e, power = repr(value).partition("e")
    if e and "." not in mantissa:
        mantissa += ".0"
    return dumper.represent_scalar("tag:yaml.org,2002:float", mantissa + e + power)


_Dumper.add_representer(float, _float)

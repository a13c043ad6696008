"""The name of a result: equal names, equal results; any change that matters changes the name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import implant_sim
import sbtt_models
from implant_sim.hardware.components.base import Block
from implant_sim.hardware.implant import Implant
from implant_sim.study.paths import WITH_PATHS, files_of, is_path_key
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import SCHEMA
from sbtt_models.errors import DataError
from sbtt_models.spec import Spec

__all__ = [
    "DataKey",
    "DataKeys",
    "PointKeys",
    "code_digest",
    "data_files",
    "data_key",
    "point_key",
    "price_key",
    "stage_seed",
]

STAGES = ("schedule", "initial weights", "dense trials", "drift")
_NOT_IN_KEY = {"name", "repeats", "sweep", "search", "seed", "time_limit_s", "warm_start"}
_OF_LEARNING = {"training", "adapt"}
"""Fields of `pretraining` that the implant does not know, and of `warm_start` that the first does
not."""
_RESULT_FREE = (
    "cli/", "__main__.py", "files.py", "atomic.py", "report/", "study/engines/",
    "study/search/",
    *(f"study/{name}.py" for name in (
        "claims", "clerk", "coordinate", "duration", "events", "index", "limits", "progress",
        "provenance", "queue", "runner", "seldom",
    )),
)  # fmt: skip
"""Where points run and how they are listed changes no result."""


def point_key(scenario: Scenario, repeat: int, root: Path, start: str | None = None) -> str:
    """Name the result of a point and repeat; see :meth:`PointKeys.of`."""
    return PointKeys(root).of(scenario, repeat, start)


class PointKeys:
    """Names results. A block is written out once, however many scenarios hold it.

    Parameters
    ----------
    root : pathlib.Path
        Where relative paths of the recording start.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[int, tuple[Spec, str]] = {}

    def of(self, scenario: Scenario, repeat: int, start: str | None = None) -> str:
        """Name the result of a point and repeat.

        Parameters
        ----------
        scenario : Scenario
            One point.
        repeat : int
            Counts up from the scenario's seed.
        start : str, optional
            Name of the result whose weights it begins with.

        Returns
        -------
        str
            20 hexadecimal digits of a SHA-256 over schema version, scenario, digests of the data
            files, seed and code.

        Raises
        ------
        DataError
            For a data file that cannot be read.
        """
        files = data_files(scenario, self._root)
        body = {
            "schema": SCHEMA,
            "scenario": self._parts(scenario, _NOT_IN_KEY),
            "data": [_file_digest(path, path.stat().st_mtime_ns) for path in files],
            "seed": scenario.seed + repeat,
            "repeat": repeat,
            "code": code_digest(),
        }
        rule = scenario.warm_start
        if start is not None and rule is not None:
            body["start"] = [start, rule.model_dump(mode="json", include=_OF_LEARNING)]
        return _digest(body)

    def _parts(self, spec: Spec, without: Collection[str] = ()) -> dict[str, Any]:
        """The fields of a scenario or an implant; blocks as their text."""
        fields = {k: v for k, v in vars(spec).items() if k not in without}
        blocks = {k: v for k, v in fields.items() if isinstance(v, Spec)}
        bare = spec.model_dump(mode="json", include=fields.keys() - blocks.keys())
        return bare | {k: self._block(k, v) for k, v in blocks.items()}

    def _block(self, name: str, block: Spec) -> Any:
        if isinstance(block, Implant):
            return self._parts(block)
        known = self._known.get(id(block))
        if known is None:
            dump = _named(name, block.model_dump(mode="json", by_alias=True))
            # keeps the block, too: an identity is good as long as its owner lives
            known = self._known[id(block)] = block, json.dumps(dump, sort_keys=True)
        return known[1]


def stage_seed(seed: int, repeat: int, stage: str) -> int:
    """A seed of 128 bits for one stage of one repeat, independent of every other stage's.

    It knows nothing of schedules, bandwidths or decoders, so that these are compared on common
    random numbers.
    """
    import numpy as np

    sequence = np.random.SeedSequence(seed + repeat, spawn_key=(STAGES.index(stage),))
    words = sequence.generate_state(4, np.uint32)
    return int.from_bytes(words.astype("<u4").tobytes(), "little")


def data_files(scenario: Scenario, root: Path) -> list[Path]:
    """The files that the recording and the schedule are read from.

    Raises
    ------
    DataError
        If one is not there.
    """
    paths = []
    for key, path in files_of(scenario, root):
        paths.append(path)
        if not path.is_file():
            raise DataError(
                f"{key.partition('.')[0]}: there is no file {path}; say where it is: --set "
                f"{key}=FILE, or IMPLANT_SIM_DATA=FOLDER that holds it"
            )
    return paths


@cache
def code_digest() -> str:
    """Digest of every source file that can change a result."""
    digest = hashlib.sha256(implant_sim.__version__.encode())
    for package in (implant_sim, sbtt_models):
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            name = file.relative_to(folder).as_posix()
            if not name.startswith(_RESULT_FREE):
                digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _file_digest(path: Path, modified_ns: int) -> str:  # noqa: ARG001 - makes the cache honest
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _named(key: str, value: Any) -> Any:
    """A block of the scenario; where its files lie does not change what is in them."""
    if key not in WITH_PATHS or not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if not is_path_key(k)}


DataKey: TypeAlias = tuple[tuple[str, str], ...]


class DataKeys:
    """Names what an acquisition depends on; points that differ in prices alone share a name.

    A block is looked at once, however many scenarios hold it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], tuple[Spec, str]] = {}

    def of(self, scenario: Scenario, step_s: float) -> DataKey:
        """The name, in parts by their names, on a clock with steps of so many seconds.

        Recording, schedule, dense trials, drift, seed, channels held out, and of the implant all
        that is not declared to be a price.
        """
        if (implant := scenario.implant) is None:
            return (
                ("recording", self._text(scenario.recording, False)),
                ("schedule", self._text(scenario.schedule, False)),
                ("chance", repr((scenario.seed, scenario.score.held_out))),
            )
        looks = implant.looks_at_signal
        blocks = (
            (name, self._text(block, looks))
            for name in type(implant).model_fields
            if isinstance(block := getattr(implant, name), Block)
        )
        return (
            ("recording", self._text(scenario.recording, looks)),
            ("schedule", self._text(scenario.schedule, looks)),
            ("pretraining", self._dense(scenario)),
            ("drift", "" if scenario.drift is None else scenario.drift.model_dump_json()),
            ("chance", repr((scenario.seed, scenario.score.held_out))),
            ("constants", implant.constants),
            ("counted", repr(implant.counted_by(step_s))),
            *blocks,
        )

    def _dense(self, scenario: Scenario) -> str:
        rule = scenario.pretraining
        return "" if rule is None else rule.model_dump_json(exclude=_OF_LEARNING)

    def _text(self, block: Spec, looks: bool) -> str:
        known = self._known.get((id(block), looks))
        if known is None:
            without = _prices(block, looks)
            # keeps the block, too: an identity is good as long as its owner lives
            known = self._known[id(block), looks] = block, block.model_dump_json(exclude=without)
        return known[1]


def _prices(block: Spec, looks: bool) -> set[str]:
    if not isinstance(block, Block):
        return set()
    return set(block.price_fields) | (set() if looks else set(block.signal_fields))


def data_key(scenario: Scenario, step_s: float) -> str:
    """Name what is counted: 20 hexadecimal digits; see `DataKeys`."""
    return _digest(DataKeys().of(scenario, step_s))


def price_key(scenario: Scenario) -> str:
    """Name what is paid for it: all of the implant that is not part of :func:`data_key`."""
    implant = scenario.implanted
    looks = implant.looks_at_signal
    parts = {"implant": implant.model_dump(mode="json", include=set(implant.price_fields))}
    for name in type(implant).model_fields:
        if isinstance(block := getattr(implant, name), Block):
            parts[name] = block.model_dump(mode="json", include=_prices(block, looks))
    return _digest(parts)


def _digest(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]

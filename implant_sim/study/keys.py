"""The name of a result: equal names, equal results; any change that matters changes the name."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import implant_sim
import sbtt_models
from implant_sim.study.scenario import Scenario, is_path_key
from implant_sim.study.store import SCHEMA
from sbtt_models.spec import DataError

__all__ = ["code_digest", "data_files", "point_key", "stage_seed"]

STAGES = ("schedule", "initial weights")
_NOT_IN_KEY = {"name", "repeats", "sweep", "seed", "time_limit"}
_RESULT_FREE = ("cli.py", "__main__.py", "files.py", "report/", "study/engines/")


def point_key(scenario: Scenario, repeat: int, root: Path) -> str:
    """Name the result of a point and repeat.

    Parameters
    ----------
    scenario : Scenario
        One point.
    repeat : int
        Counts up from the scenario's seed.
    root : pathlib.Path
        Where relative paths of the recording start.

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
    dump = scenario.model_dump(mode="json", by_alias=True)
    body = {
        "schema": SCHEMA,
        "scenario": {k: _without_paths(v) for k, v in dump.items() if k not in _NOT_IN_KEY},
        "data": [
            _file_digest(path, path.stat().st_mtime_ns) for path in data_files(scenario, root)
        ],
        "seed": scenario.seed + repeat,
        "repeat": repeat,
        "code": code_digest(),
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


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
    """The files that the recording is read from.

    Raises
    ------
    DataError
        If one is not there.
    """
    block = scenario.recording.model_dump(mode="json")
    paths = []
    for name, value in block.items():
        if is_path_key(name) and value:
            paths.append(root / value)
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"recording: there is no file {path}; say where it is: --set recording.path=FILE"
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


def _without_paths(value: Any) -> Any:
    """Where a file lies does not change what is in it."""
    if isinstance(value, dict):
        return {k: _without_paths(v) for k, v in value.items() if not is_path_key(k)}
    return value

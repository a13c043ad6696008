"""Histories as TensorBoard events."""

import sys
import types
from pathlib import Path

import pytest

from implant_sim.report.tensorboard import write_histories
from implant_sim.study.store import Entry, Outcome, RunFolder
from implant_sim.study.tables import write_tables
from sbtt_models.errors import DataError, SpecError

HISTORY = [
    {"epoch": 1.0, "nll": 0.5, "valid_loss": 0.6},
    {"epoch": 2.0, "nll": 0.4, "valid_loss": float("nan")},
]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, float, int]]]:
    """What a stand-in for TensorBoard's writer is told, by the name of its folder."""
    told: dict[str, list[tuple[str, float, int]]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            self.rows = told.setdefault(Path(folder).name, [])

        def add_scalar(self, name: str, value: float, *, step: int) -> None:
            self.rows.append((name, value, step))

        def close(self) -> None:
            self.rows.append(("closed", 0.0, 0))

    module = types.ModuleType("tensorboard.summary")
    module.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", module)
    return told


def run_folder(path: Path, *histories: list[dict[str, float]]) -> Path:
    folder = RunFolder(path)
    folder.points.mkdir(parents=True)
    entries = [Entry(i, 0, f"{i:020x}", {}) for i in range(len(histories))]
    folder.write_run(
        {"points": [{"point": e.point, "repeat": 0, "key": e.key, "axes": {}} for e in entries]}
    )
    for entry, history in zip(entries, histories, strict=True):
        row = {"status": "ok", "point": entry.point, "repeat": 0}
        folder.commit(entry, Outcome(row, detail={"history": history}))
    write_tables(folder, entries)
    return path


def test_every_history_becomes_a_run(tmp_path: Path, written) -> None:
    folder = run_folder(tmp_path / "run", HISTORY, [], HISTORY[:1])
    assert write_histories(folder) == folder / "tensorboard"
    assert written == {
        "point_0_repeat_0": [
            ("nll", 0.5, 1),
            ("valid_loss", 0.6, 1),
            ("nll", 0.4, 2),
            ("closed", 0.0, 0),
        ],
        "point_2_repeat_0": [("nll", 0.5, 1), ("valid_loss", 0.6, 1), ("closed", 0.0, 0)],
    }


def test_without_histories_or_tensorboard_it_is_refused(
    tmp_path: Path, written, monkeypatch
) -> None:
    folder = run_folder(tmp_path / "run", [])
    with pytest.raises(DataError, match="no point has a training history"):
        write_histories(folder)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(SpecError, match=r"pip install 'implant-sim\[tensorboard\]'"):
        write_histories(folder)

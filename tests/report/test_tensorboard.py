"""Histories as TensorBoard events."""

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from implant_sim.report.tensorboard import write_histories
from implant_sim.study.store import Entry, Outcome, RunFolder
from implant_sim.study.tables import write_tables
from sbtt_models.errors import DataError, SpecError

HISTORY = [
    {"epoch": 1.0, "nll": 0.5, "valid_loss": 0.6},
    {"epoch": 2.0, "nll": 0.4, "valid_loss": float("nan")},
]


def told(folder: Path) -> dict[str, list[tuple[float, int]]]:
    """Scalars of one run, as TensorBoard itself reads them."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(float(make_ndarray(e.tensor_proto)), e.step) for e in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }


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


def test_every_history_becomes_a_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", HISTORY, [], HISTORY[:1])
    out = write_histories(folder)
    assert out == folder / "tensorboard"
    assert {run.name: told(run) for run in out.iterdir()} == {
        "point_0_repeat_0": {
            "nll": [(0.5, 1), (pytest.approx(0.4), 2)],
            "valid_loss": [(pytest.approx(0.6), 1)],  # nan is left out
        },
        "point_2_repeat_0": {"nll": [(0.5, 1)], "valid_loss": [(pytest.approx(0.6), 1)]},
    }


def test_written_again_nothing_of_before_is_left(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", HISTORY)
    write_histories(folder)
    out = write_histories(folder)
    assert told(out / "point_0_repeat_0")["nll"] == [(0.5, 1), (pytest.approx(0.4), 2)]
    assert len(list((out / "point_0_repeat_0").iterdir())) == 1


def test_without_histories_or_tensorboard_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path / "run", [])
    with pytest.raises(DataError, match="no point has a training history"):
        write_histories(folder)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(SpecError, match=r"pip install 'implant-sim\[tensorboard\]'"):
        write_histories(folder)

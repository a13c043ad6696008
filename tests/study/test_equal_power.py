"""Budgets in watts, against trying every bandwidth; recordings that are not there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.study.budget import budgets
from implant_sim.study.coordinate import entries_of
from implant_sim.study.equal_power import largest_within, settled
from implant_sim.study.load import load
from implant_sim.study.store import RunFolder
from sbtt_models.errors import DataError, SpecError
from tests.study.study_fakes import tiny

RECORDING = {"kind": "lorenz", "channels": 12, "conditions": 1, "trials": 4, "bins": 20}


def powers(schedule: dict[str, Any], **changes: Any) -> dict[int, float]:
    """Every bandwidth, the slow way."""
    sweep = {"schedule.bandwidth": list(range(1, 13))}
    study = load(tiny(recording=RECORDING, schedule=schedule, sweep=sweep, **changes))
    rows = [b.row for b in budgets(study)]
    return {k: row["power_w"] for k, row in enumerate(rows, 1) if row["status"] == "ok"}


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "random_subset"},
        {"kind": "static_subset", "order": "greedy"},
        {"kind": "hybrid", "n_always": 3},
        {"kind": "bernoulli"},
        {"kind": "activity", "by": "rate"},
    ],
    ids=lambda s: s["kind"],
)
@pytest.mark.parametrize("implant", ["gated_uwb", "utah_ble"])
def test_it_is_the_largest_bandwidth_that_keeps_within(
    schedule: dict[str, Any], implant: str
) -> None:
    each = powers(schedule, implant=implant)
    least = min(each)
    budget_w = [1.0001 * each[least], 0.5 * (each[6] + each[7]), 2 * each[12]]
    sweep = {"schedule.power": budget_w}
    study = load(tiny(recording=RECORDING, schedule=schedule, sweep=sweep, implant=implant))
    found = [p.scenario.schedule.bandwidth for p in settled(study).points]
    expected = [max(k for k, w in each.items() if w <= most) for most in budget_w]
    assert found == expected
    assert all(p.scenario.schedule.power_w is None for p in settled(study).points)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=80),
    st.floats(0, 1),
    st.integers(0, 20),
)
def test_the_largest_number_whatever_the_costs(
    steps: list[float], share: float, impossible: int
) -> None:
    costs = [sum(steps[:k]) for k in range(1, len(steps) + 1)]
    budget = costs[0] + share * (costs[-1] - costs[0])
    table = dict(enumerate(costs, 1))
    most = len(costs) + impossible
    found = largest_within(lambda k: table.get(k, math.inf), budget, (1, costs[0]), most)
    assert found == max(k for k, cost in table.items() if cost <= budget)


def test_what_a_budget_cannot_buy_is_left_out_and_said() -> None:
    sweep = {"schedule.power": ["1 uW", "1 mW"]}
    study = settled(load(tiny(schedule={"kind": "random_subset"}, sweep=sweep)))
    assert [p.axes["schedule.power"] for p in study.points] == ["1 mW"]
    (left,) = study.skipped
    assert left.axes == {"schedule.power": "1 uW"}
    assert "1 of 4 channels in a bin need" in left.condition
    with pytest.raises(SpecError, match="no point can be had for it"):
        settled(load(tiny(schedule={"kind": "random_subset", "power": "1 uW"})))


def test_one_budget_and_no_more() -> None:
    for schedule in ({"power": "1 mW", "bandwidth": 2}, {"power": "1 mW", "fraction": 0.5}, {}):
        with pytest.raises(SpecError, match="fraction or power, exactly one"):
            load(tiny(schedule={"kind": "random_subset"} | schedule))
    with pytest.raises(SpecError, match="power and channels exclude each other"):
        load(tiny(schedule={"kind": "static_subset", "power": "1 mW", "channels": [1]}))


def test_a_microscope_has_no_power() -> None:
    imaged = tiny(schedule={"kind": "random_subset", "power": "1 mW"})
    imaged["recording"] = {"kind": "calcium"}
    del imaged["implant"]
    with pytest.raises(SpecError, match="read by a microscope"):
        settled(load(imaged))


def test_unsettled_it_is_refused_and_others_are_left_alone() -> None:
    study = load(tiny(schedule={"kind": "bernoulli", "power": "1 mW"}))
    (found,) = budgets(study)
    assert "run and energy do that" in found.error
    plain = load(tiny())
    assert settled(plain) is plain


def file_study(path: str, missing: str | None) -> dict[str, Any]:
    file = {"label": "from file", "kind": "npz", "path": path, "counts": "counts", "bin": "20 ms"}
    sweep: dict[str, Any] = {"recording": [RECORDING | {"label": "lorenz"}, file]}
    return tiny(sweep=sweep | ({} if missing is None else {"missing": missing}))


def test_recordings_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPLANT_SIM_DATA", raising=False)
    with pytest.raises(DataError, match="IMPLANT_SIM_DATA"):
        entries_of(load(file_study("nowhere.npz", None)))
    study = load(file_study("nowhere.npz", "skip"))
    assert [p.axes["recording"] for p in study.points] == ["lorenz"]
    assert "nowhere.npz" in study.skipped[0].condition
    (tmp_path / "nowhere.npz").touch()
    monkeypatch.setenv("IMPLANT_SIM_DATA", str(tmp_path))
    study = load(file_study("nowhere.npz", "skip"))
    assert str(study.points[1].scenario.recording.path) == str(tmp_path / "nowhere.npz")
    block = {"kind": "npz", "path": "nowhere.npz", "counts": "counts", "bin": "20 ms"}
    typed = load(tiny(), {"recording": block})
    assert str(typed.points[0].scenario.recording.path) == str(tmp_path / "nowhere.npz")
    with pytest.raises(SpecError, match="must be refuse or skip"):
        load(file_study("nowhere.npz", "perhaps"))


def test_recordings_of_a_sweep_are_found_again_from_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMPLANT_SIM_DATA", raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x.npz").touch()
    tree = file_study("x.npz", "skip")
    walking = tiny(sweep={"zip": [{"recording": tree["sweep"]["recording"]}]})
    for number, one in enumerate((tree, walking)):
        path = tmp_path / "here" / f"{number}.yaml"
        path.write_text(json.dumps(one))
        study = load(path)
        folder = tmp_path / str(number)
        folder.mkdir()
        RunFolder(folder).write_scenario(study.tree)
        assert len(study.points) == 2
        assert load(folder / "scenario.yaml").points == study.points

"""Leaderboards at equal power, from made-up rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from implant_sim.report.figure_data import write_figure_data
from implant_sim.report.gathered import Gathered
from implant_sim.report.handout import write_summary
from implant_sim.report.leaderboard import boards, left_out, table
from implant_sim.report.load import Run
from implant_sim.report.summary import summarise


def run_of(scores: dict[str, list[float]], folder: Path = Path(), **columns: Any) -> Run:
    rows = [
        {"scenario": "made up", "point": i, "repeat": r, "status": "ok", "recording": "reach",
         "implant": "chip", "decoder": "kalman", "schedule": name, "schedule.power": "1 mW",
         "power_w": 0.9e-3, "bandwidth": 7.0, "within_limits": True, "velocity_r2": value,
         "bits_per_spike_all": 0.1} | columns
        for i, (name, values) in enumerate(scores.items())
        for r, value in enumerate(values)
    ]  # fmt: skip
    table, axes = pd.DataFrame(rows), ("schedule", "schedule.power")
    skipped = [
        {"axes": {}, "condition": "no file x.h5"},
        {"axes": {}, "condition": "no file x.h5"},
    ]
    return Run(folder, table, pd.DataFrame(), axes, "", {"skipped": skipped}, {})


def test_best_first_and_ties_by_paired_differences() -> None:
    run = run_of(
        {
            "worse": [0.40, 0.50, 0.60],  # by 0.1 in every repeat
            "level": [0.46, 0.62, 0.69],  # now below, now above
            "best": [0.50, 0.60, 0.70],
        }
    )
    (board,) = boards(run, summarise(run))
    assert [s.arm for s in board.standings] == [
        "best · kalman",
        "level · kalman",
        "worse · kalman",
    ]
    assert [s.level for s in board.standings] == [True, True, False]
    assert board.metric.column == "velocity_r2"
    assert board.title == "reach, chip, 1 mW"
    assert board.budget_w == 1e-3


def test_one_repeat_knows_no_ties() -> None:
    run = run_of({"a": [0.5], "b": [0.5]})
    (board,) = boards(run, summarise(run))
    assert [s.level for s in board.standings] == [True, False]
    assert [row[2].text for row in table(board).rows] == ["first", "+0.000"]


def test_measures_are_those_that_all_arms_have() -> None:
    run = run_of({"a": [0.5, 0.5], "b": [0.6, 0.6]}, velocity_r2=None)
    (board,) = boards(run, summarise(run))
    assert board.metric.column == "bits_per_spike_all"
    run = run_of({"a": [0.5]}, velocity_r2=None, bits_per_spike_all=None)
    assert boards(run, summarise(run)) == []


def test_without_budgets_there_is_none() -> None:
    run = run_of({"a": [0.5], "b": [0.6]})
    plain = run.results.drop(columns="schedule.power")
    run = Run(Path(), plain, run.energy, ("schedule",), "", {}, {})
    assert boards(run, summarise(run)) == []


def test_names_cannot_harm_what_is_handed_out(tmp_path: Path) -> None:
    run = run_of({"=1+1|`x`": [0.5], "<b>": [0.6]}, tmp_path)
    summary = summarise(run)
    text = write_summary(tmp_path, run, summary).read_text()
    assert "<b>" not in text
    assert "\\|\\`x" in text
    assert "2 points left out: no file x.h5" in text
    assert left_out(run) == ["2 points left out: no file x.h5"]
    for path in write_figure_data(tmp_path, Gathered(run, summary, {}, None, (), ())):
        for line in path.read_text().splitlines():
            assert not any(part.startswith(("=", "+", "@")) for part in line.split(","))

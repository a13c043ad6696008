"""The light benchmark, run whole and held against stored values.

`python benchmarks/standing/store.py` stores them anew, after a change that is meant.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import implant_sim

STORED = Path(__file__).with_name("benchmark_light.csv")
ARM = ["schedule.power", "schedule", "decoder"]
SCORES = ["bits_per_spike_all", "rate_r2_expected"]
ENERGY = 1e-9
"""Relative: energies are counts times prices."""
LEAST = 0.01
"""Of a score, where seeds do not move it: what threads and machines may change."""
SEEDS = 2.0
"""Of a score, in standard deviations over seeds."""


def drifted(found: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    """What lies beyond its tolerance, one line each."""
    lines = []
    first = found[found["repeat"] == 0].set_index(ARM)
    means = found.groupby(ARM)[SCORES].mean()
    for arm, row in stored.set_index(ARM).iterrows():
        if arm not in means.index:
            lines.append(f"{arm} is gone")
            continue
        for column in (c for c in stored if c.startswith("power_") or c == "bandwidth"):
            value = float(first.loc[arm, column])
            if abs(value - row[column]) > ENERGY * abs(row[column]):
                lines.append(f"{arm}: {column} is {value!r}, was {row[column]!r}")
        for score in SCORES:
            value, most = float(means.loc[arm, score]), max(LEAST, SEEDS * row[f"{score}_sd"])
            if not abs(value - row[score]) <= most:
                lines.append(f"{arm}: {score} is {value:.4f}, was {row[score]:.4f} ± {most:.4f}")
    return lines


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("benchmark")
    found = implant_sim.run("benchmark_light", folder)
    assert (found["status"] == "ok").all()
    return folder, found


def test_fidelity_and_energy_are_those_stored(run: tuple[Path, pd.DataFrame]) -> None:
    _, found = run
    stored = pd.read_csv(STORED)
    assert len(stored) == found.groupby(ARM).ngroups
    assert drifted(found, stored) == []


def test_a_drift_is_noticed(run: tuple[Path, pd.DataFrame]) -> None:
    _, found = run
    stored = pd.read_csv(STORED)
    best = stored["rate_r2_expected"].idxmax()
    dearer, worse, other = stored.copy(), stored.copy(), stored.copy()
    dearer["power_amplifier_w"] *= 1 + 1e-7
    worse.loc[best, "rate_r2_expected"] += 0.05
    other.loc[best, "decoder"] = "another"
    assert len(drifted(found, dearer)) == len(stored)
    assert len(drifted(found, worse)) == 1
    assert drifted(found, other) == ["('0.35 mW', 'random', 'another') is gone"]


def test_the_benchmark_is_at_equal_power(run: tuple[Path, pd.DataFrame]) -> None:
    _, found = run
    budget = found["schedule.power"].str.removesuffix(" mW").astype(float) * 1e-3
    channel_w = found["power_w"].max() / found["bandwidth"].max()
    first = found["repeat"] == 0
    assert (found["power_w"][first] <= budget[first]).all()
    assert (found["power_w"][first] > budget[first] - channel_w).all()
    assert (found["power_w"] <= 1.001 * budget).all()  # others send other counts


def test_it_hands_out_leaderboards(run: tuple[Path, pd.DataFrame]) -> None:
    from implant_sim.report import build

    folder, found = run
    build(folder)
    board = pd.read_csv(folder / "figures" / "leaderboard.csv")
    assert board.groupby("schedule.power").size().tolist() == [6, 6]
    for _, contest in board.groupby("schedule.power"):
        assert contest["mean"].is_monotonic_decreasing
        assert contest["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    means = found.groupby(ARM)["bits_per_spike_all"].mean()
    assert board["mean"].max() == pytest.approx(means.max())
    summary = (folder / "summary.md").read_text()
    assert summary.count("## lorenz") == 2
    assert "At equal power" in (folder / "report.html").read_text()
    for name, rows in (("fidelity", 12), ("energy", 12)):
        assert len(pd.read_csv(folder / "figures" / f"{name}.csv")) == rows

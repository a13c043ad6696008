"""Searches: known fronts are found, nothing hopeless is trained, interrupted ones go on alike."""

from __future__ import annotations

import json

import numpy as np
import pytest

from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.engines.base import Finished
from implant_sim.study.expression import parse_condition
from implant_sim.study.load import load
from implant_sim.study.read_axes import axis_of
from implant_sim.study.search.columns import condition_checked
from implant_sim.study.search.found import DESIGN, FOUND
from implant_sim.study.search.front import hypervolume, knee, non_dominated
from implant_sim.study.search.propose import Drawn, Sampled
from implant_sim.study.search.spec import Sampler
from implant_sim.study.search.verdict import room_of
from implant_sim.study.store import RunFolder
from implant_sim.study.tree import as_node
from sbtt_models.errors import SpecError
from tests.study.study_fakes import quick, tiny

SEARCH = {
    "space": {"schedule.bandwidth": [1, 4], "implant.radio.kind": ["ble", "uwb"]},
    "objectives": {"power_w": "min", "velocity_r2": "max"},
    "budget": {"points": 6},
}


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_front_and_hypervolume_agree_with_moocore(n_objectives):
    moocore = pytest.importorskip("moocore")
    rng = np.random.default_rng(n_objectives)
    for _ in range(20):
        values = rng.integers(0, 12, (25, n_objectives)).astype(float)  # with ties
        reference = np.full(n_objectives, 10.0)
        kept = non_dominated(values)
        assert (kept == moocore.is_nondominated(values, keep_weakly=True)).all()
        wanted = moocore.hypervolume(values, ref=reference)
        assert hypervolume(values, reference) == pytest.approx(wanted, rel=1e-12)


def test_the_knee_is_where_the_front_bends():
    assert knee(np.array([[0.0, 1.0], [0.1, 0.2], [0.5, 0.1], [1.0, 0.0]])) == 1
    assert knee(np.array([[3.0, 3.0]])) == 0


def test_the_front_of_a_known_problem_is_found():
    """f = (x, 1 - sqrt(x) + y), with a constraint x >= 0.04; true front y = 0."""
    reference = np.array([1.1, 1.1])
    grid = np.linspace(0.04, 1, 2001)
    true = hypervolume(np.stack([grid, 1 - np.sqrt(grid)], axis=1), reference)
    for kind in ("tpe", "nsga2"):
        shares = []
        for seed in range(3):
            axes = [
                axis_of(key, as_node({"from": 0.0, "to": 1.0}, "x"), ("a",), "space", False)
                for key in ("a.x", "a.y")
            ]
            proposer = Sampled(axes, 2, Sampler(kind=kind, seed=seed, startup=16))
            seen = []
            while len(seen) < 250:
                for asked in proposer.ask(10):
                    x, y = (float(asked.choice[key][1].value) for key in ("a.x", "a.y"))
                    values, broken = [x, 1 - np.sqrt(x) + y], max(0.0, 0.04 - x)
                    proposer.tell(asked.number, values, broken)
                    seen.append([*values] if not broken else [2.0, 2.0])
            shares.append(hypervolume(np.array(seen), reference) / true)
        assert np.mean(shares) > 0.95, (kind, shares)


def test_proposals_follow_from_seed_and_answers_and_never_come_twice():
    def asked(seed):
        axes = [
            axis_of("a.x", as_node([1, 2, 3], "x"), ("a",), "space", False),
            axis_of("a.y", as_node({"from": 1, "to": 4}, "x"), ("a",), "space", False),
        ]
        proposer, found = Sampled(axes, 1, Sampler(seed=seed)), []
        while batch := proposer.ask(5):
            for proposal in batch:
                found.append(tuple(node.value for _, node in proposal.choice.values()))
                proposer.tell(proposal.number, [float(sum(found[-1]))], 0.0)
        return found

    first = asked(1)
    assert first == asked(1)
    assert first != asked(2)
    assert len(set(first)) == len(first) == 12  # the whole space, then it ends


def test_points_drawn_by_chance_cover_the_space_and_never_come_twice():
    def asked(seed, *n):
        axes = [
            axis_of("a.x", as_node([3, 1, 2], "x"), ("a",), "space", False),
            axis_of("a.y", as_node({"from": 1, "to": 4}, "x"), ("a",), "space", False),
        ]
        proposer = Drawn(axes, seed)
        found = [p for count in n for p in proposer.ask(count)]
        assert [p.number for p in found] == list(range(len(found)))
        return [tuple(node.value for _, node in p.choice.values()) for p in found]

    whole = asked(1, 100)
    assert len(set(whole)) == len(whole) == 12
    assert asked(1, 5, 7, 100) == whole  # batches change nothing
    assert asked(2, 100) != whole


def scored(scenario, repeat, root, device, progress, training=None):
    """Better with bandwidth, and power as the hardware has it."""
    outcome = quick(scenario, repeat, root, device, progress)
    bandwidth = scenario.schedule.bandwidth
    outcome.row.update(
        {"power_w": 1e-3 * bandwidth, "velocity_r2": 0.2 * bandwidth + 0.01 * repeat}
    )
    outcome.row["power_radio_w"] = 1e-4
    return outcome


@pytest.fixture
def inline(monkeypatch, tmp_path):
    """Run in this process; the tasks that were run."""
    ran = []

    def drive(engine, source, on_finish, on_tick=None):
        while (task := source.take()) is not None:
            ran.append(task.argument.entry)
            if len(ran) in inline_stops:
                raise KeyboardInterrupt
            on_finish(Finished(task, task.work(task.argument, lambda done: None)))

    inline_stops: set[int] = set()
    monkeypatch.setattr("implant_sim.study.runner.drive", drive)
    return ran, inline_stops


def search_of(**changes):
    return load(tiny(search=SEARCH | changes, repeats=2))


def test_what_breaks_the_hardware_is_not_trained(tmp_path, inline):
    ran, _ = inline
    study = search_of(constraints=["power_radio_w < 0.5 mW", "velocity_r2 > 0.3"])
    results = coordinate(study, tmp_path, scored, Options(jobs=1))
    told = json.loads((tmp_path / FOUND).read_text())
    screened = [p for p in told["points"] if p["state"] == "screened"]
    assert screened
    assert all(p["axes"]["implant.radio.kind"] == "ble" for p in screened)
    assert {e.axes["implant.radio.kind"] for e in ran} == {"uwb"}
    assert len(ran) == 8  # four bandwidths, two repeats
    hidden = results[results["implant.radio.kind"] == "ble"]
    assert (hidden["status"] == "infeasible").all()
    assert hidden["power_w"].notna().all()
    states = {
        p["axes"]["schedule.bandwidth"]: p["state"] for p in told["points"] if p not in screened
    }
    assert states == {1: "broken", 2: "ok", 3: "ok", 4: "ok"}
    assert [p["axes"]["schedule.bandwidth"] for p in told["front"]] == [2, 3, 4]


def test_the_cheapest_design_for_a_target_is_a_scenario(tmp_path, inline):
    study = search_of(target="velocity_r2 > 0.5", skip=["implant.radio.kind == 'ble'"])
    coordinate(study, tmp_path, scored, Options(jobs=1))
    design = load(tmp_path / DESIGN)
    (point,) = design.points
    assert point.scenario.schedule.bandwidth == 3
    assert point.scenario.implant.radio.kind == "uwb"
    assert design.space is None


def test_several_targets_make_several_designs(tmp_path, inline):
    high = "velocity_r2 > 0.7 and implant.radio.kind == 'ble'"
    targets = {"low": "velocity_r2 > 0.3", "high": high, "never": "velocity_r2 > 9"}
    study = search_of(target=targets, budget={"points": 8})
    coordinate(study, tmp_path, scored, Options(jobs=1))
    told = json.loads((tmp_path / FOUND).read_text())
    assert [d["name"] for d in told["designs"]] == ["low", "high"]
    assert load(tmp_path / "design_low.yaml").points[0].scenario.schedule.bandwidth == 2
    high = load(tmp_path / "design_high.yaml").points[0].scenario
    assert (high.schedule.bandwidth, high.implant.radio.kind) == (4, "ble")
    assert not (tmp_path / "design_never.yaml").exists()
    with pytest.raises(SpecError, match="cannot name a file"):
        search_of(target={"../x": "velocity_r2 > 1"})


def test_a_design_runs_and_gives_what_the_search_said(tmp_path, inline):
    coordinate(search_of(target="velocity_r2 > 0.5"), tmp_path / "s", scored, Options(jobs=1))
    told = json.loads((tmp_path / "s" / FOUND).read_text())
    again = coordinate(load(tmp_path / "s" / DESIGN), tmp_path / "d", scored, Options(jobs=1))
    assert again["power_w"].mean() == pytest.approx(told["designs"][0]["power_w"], rel=1e-15)
    keys = [{e.key for e in RunFolder(tmp_path / name).entries()} for name in "ds"]
    assert keys[0] < keys[1]  # the same runs, by name


def test_a_budget_of_hours_counts_what_was_recorded(tmp_path, inline):
    """An hour a run: two hours are spent after the first point of two repeats."""
    ran, _ = inline

    def hour(*given):
        outcome = scored(*given)
        outcome.detail["durations_s"] = {"train": 3600.0}
        return outcome

    study = search_of(budget={"points": 6, "hours": 3}, sampler={"batch": 1})
    coordinate(study, tmp_path, hour, Options(jobs=1))
    assert len(ran) == 4  # begun while hours were left
    coordinate(study, tmp_path, hour, Options(jobs=1))
    assert len(ran) == 4


def test_fresh_forgets_rows_too(tmp_path, inline):
    ran, _ = inline
    study = search_of(constraints=["power_radio_w < 0.5 mW"])
    first = coordinate(study, tmp_path, scored, Options(jobs=1))
    n, batches = len(ran), set((tmp_path / "batches").iterdir())
    assert batches
    again = coordinate(study, tmp_path, scored, Options(jobs=1, fresh=True))
    assert len(ran) == 2 * n
    assert not batches & set((tmp_path / "batches").iterdir())
    assert again.equals(first)


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(tmp_path, inline):
    ran, stops = inline
    study = search_of()
    whole = coordinate(study, tmp_path / "whole", scored, Options(jobs=1))
    n = len(ran)
    assert n == 12
    for stop in (3, 8):
        del ran[:]
        stops.add(stop)
        with pytest.raises(KeyboardInterrupt):
            coordinate(study, tmp_path / f"{stop}", scored, Options(jobs=1))
        stops.clear()
        del ran[:]
        again = coordinate(study, tmp_path / f"{stop}", scored, Options(jobs=1))
        assert len(ran) == n - stop + 1  # what was finished is not run again
        assert again.equals(whole)
        found = [(tmp_path / name / FOUND).read_text() for name in ("whole", f"{stop}")]
        assert found[0] == found[1]


def test_where_no_decoder_is_needed_none_is_trained(tmp_path, inline):
    ran, _ = inline
    study = search_of(objectives={"power_w": "min", "sampled_fraction": "max"})
    results = coordinate(study, tmp_path, scored, Options(jobs=1))
    assert not ran
    assert len(results) == 6
    assert (results["status"] == "ok").all()
    again = coordinate(study, tmp_path, scored, Options(jobs=1))
    assert again.equals(results)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"space": {"schedul.bandwidth": [1, 2]}}, "unknown key 'schedul'"),
     ({"constraints": ["heat_k <"]}, "lacks a value"),
     ({"objectives": {"power_w": "low"}}, "objectives"),
     ({"constraints": "heat_k < 1"}, r"search\.constraints: must be a list"),
     ({"objectives": {"power_w": "min", "velocty_r2": "max"}}, "did you mean 'velocity_r2'"),
     ({"objectives": {"limited_by": "max"}}, "holds no number"),
     ({"constraints": ["haet_k < 1"]}, r"search\.constraints: 'haet_k' is no column"),
     ({"constraints": ["decoder == kalman"]}, "'kalman' is no column .* put text in quotes"),
     ({"constraints": ["implant.adc.bits > 8"]}, "no key that the space varies"),
     ({"target": {"good": "powr_w < 1"}}, r"search\.target: 'powr_w' .* did you mean 'power_w'"),
     ({"constraints": ["not (heat_k < 1 W and power_w > 0)"]}, "wrong dimension; .* in K"),
     ({"target": "velocity_r2 > 0.6 K"}, "wrong dimension; expected a number"),
     ({"budget": {"points": 0}}, "budget.points")],
)  # fmt: skip
def test_faults_are_told(change, message):
    with pytest.raises(SpecError, match=message):
        search_of(**change)


@pytest.mark.parametrize(
    ("text", "row", "holds"),
    [("battery_h > 10 h", {"battery_h": 12.0}, True),
     ("battery_h > 1 d", {"battery_h": 12.0}, False),
     ("link_rate_bps < 1 Mb/s", {"link_rate_bps": 9e5}, True),
     ("sampled_fraction < 50 %", {"sampled_fraction": 0.6}, False),
     ("flux_w_m2 < 40 mW/cm2", {"flux_w_m2": 300.0}, True),
     ("1 mW < power_w <= 2 mW or schedule.bandwidth in [1, 2]", {"power_w": 1.5e-3}, True),
     ("implant.amplifier.noise < 3 uV", {"implant.amplifier.noise": "2 uV"}, True)],
)  # fmt: skip
def test_bounds_are_in_the_unit_of_their_column(text, row, holds):
    keys = ("schedule.bandwidth", "implant.amplifier.noise")
    condition = condition_checked(parse_condition(text), keys)
    assert condition.holds(row.get) is holds
    room = room_of(row, condition)
    assert room is None or (room > 0) is holds


def test_sweep_and_search_exclude_each_other():
    with pytest.raises(SpecError, match="both sweep and search"):
        load(tiny(search=SEARCH, sweep={"schedule.bandwidth": [1]}))

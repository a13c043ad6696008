"""Questions by name: exact against a scan of all values, honest where there are two ends."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from implant_sim.cli import app
from implant_sim.study.budget import budgets
from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.load import load
from implant_sim.study.read_axes import axis_of
from implant_sim.study.rows import HARDWARE
from implant_sim.study.search.bisect import Bisection
from implant_sim.study.search.found import DESIGN, FOUND
from implant_sim.study.tree import as_node
from sbtt_models.errors import SpecError
from tests.study.study_fakes import tiny
from tests.study.test_search import inline, scored  # noqa: F401 - a fixture

POPULATION = {
    "recording": {"kind": "poisson", "channels": 10, "rate": "10 Hz", "duration": "8 s",
                  "bin": "50 ms"},
    "implant": "utah_ble",
    "schedule": {"kind": "full"},
}  # fmt: skip
POWERS = ["1 mW", "2 mW", "9 mW"]


def end_of(axis, upwards, holds, broken=lambda label: 1.0):
    bisection, asked = Bisection(axis, upwards), []
    while batch := bisection.ask(3):
        for proposal in batch:
            ((label, _),) = proposal.choice.values()
            asked.append(label)
            bisection.tell(proposal.number, [1.0], 0.0 if holds(label) else broken(label))
    best = bisection.answer
    found = None if best is None else next(iter(bisection.choice(best).values()))[0]
    return bisection, found, asked


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize(
    "values",
    [{"from": 1, "to": 5000}, {"from": 3, "to": 70_000, "scale": "log_integer"},
     {"from": 1, "to": 4}, [1, 2, 4, 8, 16, 32, 64], [9, 7, 5, 3, 1]],
)  # fmt: skip
def test_the_end_of_a_monotone_condition_is_found_exactly(values, upwards):
    axis = axis_of("a.x", as_node(values, "x"), ("a",), "space", False)
    everything = (
        values if isinstance(values, list) else list(range(values["from"], values["to"] + 1))
    )
    rng = np.random.default_rng(0)
    low, high = min(everything), max(everything)
    for bound in [low - 1, low, high, high + 1, *rng.integers(low, high + 1, 8).tolist()]:
        good = [v for v in everything if (v <= bound if upwards else v >= bound)]
        bisection, found, asked = end_of(axis, upwards, set(good).__contains__)
        assert found == (max if upwards else min)(good, default=None)
        assert len(set(asked)) == len(asked) < 40
        assert bisection.monotone
        assert bisection.ends_here == (found == (high if upwards else low))


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize(
    ("curve", "most"), [(lambda x: x, 20), (lambda x: x**3, 38), (lambda x: x**0.2, 38)]
)
def test_the_end_is_foretold_by_how_far_conditions_are_broken(curve, most, upwards):
    values = {"from": 1, "to": 65_536, "scale": "log_integer"}
    axis = axis_of("a.x", as_node(values, "x"), ("a",), "space", False)
    for bound in np.random.default_rng(1).integers(2, 30_000, 12).tolist():
        _, found, asked = end_of(
            axis,
            upwards,
            lambda v, b=bound: (v <= b) if upwards else (v >= b),
            lambda v, b=bound: curve(abs(v - b) / b),
        )
        assert found == bound
        assert len(set(asked)) == len(asked) <= most


def test_real_numbers_are_told_apart_to_a_ten_thousandth_of_the_range():
    values = {"from": "1 uV", "to": "100 uV", "scale": "log"}
    axis = axis_of("a.x", as_node(values, "x"), ("a",), "space", False)
    _, found, _ = end_of(axis, True, lambda label: float(label.split()[0]) < 7.5)
    assert 7.5 * 100**-2e-4 < float(found.split()[0]) < 7.5


def test_a_second_end_is_said():
    axis = axis_of("a.x", as_node({"from": 1, "to": 1000}, "x"), ("a",), "space", False)
    bisection, found, _ = end_of(axis, True, lambda v: v < 100 or 400 < v < 700)
    assert found == 699
    assert not bisection.monotone


def test_the_most_channels_are_those_of_a_scan(tmp_path, inline):  # noqa: F811
    question = {"kind": "most_channels", "up_to": 300}
    study = load(
        tiny(**POPULATION, search={"question": question, "constraints": ["power_w < 4 mW"]})
    )
    coordinate(study, tmp_path, scored, Options(jobs=1))
    found = json.loads((tmp_path / FOUND).read_text())["answer"]
    scan = load(tiny(**POPULATION, sweep={"recording.channels": list(range(1, 60))}))
    power = {b.axes["recording.channels"]: b.row["power_w"] for b in budgets(scan)}
    wanted = max(n for n, w in power.items() if w < 4e-3)
    assert 10 < wanted < 58
    assert found["n_channels"] == wanted
    assert found["next"]["axes"] == {"recording.channels": wanted + 1}
    assert found["rooms"][0]["condition"] == "power_w < 4 mW"
    assert found["rooms"][0]["room"] == pytest.approx(1 - power[wanted] / 4e-3)
    assert found["at"]["recording.channels"] == int(np.ceil(1.1 * wanted))
    assert load(tmp_path / DESIGN).points[0].scenario.recording.channels == wanted


def test_each_change_by_itself_turns_what_holds_and_a_smaller_one_does_not(tmp_path, inline):  # noqa: F811
    search = {"question": "what_limits", "constraints": ["power_w < 2.2 mW"]}
    base = tiny(**POPULATION)
    coordinate(load(base | {"search": search}), tmp_path, scored, Options(jobs=1))
    told = json.loads((tmp_path / FOUND).read_text())
    assert told["states"] == {"ok": 1}
    changes = told["answer"]["changes"]
    assert told["answer"]["holds_there"]
    keys = [change["key"] for change in changes]
    assert {"implant.amplifier.power", "implant.overhead.power"} <= set(keys)

    def power(key, value):
        (found,) = budgets(load(base, {key: value}))
        return found.row["power_w"]

    for change in changes:
        if change["key"] in ("implant.amplifier.power", "implant.overhead.power"):
            less = change["now"] + 0.95 * (change["to"] - change["now"])
            assert power(change["key"], change["to"]) >= 2.2e-3
            assert power(change["key"], less) < 2.2e-3


def test_the_longest_battery_is_that_of_the_whole_space(tmp_path, inline):  # noqa: F811
    ran, _ = inline
    battery = {"capacity": "10 mAh", "voltage": "3 V", "source": "rectifier"}
    power = {"regulator_efficiency": 0.85, "battery": battery, "source": "rectifier"}
    search = {
        "question": "longest_battery",
        "space": {
            "schedule.bandwidth": [1, 4],
            "implant.overhead.power": ["1 mW", "2 mW", "9 mW"],
        },
        "constraints": ["velocity_r2 >= 0.6", "heat_k < 0.4"],
        "budget": {"points": 12},
    }
    study = load(tiny(search=search), {"implant.power": power})
    results = coordinate(study, tmp_path, scored_with_battery, Options(jobs=1))
    told = json.loads((tmp_path / FOUND).read_text())["answer"]
    assert told["axes"] == {"schedule.bandwidth": 3, "implant.overhead.power": "1 mW"}
    assert {e.axes["implant.overhead.power"] for e in ran} == {"1 mW", "2 mW"}
    assert len(results) == 12


def scored_with_battery(scenario, *rest):
    outcome = scored(scenario, *rest)
    overhead = scenario.implant.overhead.power_w
    outcome.row.update(battery_h=1 / (overhead + 1e-4 * scenario.schedule.bandwidth), margin=0.5)
    outcome.row["heat_k"] = 0.1
    return outcome


def test_what_is_too_large_to_count_will_not_do(tmp_path, inline):  # noqa: F811
    space = {"recording.channels": [1, 10, 100, 1_000_000]}
    search = {"question": "most_channels", "space": space}
    limits = {"implant": "gated_uwb", "time_limit": "1 ms"}
    study = load(tiny(**POPULATION | {"search": search}), limits)
    coordinate(study, tmp_path, scored, Options(jobs=1))
    told = json.loads((tmp_path / FOUND).read_text())
    assert told["states"] == {"ok": 3, "skipped": 1}
    assert "0.001 s may pass" in told["answer"]["next"]["reason"]


def test_columns_of_the_hardware_are_those_that_pricing_knows():
    battery = {"capacity": "10 mAh", "voltage": "3 V", "source": "rectifier"}
    for changes in ({}, {"implant.power.battery": battery}, {"implant": "detecting_uwb"}):
        (found,) = budgets(load(tiny(), changes))
        assert set(found.row) <= HARDWARE, set(found.row) - HARDWARE


@pytest.mark.parametrize(
    ("search", "message"),
    [({"question": "most_chanels"}, "most_chanels"),
     ({"question": "longest_battery", "space": {"schedule.bandwidth": [1, 4]}}, "no battery"),
     ({"question": {"kind": "most", "of": "schedule.bandwidth"}}, "must give the range"),
     ({"question": "what_limits", "objectives": {"power_w": "min"}}, "not both"),
     ({"constraints": ["heat_k < 1"]}, "give objectives, or a question"),
     ({"question": "least_power", "target": "heat_k < 1"}, "own target"),
     ({"objectives": {"power_w": "min"}}, "name the keys")],
)  # fmt: skip
def test_faults_are_told(search, message):
    with pytest.raises(SpecError, match=message):
        load(tiny(search=search))


def test_a_recording_in_a_file_is_no_population(tmp_path):
    recording = {"kind": "npz", "path": "x.npz", "counts": "c", "bin": "50 ms"}
    with pytest.raises(SpecError, match="ask of a population"):
        load(tiny(recording=recording, search={"question": "most_channels"}))


def test_asking_from_the_command_line(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(tiny()))
    scan = budgets(load(tiny(sweep={"schedule.bandwidth": [1, 2, 3, 4]})))
    power = [b.row["power_w"] for b in scan]
    given = ["ask", str(file), "most", "--of", "schedule.bandwidth",
             "--vary", "schedule.bandwidth=[1, 4]", "--out", str(tmp_path / "o")]  # fmt: skip
    where = f"power_w < {(power[1] + power[2]) / 2}"
    done = CliRunner().invoke(app, [*given, "--where", where, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answer"]["schedule.bandwidth"] == 2
    none = CliRunner().invoke(app, [*given, "--where", "power_w < 1 nW"])
    assert none.exit_code == 2
    assert "none; nearest: schedule.bandwidth=1 (not power_w < 1 nW)" in none.stdout


def test_a_question_of_a_scenario_that_sweeps(tmp_path):
    from implant_sim.study.ask import asked

    study = asked("quickstart", "what_limits")
    assert study.space is not None
    assert not study.decodes
    assert study.name == "quickstart_what_limits"
    assert replace(study).points[0].axes == {}

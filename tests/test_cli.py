"""The command line: what it prints where, and the status it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from implant_sim import cli
from implant_sim.study import coordinate as coordinating
from implant_sim.study import engines
from implant_sim.study import run as pipeline
from tests.study import study_fakes


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Call the command in this process, with a quick pipeline and no report."""
    monkeypatch.chdir(tmp_path)

    def build(folder):
        (Path(folder) / "report.html").write_text("page")
        return Path(folder) / "report.html"

    monkeypatch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())
    monkeypatch.setattr(pipeline, "simulate", study_fakes.troubled)
    monkeypatch.setattr("implant_sim.report.build", build)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.app(list(arguments), prog_name="implant-sim")
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


@pytest.fixture
def scenario(tmp_path):
    def write(bandwidths=(5,), name="s.yaml", **changes):
        tree = study_fakes.tiny(sweep={"schedule.bandwidth": list(bandwidths)}, **changes)
        (tmp_path / name).write_text(json.dumps(tree))
        return name

    return write


@pytest.mark.parametrize(
    ("search", "code", "told"),
    [
        ({"constraints": ["heat_k < 1 nK"]}, 2, "4 x not heat_k < 1 nK"),
        ({"constraints": ["rate_r2 > 2"]}, 2, "4 x not rate_r2 > 2"),
        ({"objectives": {"psth_r2": "max"}}, 2, "4 x psth_r2 has no value here"),
        ({}, 0, "front of 4 points looked at (4 ok)"),
        ({"pruning": {"after": 1}}, 0, " pruned"),
    ],
)
def test_a_search_that_finds_nothing_says_why(run, tmp_path, monkeypatch, search, code, told):
    monkeypatch.setattr(pipeline, "simulate", study_fakes.better_dense)
    usual = {"space": {"schedule.bandwidth": [1, 2, 3, 4]}, "objectives": {"rate_r2": "max"}}
    sampler = {"kind": "random", "seed": 1, "batch": 1}
    tree = study_fakes.tiny(search=usual | {"sampler": sampler} | search, repeats=2)
    (tmp_path / "s.yaml").write_text(json.dumps(tree))
    got, out, _ = run("run", "s.yaml")
    assert got == code, out
    assert told in out


@pytest.mark.parametrize(
    ("bandwidths", "code"), [((5, 6), 0), ((5, 2), 4), ((2,), 1), ((4, 2), 1), ((3,), 2)]
)
def test_exit_status_says_how_the_points_went(run, scenario, bandwidths, code):
    got, out, err = run("run", scenario(bandwidths))
    assert got == code
    assert "report: runs/tiny/report.html" in out
    assert err.count("\n") == len(bandwidths)
    assert Path("runs/tiny/results.csv").is_file()


def test_run_as_json(run, scenario):
    code, out, err = run("run", scenario([5, 2]), "--json", "--out", "o", "--seed", "7")
    told = json.loads(out)
    assert (code, told["exit"], told["out"]) == (4, 4, "o")
    assert [row["status"] for row in told["results"]] == ["ok", "diverged"]
    assert told["results"][0]["seed"] == 7
    assert told["results"][1]["power_w"] is None
    assert "[2/2] point 1 (schedule.bandwidth=2), repeat 0: diverged: DivergedError: the KL" in err


def test_dry_run_runs_nothing(run, scenario):
    code, out, err = run("run", scenario([5, 6], repeats=3), "--dry-run")
    assert code == 0
    assert "2 points x 3 repeats = 6 runs" in out
    assert "GB of memory" in out
    assert err == ""
    assert not Path("runs").exists()
    code, out, _ = run("run", scenario([5, 6]), "--dry-run", "--json")
    told = json.loads(out)
    assert told["runs"] == 2
    assert [p["axes"] for p in told["points"]] == [
        {"schedule.bandwidth": 5}, {"schedule.bandwidth": 6},
    ]  # fmt: skip


def test_refused_by_limits_is_3(run, scenario):
    code, out, err = run("run", scenario(range(1, 10_002)))
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "10,001 points" in err


def test_invalid_scenario_is_2_with_all_faults_and_no_traceback(run, scenario, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: ../x\nseed: no\nschedul: 3\n")
    for command in ("run", "energy", "validate"):
        code, out, err = run(command, "bad.yaml")
        assert (code, out) == (2, "")
        assert "bad.yaml:1:7: name: " in err
        assert "bad.yaml:2:7: seed: " in err
        assert "bad.yaml:3:1: schedul: unknown key; did you mean 'schedule'?" in err
        assert "Traceback" not in err
    assert "Traceback" in run("energy", "bad.yaml", "--debug")[2]


def test_validate_several(run, scenario):
    code, out, err = run("validate", scenario(), "quickstart", "nothing_here")
    assert code == 2
    assert out.split("\n")[:2] == [
        "s.yaml: valid (1 points x 1 repeats)", "quickstart: valid (4 points x 2 repeats)",
    ]  # fmt: skip
    assert "nothing_here: no such file" in err
    code, out, _ = run("validate", scenario(), "nothing_here", "--json")
    assert [item["ok"] for item in json.loads(out)] == [True, False]
    assert code == 2


def test_usage_is_2(run):
    assert run("run")[0] == 2
    assert run("fly")[0] == 2
    assert run("list", "secrets")[0] == 2
    assert run("run", "quickstart", "--device", "tpu")[0] == 2


def test_energy_prints_a_ledger_for_each_point(run, scenario):
    code, out, err = run("energy", scenario([4, 2]), "--set", "seed=3")
    assert (code, err) == (0, "")
    assert out.count("component  ") == 2
    assert "point 1: schedule.bandwidth=2" in out
    assert "power_w:" in out
    code, out, _ = run("energy", scenario([4, 9]), "--json")
    points = json.loads(out)["points"]
    assert code == 4
    assert [p["row"]["status"] for p in points] == ["ok", "infeasible"]
    total = sum(row["energy_j"] for row in points[0]["energy"])
    assert total == pytest.approx(points[0]["row"]["power_w"] * 2 * 4 * 20 * 0.02)


def test_report_rebuilds_the_tables(run, scenario):
    run("run", scenario([5, 6]), "--out", "o")
    before = Path("o/results.csv").read_text()
    Path("o/results.csv").unlink()
    code, out, _ = run("report", "o")
    assert (code, out) == (0, "report: o/report.html\n")
    assert Path("o/results.csv").read_text() == before
    assert len(json.loads(run("report", "o", "--json")[1])["results"]) == 2
    code, _, err = run("report", "nowhere")
    assert code == 2
    assert "nowhere: is no run folder" in err
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    "what", ["schedules", "components", "decoders", "recordings", "implants", "scenarios"]
)
def test_list(run, what):
    code, out, err = run("list", what)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) >= 1
    assert len(json.loads(run("list", what, "--json")[1])) == len(out.splitlines())


def test_schema(run):
    schema = json.loads(run("schema")[1])
    assert "sweep" in schema["properties"]
    assert schema["additionalProperties"] is False


def test_terminal_codes_do_not_reach_the_terminal(run, scenario):
    tree = study_fakes.tiny(sweep={"decoder": [{"label": "\x1b[31mred", "kind": "smoothing"}]})
    Path("e.yaml").write_text(json.dumps(tree))  # JSON writes the escape as \u001b
    code, out, err = run("run", "e.yaml", "--set", "schedule.bandwidth=5")
    assert code == 0
    assert "red" in out
    assert "\x1b" not in out + err


def test_a_fault_of_the_program_is_one_line(run, scenario, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(coordinating, "PointKeys", broken)
    code, out, err = run("run", scenario())
    assert (code, out) == (1, "")
    assert err == "ZeroDivisionError: by design (a fault of the program; --debug shows where)\n"
    assert "Traceback" in run("run", scenario(), "--debug")[2]


HEAVY = ["torch", "pandas", "numba", "matplotlib", "h5py", "scipy", "sklearn", "numpy", "rich"]


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY),
        (["run", "--help"], HEAVY),
        (["validate", "quickstart"], ["torch", "matplotlib", "sklearn", "pandas", "rich"]),
        (["schema"], ["torch", "matplotlib", "sklearn", "pandas", "rich"]),
    ],
)
def test_what_is_not_needed_is_not_imported(arguments, heavy, tmp_path):
    code = (
        "import sys, implant_sim.cli as c\n"
        f"sys.argv = ['implant-sim', *{arguments!r}]\n"
        "try:\n    c.main()\n"
        "finally:\n"
        f"    print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_output_into_a_closed_pipe_is_quiet(tmp_path):
    command = f"{sys.executable} -m implant_sim schema | head -c 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.stderr == ""


def test_inspect_a_file_and_what_a_scenario_makes_of_it(run, scenario, tmp_path):
    np.savez(tmp_path / "a.npz", c=np.arange(60).reshape(20, 3), v=np.ones((20, 2)))
    code, out, _ = run("inspect", "a.npz")
    assert code == 0
    assert "c     20 x 3  int64    0 to 59" in out
    block = {"kind": "npz", "path": "a.npz", "counts": "c", "bin": "20 ms", "window": "20 ms"}
    block |= {"behaviour": {"data": "v", "unit": "m/s"}, "split": {"by": "blocks"}}
    code, out, err = run("inspect", scenario(recording=block), "--json")
    assert (code, out) == (2, "")
    assert "20 bins are too few" in err
    np.savez(tmp_path / "a.npz", c=np.ones((400, 3), int), v=np.ones((400, 2)))
    told = json.loads(run("inspect", scenario(recording=block), "--json")[1])
    assert (told["channels"], told["mean_rate_hz"]) == (3, 50.0)
    assert told["behaviour"] == "behaviour, 2 dimensions: 1 to 1; 1 to 1 m/s"
    assert run("inspect", "b.npz")[0] == 2


def test_a_block_written_as_a_value_is_told_its_keys_and_a_kind_in_capitals_its_name(
    run, scenario
):
    name = scenario(implant="implants/utah_ble.yaml")
    told = run("validate", name, "--set", "implant.power.battery=200 mAh")[2]
    assert "must be a block of keys (known: capacity, source, usable, voltage)" in told
    told = run("validate", name, "--set", "implant.radio.kind=BLE")[2]
    assert "did you mean 'ble'?" in told

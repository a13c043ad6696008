"""Killed, resumed, crowded, in trouble: no point lost, none twice, none wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from implant_sim.study import engines, limits
from implant_sim.study.coordinate import Options, coordinate, entries_of
from implant_sim.study.engines.base import default_jobs
from implant_sim.study.events import read_events
from implant_sim.study.keys import PointKeys, point_key, stage_seed
from implant_sim.study.load import load
from implant_sim.study.store import RunFolder
from sbtt_models.errors import LimitError, SpecError
from tests.study import study_fakes

ROOT = Path(__file__).parents[2]


def study_of(bandwidths, repeats=1, **changes):
    sweep = {"schedule.bandwidth": bandwidths}
    return load(study_fakes.tiny(repeats=repeats, sweep=sweep, **changes))


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("STUDY_FAKES_LOG", str(path))
    return path


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())


def snapshot(out):
    folder = RunFolder(out)
    return {e.key: folder.result(e.key, verify=True) for e in folder.entries()}


def test_results_do_not_depend_on_the_number_of_jobs(tmp_path, log):
    study = study_of([1, 2, 3, 4], repeats=2)
    one = coordinate(study, tmp_path / "1", study_fakes.quick, Options(jobs=1))
    two = coordinate(study, tmp_path / "2", study_fakes.quick, Options(jobs=2))
    assert one.equals(two)
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")
    assert one["seed"].tolist() == [0, 1] * 4
    assert one["schedule.bandwidth"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_finished_points_are_not_run_again_and_damaged_ones_are(tmp_path, log, inline):
    study, out = study_of([1, 2], repeats=2), tmp_path / "o"
    first = coordinate(study, out, study_fakes.quick, Options(jobs=1))
    assert len(log.read_text().split("\n")) == 5
    assert coordinate(study, out, study_fakes.quick, Options(jobs=1)).equals(first)
    assert len(log.read_text().split("\n")) == 5
    broken = RunFolder(out).entries()[2].key
    with (out / "points" / broken / "arrays.h5").open("r+b") as file:
        file.seek(2000)
        file.write(b"\xff\xfe")
    (out / "points" / (RunFolder(out).entries()[0].key) / "result.json").unlink()
    assert coordinate(study, out, study_fakes.quick, Options(jobs=1)).equals(first)
    assert len(log.read_text().split("\n")) == 7
    coordinate(study, out, study_fakes.quick, Options(jobs=1, fresh=True))
    assert len(log.read_text().split("\n")) == 11


@pytest.mark.parametrize("when", ["before it is read", "while it is used"])
def test_a_recording_that_changes_is_not_kept_under_its_old_name(when, tmp_path, log, inline):
    file, out = tmp_path / "r.npz", tmp_path / "o"

    def write(count):
        np.savez(file, c=np.full((400, 3), count))

    def meddled(scenario, repeat, *given):
        if (scenario.schedule.bandwidth == 1) == (when == "before it is read"):
            write(2)
        return study_fakes.quick(scenario, repeat, *given)

    write(1)
    block = {"kind": "npz", "path": str(file), "counts": "c", "bin": 0.02}
    study = study_of([1, 2], recording=block)
    table = coordinate(study, out, meddled, Options(jobs=1))
    assert list(table["status"])[1] == "failed"
    reasons = [e["reason"] for e in read_events(out) if e["event"] == "fail"]
    assert all("has changed since this study was begun" in reason for reason in reasons)
    again = coordinate(study, out, study_fakes.quick, Options(jobs=1))
    assert list(again["status"]) == ["ok", "ok"]
    keys = RunFolder(out).result
    assert all(keys(entry.key)["row"]["status"] == "ok" for entry in entries_of(study))


def test_a_wider_sweep_keeps_what_is_there(tmp_path, log, inline):
    out = tmp_path / "o"
    coordinate(study_of([1, 2]), out, study_fakes.quick, Options(jobs=1))
    results = coordinate(study_of([2, 3]), out, study_fakes.quick, Options(jobs=1))
    assert log.read_text().split() == ["1", "0", "2", "0", "3", "0"]
    assert results["schedule.bandwidth"].tolist() == [2, 3]
    assert results["point"].tolist() == [0, 1]


def test_each_trouble_has_its_status_and_a_worker_killed_once_costs_nothing(tmp_path, log, capsys):
    out = tmp_path / "o"
    study = study_of([1, 2, 3, 4])
    results = coordinate(study, out, study_fakes.troubled, Options(jobs=2))
    assert results["status"].tolist() == ["failed", "diverged", "infeasible", "failed"]
    entries = RunFolder(out).entries()
    details = [RunFolder(out).result(e.key) for e in entries]
    assert "the worker died 3 times" in details[0]["error"]
    assert "ZeroDivisionError" in details[3]["traceback"]
    assert "study_fakes.py" in details[3]["traceback"]
    lines = capsys.readouterr().err
    assert "infeasible: SpecError: three wires are too few" in lines
    # what may succeed another time is tried again, what cannot is not
    again = coordinate(study, out, study_fakes.dies_once, Options(jobs=2))
    assert again["status"].tolist() == ["ok", "diverged", "infeasible", "ok"]


def test_time_limit(tmp_path, log):
    study = study_of([1, 2], time_limit="0.5 s")
    start = time.monotonic()
    results = coordinate(study, tmp_path / "o", study_fakes.endless, Options(jobs=1))
    assert results["status"].tolist() == ["ok", "timeout"]
    assert time.monotonic() - start < 20


SCRIPT = """
    import sys
    from pathlib import Path
    from implant_sim.study.coordinate import Options, coordinate
    from implant_sim.study.load import load
    from tests.study import study_fakes
    sweep = {"schedule.bandwidth": [1, 2, 3, 4]}
    study = load(study_fakes.tiny(repeats=int(sys.argv[2]), sweep=sweep))
    coordinate(study, Path(sys.argv[1]), study_fakes.slow, Options(jobs=int(sys.argv[2])))
"""


def start(out):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(out), "2"],
        cwd=out.parent, env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("kills", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_coordinator_killed_then_resumed(tmp_path, log, kills):
    out = tmp_path / "o"
    for kill in range(1, kills + 1):
        process = start(out)
        wait_for(lambda kill=kill: len(list(out.glob("points/*/result.json"))) >= kill)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        psutil.wait_procs(workers, timeout=3)
        assert not any(w.is_running() and w.status() != "zombie" for w in workers)
    study = study_of([1, 2, 3, 4], repeats=2)
    results = coordinate(study, out, study_fakes.slow, Options(jobs=2))
    whole = coordinate(study, tmp_path / "whole", study_fakes.quick, Options(jobs=1))
    assert results.equals(whole)
    assert snapshot(out) == snapshot(tmp_path / "whole")
    assert not list(out.rglob("*.tmp-*"))
    runs_of_slow = len(log.read_text().splitlines()) - 8
    assert 8 <= runs_of_slow <= 8 + 2 * kills  # at most the points that were being run


def test_run_json_tells_where_results_come_from(tmp_path, log, inline):
    out = tmp_path / "o"
    coordinate(study_of([1, 2], repeats=2), out, study_fakes.quick, Options(jobs=1))
    run = json.loads((out / "run.json").read_text())
    assert run["seeds"] == [0, 1]
    assert run["versions"]["torch"].startswith("2.")
    assert run["scenario_sha256"] == study_of([1, 2], repeats=2).digest
    assert run["axes"] == ["schedule.bandwidth"]
    assert len(run["points"]) == 4
    assert run["computed"] == 4
    assert run["finished"] >= run["started"]


def test_fresh_deletes_results_only(tmp_path, log, inline):
    out = tmp_path / "o"
    (out / "points" / "photos").mkdir(parents=True)
    coordinate(study_of([1]), out, study_fakes.quick, Options(jobs=1, fresh=True))
    assert (out / "points" / "photos").is_dir()


class TestKeys:
    def key(self, repeat=0, **changes):
        study = load(study_fakes.tiny(**changes))
        return point_key(study.points[0].scenario, repeat, study.root)

    def test_what_changes_results_changes_the_key(self):
        plain = self.key()
        assert plain == self.key()
        changes = [
            {"seed": 1}, {"schedule": {"kind": "random_subset", "bandwidth": 1}},
            {"decoder": {"kind": "interpolation"}}, {"training": {"threads": 2}},
            {"implant": "utah_ble"}, {"score": {"withheld": 0.2}},
            {"recording": {**study_fakes.TINY["recording"], "seed": 1}},
        ]  # fmt: skip
        keys = [plain, self.key(repeat=1), *(self.key(**change) for change in changes)]
        assert len(set(keys)) == len(keys)

    def test_names_do_not_depend_on_what_was_named_before(self):
        axes = {
            "schedule.bandwidth": [1, 2],
            "implant.adc.bits": [9, 10],
            "recording.seed": [0, 1],
        }
        study = load(study_fakes.tiny(sweep=axes))
        keys = PointKeys(study.root)
        named = [keys.of(p.scenario, 0) for p in study.points for _ in range(2)]
        assert named == [point_key(p.scenario, 0, study.root) for p in study.points for _ in "ab"]
        assert len(set(named)) == 8

    def test_what_does_not_keeps_it(self):
        assert self.key(name="other", repeats=5, time_limit="1 h") == self.key()

    def test_data_count_by_content_not_by_place(self, tmp_path):
        block = {"kind": "npz", "counts": "c", "bin": "10 ms"}

        def key(name, value):
            np.savez(tmp_path / name, c=np.full((4, 5, 6), value))
            return self.key(recording={**block, "path": str(tmp_path / f"{name}.npz")})

        assert key("a", 1) == key("b", 1)
        assert key("a", 1) != key("c", 2)

    def test_stage_seeds_differ_and_repeats_count_up(self):
        seeds = {stage_seed(s, r, stage) for s, r in [(0, 0), (0, 1), (1, 1)]
                 for stage in ("schedule", "initial weights")}  # fmt: skip
        assert len(seeds) == 6
        assert stage_seed(0, 1, "schedule") == stage_seed(1, 0, "schedule")


class TestLimits:
    def test_prediction_counts_every_entry(self):
        study = study_of([1, 2], repeats=3)
        need = limits.predict(study)
        assert (need.points, need.repeats, need.runs, need.entries) == (2, 3, 6, 2 * 4 * 20 * 4)
        assert need.memory_b > 0.5e9
        assert need.disk_b > 6 * need.entries

    def test_too_much_memory_is_refused_with_what_fits(self, monkeypatch):
        need = limits.predict(study_of([1]))
        monkeypatch.setattr(limits, "allowed_memory_b", lambda: 2.5 * need.memory_b)
        assert limits.jobs_that_fit(need, 8) == 2
        monkeypatch.setattr(limits, "allowed_memory_b", lambda: 0.9 * need.memory_b)
        with pytest.raises(LimitError, match=r"needs about .* GB of memory; .* entries fit"):
            limits.jobs_that_fit(need, 1)

    def test_full_disk_is_refused(self, tmp_path, monkeypatch):
        need = limits.predict(study_of([1]))
        limits.refuse_disk(need, tmp_path / "not" / "there")
        monkeypatch.setattr(limits.shutil, "disk_usage", lambda _: os.statvfs_result(range(10)))
        monkeypatch.setattr(
            limits.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})()
        )
        with pytest.raises(LimitError, match=r"1 runs need about 2\.0 MB of disk; .* has 0\.0 MB"):
            limits.refuse_disk(need, tmp_path)


def test_keys_of_a_study_are_all_different():
    entries = entries_of(study_of([1, 2, 3], repeats=2))
    assert len({e.key for e in entries}) == 6


def test_default_jobs_share_the_cores():
    cores = len(os.sched_getaffinity(0))
    assert default_jobs(1) == cores
    assert default_jobs(10 * cores) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_from_the_command_line(tmp_path, log, number, code):
    script = """
        import json, sys
        from pathlib import Path
        import implant_sim.study.run as pipeline
        from tests.study import study_fakes
        pipeline.simulate = study_fakes.endless
        scenario = study_fakes.tiny(sweep={"schedule.bandwidth": [1, 2, 3]})
        Path("s.yaml").write_text(json.dumps(scenario))
        sys.argv = ["implant-sim", "run", "s.yaml", "--out", "o", "--jobs", "1"]
        from implant_sim.cli import main
        main()
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a test run started in the background ignores SIGINT, and its children would, too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: len(list(tmp_path.glob("o/points/*/result.json"))) >= 1)
    workers = psutil.Process(process.pid).children(recursive=True)
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - begun < 5
    assert "finished points are kept" in err
    assert "Traceback" not in err
    assert out == ""
    psutil.wait_procs(workers, timeout=3)
    assert not any(w.is_running() and w.status() != "zombie" for w in workers)
    assert (tmp_path / "o" / "results.csv").read_text().count("\n") == 2


def test_a_script_without_a_main_guard_runs(tmp_path, log):
    script = tmp_path / "user.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("slow", "quick") + "print('end')\n")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "o"), "1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "end\n"  # once: workers do not run the script again


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    """Otherwise every point would be kept as infeasible and never be tried again."""
    with pytest.raises(SpecError, match="not one of auto, cpu, cuda"):
        coordinate(load(study_fakes.tiny()), tmp_path / "o", study_fakes.quick, Options("tpu"))
    assert not (tmp_path / "o").exists()


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "o").write_text("x")
    with pytest.raises(SpecError, match="is a file"):
        coordinate(load(study_fakes.tiny()), tmp_path / "o", study_fakes.quick, Options())


class TestPredictions:
    @pytest.mark.parametrize(
        "recording",
        [
            {"kind": "lorenz", "variant": "demo"},
            {"kind": "lorenz", "channels": 3, "conditions": 2, "trials": 4, "bins": 7},
            {"kind": "lorenz", "channels": 3, "duration": "60 s"},
            {"kind": "poisson", "channels": 3, "rate": "5 Hz", "duration": "60 s", "bin": "20 ms"},
            {"kind": "poisson", "channels": 3, "rate": "5 Hz", "duration": "1 s", "bin": "20 ms",
             "trials": 9},
        ],
    )  # fmt: skip
    def test_a_size_that_is_declared_is_the_size(self, recording):
        source = load(study_fakes.tiny(recording=recording)).points[0].scenario.recording
        counts, declared = source.load(Path()).counts, source.declared
        assert declared.n_channels == counts.shape[2]
        assert declared.n_bins * declared.n_channels >= counts.size
        if "duration" not in recording or "trials" in recording:
            assert declared.n_bins * declared.n_channels == counts.size

    def test_a_huge_recording_is_refused_at_once_and_nothing_is_made(self, monkeypatch):
        huge = {
            "kind": "lorenz",
            "channels": 1000,
            "conditions": 1000,
            "trials": 1000,
            "bins": 1000,
        }
        study = load(study_fakes.tiny(recording=huge))
        monkeypatch.setattr(type(study.points[0].scenario.recording), "load", None)
        begun = time.perf_counter()
        with pytest.raises(LimitError, match=r"1,000,000,000,000 .* at most [0-9,]+ entries fit"):
            limits.refuse_declared(study)
        assert time.perf_counter() - begun < 0.2
        with pytest.raises(LimitError, match="entries fit"):
            limits.jobs_that_fit(limits.predict(study), 1)

    def test_training_time_grows_with_size_and_is_refused_where_no_epoch_fits(self):
        def study(trials, **changes):
            recording = {**study_fakes.TINY["recording"], "trials": trials}
            return load(study_fakes.tiny(
                recording=recording, decoder={"kind": "autoencoder"}, **changes
            ))  # fmt: skip

        times = (limits.predict(study(trials)).training_s for trials in (4, 40, 400))
        short, long, longer = times
        assert longer - long == pytest.approx(10 * (long - short))
        assert short > 0
        assert limits.predict(study(4, repeats=3)).training_s == pytest.approx(3 * short)
        assert limits.predict(study_of([1])).training_s == 0  # smoothing has no epochs
        radios = study(4, sweep={"implant.radio.kind": ["ble", "uwb"]})
        assert limits.predict(radios).training_s == pytest.approx(short)  # they share a decoder
        with pytest.raises(LimitError, match=r"time_limit is 0\.001 s, which is enough for"):
            limits.predict(study(4000, time_limit="1 ms"))

    @pytest.mark.parametrize(
        "schedule",
        [
            {"kind": "information", "fraction": 0.5},
            {"kind": "weighted", "fraction": 0.5, "by": "behaviour"},
            {"kind": "static_subset", "fraction": 0.5, "order": "greedy"},
            {"kind": "hybrid", "fraction": 0.5, "always_share": 0.5, "order": "greedy"},
        ],
    )
    def test_choosing_by_the_data_takes_time(self, schedule):
        def study(trials, **changes):
            recording = {**study_fakes.TINY["recording"], "trials": trials}
            return load(study_fakes.tiny(recording=recording, **changes))

        short = limits.predict(study(4, schedule=schedule)).choosing_s
        assert short > 0
        assert limits.predict(study(40, schedule=schedule, repeats=2)).choosing_s > 15 * short
        assert limits.predict(study(4)).choosing_s == 0  # by chance

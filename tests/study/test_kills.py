"""Killed, cut off, out of space: nothing lost, twice or wrong, and the same command goes on."""

from __future__ import annotations

import errno
import os
import random
import resource
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from implant_sim import files
from implant_sim.study import engines
from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.events import read_events
from implant_sim.study.load import load
from implant_sim.study.run import simulate
from implant_sim.study.store import RunFolder
from sbtt_models import atomic
from sbtt_models.errors import SimError
from tests.study import study_fakes

ROOT = Path(__file__).parents[2]
SYSTEM = ((atomic, "write"), (atomic, "rename"), (atomic, "fsync"), (files, "_append"))


def study_of(bandwidths, repeats=1, **changes):
    return load(
        study_fakes.tiny(repeats=repeats, sweep={"schedule.bandwidth": bandwidths}, **changes)
    )


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("STUDY_FAKES_LOG", str(path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return path


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())


def content(out):
    """Everything that a run folder says of its points, and both tables."""
    folder = RunFolder(out)
    points = {e.key: folder.result(e.key, verify=True) for e in folder.entries()}
    assert None not in points.values()
    for point in points.values():
        point.pop("durations_s", None), point.pop("peak_memory_b", None)
    tables = [(out / name).read_text() for name in ("results.csv", "energy.csv")]
    return points, tables


def start(out, name, repeats, jobs=2):
    script = f"""
        from pathlib import Path
        from implant_sim.study.coordinate import Options, coordinate
        from implant_sim.study.run import simulate
        from implant_sim.study.load import load
        from tests.study import study_fakes
        from tests.study.study_fakes import brief
        sweep = {{"schedule.bandwidth": [1, 2, 3, 4]}}
        study = load(study_fakes.tiny(repeats={repeats}, sweep=sweep))
        coordinate(study, Path({str(out)!r}), {name}, Options(jobs={jobs}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stderr=subprocess.DEVNULL
    )


def workers_of(process):
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        return [p for p in below if "resource_tracker" not in " ".join(p.cmdline())]
    except psutil.Error:
        return []


def kill_at_random(out, name, repeats, kills, rng, pause_s):
    """Start, kill and start again, until so many kills are done; then run to the end."""
    process, victims, at_work = start(out, name, repeats), [], 0
    for kind in [*["worker"] * 8, "coordinator", "both"] * (kills // 10):
        if process.poll() is not None:
            process = start(out, name, repeats)
        while process.poll() is None and not (victims := workers_of(process)):
            time.sleep(0.02)
        time.sleep(rng.uniform(*pause_s))
        rng.shuffle(victims)
        at_work += process.poll() is None
        if kind != "worker":
            process.kill()
            process.wait()
        if kind != "coordinator":
            for victim in victims if kind == "both" else victims[:1]:
                if victim.is_running():
                    victim.kill()
        psutil.wait_procs(victims, timeout=3) if kind != "worker" else None
        assert kind == "worker" or not any(v.is_running() for v in victims)
    if process.poll() is None:
        process.wait()
    assert start(out, name, repeats).wait() == 0
    return at_work


def test_twenty_random_kills(tmp_path, log):
    """Of workers, of coordinators, of both; the stub takes a twentieth of a second."""
    out, repeats = tmp_path / "o", 60
    at_work = kill_at_random(out, "brief", repeats, 20, random.Random(0), (0.1, 0.5))
    assert at_work >= 18
    runs = Counter(log.read_text().splitlines())
    whole = tmp_path / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())
        coordinate(study_of([1, 2, 3, 4], repeats), whole, study_fakes.quick, Options())
    assert content(out) == content(whole)
    assert len(runs) == 4 * repeats
    assert sum(runs.values()) - len(runs) <= 2 * 20  # what was being run when it was killed
    assert not list(out.rglob("*.tmp-*"))
    ends = [e["key"] for e in read_events(out) if e["event"] == "finish"]
    assert len(set(ends)) > 3 * repeats  # the killed could not tell of every end


@pytest.mark.slow
def test_random_kills_of_real_trainings(tmp_path, log):
    out, repeats = tmp_path / "o", 10
    kill_at_random(out, "simulate", repeats, 20, random.Random(1), (2.0, 5.0))
    whole = tmp_path / "whole"
    coordinate(study_of([1, 2, 3, 4], repeats), whole, simulate, Options(jobs=2))
    (points, _), (others, _) = content(out), content(whole)
    for key, point in points.items():
        for record in (point["row"], others[key]["row"]):
            record.pop("train_s")
        assert point["row"] == others[key]["row"]
        assert point["energy"] == others[key]["energy"]
        assert point["files"]["arrays.h5"] == others[key]["files"]["arrays.h5"]


class Failing:
    """Makes the n-th system call fail, or every one from then on."""

    def __init__(self, patch, n, for_good):
        self.left, self.for_good = n, for_good
        for module, name in SYSTEM:
            patch.setattr(module, name, self._wrap(getattr(module, name)))

    def _wrap(self, real):
        def call(*args):
            self.left -= 1
            if self.left == 0 or (self.left < 0 and self.for_good):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args)

        return call


@pytest.mark.parametrize("for_good", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_nth_system_call_fails_for_every_n_until_none_does(tmp_path, log, inline, for_good):
    study = study_of([3])
    whole = coordinate(study, tmp_path / "whole", study_fakes.quick, Options())
    for n in range(1, 200):
        out = tmp_path / str(n)
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, n, for_good)
            try:
                coordinate(study, out, study_fakes.quick, Options())
                told = ""
            except SimError as error:
                told = str(error)
        if failing.left > 0:
            break
        assert not told or (str(tmp_path) in told and " are free" in told)
        for point in (out / "points").glob("*"):
            assert ".tmp-" in point.name or RunFolder(out).result(point.name, verify=True)
        assert coordinate(study, out, study_fakes.quick, Options()).equals(whole)
        assert content(out) == content(tmp_path / "whole")
    assert n > 30


@pytest.mark.parametrize("most_b", [100, 1500, 6000, 20_000])
def test_a_disk_that_is_full(tmp_path, log, inline, capsys, most_b):
    """No file may grow beyond so many bytes."""
    study, out = study_of([1, 2]), tmp_path / "o"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_b, hard))
    told, statuses = "", set()
    try:
        statuses = set(coordinate(study, out, study_fakes.quick, Options())["status"])
    except SimError as error:
        told = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "too large" in told or statuses == ({"ok"} if most_b > 6000 else {"failed"})
    whole = coordinate(study, tmp_path / "whole", study_fakes.quick, Options())
    assert coordinate(study, out, study_fakes.quick, Options()).equals(whole)
    assert content(out) == content(tmp_path / "whole")


def test_tables_know_nothing_of_order_workers_and_resumes(tmp_path, log, inline):
    study = study_of([1, 2, 3, 4], repeats=2)
    whole = coordinate(study, tmp_path / "whole", study_fakes.quick, Options())
    rng = random.Random(0)
    for trial in range(6):
        out, order = tmp_path / str(trial), [1, 2, 3, 4]
        rng.shuffle(order)
        for part in (order[:1], order[:3]):
            coordinate(
                study_of(part, repeats=rng.choice([1, 2])), out, study_fakes.quick, Options()
            )
        victim = rng.choice(list((out / "points").iterdir()))
        (victim / "result.json").unlink()
        assert coordinate(study, out, study_fakes.quick, Options()).equals(whole)
        points, tables = content(out)
        assert tables == content(tmp_path / "whole")[1]
        assert {k: p["row"] for k, p in points.items()} == {
            k: p["row"] for k, p in content(tmp_path / "whole")[0].items()
        }

"""The same results wherever the points run; whoever dies costs its own point only."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import psutil
import pytest

from implant_sim.study import coordinate as coordinating
from implant_sim.study import engines, runner
from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.engines import on_dask
from implant_sim.study.events import read_events
from implant_sim.study.load import load
from implant_sim.study.store import RunFolder
from sbtt_models.errors import SpecError
from tests.study import study_fakes

ROOT = Path(__file__).parents[2]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install '.[ray]'"
)


def study_of(bandwidths, repeats=1, **changes):
    sweep = {"schedule.bandwidth": bandwidths}
    return load(study_fakes.tiny(repeats=repeats, sweep=sweep, **changes))


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("STUDY_FAKES_LOG", str(path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return path


def options(kind="local", **more):
    return Options(jobs=2, engine=engines.Choice(kind, **more))


def alive(pids):
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != "zombie"]


def test_dask_gives_what_local_gives_and_outlives_trouble(tmp_path, log):
    """One point hangs, one loses its worker; the tables are the same, and nothing is left."""
    study = study_of([1, 2, 3, 4], time_limit="1.5 s")
    before = set(psutil.pids())
    seen, real = set(), on_dask._Cluster.close

    def close(cluster):
        mine = psutil.Process().children(recursive=True)
        seen.update(p.pid for p in mine if p.pid not in before)
        real(cluster)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_dask._Cluster, "close", close)
        dask = coordinate(study, tmp_path / "dask", study_fakes.hangs, options("dask"))
    log.with_suffix(".2").unlink()
    local = coordinate(study, tmp_path / "local", study_fakes.hangs, options())
    assert dask["status"].tolist() == ["timeout", "ok", "ok", "ok"]
    assert dask.equals(local)
    for name in ("results.csv", "energy.csv"):
        assert (tmp_path / "dask" / name).read_text() == (tmp_path / "local" / name).read_text()
    assert len(seen) >= 4  # scheduler, nanny, workers
    psutil.wait_procs([psutil.Process(p) for p in alive(seen)], timeout=5)
    assert not alive(seen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dask", pytest.param("ray", marks=needs_ray)])
def test_the_real_pipeline_is_equal_on_every_engine(tmp_path, log, kind):
    """In processes of their own, as ray leaves warnings and threads behind."""
    script = """
        import sys
        from pathlib import Path
        from implant_sim.study import engines
        from implant_sim.study.coordinate import Options, coordinate
        from implant_sim.study.run import simulate
        from implant_sim.study.load import load
        from tests.study import study_fakes
        study = load(study_fakes.tiny(repeats=2, sweep={"schedule.bandwidth": [1, 2, 3]}))
        choice = engines.Choice(sys.argv[2])
        coordinate(study, Path(sys.argv[1]), simulate, Options(jobs=2, engine=choice))
    """
    tables = {}
    for name in ("local", kind):
        command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / name), name]
        subprocess.run(command, check=True, timeout=180, cwd=ROOT, stderr=subprocess.DEVNULL)
        table = pd.read_csv(tmp_path / name / "results.csv")
        tables[name] = table.drop(columns="train_s")
        tables[f"{name} energy"] = (tmp_path / name / "energy.csv").read_text()
    pd.testing.assert_frame_equal(tables["local"], tables[kind], check_exact=True)
    assert tables["local energy"] == tables[f"{kind} energy"]
    assert (tables["local"]["status"] == "ok").all()


@pytest.mark.slow
def test_a_cluster_that_runs_already_stays(tmp_path, log):
    """Joined by its scheduler file; a worker killed in the middle costs nothing."""
    cluster = on_dask._Cluster(engines.Crew(2, 1, 2e9))
    try:
        study = study_of([1, 2, 3, 4], repeats=2)
        choice = options("dask", address=str(cluster.file))
        results = coordinate(study, tmp_path / "a", study_fakes.dies_once, choice)
        assert results["status"].tolist() == ["ok"] * 8
        again = coordinate(study, tmp_path / "b", study_fakes.quick, choice)
        assert again.equals(results)
        assert alive([process.pid for process in cluster._processes])
    finally:
        cluster.close()


@pytest.mark.slow
@needs_ray
def test_ray_outlives_trouble_and_lets_no_stranger_in(tmp_path, log):
    script = """
        import os, subprocess, sys
        from pathlib import Path
        from implant_sim.study import engines
        from implant_sim.study.coordinate import Options, coordinate
        from implant_sim.study.load import load
        from tests.study import study_fakes
        sweep = {"schedule.bandwidth": [1, 2, 3, 4]}
        study = load(study_fakes.tiny(sweep=sweep, time_limit="2 s"))
        options = Options(jobs=2, engine=engines.Choice("ray"))
        from implant_sim.study.engines import on_ray
        real = on_ray.Ray.close
        def close(self):
            come = "import ray; ray.init(address='auto', log_to_driver=False)"
            codes = []
            for drop in ([], ["RAY_AUTH_TOKEN", "RAY_AUTH_MODE"]):
                env = {k: v for k, v in os.environ.items() if k not in drop} | {"HOME": "/nowhere"}
                codes.append(subprocess.run([sys.executable, "-c", come], env=env,
                             stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode)
            assert codes[0] == 0 and codes[1] != 0
            real(self)
        on_ray.Ray.close = close
        print(list(coordinate(study, Path("o"), study_fakes.hangs, options)["status"]))
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True,
        text=True, timeout=180,
    )  # fmt: skip
    assert done.stdout == "['timeout', 'ok', 'ok', 'ok']\n", done.stderr[-2000:]


def test_who_takes_too_much_memory_is_ended_and_nobody_else(tmp_path, log, monkeypatch):
    monkeypatch.setattr(coordinating.limits, "jobs_that_fit", lambda need, wanted: wanted)
    monkeypatch.setattr(coordinating.limits, "allowed_memory_b", lambda: 2 * 0.8e9)
    results = coordinate(study_of([1, 2, 3]), tmp_path / "o", study_fakes.hungry, options())
    assert results["status"].tolist() == ["failed", "ok", "ok"]
    key = RunFolder(tmp_path / "o").entries()[0].key
    error = RunFolder(tmp_path / "o").result(key)["error"]
    assert "a worker's share is 0.8 GB" in error
    failed = [e for e in read_events(tmp_path / "o") if e["event"] == "fail"]
    assert [(e["point"], e["status"]) for e in failed] == [(0, "failed")]
    assert log.read_text().split() == ["2", "0", "3", "0"]  # and it was not tried again


def test_two_coordinators_share_the_work(tmp_path, log):
    """Both return all results; no point is run twice."""
    script = """
        import sys
        from pathlib import Path
        from implant_sim.study.coordinate import Options, coordinate
        from implant_sim.study.load import load
        from tests.study import study_fakes
        sweep = {"schedule.bandwidth": [1, 2, 3, 4]}
        study = load(study_fakes.tiny(repeats=5, sweep=sweep))
        print(coordinate(study, Path(sys.argv[1]), study_fakes.slow, Options(jobs=1)).to_json())
    """
    out = tmp_path / "o"
    both = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(out)], cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]  # fmt: skip
    results = [process.communicate(timeout=120)[0] for process in both]
    assert results[0] == results[1]
    assert set(json.loads(results[0])["status"].values()) == {"ok"}
    assert len(log.read_text().splitlines()) == 20
    ends = [e["by"] for e in read_events(out) if e["event"] == "finish"]
    assert len(ends) == 20
    assert min(ends.count(by) for by in set(ends)) >= 3
    assert len(set(ends)) == 2
    whole = coordinate(study_of([1, 2, 3, 4], 5), tmp_path / "w", study_fakes.quick, options())
    assert whole.to_json() + "\n" == results[0].decode()


def test_results_of_other_code_are_refused(tmp_path, log, monkeypatch):
    monkeypatch.setattr(runner, "code_digest", lambda: "0" * 64)
    results = coordinate(study_of([3]), tmp_path / "o", study_fakes.quick, options())
    assert results["status"].tolist() == ["failed"]
    key = RunFolder(tmp_path / "o").entries()[0].key
    assert "other code than the coordinator" in RunFolder(tmp_path / "o").result(key)["error"]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (engines.Choice("local", address="tcp://127.0.0.1:1"), "the local engine has none"),
        (engines.Choice("dask", address="ftp://nowhere"), "no dask scheduler"),
        pytest.param(engines.Choice("ray", address="ray://10.0.0.1:10001"), "with a token",
                     marks=needs_ray),
    ],
)  # fmt: skip
def test_addresses_that_lead_nowhere(choice, says, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(SpecError, match=says):
        choice.open(engines.Crew(1, 1, 1e9))


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "implant_sim.study.engines.on_dask")
    with pytest.raises(SpecError, match=r"pip install 'implant-sim\[dask\]'"):
        engines.Choice("dask").open(engines.Crew(1, 1, 1e9))

"""Searches by real workers: as many, as they are, and however often killed, the same is found."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from implant_sim.study import engines
from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.load import load
from implant_sim.study.search.found import FOUND
from tests.study import study_fakes
from tests.study.test_search import scored

ROOT = Path(__file__).parents[2]
SEARCH = {
    "space": {"schedule.bandwidth": [1, 4], "implant.amplifier.noise": ["2 uV", "4 uV", "8 uV"]},
    "objectives": {"power_w": "min", "velocity_r2": "max"},
    "constraints": ["power_overhead_w < 1 mW"],
    "pruning": {"after": 3},
    "budget": {"points": 8},
}


def study():
    return load(study_fakes.tiny(search=SEARCH, repeats=2))


def slowly(*given):
    time.sleep(0.15)
    outcome = scored(*given)
    outcome.row["power_overhead_w"] = 1e-4
    return outcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run in this process, one after the other."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())
        table = coordinate(study(), out, slowly, Options(jobs=1))
    return table, (out / FOUND).read_text()


@pytest.mark.parametrize("kind", ["local", pytest.param("dask", marks=pytest.mark.slow)])
def test_workers_find_the_same(tmp_path, whole, kind, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if kind != "local":
        pytest.importorskip("distributed")
    options = Options(jobs=2, engine=engines.Choice(kind))
    table = coordinate(study(), tmp_path, slowly, options)
    assert table.equals(whole[0])
    assert (tmp_path / FOUND).read_text() == whole[1]


@pytest.mark.slow
def test_killed_coordinators_lose_nothing(tmp_path, whole):
    script = f"""
        from pathlib import Path
        from implant_sim.study.coordinate import Options, coordinate
        from tests.study.test_search_engines import slowly, study
        if __name__ == "__main__":
            coordinate(study(), Path({str(tmp_path)!r}), slowly, Options(jobs=2))
    """
    command, rng = [sys.executable, "-c", textwrap.dedent(script)], random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        before = len(list(tmp_path.glob("points/*")))
        while process.poll() is None and len(list(tmp_path.glob("points/*"))) < before + 2:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / FOUND).read_text() == whole[1]
    assert not list(tmp_path.rglob("*.tmp-*"))

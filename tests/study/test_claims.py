"""Two may work in one folder, on different points; the dead hold nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from implant_sim.study.claims import Claims
from implant_sim.study.events import EVENTS, Events, read_events
from sbtt_models.errors import SimError

ROOT = Path(__file__).parents[2]
OTHER = """
    import sys, time
    from pathlib import Path
    from implant_sim.study.claims import Claims
    with Claims(Path(sys.argv[1]), "s") as claims:
        print(claims.take("k"), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds a claim on ``k``."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OTHER), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"True\n"
    yield process
    process.kill()
    process.communicate()


def test_a_claim_is_one_process_only_and_a_killed_one_holds_nothing(tmp_path, other):
    with Claims(tmp_path, "s") as claims:
        assert [owner.pid for owner in claims.others] == [other.pid]
        assert not claims.take("k")
        assert claims.owner("k").pid == other.pid
        assert claims.take("j")
        other.kill()
        other.wait()
        assert claims.owner("k") is None
        assert claims.take("k")


def test_release_and_leaving_free_the_points(tmp_path):
    with Claims(tmp_path, "s") as one, Claims(tmp_path, "s") as two:
        assert one.take("k")
        assert not two.take("k")
        one.release("k")
        assert two.take("k")
        assert one.take("j")
        assert one.take("j")  # one's own
    with Claims(tmp_path, "s") as three:
        assert three.others == []
        assert three.take("k")
        assert three.take("j")


def test_another_scenario_is_told_who_is_there(tmp_path, other):
    with (
        pytest.raises(SimError, match=f"in use by process {other.pid} .* for another scenario"),
        Claims(tmp_path, "t"),
    ):
        pass
    with Claims(tmp_path, "s") as claims:  # and it left no trace
        assert len(claims.others) == 1


def test_tidying_is_for_the_first_only(tmp_path, other):
    called = []
    with Claims(tmp_path, "s", when_alone=lambda: called.append(1)):
        assert called == []
    other.kill()
    other.wait()
    with Claims(tmp_path, "s", when_alone=lambda: called.append(1)):
        assert called == [1]


def test_another_machine_is_dead_when_silent(tmp_path):
    (tmp_path / ".claims").mkdir()
    far = tmp_path / ".claims" / "far.lease"
    far.write_text(json.dumps({"host": "far/boot", "pid": os.getpid(), "begun": 0, "study": "s"}))
    (tmp_path / ".claims" / "k").write_text("far.lease")
    with Claims(tmp_path, "s") as claims:
        assert not claims.take("k")
        silent = time.time() - 120
        os.utime(far, (silent, silent))
        assert claims.take("k")
    assert far.exists()
    with Claims(tmp_path, "s") as claims:
        assert claims.others == []
        assert not far.exists()


def test_a_process_number_used_again_is_another_process(tmp_path):
    with Claims(tmp_path, "s") as claims:
        lease = next((tmp_path / ".claims").glob("*.lease"))
        mine = json.loads(lease.read_text())
        (tmp_path / ".claims" / "old.lease").write_text(json.dumps(mine | {"begun": 1.0}))
        (tmp_path / ".claims" / "k").write_text("old.lease")
        assert claims.take("k")


def test_a_clock_that_is_set_back_makes_nobody_dead(other, tmp_path, monkeypatch):
    told = psutil.Process.create_time
    # what psutil tells counts from the start of the machine, whose time moves with the clock
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: told(self) - 3600)
    with Claims(tmp_path, "s") as claims:
        assert len(claims.others) == 1
        assert not claims.take("k")
    assert other.poll() is None


def test_events_survive_a_torn_line(tmp_path):
    Events(tmp_path).tell("start", runs=2)
    with (tmp_path / EVENTS).open("a") as log:
        log.write('{"time": "2026", "event": "fin')  # killed in the middle of it
    Events(tmp_path).tell("resume", runs=2, odd=float("nan"))
    assert [event["event"] for event in read_events(tmp_path)] == ["start", "resume"]
    assert list(read_events(tmp_path))[1]["odd"] is None
    assert list(read_events(tmp_path / "none")) == []

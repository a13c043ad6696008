"""Quick stand-ins for the pipeline, importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from implant_sim.study.engines.base import Engine
from implant_sim.study.store import Outcome
from sbtt_models.errors import DivergedError, SpecError

TINY = {
    "name": "tiny",
    "recording": {"kind": "lorenz", "channels": 4, "conditions": 2, "trials": 4, "bins": 20},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 2},
    "decoder": {"kind": "smoothing"},
}


def tiny(**changes):
    return {**TINY, **changes}


class Inline(Engine):
    """Runs tasks in this process, where it does not matter who runs."""

    capacity = 1

    def __init__(self, crew=None):
        pass

    def submit(self, task):
        future = Future()
        try:
            future.set_result(task.work(task.argument, lambda done: None))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self):
        pass


def quick(scenario, repeat, root, device, progress, scratch=None):
    """A result that depends on scenario and repeat alone, and a line in a log."""
    if log := os.environ.get("STUDY_FAKES_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{scenario.schedule.bandwidth} {repeat}\n")
    progress(0.5)
    seed = [scenario.seed + repeat, scenario.schedule.bandwidth]
    values = np.random.default_rng(seed).random(100)
    return Outcome(
        row={"status": "ok", "power_w": float(values[0]), "bandwidth": seed[1]},
        energy=[{"component": "adc", "action": "convert", "count": 2, "price_j": 1.0,
                 "energy_j": 2.0, "source": "x", "source_kind": "derived"}],
        arrays={"rates": values, "split/test": np.arange(3)},
        attrs={"bin_s": 0.02},
        save=lambda folder: (folder / "weights.safetensors").write_bytes(values.tobytes()),
    )  # fmt: skip


def better_dense(scenario, repeat, root, device, progress, scratch=None):
    """The more channels, the better."""
    outcome = quick(scenario, repeat, root, device, progress)
    outcome.row["rate_r2"] = scenario.schedule.bandwidth / 10
    return outcome


def slow(scenario, repeat, root, device, progress, scratch=None):
    time.sleep(0.4)
    return quick(scenario, repeat, root, device, progress)


def endless(scenario, repeat, root, device, progress, scratch=None):
    if scenario.schedule.bandwidth == 1:
        return quick(scenario, repeat, root, device, progress)
    time.sleep(120)
    raise RuntimeError("never reached")


def troubled(scenario, repeat, root, device, progress, scratch=None):
    """Every way to go wrong, chosen by the bandwidth."""
    bandwidth = scenario.schedule.bandwidth
    if bandwidth == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if bandwidth == 2:
        raise DivergedError("the KL term is NaN")
    if bandwidth == 3:
        raise SpecError("three wires are too few")
    if bandwidth == 4:
        raise ZeroDivisionError("a bug")
    return quick(scenario, repeat, root, device, progress)


def dies_once(scenario, repeat, root, device, progress, scratch=None):
    """The first try is killed, the second one works."""
    marker = Path(os.environ["STUDY_FAKES_LOG"]).with_suffix(f".{scenario.schedule.bandwidth}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(scenario, repeat, root, device, progress)


def hungry(scenario, repeat, root, device, progress, scratch=None):
    """One point takes more memory than its share, a page at a time."""
    if scenario.schedule.bandwidth == 1:
        held = []
        for _ in range(200):
            held.append(np.ones(2**20))
            time.sleep(0.02)
    return quick(scenario, repeat, root, device, progress)


def hangs(scenario, repeat, root, device, progress, scratch=None):
    """One point never ends, another one's worker dies the first time."""
    if scenario.schedule.bandwidth == 1:
        time.sleep(600)
    if scenario.schedule.bandwidth == 2:
        return dies_once(scenario, repeat, root, device, progress)
    return quick(scenario, repeat, root, device, progress)


def brief(scenario, repeat, root, device, progress, scratch=None):
    time.sleep(0.05)
    return quick(scenario, repeat, root, device, progress)

"""Speed and memory of the hardware model: large arrays, sweeps, start-up, dense masks.

    python benchmarks/speed/hardware.py [--write]

Streamed acquisitions are compared with the time that they cover, in processor time of one thread;
commands with their bounds, in wall time from the shell; round-robin masks with the rate at which
the same memory can be written, in the same run. The best of several is taken. `--write` renews
hardware.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from implant_sim.hardware.kernels import masks  # noqa: E402

HERE = Path(__file__).parent
LARGE = """
import sys, time, resource
import numpy as np
from implant_sim.study.keys import DataKeys
from implant_sim.study.offers import Offers
from implant_sim.study.load import load
base = {
    "name": "large", "implant": "gated_uwb", "decoder": {"kind": "smoothing"},
    "recording": {"kind": "poisson", "channels": 65536, "rate": "10 Hz", "spread": 0.5,
                  "duration": "605 s", "bin": "1 ms"},
    "schedule": {"kind": sys.argv[1], "bandwidth": 1024},
}
small = load({**base, "recording": {**base["recording"], "duration": "10 s"}})

def count(study):
    scenario = study.points[0].scenario
    return Offers(study.root).count(scenario, DataKeys().of(scenario, 1e-3))[1]

count(small)  # loads the kernels
best = None
for _ in range(int(sys.argv[2])):
    study = load(base)
    start = time.thread_time()
    activity = count(study)
    took = time.thread_time() - start
    best = took if best is None else min(best, took)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(activity.duration_s, best, peak)
"""
ONE = """\
name: one
recording: {kind: poisson, channels: 1024, rate: 10 Hz, spread: 0.5, duration: 60 s, bin: 10 ms}
implant: implants/gated_uwb.yaml
schedule: {kind: round_robin, bandwidth: 256}
decoder: {kind: smoothing}
"""
MANY = """\
name: many
recording: {kind: lorenz, variant: demo, seed: 5}
implant: implants/gated_uwb.yaml
schedule: {kind: random_subset, bandwidth: 10}
decoder: {kind: smoothing}
sweep:
  schedule.bandwidth: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 29]
  implant.adc.bits: [9, 10, 11, 12, 13]
  implant.amplifier.wake_energy: [1 pJ, 2 pJ, 3 pJ, 4 pJ, 5 pJ, 6 pJ, 7 pJ, 8 pJ, 9 pJ, 10 pJ]
  implant.overhead.power: [1 uW, 2 uW, 3 uW, 4 uW, 5 uW, 6 uW, 7 uW, 8 uW, 9 uW, 10 uW]
"""
WIDTHS = f"""\
name: widths
recording: {{kind: poisson, channels: 1000, rate: 10 Hz, spread: 0.5, duration: 20 s, bin: 20 ms}}
implant: implants/gated_uwb.yaml
schedule: {{kind: round_robin, bandwidth: 10}}
decoder: {{kind: smoothing}}
sweep:
  schedule.bandwidth: {list(range(1, 1001, 2))}
  implant.radio.kind: [uwb, ble, medradio, fsk, backscatter, ultrasound, optical]
  implant.overhead.power: [1 uW, 2 uW]
"""
TOO_MUCH = """\
name: too_much
recording: {kind: poisson, channels: 65536, rate: 10 Hz, duration: 15300 s, bin: 1 ms}
implant: implants/gated_uwb.yaml
schedule: {kind: full}
decoder: {kind: smoothing}
"""
Row = tuple[str, str, str, bool]


def large(kind: str, target: float, rounds: int) -> Row:
    command = [sys.executable, "-c", LARGE, kind, str(rounds)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    covered, took, peak = map(float, out.split())
    text = f"{covered / took:.0f} times real time ({took:.2f} s), {peak / 1e6:.0f} MB"
    what = f"{kind}, 65,536 electrodes, 1,024 in each 1 ms bin, 10 min, one thread"
    return what, f"{target:.0f} times, 500 MB", text, covered / took >= target and peak < 500e6


def command(text: str, *options: str, rounds: int, status: int = 0) -> tuple[float, float]:
    """Least wall and processor time of `implant-sim energy`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "s.yaml"
        file.write_text(text)
        wall, cpu = [], []
        for _ in range(rounds):
            before, begin = os.times(), time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "implant_sim", "energy", str(file), *options],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
            wall.append(time.perf_counter() - begin)
            after = os.times()
            cpu.append(after.children_user + after.children_system
                       - before.children_user - before.children_system)  # fmt: skip
            assert done.returncode == status, done.stderr
    return min(wall), min(cpu)


def timed(what: str, text: str, target: float | None, *options: str, rounds: int) -> Row:
    wall, cpu = command(text, *options, rounds=rounds)
    told = f"{wall:.2f} s ({cpu:.2f} s of processor time)"
    return what, f"{target:g} s" if target else "", told, target is None or wall < target


def refused() -> Row:
    """Processor time that refusing takes beyond starting and reading a scenario."""
    more = []
    for _ in range(5):  # by turns: other programs come and go
        started = command(ONE, "--set", "schedule.bandwidth=9999", rounds=1, status=2)[1]
        more.append(command(TOO_MUCH, rounds=1, status=3)[1] - started)
    found = max(0.0, sorted(more)[len(more) // 2])
    what = "a million million samples refused, beyond start-up"
    return what, "0.2 s", f"{found:.2f} s", found < 0.2


def least(function: Callable[[], object], rounds: int = 7) -> float:
    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        kept = function()
        taken.append(time.thread_time() - start)
        del kept
    return min(taken)


def dense(n: int, k: int, n_rows: int) -> Row:
    start, order = np.arange(n + 1), np.arange(n)
    masks.round_robin(3, start, order, k)

    def write() -> object:
        memory = np.empty((n_rows, n), np.uint8)
        memory.fill(1)
        return memory

    fill, mask = least(write), least(lambda: masks.round_robin(n_rows, start, order, k))
    size = n * n_rows
    text = f"{size / mask / 1e9:.1f} GB/s of {size / fill / 1e9:.1f} GB/s, {fill / mask:.2f}"
    what = f"round-robin mask of {n_rows:,} x {n:,}, {k} each, against writing its memory"
    return what, "0.5", text, fill / mask >= 0.5


def measure() -> list[Row]:
    return [
        large("round_robin", 300, 3),
        large("random_subset", 100, 4),
        timed("`energy` on one point, with start-up, warm cache", ONE, 1.5, rounds=15),
        timed("`energy` on 10,000 points, 20 acquisitions", MANY, 10, rounds=3),
        timed("the same as JSON, every ledger", MANY, 10, "--json", rounds=2),
        timed("`energy` on 7,000 points, 3,500 acquisitions", WIDTHS, None, rounds=2),
        refused(),
        dense(29, 10, 1_560_000),
        dense(1024, 256, 60_000),
        dense(65_536, 1024, 1000),
    ]


def table(rows: list[Row]) -> str:
    lines = ["| what | target | measured | kept |", "|---|---:|---:|---|"]
    lines += [f"| {a} | {b} | {c} | {'yes' if ok else '**no**'} |" for a, b, c, ok in rows]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew hardware.md")
    write = parser.parse_args().write
    rows = measure()
    text = table(rows)
    print(text)
    if write:
        sys.path.insert(0, str(HERE))
        from masks import processor

        load = os.getloadavg()[0]
        about = (
            f"Measured with numpy {version('numpy')}, numba {version('numba')}, Python "
            f"{platform.python_version()} on {processor()}, {os.cpu_count()} cores, at a load of "
            f"{load:.1f} from other programs and this one."
        )
        (HERE / "hardware.md").write_text(
            "# Speed and memory of the hardware model\n\n"
            + __doc__.split("\n\n", 2)[2].split("`--write`")[0].strip()
            + "\n\n    python benchmarks/speed/hardware.py --write\n\n"
            + f"{text}\n\n{about}\n",
            encoding="utf-8",
        )
    return 0 if all(ok for *_, ok in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

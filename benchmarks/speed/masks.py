"""Random masks of the whole SBTT demo data set, against a Python loop, on one thread.

    python benchmarks/speed/masks.py [--write]

1560 trials of 50 bins of 29 channels; in each bin a subset of exactly k channels, drawn without
replacement. The loop calls `Generator.choice` for each bin, as the published recipe does. Both run
in the same process, by turns, and the least processor time of each is compared. `--write` renews
masks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from implant_sim.hardware.schedules.base import Groups  # noqa: E402
from implant_sim.hardware.schedules.random_subset import draw_subsets  # noqa: E402

N_TRIALS, N_BINS, N_CHANNELS = 1560, 50, 29
BANDWIDTHS = (29, 25, 20, 15, 10, 5, 3, 2)
ROUNDS = 3  # of the loop, which takes a second; the kernel runs ten times as often
TARGET = 100


def by_loop(k: int, rng: np.random.Generator) -> np.ndarray:
    observed = np.zeros((N_TRIALS, N_BINS, N_CHANNELS), dtype=bool)
    for trial in range(N_TRIALS):
        for t in range(N_BINS):
            observed[trial, t, rng.choice(N_CHANNELS, k, replace=False)] = True
    return observed


def by_kernel(k: int, rng: np.random.Generator) -> np.ndarray:
    groups = Groups.by_wire(np.arange(N_CHANNELS))
    rows = draw_subsets(N_TRIALS * N_BINS, groups, k, rng)
    return rows.reshape(N_TRIALS, N_BINS, N_CHANNELS)


def seconds(make, k: int, rng: np.random.Generator) -> float:
    start = time.thread_time()  # processor time: other programs do not count
    observed = make(k, rng)
    taken = time.thread_time() - start
    assert (observed.sum(axis=2) == k).all()
    return taken


def measure() -> list[tuple[int, float, float]]:
    rng = np.random.default_rng(0)
    by_kernel(2, rng)  # compiles
    rows = []
    for k in BANDWIDTHS:
        loop, kernel = [], []
        for _ in range(ROUNDS):
            loop.append(seconds(by_loop, k, rng))
            kernel += [seconds(by_kernel, k, rng) for _ in range(10)]
        rows.append((k, min(loop), min(kernel)))
    return rows


def table(rows: list[tuple[int, float, float]]) -> str:
    lines = [
        "| channels of 29 | loop [ms] | kernel [ms] | times faster |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {k} | {1e3 * loop:.0f} | {1e3 * kernel:.2f} | {loop / kernel:.0f} |"
        for k, loop, kernel in rows
    ]
    return "\n".join(lines)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew masks.md")
    write = parser.parse_args().write
    rows = measure()
    text = table(rows)
    print(text)
    if write:
        from importlib.metadata import version

        about = (
            f"Measured with numpy {version('numpy')}, numba {version('numba')}, Python "
            f"{platform.python_version()} on {processor()}, one thread, best of "
            f"{ROUNDS} loops and "
            f"{10 * ROUNDS} kernels in processor time, by turns in one process."
        )
        Path(__file__).with_suffix(".md").write_text(
            "# Random masks of the whole demo data set\n\n"
            f"{N_TRIALS} trials x {N_BINS} bins x {N_CHANNELS} channels, a subset of exactly k "
            "channels drawn anew for each bin,\nagainst a Python loop with `Generator.choice` for "
            "each bin. That every subset is\nequally likely is tested in "
            "`tests/hardware/test_kernels.py`.\n\n"
            "    python benchmarks/speed/masks.py --write\n\n"
            f"{text}\n\n{about}\n",
            encoding="utf-8",
        )
    slow = [k for k, loop, kernel in rows if loop < TARGET * kernel]
    if slow:
        print(f"below {TARGET} times at {slow}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

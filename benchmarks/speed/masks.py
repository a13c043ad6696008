"""Random masks of the whole SBTT demo data set, against a Python loop, on one thread and two.

    python benchmarks/speed/masks.py [--write]

1560 trials of 50 bins of 29 channels; in each bin a subset of exactly k channels, drawn without
replacement. The loop calls `Generator.choice` for each bin, as the published recipe does. Both run
in the same process, by turns, and the least time of each is compared: processor time on one
thread, time on the wall on two, for which the machine must be quiet. `--write` renews masks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from implant_sim.hardware.kernels import masks  # noqa: E402

N_TRIALS, N_BINS, N_CHANNELS = 1560, 50, 29
BANDWIDTHS = (29, 25, 20, 15, 10, 5, 3, 2)
ROUNDS = 3  # of the loop, which takes a second; the kernel runs ten times as often
TARGETS = 100, 200  # on one thread, on two


def by_loop(k: int, rng: np.random.Generator) -> np.ndarray:
    observed = np.zeros((N_TRIALS, N_BINS, N_CHANNELS), dtype=bool)
    for trial in range(N_TRIALS):
        for t in range(N_BINS):
            observed[trial, t, rng.choice(N_CHANNELS, k, replace=False)] = True
    return observed


def by_kernel(k: int, rng: np.random.Generator, n_threads: int = 1) -> np.ndarray:
    seed = rng.integers(0, 2**64, dtype=np.uint64)
    rows = masks.random_subsets(seed, N_TRIALS * N_BINS, N_CHANNELS, k, n_threads)
    return rows.reshape(N_TRIALS, N_BINS, N_CHANNELS)


def by_two(k: int, rng: np.random.Generator) -> np.ndarray:
    return by_kernel(k, rng, 2)


def seconds(make, k: int, rng: np.random.Generator, clock) -> float:
    start = clock()
    observed = make(k, rng)
    taken = clock() - start
    assert (observed.sum(axis=2) == k).all()
    return taken


def measure() -> list[tuple[int, float, float, float, float]]:
    rng = np.random.default_rng(0)
    by_two(2, rng)  # compiles
    rows = []
    for k in BANDWIDTHS:
        times = {name: [] for name in ("loop", "kernel", "loop, wall", "two, wall")}
        for _ in range(ROUNDS):
            # processor time: other programs do not count
            times["loop"].append(seconds(by_loop, k, rng, time.thread_time))
            times["loop, wall"].append(seconds(by_loop, k, rng, time.perf_counter))
            for _ in range(10):
                times["kernel"].append(seconds(by_kernel, k, rng, time.thread_time))
                times["two, wall"].append(seconds(by_two, k, rng, time.perf_counter))
        rows.append((k, *map(min, times.values())))
    return rows


def table(rows: list[tuple[int, float, float, float, float]]) -> str:
    lines = [
        "| channels of 29 | loop [ms] | kernel [ms] | times faster | two threads [ms] "
        "| times faster |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {k} | {1e3 * loop:.0f} | {1e3 * kernel:.2f} | {loop / kernel:.0f} | {1e3 * two:.2f} "
        f"| {wall / two:.0f} |"
        for k, loop, kernel, wall, two in rows
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
            f"{platform.python_version()} on {processor()}, best of {ROUNDS} "
            f"loops and {10 * ROUNDS} kernels, by turns in one process: processor time on one "
            "thread, time on the wall on two."
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
    slow = [
        f"{k} channels on {name}"
        for k, loop, kernel, wall, two in rows
        for name, ratio, target in zip(
            ("one thread", "two"), (loop / kernel, wall / two), TARGETS, strict=True
        )
        if ratio < target
    ]
    if slow:
        print(f"below {TARGETS[0]} and {TARGETS[1]} times: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long schedules take that look at the data, beside what is predicted before a run.

    python -m benchmarks.engines.choosing

Prints a table: for each schedule, number of channels and share of them, the processor time of an
acquisition above that of a random subset on the same recording (the faster of two), and what
`run --dry-run` predicts.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as workers have it

from implant_sim.recordings.base import Declared
from implant_sim.study.acquisition import acquisition
from implant_sim.study.duration import choosing_s
from implant_sim.study.load import load

BIN_S = 0.02
SIZES = ((32, 240.0), (128, 240.0), (512, 60.0), (1024, 20.0))
SCHEDULES = (
    {"kind": "static_subset", "order": "greedy"},
    {"kind": "static_subset", "order": "information"},
    {"kind": "weighted", "by": "behaviour", "least_share": 0.1},
    {"kind": "hybrid", "order": "greedy", "always_share": 0.5},
    {"kind": "information"},
    {"kind": "activity"},
    {"kind": "bandit"},
)


def scenario(n_channels: int, duration_s: float, schedule: dict[str, object]):
    recording = {"kind": "poisson", "channels": n_channels, "rate": "10 Hz", "bin": BIN_S}
    base = {
        "name": "choosing",
        "recording": recording | {"duration": duration_s},
        "implant": "gated_uwb",
        "schedule": schedule,
        "decoder": {"kind": "smoothing"},
    }
    # commands to the implant need a radio that says what hearing them costs
    return load(base, {"implant.radio": {"kind": "ble"}}).points[0].scenario


def took_s(*given) -> tuple[float, int]:
    """Processor time of an acquisition, and its bins."""
    one, times = scenario(*given), []
    for _ in range(3):  # the first loads, and perhaps compiles
        begun = time.process_time()
        stream = acquisition(one, 0, Path()).stream
        times.append(time.process_time() - begun)
    return min(times[1:]), stream.counts.shape[0] * stream.counts.shape[1]


def main() -> None:
    print("| schedule | channels | bins | share | measured [s] | predicted [s] |")
    print("|---|---:|---:|---:|---:|---:|")
    for (n, duration_s), share in itertools.product(SIZES, (0.125, 0.5)):
        base_s, n_bins = took_s(n, duration_s, {"kind": "random_subset", "fraction": share})
        for schedule in SCHEDULES:
            asked = schedule | {"fraction": share}
            above_s = took_s(n, duration_s, asked)[0] - base_s
            known = choosing_s(scenario(n, duration_s, asked).schedule,
                               Declared(n_bins, n, BIN_S))  # fmt: skip
            kind = " ".join(
                str(schedule[key]) for key in ("kind", "order", "by") if key in schedule
            )
            print(f"| {kind} | {n} | {n_bins:,} | {share} | {above_s:.2f} | {known:.2f} |")


if __name__ == "__main__":
    main()

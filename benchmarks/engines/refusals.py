"""How long it takes to refuse what cannot be done, beside a valid scenario in the same run.

    python -m benchmarks.engines.refusals [TURNS]

Prints a table: for each scenario the fastest whole command of some turns (5 if not said), by the
clock, and what that is above `implant-sim validate quickstart`, the fastest of as many turns. All
take turns, so that a slow moment of the machine meets all of them. Nothing else should run on the
machine meanwhile.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py

BASE = {
    "name": "refused",
    "recording": {"kind": "lorenz"},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "fraction": 0.5},
    "decoder": {"kind": "smoothing"},
}
THOUSAND = list(range(1, 1001))
RANGE = {"from": 1, "to": 1000, "points": 1000}
KEYS = ("recording.seed", "recording.channels", "schedule.bandwidth")
SEARCH = {"space": {"schedule.bandwidth": [1, 2]}, "objectives": {"power_w": "min"}}
LORENZ = {"kind": "lorenz"}
CASES = {
    "10^9 channels": {"recording": LORENZ | {"channels": 10**9}},
    "10^12 repeats": {"repeats": 10**12},
    "10^5 channels for 10^7 bins, 10^12 samples a trial": {
        "recording": LORENZ | {"channels": 10**5, "bins": 10**7}
    },
    "2 * 10^14 samples of a stationary population": {
        "recording": {
            "kind": "poisson",
            "channels": 65_536,
            "rate": "10 Hz",
            "duration": "1000 h",
            "bin": "1 ms",
        }
    },
    "10^5 trials of 10^7 bins": {"recording": LORENZ | {"trials": 10**5, "bins": 10**7}},
    "a file that declares 10^9 by 1,000 counts": {
        "recording": {"kind": "hdf5", "path": "absurd.h5", "counts": "counts", "bin": "20 ms"}
    },
    "one axis of 10^9 values": {"sweep": {KEYS[0]: RANGE | {"to": 10**9, "points": 10**9}}},
    "a grid of 10^9 points, three ranges": {"sweep": dict.fromkeys(KEYS, RANGE)},
    "a grid of 10^9 points, three lists of a thousand": {"sweep": dict.fromkeys(KEYS, THOUSAND)},
    "three blocks of zipped lists, 10^9 points in a file of 93,000 values": {
        "sweep": {
            "zip": [
                {f"{block}.key{i}": THOUSAND for i in range(31)}
                for block in ("recording", "schedule", "decoder")
            ]
        }
    },
    "10^9 drawn points": {"sweep": {KEYS[0]: RANGE, "sample": {"points": 10**9}}},
    "a search that asks for 10^9 points at a time": {
        "search": SEARCH | {"budget": {"points": 10}, "sampler": {"batch": 10**9}}
    },
    "an unknown key": {"schedul": {"kind": "full"}},
}


def took(command: list[str], code: tuple[int, ...]) -> tuple[float, str]:
    """Seconds that a command takes, and what it says; its exit status must be one of `code`."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "implant_sim", *command], capture_output=True, text=True
    )
    seconds = time.perf_counter() - begun
    if done.returncode not in code:
        raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr[-500:]}")
    return seconds, done.stderr.strip()


def main(turns: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with h5py.File(place / "absurd.h5", "w") as file:  # chunks that nobody fills take no room
            file.create_dataset("counts", (10**9, 1000), "u1", chunks=(1000, 1000))
        for number, change in enumerate(CASES.values()):
            (place / f"{number}.yaml").write_text(json.dumps(BASE | change), encoding="utf-8")
        valid, best = [], dict[tuple[int, str], float]()
        said = dict[int, str]()
        for _ in range(turns):
            valid.append(took(["validate", "quickstart"], (0,))[0])
            for number, how in itertools.product(range(len(CASES)), ("run", "energy")):
                out = ["--out", str(place / "out")] if how == "run" else []
                file = str(place / f"{number}.yaml")
                seconds, said[number] = took([how, file, *out], (2, 3))
                best[number, how] = min(seconds, best.get((number, how), seconds))
    print(f"valid: {min(valid):.2f} s (of {turns}: {min(valid):.2f} to {max(valid):.2f} s)\n")
    print("| scenario | `run`, above a valid one | `energy`, above a valid one |\n|---|---:|---:|")
    for number, title in enumerate(CASES):
        cells = [
            f"{best[number, how]:.2f} s, {best[number, how] - min(valid):+.2f} s"
            for how in ("run", "energy")
        ]
        print(f"| {title} | {' | '.join(cells)} |")
    for number, title in enumerate(CASES):
        print(f"{title}: {said[number][:300]}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)

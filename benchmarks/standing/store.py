"""Store what the light benchmark gives, for the test that watches over it: a minute on two cores.

python benchmarks/standing/store.py

Power comes from the first repeat of each point. Fidelity is the mean over the scenario's own
repeats, its standard deviation that over eight: seeds of schedule, withheld entries, initial
weights and batches.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import implant_sim

OUT = Path(__file__).parents[2] / "tests" / "regression" / "benchmark_light.csv"
ARM = ["schedule.power", "schedule", "decoder"]
SCORES = ["bits_per_spike_all", "rate_r2_expected"]
REPEATS = 8


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        frame = implant_sim.run("benchmark_light", folder, {"repeats": REPEATS})
        own = implant_sim.run("benchmark_light", folder)["repeat"].nunique()
    power = [
        c for c in frame if c.startswith("power_") and not c.startswith(("power_p10", "power_p90"))
    ]
    first = frame[frame["repeat"] == 0].set_index(ARM)[["bandwidth", *power]]
    stored = first.join(frame[frame["repeat"] < own].groupby(ARM)[SCORES].mean())
    stored = stored.join(frame.groupby(ARM)[SCORES].std().add_suffix("_sd"))
    stored.reset_index().to_csv(OUT, index=False)
    print(stored[["bandwidth", "power_w", *SCORES, *(f"{s}_sd" for s in SCORES)]].to_string())


if __name__ == "__main__":
    main()

"""How long decoders train, beside what is predicted before a run.

    export IMPLANT_SIM_DATA=FOLDER
    python -m benchmarks.engines.training

Prints a table: for each decoder and recording, the processor time of one training on one thread at
half of the samples, with so many epochs at most, and what `run --dry-run` predicts for as many.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # as workers have it

import torch  # noqa: E402

import sbtt_models  # noqa: E402
from implant_sim.recordings.base import Declared  # noqa: E402
from implant_sim.study.acquisition import acquisition  # noqa: E402
from implant_sim.study.duration import training_s  # noqa: E402
from implant_sim.study.load import load  # noqa: E402

SCENARIOS = Path(__file__).parents[2] / "scenarios" / "paper"
RECORDINGS = {
    "m1pmd_chewie": {"recording.path": "m1pmd_chewie_public.h5"},
    "reach_trials20ms": {"recording.path": "reach_trials20ms_public.h5"},
    "m1_reach": {"recording.path": "m1_reach_public.h5"},
    "s1_reach": {"recording.path": "s1_reach_public.h5"},
    "lorenz": {"recording": {"kind": "lorenz", "variant": "demo", "seed": 2}},
}
POISSON = {"kind": "poisson_lds", "size": 12, "prior": 10, "iterations": 15}
KALMAN = {"kind": "kalman", "size": 20, "prior": 1, "iterations": 20}
CASES: list[tuple[str, dict[str, Any], int]] = [
    *((name, POISSON, 1) for name in ("m1pmd_chewie", "reach_trials20ms", "m1_reach", "s1_reach")),
    *((name, KALMAN, 1) for name in ("m1pmd_chewie", "reach_trials20ms", "m1_reach", "s1_reach")),
    *(
        (name, {"kind": "augmented_lds"}, 80)
        for name in ("m1pmd_chewie", "reach_trials20ms", "m1_reach")
    ),
    *((name, {"kind": "state_space"}, 20) for name in ("m1pmd_chewie", "m1_reach")),
    *((name, {"kind": "state_space"}, 4) for name in ("s1_reach", "lorenz")),
    ("m1pmd_chewie", {"kind": "lfads"}, 10),
    ("lorenz", {"kind": "lfads", "generator": 64, "factors": 32}, 2),
    ("lorenz", {"kind": "zero_filled"}, 2),
    ("lorenz", {"kind": "transformer"}, 2),
    ("lorenz", {"kind": "autoencoder"}, 2),
    ("lorenz", {"kind": "trial_mixture"}, 2),
]


def case(name: str, decoder: dict[str, Any], epochs: int) -> tuple[float, float, Declared]:
    """Processor time of a training, what is predicted, and the size of the recording."""
    training = {"epochs": epochs, "batch_size": 32, "learning_rate": 0.01}
    changes = {"sweep": {}, "decoder": decoder, "training": training}
    changes |= {"schedule": {"kind": "random_subset", "fraction": 0.5}}
    study = load(SCENARIOS / f"{name}.yaml", changes | RECORDINGS[name])
    scenario = study.points[0].scenario
    stream = acquisition(scenario, 0, study.root).stream
    begun = time.process_time()
    sbtt_models.fit(scenario.decoder, stream, scenario.training, seed=0, device="cpu")
    took_s = time.process_time() - begun
    shape = stream.counts.shape
    size = Declared(shape[0] * shape[1], shape[2], stream.bin_s)
    return took_s, training_s(scenario.decoder, scenario.training, size), size


def main() -> None:
    torch.set_num_threads(1)
    print("| decoder | recording | bins | channels | epochs | measured [s] | predicted [s] |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, decoder, epochs in CASES:
        took_s, known_s, size = case(name, decoder, epochs)
        shown = f"{size.n_bins:,} | {size.n_channels} | {epochs}"
        print(
            f"| {decoder['kind']} | {name} | {shown} | {took_s:.2f} | {known_s:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()

"""The published recipe of the SBTT demonstration on another draw of its data, scored by our code.

    python benchmarks/paper/recipe.py OUT.csv RUNS --seed 2 --bandwidth 2 [--bandwidth 3]...

The network is that of `benchmarks/speed/plain.py`, from its own initial weights (PyTorch's), with
its Adam (1e-3, weight decay 1e-4, batches of 64, 1,000 epochs), zero-filled input, loss over the
observed entries, validation on what the encoder saw, best validation weights. It is trained by the
loop of `sbtt_models`, whose gradient of the same network equals autograd's to 2e-6
(benchmarks/speed/training.md) at less than half its time, and which goes on after a kill. Masks
and withheld entries are those of repeat 0 of `scenarios/paper/lorenz.yaml`. A point that OUT.csv
has is not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))
from plain import PlainAutoencoder

import sbtt_models
from implant_sim.study.acquisition import Acquisition, acquisition
from implant_sim.study.load import load
from implant_sim.study.score import score
from sbtt_models.decoders import Autoencoder
from sbtt_models.decoders.base import Fitted
from sbtt_models.trained import FittedNetwork
from sbtt_models.training import Training

SCENARIO = Path(__file__).parents[2] / "scenarios" / "paper" / "lorenz.yaml"
DECODER = Autoencoder(hidden=50, generator=50, dropout=0.1, sparse_dropout=0.1, mask_input=False)
TRAINING = Training(
    epochs=1000,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=1e-4,
    batch_size=64,
    clip_norm=1e9,
    coordinated_dropout=0.0,
    withheld_validation=0.0,
    checkpoint_every=20,
)


def untrained(got: Acquisition, seed: int) -> Fitted:
    """The published network with the initial weights that PyTorch gives it."""
    n = got.stream.n_channels
    torch.manual_seed(seed)
    plain = PlainAutoencoder(n, n, 50, 50, 0.1)
    network = DECODER.network(torch.zeros(n), got.stream.counts.shape[1], 0)
    network.load_state_dict(plain.state_dict())
    return FittedNetwork(DECODER, network, n, got.stream.counts.shape[1], 1, 0, 0, 0.0, ())


def point(seed: int, bandwidth: int, runs: Path) -> dict[str, float]:
    changes = {"sweep": {}, "recording.seed": seed, "schedule.bandwidth": bandwidth}
    scenario = load(SCENARIO, changes).points[0].scenario
    got = acquisition(scenario, 0, SCENARIO.parent)
    folder = runs / f"seed_{seed}_bandwidth_{bandwidth}"
    folder.mkdir(parents=True, exist_ok=True)
    began, shown = time.monotonic(), 0

    def tell(done: int, most: int) -> None:
        nonlocal shown
        if done - shown >= 100:
            shown = done
            print(f"{folder.name}: {done}/{most}, {time.monotonic() - began:.0f} s", flush=True)

    fitted = sbtt_models.fit(
        DECODER,
        got.stream,
        TRAINING,
        start=untrained(got, 0),
        folder=folder,
        device="cpu",
        progress=tell,
    )
    found = score(fitted.rates, got.stream, got.offered.held_in, options=scenario.score)
    losses = [row["valid_loss"] for row in fitted.history]
    return {
        "recording.seed": seed,
        "schedule.bandwidth": bandwidth,
        "best_epoch": losses.index(min(losses)) + 1,
        "rate_r2": found.rate_r2,
        "rate_r2_expected": found.rate_r2_expected,
        "bits_per_spike_all": found.bits_per_spike_all,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--bandwidth", type=int, action="append", required=True)
    given = parser.parse_args()
    for bandwidth in given.bandwidth:
        table = pd.read_csv(given.out) if given.out.exists() else pd.DataFrame()
        known = table.to_dict("records")
        if any(
            (row["recording.seed"], row["schedule.bandwidth"]) == (given.seed, bandwidth)
            for row in known
        ):
            continue
        known.append(point(given.seed, bandwidth, given.runs))
        pd.DataFrame(known).round(4).to_csv(given.out, index=False)
        print(known[-1], flush=True)


if __name__ == "__main__":
    main()

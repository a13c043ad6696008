"""Time to the quality of the published recipe, at the eight bandwidths of `sbtt_curve`.

    python benchmarks/speed/quality.py [--write] [--seeds N]

Ours: `scenarios/sbtt_curve_fast.yaml`, trained by the one loop of `sbtt_models` on one thread.
After each epoch the rates are inferred and scored, off the clock; the time to quality is the
processor time until R² of the expected counts has reached that of the recipe
(published_recipe.json, its 1,000 epochs on the same data) minus 0.01 at two successive epochs. The
recipe: the autoencoder as published in plain PyTorch (`nn.GRU`, Adam 1e-3, batches of 64), timed
by turns with ours in the same process; its core-seconds are 1,000 epochs of training and
validation. `--write` renews quality.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from masks import processor  # noqa: E402
from plain import PlainAutoencoder, plain_loss  # noqa: E402

import sbtt_models  # noqa: E402
from implant_sim.study.acquisition import Acquisition, acquisition  # noqa: E402
from implant_sim.study.load import Point, load  # noqa: E402
from sbtt_models import metrics  # noqa: E402
from sbtt_models.batches import StreamOnDevice  # noqa: E402
from sbtt_models.decoders import StateSpace  # noqa: E402
from sbtt_models.windows import cut  # noqa: E402

torch.set_num_threads(1)

SCENARIO = "sbtt_curve_fast"
REFERENCE = Path(__file__).parents[1] / "paper" / "published_recipe.json"
MARGIN = 0.01
RECIPE_EPOCHS, RECIPE_BATCH = 1000, 64
HERE = Path(__file__).with_suffix(".md")


class Watched(StateSpace):
    """The decoder of the scenario; shows the network that it builds."""

    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        network = super().build(n_channels, n_bins, start, n_external)
        _built.append(network)
        return network


_built: list[Any] = []


def quality(got: Acquisition) -> Callable[[Any], float]:
    """R² of the expected counts in the test trials, of a network as it is."""
    recording, stream = got.offered.held_in, got.stream
    test = recording.split.test
    where = recording.available[test].copy()
    where[..., recording.silent_channels] = False
    windows = cut(stream.lengths, test, int(stream.lengths.max()), 1)
    data = StreamOnDevice.of(stream, windows.n_bins, torch.device("cpu"))

    def score(network: Any) -> float:
        was = network.training
        network.eval()
        with torch.no_grad():
            pieces = [
                network(batch.counts, batch.exposure).log_rates.exp().numpy()
                for batch in data.batches(windows, 256)
            ]
        network.train(was)
        return metrics.r2(recording.expected[test], np.concatenate(pieces), where=where).mean

    return score


def ours(point: Point, got: Acquisition, seed: int, goal: float) -> dict[str, float]:
    """Core-seconds and epochs to the goal, and at the end."""
    score = quality(got)
    spec = Watched.model_validate(point.scenario.decoder.model_dump())
    clock = {"off": 0.0}
    scores: list[tuple[float, float]] = []
    start = time.process_time()

    def watch(*_: int) -> None:
        now = time.process_time()
        scores.append((now - start - clock["off"], score(_built[-1])))
        clock["off"] += time.process_time() - now

    training = point.scenario.training
    fitted = sbtt_models.fit(spec, got.stream, training, seed=seed, device="cpu", progress=watch)
    total = time.process_time() - start - clock["off"]
    reached = [r >= goal for _, r in scores]
    hits = [i for i in range(1, len(scores)) if reached[i] and reached[i - 1]]
    first = hits[0] if hits else None
    return {
        "seconds": float("nan") if first is None else scores[first][0],
        "epochs": float("nan") if first is None else first + 1,
        "total": total,
        "kept": score(fitted.network),
    }


def recipe_epoch(got: Acquisition) -> Callable[[], float]:
    """An epoch of the published recipe on the same stream: training and validation. [s]"""
    stream = got.stream
    torch.manual_seed(0)
    network = PlainAutoencoder(stream.n_channels, stream.n_channels, 50, 50, 0.1)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    part = {
        name: [torch.from_numpy(x[getattr(stream.split, name)]).float() for x in _arrays(stream)]
        for name in ("train", "valid")
    }

    def epoch() -> float:
        start = time.process_time()
        network.train()
        order = torch.randperm(len(part["train"][0]))
        for rows in order.split(RECIPE_BATCH):
            counts, exposure = (x[rows] for x in part["train"])
            loss = plain_loss(network(counts)[0], counts, exposure)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            pieces = (x.split(RECIPE_BATCH) for x in part["valid"])
            for counts, exposure in zip(*pieces, strict=True):
                plain_loss(network(counts)[0], counts, exposure)
        return time.process_time() - start

    return epoch


def _arrays(stream: Any) -> tuple[np.ndarray, np.ndarray]:
    return stream.counts, stream.exposure


def measure(seeds: int) -> tuple[list[str], dict[str, float]]:
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    recipe = {p["bandwidth"]: p for p in reference["points"]}
    lines = [
        "| channels of 29 | R², recipe | goal | recipe, 1,000 epochs [core-s] | ours, to the goal "
        "[core-s] | epochs | times faster | ours, whole training [core-s] | R², ours at its end |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ratios, totals = [], 0.0
    for point in load(SCENARIO).points:
        k = point.scenario.schedule.bandwidth
        goal = recipe[k]["rate_r2_expected"] - MARGIN
        runs, plain = [], []
        for seed in range(seeds):
            got = acquisition(point.scenario, seed, Path())
            epoch = recipe_epoch(got)
            epoch()
            plain += [epoch() for _ in range(3)]
            runs.append(ours(point, got, seed, goal))
            plain += [epoch() for _ in range(3)]
        cost = RECIPE_EPOCHS * median(plain)
        seconds = [run["seconds"] for run in runs]
        kept = np.array([run["kept"] for run in runs])
        total = float(np.mean([run["total"] for run in runs]))
        ratio = cost / max(seconds)
        ratios.append(ratio)
        totals += total
        lines.append(
            f"| {k} | {recipe[k]['rate_r2_expected']:.3f} | {goal:.3f} | {cost:.0f} | "
            f"{np.mean(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | "
            f"{np.mean([run['epochs'] for run in runs]):.0f} | **{ratio:.0f}** | {total:.1f} | "
            f"{kept.mean():.3f} ± {kept.std(ddof=1) if seeds > 1 else 0:.3f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return lines, {"least": min(ratios), "mean": geometric_mean(ratios), "total": totals}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew quality.md")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    lines, summary = measure(given.seeds)
    text = "\n".join(lines)
    print(text, summary)
    if given.write:
        write(text, summary, given.seeds)
    return 0


def write(text: str, summary: dict[str, float], seeds: int) -> None:
    HERE.write_text(
        "# Time to the quality of the published recipe\n\n"
        + "\n".join((__doc__ or "").split("\n")[2:]).strip()
        + f"\n\n{text}\n\n"
        f"Times faster: by the slowest of {seeds} seeds (masks, initial weights, batches anew). "
        f"At least {summary['least']:.0f}, geometric mean {summary['mean']:.0f}. The eight "
        f"trainings together take {summary['total']:.0f} core-seconds.\n\n"
        f"Measured with torch {torch.__version__}, Python {platform.python_version()} on "
        f"{processor()}, one thread, processor time; the recipe's epoch is the median of "
        f"{6 * seeds} at each bandwidth.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())

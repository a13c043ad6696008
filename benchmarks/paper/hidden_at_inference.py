r"""Do networks infer better where samples are hidden from them at inference, as in training?

    implant-sim run scenarios/paper/lorenz_baselines.yaml --out runs/baselines
    implant-sim run scenarios/paper/lorenz.yaml --out runs/alone --set repeats=1 \
        --set "decoder={kind: state_space}" --set schedule.bandwidth=29 \
        --set "sweep={recording.seed: [2, 5]}"
    python benchmarks/paper/hidden_at_inference.py runs/baselines runs/alone \
        --write docs/paper/lorenz/hidden.md

Takes every trained network of the run folders that is told which entries are gaps (repeat 0), and
infers the test trials from all samples, then three times with a share of them hidden at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from lorenz import acquired, finished
from lorenz_tables import number, spread, table

import sbtt_models
from sbtt_models import metrics
from sbtt_models.trained import FittedNetwork

DRAWS = 3


def scores(folder: Path, share: float) -> Iterator[tuple[str, int, int, pd.Series]]:
    """Decoder, data seed, channels; R² of expected counts from all samples, then of each draw."""
    for place, content in finished(folder):
        row, axes = content["row"], content["axes"]
        fitted = sbtt_models.load(place, device="cpu")
        if not isinstance(fitted, FittedNetwork) or content["repeat"]:
            continue
        seed, k = axes["recording.seed"], int(row["bandwidth"])
        got, _ = acquired(seed, {"kind": row["schedule"], "bandwidth": k}, 0)
        recording = got.offered.held_in
        test = recording.split.test
        stream = got.stream.trials(test)
        draws = [np.random.default_rng(n).random(stream.counts.shape) for n in range(DRAWS)]
        seen = [stream, *(stream.hide(draw < share) for draw in draws)]
        found = [metrics.r2(recording.expected[test], fitted.rates(one)).mean for one in seen]
        yield axes.get("decoder", fitted.spec.kind), seed, k, pd.Series(found, dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="as implant-sim run leaves them")
    parser.add_argument("--share", type=float, default=0.3, help="of the samples, to be hidden")
    parser.add_argument("--write", type=Path, metavar="FILE")
    given = parser.parse_args()
    found = [row for folder in given.folders for row in scores(folder, given.share)]
    found.sort(key=lambda row: (row[0], row[1], -row[2]))
    head = ["decoder", "data seed", "channels of 29", "R²: all samples"]
    body = [[name, str(s), str(k), number(r2[0]), spread(r2[1:])] for name, s, k, r2 in found]
    text = "\n".join(table([*head, f"{given.share:.0%} hidden"], body)) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

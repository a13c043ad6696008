"""Do several short sessions of different neurons help each other? Lorenz dynamics, by LFADS.

The neurons of one synthetic recording are dealt to sessions, each with its own few trials of every
condition; a quarter of the entries is observed. LFADS is trained on each session alone, and on all
around one core, for equally many passes over each session's trials. Held-out bits per spike, on
entries of test trials that are hidden from the encoder.

    python benchmarks/decoders/sessions.py
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

import sbtt_models
from implant_sim.recordings.lorenz import LorenzSource
from sbtt_models import metrics
from sbtt_models.decoders import LFADS
from sbtt_models.decoders.lfads import InitialCondition
from sbtt_models.sessions import fit_sessions
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.training import Training

SESSIONS, REPEATS, SHARE, SEEDS = 3, 6, 0.5, (0, 1, 2)
SPEC = LFADS(
    generator=48,
    factors=12,
    dropout=0.1,
    initial_condition=InitialCondition(encoder=24, size=24),
    controller=None,
)
RULES = Training(epochs=60, batch_size=32, learning_rate=0.01, ramp_epochs=20, clip_norm=5.0)


def sessions(seed: int) -> tuple[list[MaskedStream], list[np.ndarray], list[np.ndarray]]:
    """Streams, conditions of their trials, and the counts behind them."""
    recording = LorenzSource(variant="demo", seed=seed).load(Path())
    rng = np.random.default_rng(seed)
    condition = recording.condition
    assert condition is not None
    neurons = np.array_split(rng.permutation(recording.n_channels), SESSIONS)
    streams, labels, counts = [], [], []
    for number, mine in enumerate(neurons):
        trials = np.concatenate([
            np.flatnonzero(condition == c)[number * REPEATS : (number + 1) * REPEATS]
            for c in np.unique(condition)
        ])  # fmt: skip
        whole = recording.counts[trials][:, :, np.sort(mine)]
        observed = rng.random(whole.shape) < SHARE
        order = np.arange(len(trials)) % REPEATS
        split = Split(
            *(np.flatnonzero(np.isin(order, part)) for part in ((0, 1, 2), (3,), (4, 5)))
        )
        exposure = observed.astype(np.float32)
        streams.append(
            MaskedStream(
                np.where(observed, whole, 0).astype(np.int32),
                exposure,
                recording.lengths[trials],
                recording.bin_s,
                split,
            )
        )
        labels.append(condition[trials])
        counts.append(whole)
    return streams, labels, counts


def bits(fitted: sbtt_models.decoders.base.Fitted, stream: MaskedStream, seed: int) -> float:
    """Bits per spike on a tenth of the observed test entries, hidden from the encoder."""
    test = np.zeros(stream.counts.shape, bool)
    test[stream.split.test] = True
    hidden = test & stream.observed & (np.random.default_rng(seed).random(test.shape) < 0.1)
    rates = fitted.rates(stream.hide(hidden))
    null = metrics.channel_means(stream.counts, where=test & stream.observed)
    value = metrics.bits_per_spike(stream.counts, rates, null, where=hidden)
    assert value is not None
    return value


def main() -> None:
    """Print one row for each seed and way, and the means."""
    rows: dict[str, list[float]] = {"alone": [], "joint, random start": [], "joint, aligned": []}
    start = time.perf_counter()
    for seed in SEEDS:
        streams, labels, _ = sessions(seed)
        alone = [sbtt_models.fit(SPEC, one, RULES, seed=seed, device="cpu") for one in streams]
        ways = {"alone": alone}
        for name, align in (("joint, random start", 0), ("joint, aligned", 6)):
            ways[name] = fit_sessions(
                SPEC, streams, RULES, conditions=labels, align=align, seed=seed, device="cpu"
            )
        for name, fitted in ways.items():
            scores = [bits(f, s, seed) for f, s in zip(fitted, streams, strict=True)]
            rows[name].append(float(np.mean(scores)))
            print(seed, name, [round(v, 3) for v in scores], flush=True)
    print(
        json.dumps(
            {k: [round(np.mean(v), 4), round(np.std(v, ddof=1), 4)] for k, v in rows.items()}
        )
    )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

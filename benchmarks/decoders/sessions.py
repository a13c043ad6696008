"""Do several short sessions of different neurons help each other? Lorenz dynamics, by LFADS.

The neurons of one synthetic recording are dealt to sessions, each with its own few trials of every
condition; half of the entries is observed. LFADS is trained on each session alone, and on all
around one core for equally many passes over each session's trials; alone also for as many steps as
together. Held-out bits per spike, on entries of test trials that are hidden from the encoder.

    python benchmarks/decoders/sessions.py [SEED]...
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
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


def sessions(seed: int) -> tuple[list[MaskedStream], list[np.ndarray]]:
    """Streams, and the conditions of their trials."""
    recording = LorenzSource(variant="demo", seed=seed).load(Path())
    rng = np.random.default_rng(seed)
    condition = recording.condition
    assert condition is not None
    neurons = np.array_split(rng.permutation(recording.n_channels), SESSIONS)
    streams, labels = [], []
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
    return streams, labels


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
    rows: dict[str, list[float]] = defaultdict(list)
    start = time.perf_counter()
    for seed in map(int, sys.argv[1:]) if len(sys.argv) > 1 else SEEDS:
        streams, labels = sessions(seed)
        alone = [sbtt_models.fit(SPEC, one, RULES, seed=seed, device="cpu") for one in streams]
        longer = RULES.model_copy(update={"epochs": SESSIONS * RULES.epochs})
        ways = {
            "alone": alone,
            "alone, as many steps": [
                sbtt_models.fit(SPEC, one, longer, seed=seed, device="cpu") for one in streams
            ],
        }
        for name, align in (("joint, random start", 0), ("joint, aligned", 6)):
            ways[name] = fit_sessions(
                SPEC, streams, RULES, conditions=labels, align=align, seed=seed, device="cpu"
            )
        for name, fitted in ways.items():
            of_each = [bits(f, s, seed) for f, s in zip(fitted, streams, strict=True)]
            rows[name].append(float(np.mean(of_each)))
            print(seed, name, [round(v, 3) for v in of_each], flush=True)
    for name, scores in rows.items():
        print(f"{name}: {np.mean(scores):.3f}, standard deviation {np.std(scores):.3f}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

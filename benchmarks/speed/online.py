"""What a closed loop waits for: milliseconds per bin of every decoder; and trials per second.

    python benchmarks/speed/online.py [--write | --only NAME]

Each decoder is fitted for an instant on Poisson noise of the size of a recording, causal with no
look-ahead, since the cost of inference depends on shapes alone. Then it is fed bin by bin: median
and 99th percentile of the processor time of a push, on one thread, after a window of bins. The
last column is the same decoder, not causal, on 256 trials at once. `--write` renews online.md;
`--only` shows the rows of decoders with a NAME in their title.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from masks import processor  # noqa: E402

import sbtt_models  # noqa: E402
from sbtt_models import MaskedStream, Training  # noqa: E402
from sbtt_models.decoders import (  # noqa: E402
    GPFA,
    LFADS,
    AugmentedLDS,
    Autoencoder,
    DecoderSpec,
    FactorAnalysis,
    Fitted,
    Interpolation,
    Kalman,
    PoissonLDS,
    Smoothing,
    StateSpace,
    Transformer,
    TrialMixture,
    ZeroFilled,
)
from sbtt_models.decoders.trial_mixture import FittedTrialMixture  # noqa: E402
from sbtt_models.mixture import Mixture  # noqa: E402
from sbtt_models.signals import Split  # noqa: E402

SIZES = {"m1: 171 channels, windows of 40": (171, 40), "MC_Maze: 182, windows of 45": (182, 45)}
SHARE = 0.25
N_PUSHES = 300
DECODERS: dict[str, DecoderSpec] = {
    "`autoencoder`": Autoencoder(),
    "`lfads`, its MC_Maze size": LFADS(),
    "`state_space`": StateSpace(),
    "`transformer`": Transformer(),
    "`zero_filled` autoencoder": ZeroFilled(),
    "`trial_mixture`, 256 components": TrialMixture(),
    "`augmented_lds` on `poisson_lds`, 12": AugmentedLDS(
        smoothers=(PoissonLDS(size=12, prior=10.0, iterations=2),), folds=1
    ),
    "`kalman`, 10 latents": Kalman(size=10, prior=1.0, iterations=2),
    "`poisson_lds`, 10": PoissonLDS(size=10, prior=1.0, iterations=2),
    "`gpfa`, 6": GPFA(size=6, scale_bins=3.0, prior=1.0, iterations=2),
    "`factor_analysis`, 10": FactorAnalysis(size=10, prior=1.0, iterations=2),
    "`smoothing`": Smoothing(sd="60 ms", prior=0.5),
    "`interpolation`": Interpolation(sd="60 ms"),
}
TRAINING = Training(epochs=1, batch_size=64, checkpoint_every=None)


def noise(n_trials: int, n_bins: int, n_channels: int) -> MaskedStream:
    rng = np.random.default_rng(0)
    shape = (n_trials, n_bins, n_channels)
    exposure = (rng.random(shape) < SHARE).astype(np.float32)
    counts = (rng.poisson(0.5, shape) * exposure).astype(np.int32)
    order = np.arange(n_trials)
    split = Split(order[:-4], order[-4:-2], order[-2:])
    return MaskedStream(counts, exposure, np.full(n_trials, n_bins), 0.02, split, n_bins)


def fitted_to(stream: MaskedStream, spec: DecoderSpec) -> Fitted:
    """A decoder of that size; of a mixture, though noise has none, a component for each trial."""
    fitted = sbtt_models.fit(spec, stream, TRAINING, device="cpu")
    if isinstance(fitted, FittedTrialMixture):
        rates = fitted.fitted.rates(stream)
        mixture = Mixture.of(rates, stream.lengths, rates.mean((0, 1)))
        return replace(fitted, mixture=mixture)
    return fitted


def pushes(spec: DecoderSpec, stream: MaskedStream) -> list[float]:
    """Seconds of each push, once a window has passed."""
    causal = type(spec).model_validate(spec.model_dump() | {"causal": True})
    online = fitted_to(stream, causal).online()
    n_bins = stream.counts.shape[1]
    counts, exposure = (x.reshape(-1, stream.n_channels) for x in (stream.counts, stream.exposure))
    taken = []
    for at in range(n_bins + N_PUSHES):
        start = time.process_time()
        online.push(counts[at], exposure[at])
        taken.append(time.process_time() - start)
    return taken[n_bins:]


def at_once(spec: DecoderSpec, stream: MaskedStream) -> float:
    """Trials a second."""
    fitted = fitted_to(stream, spec)
    fitted.rates(stream)
    start = time.process_time()
    fitted.rates(stream)
    return stream.counts.shape[0] / (time.process_time() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="renew online.md")
    what.add_argument(
        "--only", default="", metavar="NAME", help="decoders with this in their title"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| decoder | recording | a bin, median [ms] | 99th percentile [ms] | trials per second |",
        "|---|---|---:|---:|---:|",
    ]
    for title, spec in DECODERS.items():
        if given.only not in title:
            continue
        for size, (n_channels, n_bins) in SIZES.items():
            stream = noise(256, n_bins, n_channels)
            taken = 1e3 * np.array(pushes(spec, stream))
            lines.append(
                f"| {title} | {size} | {np.median(taken):.2f} | {np.percentile(taken, 99):.2f} | "
                f"{at_once(spec, stream):.0f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    if given.write:
        about = (
            f"Measured with torch {torch.__version__}, Python {platform.python_version()} on "
            f"{processor()}, one thread, {N_PUSHES} pushes, processor time; {SHARE:.0%} of the "
            "entries observed. A window slides one bin at a time except in `state_space`, the "
            "filters and `trial_mixture`, whose cost for a bin does not depend on the window; "
            "that of `trial_mixture` grows with its components, `augmented_lds` runs its smoother "
            "and its network."
        )
        Path(__file__).with_suffix(".md").write_text(
            "# Inference, bin by bin and at once\n\n"
            "    python benchmarks/speed/online.py --write\n\n"
            + "\n".join(lines)
            + f"\n\n{about}\n",
            encoding="utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

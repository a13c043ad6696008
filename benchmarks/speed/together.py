"""Many models: as groups of one product, or each on a core of its own.

    python benchmarks/speed/together.py [--write] [--rounds N]

First, models of one shape side by side in batched products, forward and back, in processor time on
one thread: the generator of the autoencoder, and a whole training step of the state-space network.
Then the eight points of `sbtt_curve_fast` by one worker and by two, on the wall. `--write` renews
together.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from masks import processor  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from training import alternate, seconds  # noqa: E402

import implant_sim  # noqa: E402
from sbtt_models.decoders import StateSpace  # noqa: E402
from sbtt_models.device import kept_memory  # noqa: E402
from sbtt_models.losses import selective_loss  # noqa: E402
from sbtt_models.nets.cells import Backprop, Trace, cell_backward, cell_forward  # noqa: E402
from sbtt_models.nets.filters import Filters  # noqa: E402

N_BINS, N_CHANNELS, BATCH = 50, 29, 64  # of the demonstration
MODELS = (1, 2, 4, 8)
SCENARIO = "sbtt_curve_fast"


def generators(size: int, n_models: int) -> Callable[[], None]:
    """Forward and back of so many generators."""
    like = torch.empty(0)
    trace = Trace((N_BINS, n_models, size, BATCH), (0, 0), True, like)
    back = Backprop((n_models, size, BATCH), 0, like)
    weights = trace.weights
    for packed in (weights.recurrent, weights.bias):
        nn.init.uniform_(packed, -0.1, 0.1)
    bias = weights.bias.expand(-1, -1, BATCH).contiguous()
    candidate, offset = bias[:, :size], bias[:, size:]
    trace.first.fill_(0.5)

    @torch.inference_mode()
    def step() -> None:
        for gates, before, after in trace.bins:
            cell_forward(gates, weights.recurrent, before, offset, candidate, after)
        back.start()
        back.carry.fill_(1.0)
        for gates, before, after in reversed(trace.bins):
            cell_backward(back, gates, weights.transposed, before, after)

    return step


class Stacked(nn.Module):
    """The state-space network, several times: what is per feature as it is, the rest batched."""

    def __init__(self, spec: StateSpace, n_models: int) -> None:
        super().__init__()
        size = self.size = spec.hidden
        self.filters = Filters(spec.model_copy(update={"hidden": n_models * size}), N_BINS)
        shapes = {
            "embed": (n_models, size, 2 * N_CHANNELS),
            "embed_bias": (n_models, size, 1),
            "bias": (spec.blocks, n_models * size, 1, 1),
            "mix": (spec.blocks, n_models, size, size),
            "readout": (n_models, N_CHANNELS, size),
            "readout_bias": (n_models, N_CHANNELS, 1),
        }
        for key, shape in shapes.items():
            setattr(self, key, nn.Parameter(0.1 * torch.randn(shape)))

    def forward(self, seen: Tensor) -> Tensor:
        """From (model, 2 channel, bin x batch) to log rates, (model, channel, bin, batch)."""
        n_models = seen.shape[0]
        features = torch.baddbmm(self.embed_bias, self.embed, seen)
        features = features.view(n_models * self.size, N_BINS, BATCH)
        blocks = zip(self.filters(N_BINS), self.bias, self.mix, strict=True)
        for kernel, bias, mix in blocks:
            active = functional.silu(kernel.apply(self._normalise(features)) + bias)
            mixed = torch.bmm(mix, active.view(n_models, self.size, -1))
            features = features + mixed.view_as(features)
        features = self._normalise(features).view(n_models, self.size, -1)
        out = torch.baddbmm(self.readout_bias, self.readout, features)
        return out.view(n_models, N_CHANNELS, N_BINS, BATCH)

    def _normalise(self, features: Tensor) -> Tensor:
        own = features.view(-1, self.size, *features.shape[1:])
        return (own * own.square().mean(1, keepdim=True).add(1e-5).rsqrt()).view_as(features)


def state_spaces(n_models: int) -> Callable[[], None]:
    """A training step of so many networks."""
    torch.manual_seed(0)
    network = Stacked(StateSpace(), n_models)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    exposure = (torch.rand(n_models, N_CHANNELS, N_BINS, BATCH) < 0.34).float()
    counts = torch.poisson(0.5 * exposure)
    seen = torch.cat([counts, exposure], 1).flatten(2)

    def step() -> None:
        loss = selective_loss(network(seen), counts, exposure)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 200.0, foreach=True)
        optimiser.step()

    return step


def stacked_table(rounds: int) -> list[str]:
    lines = [
        f"| models in one product | {' | '.join(map(str, MODELS))} |",
        "|---|" + "---:|" * len(MODELS),
    ]
    cases = {
        "generator of 50 units, ms for each model": partial(generators, 50),
        "generator of 128 units, ms for each model": partial(generators, 128),
        "state-space network, a training step, ms for each model": state_spaces,
    }
    with kept_memory():
        for title, make in cases.items():
            times = alternate([partial(seconds, make(n)) for n in MODELS], rounds)
            cells = [f"{1e3 * t / n:.1f}" for t, n in zip(times, MODELS, strict=True)]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def workers_table() -> list[str]:
    lines = ["| workers | the whole curve [s] | points per minute |", "|---:|---:|---:|"]
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            rows = implant_sim.run(SCENARIO, folder, jobs=jobs)
            taken = time.perf_counter() - start
        if not (rows["status"] == "ok").all():
            raise RuntimeError(f"{SCENARIO}: a point failed")
        lines.append(f"| {jobs} | {taken:.0f} | {60 * len(rows) / taken:.1f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew together.md")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tables = [stacked_table(given.rounds), workers_table()]
    text = "\n\n".join("\n".join(table) for table in tables)
    print(text)
    if given.write:
        Path(__file__).with_suffix(".md").write_text(
            "# Many models at a time\n\n"
            f"    python benchmarks/speed/together.py --write\n\n{text}\n\n"
            "The products of one model fill a core, so that stacking gains little and `run` gives "
            f"each model a core of its own. The curve is `{SCENARIO}`: eight trainings, "
            "acquisition, scores and report.\n\n"
            f"Measured with torch {torch.__version__}, Python {platform.python_version()} on "
            f"{processor()}; median of {given.rounds} rounds by turns in processor time, the "
            "curve once on the wall.\n",
            encoding="utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

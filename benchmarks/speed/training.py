"""Training steps of `sbtt_models` against plain PyTorch with autograd, on one thread.

    python benchmarks/speed/training.py [--write] [--rounds N]

Both sides take the same step on the same data: coordinated dropout where the case has it,
forward, loss, backward, clipping, Adam; ours with the settings of memory that `sbtt_models.fit`
trains with. They run in one process, by turns, in processor time (other programs do not count),
and the median over the rounds is given. A large matrix product is timed in each round, too:
"share" is the arithmetic of a step over its time, by that rate; products that leave out zeros
count as if they did not. "Differ" is the largest difference of a gradient, without dropout and
noise, by the largest entry of its parameter. Peak memory is that of a process of its own for each
side. `--write` renews training.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from cases import CASES, Case, our_step, plain_step  # noqa: E402
from masks import processor  # noqa: E402
from plain import plain_loss  # noqa: E402

from sbtt_models.device import kept_memory  # noqa: E402
from sbtt_models.losses import selective_loss  # noqa: E402

torch.set_num_threads(1)


def product() -> Callable[[], None]:
    """A gigaflop of the matrix products that a processor likes best."""
    a, b, out = torch.rand(512, 512), torch.rand(512, 512), torch.empty(512, 512)

    def step() -> None:
        for _ in range(4):
            torch.mm(a, b, out=out)

    return step


def disagreement(case: Case) -> float:
    """Largest difference of a gradient, by the largest entry of its parameter."""
    torch.manual_seed(1)
    plain, ours = case.plain().eval(), case.ours().eval()
    plain.load_state_dict(ours.state_dict())
    counts, exposure = case.data()
    seen = torch.cat([counts, exposure], dim=2) if case.spec.mask_input else counts
    log_rates, penalty = plain(seen, noise=False)
    (plain_loss(log_rates, counts, exposure) + penalty).backward()
    inferred = ours(counts, exposure)
    loss = selective_loss(inferred.log_rates, counts, exposure)
    (loss + sum(inferred.penalties.values())).backward()
    theirs = dict(plain.named_parameters())
    return max(
        float((p.grad - theirs[name].grad).abs().max() / theirs[name].grad.abs().max())
        for name, p in ours.named_parameters()
        if p.grad is not None and theirs[name].grad.any()
    )


def seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def alternate(steps: list[Callable[[], float]], rounds: int) -> list[float]:
    """Median of the seconds that each says it took, by turns."""
    for step in steps:
        step(), step()
    times = [[step() for step in steps] for _ in range(rounds)]
    return [median(column) for column in zip(*times, strict=True)]


class Side:
    """One side of a comparison, in a process of its own: what memory it keeps is its own."""

    def __init__(self, kind: str, name: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(far, kind, name), daemon=True)
        self._process.start()

    def seconds(self) -> float:
        self._pipe.send(True)
        return self._pipe.recv()

    def close(self) -> float:
        """Most memory that it needed above its imports and data. [MiB]"""
        self._pipe.send(False)
        peak = self._pipe.recv()
        self._process.join()
        return peak


def _serve(pipe: Connection, kind: str, name: str) -> None:
    torch.set_num_threads(1)
    case = CASES[name]
    case.data()
    seconds(product())
    before = _most_memory()
    with kept_memory() if kind == "ours" else nullcontext():
        step = (our_step if kind == "ours" else plain_step)(case)
        while pipe.recv():
            pipe.send(seconds(step))
    pipe.send(_most_memory() - before)


def _most_memory() -> float:
    """Peak resident memory of this process. [MiB]"""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def training_table(rounds: int) -> list[str]:
    lines = [
        "| one training step | plain [ms] | ours [ms] | times faster | share of the product rate: "
        "plain | ours | peak memory: plain [MiB] | ours [MiB] | gradients differ by |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, case in CASES.items():
        plain_side, our_side = Side("plain", name), Side("ours", name)
        plain, ours, best = alternate(
            [plain_side.seconds, our_side.seconds, partial(seconds, product())], rounds
        )
        rate = 4 * 2 * 512**3 / best
        share = [case.arithmetic() / taken / rate for taken in (plain, ours)]
        lines.append(
            f"| {case.title} | {1e3 * plain:.1f} | {1e3 * ours:.1f} | **{plain / ours:.1f}** | "
            f"{share[0]:.0%} | {share[1]:.0%} | {plain_side.close():.0f} | "
            f"{our_side.close():.0f} | {disagreement(case):.0e} |"
        )
        print(lines[-1], file=sys.stderr)
        if name == "curve":
            minutes = [240 * 20 * taken / 60 for taken in (plain, ours)]
    lines += [
        "",
        "A training of `sbtt_curve`, 240 epochs of 20 steps, runs at "
        f"{1 / minutes[0]:.2f} (plain) or {1 / minutes[1]:.2f} (ours) models per minute and core.",
    ]
    return lines


def inference_table(rounds: int) -> list[str]:
    lines = ["| inference, 256 trials at a time | plain [trials/s] | ours [trials/s] |"]
    lines.append("|---|---:|---:|")
    for name, sized in CASES.items():
        case = replace(sized, batch=256)
        plain, ours = case.plain().eval(), case.ours().eval()
        counts, exposure = case.data()
        seen = torch.cat([counts, exposure], dim=2) if case.spec.mask_input else counts
        seen = seen.contiguous()
        with torch.no_grad():
            times = alternate(
                [
                    lambda: seconds(lambda: plain(seen, noise=False)),  # noqa: B023
                    lambda: seconds(lambda: ours(counts, exposure)),  # noqa: B023
                ],
                rounds,
            )
        title = case.title.split(":")[0] + (", `nn.GRU` encoders" if name == "lfads_gru" else "")
        lines.append(f"| {title} | {256 / times[0]:.0f} | {256 / times[1]:.0f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew training.md")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    reference = product()
    reference()
    rate = 4 * 2 * 512**3 / min(seconds(reference) for _ in range(20)) / 1e9
    tables = [
        training_table(given.rounds),
        inference_table(given.rounds),
    ]
    text = "\n\n".join("\n".join(table) for table in tables)
    print(text)
    if given.write:
        write(text, rate, given.rounds)
    return 0


def write(text: str, rate: float, rounds: int) -> None:
    about = (
        f"Measured with torch {torch.__version__}, Python {platform.python_version()} on "
        f"{processor()}, one thread, median of {rounds} rounds by turns in processor time. The "
        f"product of two 512 x 512 matrices ran at {rate:.0f} Gflop/s at best."
    )
    Path(__file__).with_suffix(".md").write_text(
        "# Training and inference against plain PyTorch\n\n"
        "Plain: `nn.GRU` and `nn.GRUCell` with autograd, one bin after the other in LFADS "
        "(`benchmarks/speed/plain.py`).\nOurs: the same arithmetic with a gradient written by "
        "hand (`sbtt_models/nets/cells.py` says how); products with inputs that are mostly 0 "
        "leave the zeros out\n(`sbtt_models/nets/sparse.py`). LFADS is trained on 34 % of the "
        "samples at 0.5 spikes a bin, where dropout leaves 9 % that\nare not 0; its last row "
        "shows a step with all products in full. The share counts zeros as if they were "
        "multiplied.\n\n"
        f"    python benchmarks/speed/training.py --write\n\n{text}\n\n{about}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())

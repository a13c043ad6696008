"""Where torch computes, with how many threads and from which seed; all put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sbtt_models.spec import SpecError

__all__ = ["device_of", "seeded", "threads"]


def device_of(name: str) -> torch.device:
    """The device that a name stands for; ``auto`` takes CUDA where present.

    Raises
    ------
    SpecError
        For another name, and for ``cuda`` where torch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise SpecError(f"device: {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise SpecError("device: cuda is asked for, but torch finds no CUDA; use auto or cpu")
    return torch.device(name)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use so many threads: sums depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generator, which layers use for weights and dropout, and put it back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

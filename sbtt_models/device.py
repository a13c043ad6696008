"""Where torch computes, with how many threads and from which seed; all put back afterwards."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sbtt_models.errors import SpecError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT = 2**30  # [bytes]
_USUAL_MMAP, _USUAL_TRIM = 2**25, 2**26  # [bytes] what glibc itself comes to, by and by

__all__ = ["device_of", "kept_memory", "seeded", "threads"]


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
def kept_memory() -> Iterator[None]:
    """Let freed memory stay with the process, to be used again by the next step.

    By default glibc gives large arrays back to the system when they are freed; the next one is
    then new memory, and on a small machine its page faults cost 5 to 10 % of a training step.
    Does nothing where the C library has no ``mallopt``.
    """
    try:
        library = ctypes.CDLL(None)
        set_option, trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError, TypeError):
        yield
        return
    set_option(_MMAP_THRESHOLD, _KEPT)
    set_option(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        set_option(_MMAP_THRESHOLD, _USUAL_MMAP)
        set_option(_TRIM_THRESHOLD, _USUAL_TRIM)
        trim(0)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generator, which layers use for weights and dropout, and put it back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

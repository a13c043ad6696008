"""Buffers that are used again: on a small machine, fresh memory can cost more than arithmetic."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Lease", "Workspace", "long_lived"]

_MOST_SHAPES = 24  # an LFADS with all its parts has 14 in training and validation
_HUGE = 2**21  # [bytes] a large page of x86-64 and most ARM kernels


def long_lived(like: Tensor, *shape: int) -> Tensor:
    """Make an array to be kept and walked over many times, unfilled.

    On the CPU large ones ask for large pages: with small ones the walk over a run's gates spends
    5 to 10 % of a training step on looking up where each page is.
    """
    n_bytes = torch.Size(shape).numel() * like.element_size()
    if like.device.type != "cpu" or n_bytes < 2 * _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return like.new_empty(shape)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # by default a forked child would share them
    pages = mmap.mmap(-1, -(-n_bytes // _HUGE) * _HUGE, flags=private)
    try:
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a kernel built without them
        return like.new_empty(shape)
    count = n_bytes // like.element_size()
    return torch.frombuffer(pages, dtype=like.dtype, count=count).view(shape)


class Workspace:
    """Buffers to be used again, by shape. A copy of a module gets an empty one of its own.

    Of shapes not asked for lately, as trials of unequal length bring many, none are kept.
    """

    def __init__(self) -> None:
        self._free: dict[Hashable, list[Any]] = {}

    def lend(self, key: Hashable, make: Callable[[], Any]) -> Lease:
        """Take buffers out, or make them; they come back when the lease is dropped."""
        free = self._free[key] = self._free.pop(key, [])  # the latest is the last
        while len(self._free) > _MOST_SHAPES:
            del self._free[next(iter(self._free))]
        return Lease(free, free.pop() if free else make())

    def clear(self) -> None:
        """Give the memory back to the system."""
        self._free = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Workspace:
        return Workspace()

    def __reduce__(self) -> tuple[type[Workspace], tuple[()]]:
        return Workspace, ()


class Lease:
    """Buffers in use. While a graph holds them no other forward pass can get them."""

    __slots__ = ("_home", "held")

    def __init__(self, home: list[Any], held: Any) -> None:
        self._home, self.held = home, held

    def __del__(self) -> None:
        self._home.append(self.held)

"""A whole stream on the device that trains on it, handed out in batches of windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sbtt_models.signals import MaskedStream
from sbtt_models.windows import Windows

__all__ = ["Batch", "StreamOnDevice"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of a stream; in memory (bin, channel, window), as the networks compute."""

    counts: Float[Tensor, "batch bin channel"]
    exposure: Float[Tensor, "batch bin channel"]
    external: Float[Tensor, "batch bin external"] | None = None
    """What drives the population from outside."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamOnDevice:
    """The whole stream on the device, padded so that every window lies inside."""

    counts: Float[Tensor, "trial bin channel"]
    exposure: Float[Tensor, "trial bin channel"]
    external: Float[Tensor, "trial bin external"] | None

    @classmethod
    def of(cls, stream: MaskedStream, n_bins: int, device: torch.device) -> StreamOnDevice:
        """Move a stream to a device, with `n_bins` of nothing after each trial."""
        pad = (0, 0, 0, n_bins)

        def moved(values: np.ndarray) -> Tensor:
            return functional.pad(torch.from_numpy(values).to(device, torch.float32), pad)

        external = None if stream.external is None else moved(stream.external)
        return cls(moved(stream.counts), moved(stream.exposure), external)

    def batches(self, windows: Windows, size: int) -> Iterator[Batch]:
        """`size` windows at a time."""
        device = self.counts.device
        trial = torch.from_numpy(windows.trial).to(device)[:, None]
        bins = torch.from_numpy(windows.start).to(device)[:, None] + torch.arange(
            windows.n_bins, device=device
        )
        for first in range(0, windows.trial.size, size):
            rows = slice(first, first + size)
            at = trial[rows], bins[rows]
            external = None if self.external is None else _windows_last(self.external[at])
            yield Batch(_windows_last(self.counts[at]), _windows_last(self.exposure[at]), external)


def _windows_last(values: Tensor) -> Tensor:
    return values.permute(1, 2, 0).contiguous().permute(2, 0, 1)

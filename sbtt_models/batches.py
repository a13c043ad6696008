"""A whole stream on the device that trains on it, handed out in batches of windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sbtt_models.signals import MaskedStream
from sbtt_models.windows import Windows

__all__ = ["StreamOnDevice"]


@dataclass(frozen=True, slots=True, eq=False)
class StreamOnDevice:
    """The whole stream on the device, padded so that every window lies inside."""

    counts: Float[Tensor, "trial bin channel"]
    exposure: Float[Tensor, "trial bin channel"]

    @classmethod
    def of(cls, stream: MaskedStream, n_bins: int, device: torch.device) -> StreamOnDevice:
        """Move a stream to a device, with `n_bins` of nothing after each trial."""
        pad = (0, 0, 0, n_bins)
        counts = torch.from_numpy(stream.counts).to(device, torch.float32)
        exposure = torch.from_numpy(stream.exposure).to(device)
        return cls(torch.nn.functional.pad(counts, pad), torch.nn.functional.pad(exposure, pad))

    def batches(self, windows: Windows, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Counts and exposure of `size` windows at a time, each (window, bin, channel).

        In memory they are (bin, channel, window), as the networks compute.
        """
        device = self.counts.device
        trial = torch.from_numpy(windows.trial).to(device)[:, None]
        bins = torch.from_numpy(windows.start).to(device)[:, None] + torch.arange(
            windows.n_bins, device=device
        )
        for first in range(0, windows.trial.size, size):
            rows = slice(first, first + size)
            counts = self.counts[trial[rows], bins[rows]]
            exposure = self.exposure[trial[rows], bins[rows]]
            yield _windows_last(counts), _windows_last(exposure)


def _windows_last(values: Tensor) -> Tensor:
    return values.permute(1, 2, 0).contiguous().permute(2, 0, 1)

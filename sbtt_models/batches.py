"""A whole stream on the device that trains on it, handed out in batches of windows.

Trials may be of very unequal length. Of a batch, windows of similar length go together as a part,
without the bins that none of them has, so that hardly anything is computed for padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from sbtt_models.signals import MaskedStream
from sbtt_models.windows import Windows

__all__ = ["Batch", "StreamOnDevice"]


_WORTH_A_PART = 1 / 8
"""A part more must spare this share of a batch's bins, since each costs some time of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of a stream; in memory (bin, channel, window), as the networks compute."""

    counts: Float[Tensor, "batch bin channel"]
    exposure: Float[Tensor, "batch bin channel"]
    external: Float[Tensor, "batch bin external"] | None = None
    """What drives the population from outside."""
    lengths: Int[Tensor, " batch"] | None = None
    """Bins of each window that lie in its trial, on the CPU; None: all of them do."""

    @property
    def n_entries(self) -> int:
        """Entries, observed or not, but not those of padding."""
        n_windows, n_bins, n_channels = self.counts.shape
        total = n_windows * n_bins if self.lengths is None else int(self.lengths.sum())
        return total * n_channels


@dataclass(frozen=True, slots=True, eq=False)
class StreamOnDevice:
    """The whole stream on the device, as many bins long as a window at least."""

    counts: Float[Tensor, "trial bin channel"]
    exposure: Float[Tensor, "trial bin channel"]
    external: Float[Tensor, "trial bin external"] | None
    lengths: Int[np.ndarray, " trial"]
    """Bins of each trial, up to the last that may hold anything."""

    @classmethod
    def of(cls, stream: MaskedStream, n_bins: int, device: torch.device) -> StreamOnDevice:
        """Move a stream to a device, for windows of `n_bins` at most."""
        beyond = max(n_bins - stream.counts.shape[1], 0)

        def moved(values: np.ndarray) -> Tensor:
            there = torch.from_numpy(values).to(device, torch.float32)
            return functional.pad(there, (0, 0, 0, beyond)) if beyond else there

        external = None if stream.external is None else moved(stream.external)
        return cls(moved(stream.counts), moved(stream.exposure), external, stream.lengths)

    def steps(self, windows: Windows, size: int, *, padded: bool = False) -> Iterator[list[Batch]]:
        """`size` windows at a time, in parts, the longest windows first.

        A batch of one part keeps the order given.

        Parameters
        ----------
        padded : bool
            Do not leave padding out: each batch is one part, of windows of full length.
        """
        device, total = self.counts.device, windows.trial.size
        inside = windows.inside(self.lengths)
        cuts: list[list[Int[np.ndarray, " window"]]] = []
        for first in range(0, total, size):
            rows = np.arange(first, min(first + size, total))
            longest_first = rows[np.argsort(-inside[rows], kind="stable")]
            sizes = [rows.size] if padded else _sizes(inside[longest_first])
            ends = np.cumsum(sizes)[:-1]
            cuts.append([rows] if len(sizes) == 1 else np.split(longest_first, ends))
        every = np.concatenate([part for parts in cuts for part in parts])
        trial, start = (
            torch.from_numpy(values[every]).to(device)[:, None]
            for values in (windows.trial, windows.start)
        )
        bins = torch.arange(windows.n_bins, device=device)
        begin = 0
        for parts in cuts:
            found = []
            for rows in parts:
                part, own = slice(begin, begin + rows.size), inside[rows]
                n_bins = windows.n_bins if padded else int(own.max())
                found.append(self._batch((trial[part], start[part] + bins[:n_bins]), own, n_bins))
                begin += rows.size
            yield found

    def batches(self, windows: Windows, size: int, *, padded: bool = False) -> Iterator[Batch]:
        """The parts of :meth:`steps` one by one, for windows that come longest first."""
        for parts in self.steps(windows, size, padded=padded):
            yield from parts

    def _batch(
        self, at: tuple[Tensor, Tensor], inside: Int[np.ndarray, " window"], n_bins: int
    ) -> Batch:
        external = None if self.external is None else _windows_last(self.external[at])
        lengths = None if (inside == n_bins).all() else torch.from_numpy(inside)
        seen = _windows_last(self.counts[at]), _windows_last(self.exposure[at])
        return Batch(*seen, external, lengths)


def _sizes(inside: Int[np.ndarray, " window"]) -> list[int]:
    """How many windows each part of a batch has, given their bins, the most first."""
    least = max(_WORTH_A_PART * inside[0] * inside.size, 1)
    sizes, waiting = [], [inside]
    while waiting:
        part = waiting.pop()
        spared = (part[0] - part) * np.arange(part.size, 0, -1)  # by a cut before each window
        best = int(spared.argmax())
        if spared[best] < least:
            sizes.append(part.size)
        else:
            waiting += [part[best:], part[:best]]
    return sizes


def _windows_last(values: Tensor) -> Tensor:
    return values.permute(1, 2, 0).contiguous().permute(2, 0, 1)

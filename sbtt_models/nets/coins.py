"""Dropout that costs little: random bits, compared, in buffers that are used again.

``torch.bernoulli`` spends 10 ns on an entry of a mask; sixteen random bits and a comparison take
1 ns, and the bits are half as large as the mask, which is made anew on the way back. Another
generator draws no faster: numpy's SFC64 fills as much memory in the same time.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["Coins", "drop_inputs", "random_bits", "threshold"]

_LEVELS = 65_536


def threshold(share: float) -> int:
    """Of 16 random bits, read as a signed number: below it lie a `share` of the draws."""
    return round(share * _LEVELS) - _LEVELS // 2


def random_bits(n: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Draw `n` numbers of 16 random bits each, int16."""
    words = torch.empty((n + 3) // 4, dtype=torch.int64, device=device)
    _fill(words, generator)
    return words.view(torch.int16)[:n]


def _fill(words: Tensor, generator: torch.Generator | None = None) -> None:
    words.random_(-(2**63), None, generator=generator)


class Coins:
    """Masks of dropout for each of several steps; the same on the way there and back."""

    def __init__(self, n_steps: int, shape: tuple[int, ...], like: Tensor) -> None:
        size = torch.Size(shape).numel()
        self._words = torch.empty((n_steps * size + 3) // 4, dtype=torch.int64, device=like.device)
        bits = self._words.view(torch.int16)[: n_steps * size]
        self._bits = list(bits.view(n_steps, *shape))
        self._kept = like.new_empty(shape)

    def toss(self) -> None:
        """Draw all masks anew, from torch's own generator as its dropout does."""
        _fill(self._words)

    def kept(self, step: int, rate: float) -> Tensor:
        """1 where an entry stays, 0 where it is dropped. Overwritten by the next call."""
        return torch.ge(self._bits[step], threshold(rate), out=self._kept)


def drop_inputs(
    seen: Float[Tensor, "batch bin input"], rate: float
) -> Float[Tensor, "batch bin input"]:
    """Drop a share of the entries, and scale up the others; (bin, input, batch) in memory.

    Bin by bin, while they are cached. Where a gradient is asked for, torch's dropout is used.
    """
    if rate == 0 or seen.requires_grad:
        return functional.dropout(seen, rate)
    bins = seen.permute(1, 2, 0)
    out = torch.empty_like(bins, memory_format=torch.contiguous_format)
    coins = Coins(1, tuple(bins.shape[1:]), seen)
    for values, into in zip(bins.unbind(0), out.unbind(0), strict=True):
        coins.toss()
        torch.mul(values, coins.kept(0, rate).mul_(1.0 / (1.0 - rate)), out=into)
    return out.permute(2, 0, 1)

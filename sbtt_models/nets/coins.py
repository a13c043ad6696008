"""Dropout that costs little: random bits, compared, in each direction anew.

``torch.bernoulli`` spends 10 ns on an entry of a mask; sixteen random bits and a comparison take
1 ns, and the bits are half as large as the mask, which is made anew on the way back. On the CPU
numpy's SFC64, started from a number of torch's own generator, draws twice as fast as that one.
"""

from __future__ import annotations

import numpy as np
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
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:n]


def _many_bits(n: int, device: torch.device) -> Tensor:
    """The same from another generator, whose seed is drawn from torch's own."""
    if device.type != "cpu":
        return random_bits(n, device)
    seed = int(torch.randint(2**62, ()))
    words = np.random.SFC64(seed).random_raw((n + 3) // 4)
    return torch.from_numpy(words.view(np.int16))[:n]


class Coins:
    """Masks of dropout for each of several steps; the same on the way there and back."""

    def __init__(self, n_steps: int, shape: tuple[int, ...], like: Tensor) -> None:
        self._shape, self._kept = (n_steps, *shape), like.new_empty(shape)
        self._bits: tuple[Tensor, ...] = ()

    def toss(self) -> None:
        """Draw all masks anew, from torch's own generator as its dropout does."""
        size = torch.Size(self._shape).numel()
        self._bits = _many_bits(size, self._kept.device).view(self._shape).unbind(0)

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
    coins = Coins(len(bins), tuple(bins.shape[1:]), seen)
    coins.toss()
    for t, (values, into) in enumerate(zip(bins.unbind(0), out.unbind(0), strict=True)):
        torch.mul(values, coins.kept(t, rate).mul_(1.0 / (1.0 - rate)), out=into)
    return out.permute(2, 0, 1)

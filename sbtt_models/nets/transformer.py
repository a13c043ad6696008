"""A masked transformer over the bins of a window."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from sbtt_models.decoders.transformer import Transformer
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.nets.coins import random_bits, threshold
from sbtt_models.nets.state_space import until_last_observed

__all__ = ["TransformerNetwork"]

_POSITION = 0.5  # amplitude of the learned positions at first
_READOUT = 0.3  # of the usual spread of weights at first: rates start near their means


class TransformerNetwork(Network):
    """See :class:`sbtt_models.decoders.transformer.Transformer`."""

    encoder_parts = ("embed.", "position", "layers.", "norm.")
    read_in_parts = ("embed.",)

    def __init__(
        self, spec: Transformer, n_channels: int, n_bins: int, start: Float[Tensor, " output"]
    ) -> None:
        super().__init__()
        self.spec = spec
        self.wait = spec.lookahead_bins if spec.one_way else 0
        self.embed = nn.Linear(n_channels * (2 if spec.mask_input else 1), spec.hidden)
        self.position = nn.Parameter(_waves(n_bins + self.wait, spec.hidden))
        self.layers = nn.ModuleList(_Layer(spec) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.hidden)
        self.dropout = _Dropout(spec.dropout)
        self.readout = nn.Linear(spec.hidden, len(start))
        with torch.no_grad():
            self.readout.weight.mul_(_READOUT)
            self.readout.bias.copy_(start)

    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
        external: Float[Tensor, "batch bin external"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Inferred:
        """Infer. Shapes as :meth:`Network.forward`; windows no longer than built for."""
        # nothing is sampled here, nothing driven from outside; padding is seen by its exposure
        del generator, external, lengths
        seen = torch.cat([counts, exposure], 2) if self.spec.mask_input else counts
        # a causal inference of bin t is read out at t + wait; what comes after is missing
        seen = functional.pad(seen, (0, 0, 0, self.wait))
        tokens = self.dropout(self.embed(seen) + self.position[: seen.shape[1]])
        visible = self._visible(exposure)
        for layer in self.layers:
            tokens = layer(tokens, visible)
        return Inferred(self.readout(self.norm(tokens[:, self.wait :])))

    def _visible(
        self, exposure: Float[Tensor, "batch bin channel"]
    ) -> Bool[Tensor, "one_or_batch 1 bin2 bin2"]:
        """Which bins (last axis) each bin may look at."""
        bins = torch.arange(exposure.shape[1] + self.wait, device=exposure.device)
        ahead = bins[None, :] - bins[:, None]
        visible = torch.ones_like(ahead, dtype=torch.bool)
        if self.spec.context_bins is not None:
            visible = ahead.abs() <= self.spec.context_bins
        if self.spec.one_way:  # padding comes after every bin that counts
            return (visible & (ahead <= 0))[None, None]
        inside = until_last_observed(exposure)[:, None, None, :]
        # a bin always sees itself: a softmax over nothing would not be a number
        return visible & inside | (ahead == 0)


def _waves(n_bins: int, size: int) -> Float[Tensor, "bin feature"]:
    """Sines and cosines of many wavelengths: where learned positions begin.

    So that tokens know from the first step which others are near; from random positions, small
    recordings do not teach it.
    """
    wavelengths = torch.logspace(0, 1, -(-size // 2), 2 * n_bins, dtype=torch.float64)
    phase = torch.arange(n_bins)[:, None] / wavelengths
    return _POSITION * torch.cat([phase.sin(), phase.cos()], 1)[:, :size].float()


class _Dropout(nn.Module):
    """What ``torch.nn.Dropout`` does, from random bits: its own draws are a fifth of a step."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop entries in training, and scale up the others."""
        if not self.training or self.rate == 0:
            return values
        bits = random_bits(values.numel(), values.device).view(values.shape)
        kept = torch.ge(bits, threshold(self.rate), out=torch.empty_like(values))
        return values * kept.mul_(1.0 / (1.0 - self.rate))


class _Layer(nn.Module):
    """Attention between the tokens, then a network for each."""

    def __init__(self, spec: Transformer) -> None:
        super().__init__()
        self.heads = spec.heads
        self.norm_attention, self.norm_feed = (nn.LayerNorm(spec.hidden) for _ in range(2))
        self.query_key_value = nn.Linear(spec.hidden, 3 * spec.hidden)
        self.merge = nn.Linear(spec.hidden, spec.hidden)
        self.widen = nn.Linear(spec.hidden, spec.feedforward)
        self.narrow = nn.Linear(spec.feedforward, spec.hidden)
        self.dropout = _Dropout(spec.dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch bin feature"],
        visible: Bool[Tensor, "one_or_batch 1 bin bin"],
    ) -> Float[Tensor, "batch bin feature"]:
        """Tokens that have looked at others."""
        parts = self.query_key_value(self.norm_attention(tokens)).chunk(3, 2)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        tokens = tokens + self.dropout(self.merge(mixed.transpose(1, 2).flatten(2)))
        wide = functional.gelu(self.widen(self.norm_feed(tokens)))
        return tokens + self.dropout(self.narrow(self.dropout(wide)))

"""Blocks of linear filters over time and one nonlinear mixing of features each.

All arrays are (feature, bin, batch), so that mixing features and mixing bins are both plain matrix
products; what is cheap but walks over memory is done by hand, once there and once back.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from typing_extensions import override

from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.nets.filters import Filters
from sbtt_models.nets.precision import in_float32
from sbtt_models.nets.state_space_step import StateSpaceStep

__all__ = ["StateSpaceNetwork", "until_last_observed"]

_EPSILON = 1e-5  # keeps the norm of an empty bin finite
_READOUT = 0.3  # of the usual spread of weights at first: rates start near their means


class StateSpaceNetwork(Network):
    """See :class:`sbtt_models.decoders.state_space.StateSpace`."""

    encoder_parts = ("embed.", "filters.", "bias", "mix")
    read_in_parts = ("embed.",)

    def __init__(
        self, spec: StateSpace, n_channels: int, n_bins: int, start: Float[Tensor, " output"]
    ) -> None:
        super().__init__()
        self.spec = spec
        self.wait = spec.lookahead_bins if spec.one_way else 0
        size = spec.hidden
        self.embed = nn.Linear(n_channels * (2 if spec.mask_input else 1), size)
        self.filters = Filters(spec, n_bins)
        self.bias = nn.Parameter(torch.zeros(spec.blocks, size))
        bound = 1 / math.sqrt(size)
        self.mix = nn.Parameter(torch.empty(spec.blocks, size, size).uniform_(-bound, bound))
        self.readout = nn.Linear(size, len(start))
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
        """Infer. Shapes as :meth:`Network.forward`."""
        # nothing is sampled here, nothing driven from outside; padding is seen by its exposure
        del generator, external, lengths
        parts = [counts, exposure] if self.spec.mask_input else [counts]
        seen = torch.cat([part.permute(2, 1, 0) for part in parts])
        if self.spec.one_way:
            # bin t is read out at t + wait; what comes after the window counts as missing
            seen = functional.pad(seen, (0, 0, 0, self.wait))
            heard = seen.new_ones(seen.shape[1:])
        else:
            heard = until_last_observed(exposure).t().to(seen.dtype)
        features = _linear(self.embed, seen)
        layers = (self.filters(seen.shape[1]), self.bias.unbind(0), self.mix.unbind(0))
        for kernel, bias, mix in zip(*layers, strict=True):
            filtered = kernel.apply(_normalise(features, heard))
            features = _Feed.apply(features, filtered, bias, mix, self._kept(filtered))  # type: ignore[no-untyped-call]
        features = _normalise(features, torch.ones_like(heard))
        log_rates = _linear(self.readout, features[:, self.wait :])
        # (bin, channel, batch) in memory, as the counts that the loss compares it with
        return Inferred(log_rates.transpose(0, 1).contiguous().permute(2, 0, 1))

    @property
    @override
    def endless(self) -> bool:
        return self.spec.one_way

    @override
    def recurrence(self) -> StateSpaceStep:
        return StateSpaceStep(self, _EPSILON)

    def _kept(
        self, like: Float[Tensor, "feature bin batch"]
    ) -> Float[Tensor, "feature 1 batch"] | None:
        """Draw dropout that lasts a whole window; None: nothing is dropped."""
        rate = self.spec.dropout
        if not self.training or rate == 0:
            return None
        draw = torch.rand(like.shape[0], 1, like.shape[2], device=like.device)
        return (draw >= rate).to(like.dtype).mul_(1.0 / (1.0 - rate))


def until_last_observed(
    exposure: Float[Tensor, "batch bin channel"],
) -> Bool[Tensor, "batch bin"]:
    """Mark the bins up to the last with a sample; the padding of a short trial comes after it."""
    seen = exposure.sum(2) > 0  # a sum is quick in any layout, a maximum is not
    return seen.flip(1).cummax(1).values.flip(1)


def _linear(
    layer: nn.Linear, features: Float[Tensor, "feature bin batch"]
) -> Float[Tensor, "out bin batch"]:
    """Apply a layer to the first axis."""
    flat = features.reshape(features.shape[0], -1)
    out = torch.addmm(layer.bias[:, None], layer.weight, flat)
    return out.view(-1, *features.shape[1:])


def _normalise(
    features: Float[Tensor, "feature bin batch"], heard: Float[Tensor, "bin batch"]
) -> Float[Tensor, "feature bin batch"]:
    """Give each bin a mean square of 1, or 0 where nothing may be heard of it."""
    return _Normalise.apply(features, heard)  # type: ignore[no-untyped-call]


class _Normalise(torch.autograd.Function):
    @staticmethod
    @in_float32
    def forward(ctx: Any, features: Tensor, heard: Tensor) -> Tensor:
        scale = features.square().mean(0).add_(_EPSILON).rsqrt_().mul_(heard)
        normal = features * scale
        ctx.save_for_backward(normal, scale)
        return normal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        normal, scale = ctx.saved_tensors
        along = (given * normal).mean(0)
        return torch.addcmul(given, normal, along, value=-1).mul_(scale), None


class _Feed(torch.autograd.Function):
    """Add to the features what a layer makes of the filtered ones."""

    @staticmethod
    @in_float32
    def forward(
        ctx: Any,
        features: Tensor,
        filtered: Tensor,
        bias: Tensor,
        weight: Tensor,
        kept: Tensor | None,
    ) -> Tensor:
        before = filtered + bias[:, None, None]
        active = functional.silu(before)
        if kept is not None:
            active.mul_(kept)
        ctx.save_for_backward(before, active, weight, kept)
        flat = torch.addmm(features.flatten(1), weight, active.flatten(1))
        return flat.view(features.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        before, active, weight, kept = ctx.saved_tensors
        flat = given.flatten(1)
        d_weight = flat @ active.flatten(1).t()
        d_active = (weight.t() @ flat).view(before.shape)
        if kept is not None:
            d_active.mul_(kept)
        d_before = torch.ops.aten.silu_backward(d_active, before)
        return given, d_before, d_before.sum((1, 2)), d_weight, None

"""What turns a network's read-out into a loss and into expected values, for each likelihood.

A read-out is (batch, bin, width x channel): first one number of each channel, then the next. Every
loss is selective: an unobserved entry adds exactly 0 and sends back exactly 0, whatever stands
there.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sbtt_models.likelihoods import Gamma, Gaussian, Poisson, ZeroInflatedGamma
from sbtt_models.losses import poisson_nll, selective_loss

__all__ = ["GammaHead", "GaussianHead", "Head", "PoissonHead", "ZeroInflatedGammaHead"]

_LEAST_SHARE = 1e-5  # of a scale, and least probability, as in lfads-torch
_LARGEST_LOG = 14.0  # float32 squares its exponential without overflow


class Head(nn.Module):
    """A likelihood at work."""

    width: ClassVar[int]
    """Numbers that are read out for each channel."""

    def __init__(self, start: Float[Tensor, " output"]) -> None:
        super().__init__()
        self.start = start
        """The null model: a read-out that says of every bin how a channel is distributed in
        training. Read-outs start from it."""

    @abstractmethod
    def entries(
        self,
        read_out: Float[Tensor, "batch bin output"],
        values: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
    ) -> Float[Tensor, "batch bin channel"]:
        """Negative log likelihood of each entry, 0 where nothing is observed. [nat]"""

    @abstractmethod
    def expected(
        self, read_out: Float[Tensor, "batch bin output"]
    ) -> Float[Tensor, "batch bin channel"]:
        """Expected value of a full bin."""

    def loss(
        self,
        read_out: Float[Tensor, "batch bin output"],
        values: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        learns: Bool[Tensor, "batch bin channel"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean over observed entries, with gradient from those of them that may teach."""
        nll = self.entries(read_out, values, exposure)
        if learns is not None:
            nll = torch.where(learns, nll, nll.detach())
        return nll.sum() / (exposure > 0).sum().clamp(min=1)

    def penalties(self) -> Mapping[str, Float[Tensor, ""]]:
        """Terms added to the loss, by name, already scaled."""
        return {}


class PoissonHead(Head):
    """See :class:`sbtt_models.likelihoods.Poisson`."""

    width = Poisson.width

    @override
    def entries(self, read_out: Tensor, values: Tensor, exposure: Tensor) -> Tensor:
        return poisson_nll(read_out, values, exposure)

    @override
    def loss(
        self, read_out: Tensor, values: Tensor, exposure: Tensor, learns: Tensor | None = None
    ) -> Tensor:
        return selective_loss(read_out, values, exposure, learns)

    @override
    def expected(self, read_out: Tensor) -> Tensor:
        return read_out.exp()


class GaussianHead(Head):
    """See :class:`sbtt_models.likelihoods.Gaussian`."""

    width = Gaussian.width

    @override
    def entries(self, read_out: Tensor, values: Tensor, exposure: Tensor) -> Tensor:
        mean, log_var = _observed_only(read_out, exposure, self.width)
        log_var = log_var.clamp(-_LARGEST_LOG, _LARGEST_LOG)
        seen = torch.where(exposure > 0, exposure, torch.ones_like(exposure))
        distance = (values - mean * seen).square() * torch.exp(-log_var) / seen
        nll = 0.5 * (distance + log_var + seen.log() + math.log(2 * math.pi))
        return torch.where(exposure > 0, nll, torch.zeros_like(nll))

    @override
    def expected(self, read_out: Tensor) -> Tensor:
        return read_out.chunk(self.width, 2)[0]


class GammaHead(Head):
    """See :class:`sbtt_models.likelihoods.Gamma`."""

    width = Gamma.width

    @override
    def entries(self, read_out: Tensor, values: Tensor, exposure: Tensor) -> Tensor:
        observed = exposure > 0
        log_shape, log_rate = (part for part in _observed_only(read_out, exposure, self.width))
        seen = torch.where(observed, exposure, torch.ones_like(exposure))
        safe = torch.where(observed, values, torch.ones_like(values))
        shape = log_shape.clamp(-_LARGEST_LOG, _LARGEST_LOG).exp() * seen
        nll = gamma_nll(safe, shape, log_rate.clamp(-_LARGEST_LOG, _LARGEST_LOG))
        return torch.where(observed, nll, torch.zeros_like(nll))

    @override
    def expected(self, read_out: Tensor) -> Tensor:
        log_shape, log_rate = read_out.clamp(-_LARGEST_LOG, _LARGEST_LOG).chunk(self.width, 2)
        return (log_shape - log_rate).exp()


class ZeroInflatedGammaHead(Head):
    """See :class:`sbtt_models.likelihoods.ZeroInflatedGamma`."""

    width = ZeroInflatedGamma.width

    def __init__(self, spec: ZeroInflatedGamma, start: Float[Tensor, " output"]) -> None:
        super().__init__(start)
        self.spec = spec
        n_channels = start.shape[0] // self.width
        self.scale = nn.Parameter(torch.full((2, n_channels), spec.scale))
        """Of the shapes, and of the rates."""

    @override
    def entries(self, read_out: Tensor, values: Tensor, exposure: Tensor) -> Tensor:
        shape, rate, presence = self._shared_out(_observed_only(read_out, exposure, self.width))
        event = values > 0
        size = torch.where(event, values - self.spec.least_event, torch.ones_like(values))
        some = gamma_nll(size, shape, rate.log()) - functional.logsigmoid(presence)
        nll = torch.where(event, some, -functional.logsigmoid(-presence))
        return torch.where(exposure > 0, nll, torch.zeros_like(nll))

    @override
    def expected(self, read_out: Tensor) -> Tensor:
        shape, rate, presence = self._shared_out(read_out.chunk(self.width, 2))
        return presence.sigmoid() * (shape / rate + self.spec.least_event)

    @override
    def penalties(self) -> Mapping[str, Tensor]:
        if self.spec.scale_penalty == 0:
            return {}
        far = (self.scale - self.spec.scale).square().sum()
        return {"scale": 0.5 * self.spec.scale_penalty * far}

    def _shared_out(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Shape, rate, and the logit of an event's probability."""
        shares = (part.sigmoid().clamp(min=_LEAST_SHARE) for part in parts[:2])
        scales = self.scale.clamp(min=_LEAST_SHARE)  # a step of the optimiser may cross 0
        shape, rate = (share * scale for share, scale in zip(shares, scales, strict=True))
        most = math.log((1 - _LEAST_SHARE) / _LEAST_SHARE)
        return shape, rate, parts[2].clamp(-most, most)


def gamma_nll(
    values: Float[Tensor, "*shape"],
    shape: Float[Tensor, "*shape"],
    log_rate: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """Negative log density of positive values under Gamma distributions. [nat]"""
    density = torch.special.xlogy(shape - 1, values) - values * log_rate.exp()
    return torch.lgamma(shape) - shape * log_rate - density


def _observed_only(
    read_out: Float[Tensor, "batch bin output"],
    exposure: Float[Tensor, "batch bin channel"],
    width: int,
) -> tuple[Tensor, ...]:
    """Numbers of each channel; 0 where nothing is observed, before anything may overflow there."""
    observed = exposure > 0
    return tuple(torch.where(observed, p, torch.zeros_like(p)) for p in read_out.chunk(width, 2))

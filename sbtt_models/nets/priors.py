"""Priors at work: the noise of a posterior sample, and its divergence from the prior."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from sbtt_models.decoders.priors import AnyPrior, Autoregressive, Normal, StudentT
from sbtt_models.losses import autoregressive_kl, gaussian_kl, student_t_kl

__all__ = ["Prior", "prior_of"]


class Prior(nn.Module):
    """What is believed of a variable before anything is seen."""

    @abstractmethod
    def divergence(
        self,
        sample: Float[Tensor, "batch bin dim"],
        mean: Float[Tensor, "batch bin dim"],
        log_var: Float[Tensor, "batch bin dim"],
        inside: Float[Tensor, "batch bin"] | None = None,
    ) -> Float[Tensor, ""]:
        """KL of a posterior, summed over bins and dimensions, mean over the batch. [nat]

        Parameters
        ----------
        sample : Tensor
            Drawn from the posterior; not every prior needs it.
        mean, log_var : Tensor
            Location of the posterior, and twice the log of its scale.
        inside : Tensor, optional
            0 for bins of padding at the end, which are left out. None: all count.
        """

    def held(self, name: str, value: Tensor, learn: bool) -> None:
        """Keep a parameter that learns, or a constant: which no count of parameters includes."""
        if learn:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw what a posterior's scale is multiplied with: standard normal numbers."""
        return torch.randn(shape, generator=generator, device=generator.device)


class NormalPrior(Prior):
    """See :class:`sbtt_models.decoders.priors.Normal`."""

    mean: Tensor
    log_var: Tensor

    def __init__(self, spec: Normal, size: int) -> None:
        super().__init__()
        self.held("mean", torch.zeros(size), spec.learn_mean)
        log_var = torch.full((size,), spec.variance).log()
        self.held("log_var", log_var, spec.learn_variance)

    @override
    def divergence(
        self, sample: Tensor, mean: Tensor, log_var: Tensor, inside: Tensor | None = None
    ) -> Tensor:
        return gaussian_kl(mean, log_var, self.mean, self.log_var, inside)


class StudentTPrior(Prior):
    """See :class:`sbtt_models.decoders.priors.StudentT`."""

    loc: Tensor
    log_scale: Tensor

    def __init__(self, spec: StudentT, size: int) -> None:
        super().__init__()
        self.df = spec.df
        self.held("loc", torch.zeros(size), spec.learn)
        log_scale = torch.full((size,), spec.scale).log()
        self.held("log_scale", log_scale, spec.learn)

    @override
    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # Bailey 1994: exact, and of two uniform numbers whatever the degrees of freedom
        draw = torch.rand((2, *shape), generator=generator, device=generator.device)
        radius = torch.expm1(-2 / self.df * torch.log1p(-draw[0])).mul_(self.df).sqrt_()
        return radius * torch.cos(2 * math.pi * draw[1])

    @override
    def divergence(
        self, sample: Tensor, mean: Tensor, log_var: Tensor, inside: Tensor | None = None
    ) -> Tensor:
        prior = (self.loc, self.log_scale, self.df)
        return student_t_kl(sample, mean, 0.5 * log_var, *prior, inside)


class AutoregressivePrior(Prior):
    """See :class:`sbtt_models.decoders.priors.Autoregressive`."""

    log_tau: Tensor
    log_noise_var: Tensor

    def __init__(self, spec: Autoregressive, size: int) -> None:
        super().__init__()
        ones = torch.ones(size)
        self.held("log_tau", ones * math.log(spec.tau), spec.learn)
        log_var = ones * math.log(spec.variance)
        self.held("log_noise_var", log_var, spec.learn)

    @override
    def divergence(
        self, sample: Tensor, mean: Tensor, log_var: Tensor, inside: Tensor | None = None
    ) -> Tensor:
        prior = (self.log_tau, self.log_noise_var)
        return autoregressive_kl(sample, mean, log_var, *prior, inside)


def prior_of(spec: AnyPrior, size: int) -> Prior:
    """Make the prior of a variable of some size."""
    if isinstance(spec, Normal):
        return NormalPrior(spec, size)
    if isinstance(spec, StudentT):
        return StudentTPrior(spec, size)
    return AutoregressivePrior(spec, size)

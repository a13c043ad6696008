"""Selective backpropagation through time, coordinated dropout and the Kullback–Leibler terms.

All functions are pure: which samples exist is an argument, and nothing is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from sbtt_models.nets.coins import random_bits, threshold

__all__ = [
    "autoregressive_kl",
    "coordinated_dropout",
    "gaussian_kl",
    "poisson_nll",
    "selective_loss",
    "student_t_kl",
]


_CACHED = 65_536  # entries


def poisson_nll(
    log_rates: Float[Tensor, "*shape"],
    counts: Float[Tensor, "*shape"],
    exposure: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    r"""Poisson negative log-likelihood of each entry, without terms that no rate changes.

    .. math:: \ell = \lambda e - k \log \lambda

    for a full-bin rate :math:`\lambda`, a count :math:`k` and the exposure :math:`e`. Entries
    with :math:`e = 0` are exactly 0, and so is their gradient, whatever the rate.

    Parameters
    ----------
    log_rates : Tensor
        Log of the expected count of a full bin. [ln spikes/bin]
    counts : Tensor
        Delivered spikes. [spikes/bin]
    exposure : Tensor
        Fraction of the bin with valid data.

    Returns
    -------
    Tensor
        [nat]
    """
    observed = exposure > 0
    # where() before exp(): an overflow at an unobserved entry must not become 0 * inf = NaN
    safe = torch.where(observed, log_rates, torch.zeros_like(log_rates))
    return torch.where(observed, safe.exp() * exposure - counts * safe, torch.zeros_like(safe))


def selective_loss(
    log_rates: Float[Tensor, "*shape"],
    counts: Float[Tensor, "*shape"],
    exposure: Float[Tensor, "*shape"],
    learns: Bool[Tensor, "*shape"] | None = None,
) -> Float[Tensor, ""]:
    """Mean Poisson loss over the observed entries, with gradient from those alone (SBTT).

    Parameters
    ----------
    log_rates, counts, exposure : Tensor
        As in :func:`poisson_nll`.
    learns : Tensor, optional
        Observed entries that may send a gradient back (coordinated dropout). The value of the
        loss counts all observed entries. None: all of them learn.

    Returns
    -------
    Tensor
        Finite even where nothing is observed: 0, with zero gradient. [nat per observed entry]

    References
    ----------
    Zhu et al., "Deep inference of latent dynamics with spatio-temporal super-resolution using
    selective backpropagation through time", NeurIPS 2021, arXiv:2111.00070.
    """
    return _SelectiveLoss.apply(log_rates, counts, exposure, learns)  # type: ignore[no-untyped-call]


class _SelectiveLoss(torch.autograd.Function):
    """Value and gradient in one pass, without a graph of a dozen arrays."""

    @staticmethod
    def forward(
        ctx: Any, log_rates: Tensor, counts: Tensor, exposure: Tensor, learns: Tensor | None
    ) -> Tensor:
        gradient = torch.empty_like(log_rates)
        value = log_rates.new_zeros(())
        # counted before, since a further pass over the gradient to divide it would cost more
        n_observed = torch.stack([e.sign().sum() for e in _pieces(exposure)]).sum().clamp_(min=1)
        whole = (log_rates, counts, exposure, gradient, *([] if learns is None else [learns]))
        for lr, k, e, out, *teaches in zip(*map(_pieces, whole), strict=True):
            # masks as numbers: a product takes a tenth of the time of where(). At an unobserved
            # entry the log rate becomes 0 before exp(), as in poisson_nll
            observed = torch.sign(e)
            torch.mul(lr, observed, out=out)
            value -= (k * out).sum()
            value += out.exp_().mul_(e).sum()
            out.sub_(k).mul_(observed.div_(n_observed))
            for mask in teaches:
                out.mul_(mask.view(torch.uint8))  # a quarter of the time of a bool
        ctx.save_for_backward(gradient)
        return value / n_observed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        if given.device.type == "cpu" and given.item() == 1.0:  # no wait, and one pass saved
            return gradient, None, None, None
        return gradient * given, None, None, None


def _pieces(values: Tensor) -> Sequence[Tensor]:
    """Parts that fit a processor's cache; a batch lies in memory as bin, channel, batch."""
    if values.ndim != 3:
        return (values,)
    values = values.permute(1, 2, 0)
    if values.device.type != "cpu" or not values.numel():
        return (values,)
    return values.chunk(-(-values.numel() // _CACHED))


def coordinated_dropout(
    counts: Float[Tensor, "batch bin channel"],
    exposure: Float[Tensor, "batch bin channel"],
    rate: float,
    generator: torch.Generator,
) -> tuple[
    Float[Tensor, "batch bin channel"],
    Float[Tensor, "batch bin channel"],
    Bool[Tensor, "batch bin channel"],
]:
    """Hide a share of the entries from the encoder; only what is hidden may teach.

    So a model cannot learn to copy its input. The published order is kept: missing entries are
    zero-filled first, the draw is over all entries, and what stays is not yet rescaled (see
    ``rescale_input`` of the decoders).

    Parameters
    ----------
    rate : float
        Share of entries hidden, in (0, 1).

    Returns
    -------
    counts, exposure : Tensor
        What the encoder sees.
    learns : Tensor
        Entries that may send a gradient back.

    References
    ----------
    Keshtkaran & Pandarinath, "Enabling hyperparameter optimization in sequential autoencoders
    for spiking neural data", NeurIPS 2019.
    """
    # the generator may live on the CPU while the data is on an accelerator
    n_batch, n_bins, n_channels = counts.shape
    bits = random_bits(counts.numel(), generator.device, generator).to(counts.device)
    # (bin, channel, batch), so that the draw lies in memory as batches do
    bits = bits.view(n_bins, n_channels, n_batch).permute(2, 0, 1)
    seen, seen_exposure = torch.empty_like(counts), torch.empty_like(exposure)
    learns = torch.empty_like(bits, dtype=torch.uint8)
    whole = (bits, counts, exposure, seen, seen_exposure, learns)
    for draw, k, e, seen_k, seen_e, hidden in zip(*map(_pieces, whole), strict=True):
        kept = torch.ge(draw, threshold(rate), out=seen_e)
        torch.mul(k, kept, out=seen_k)
        torch.lt(draw, threshold(rate), out=hidden)
        kept.mul_(e)
    return seen, seen_exposure, learns.view(torch.bool)


def gaussian_kl(
    mean: Float[Tensor, "batch *bin dim"],
    log_var: Float[Tensor, "batch *bin dim"],
    prior_mean: Float[Tensor, " dim"],
    prior_log_var: Float[Tensor, " dim"],
    inside: Float[Tensor, "*batch_and_bin"] | None = None,
) -> Float[Tensor, ""]:
    """KL of diagonal Gaussians, summed over bins and dimensions, mean over the batch. [nat]

    Bins where `inside` is 0 are left out.
    """
    ratio = (log_var - prior_log_var).exp()
    distance = (mean - prior_mean).square() / prior_log_var.exp()
    kl = 0.5 * (ratio + distance - 1.0 + prior_log_var - log_var).sum(-1)
    kl = kl if inside is None else kl * inside
    return kl.flatten(1).sum(1).mean() if kl.ndim > 1 else kl.mean()


def student_t_kl(
    sample: Float[Tensor, "batch bin dim"],
    loc: Float[Tensor, "batch bin dim"],
    log_scale: Float[Tensor, "batch bin dim"],
    prior_loc: Float[Tensor, " dim"],
    prior_log_scale: Float[Tensor, " dim"],
    df: float,
    inside: Float[Tensor, "batch bin"] | None = None,
) -> Float[Tensor, ""]:
    """One-sample KL between Student-t distributions of the same degrees of freedom.

    Parameters
    ----------
    sample : Tensor
        Drawn from the posterior given by `loc` and `log_scale`.
    df : float
        Degrees of freedom.
    inside : Tensor, optional
        0 for bins that are left out.

    Returns
    -------
    Tensor
        Summed over bins and dimensions, mean over the batch. [nat]
    """

    def log_density(centre: Tensor, log_width: Tensor) -> Tensor:  # but for what is common to both
        square = ((sample - centre) * torch.exp(-log_width)).square()
        return -log_width - 0.5 * (df + 1) * torch.log1p(square / df)

    ratio = log_density(loc, log_scale) - log_density(prior_loc, prior_log_scale)
    ratio = ratio if inside is None else ratio * inside[:, :, None]
    return ratio.sum((1, 2)).mean()


def autoregressive_kl(
    sample: Float[Tensor, "batch bin dim"],
    mean: Float[Tensor, "batch bin dim"],
    log_var: Float[Tensor, "batch bin dim"],
    log_tau: Float[Tensor, " dim"],
    log_noise_var: Float[Tensor, " dim"],
    inside: Float[Tensor, "batch bin"] | None = None,
) -> Float[Tensor, ""]:
    """One-sample KL of controller outputs against a first-order autoregressive Gaussian prior.

    Parameters
    ----------
    sample : Tensor
        Controller outputs drawn from the posterior given by `mean` and `log_var`.
    log_tau : Tensor
        Log of the prior's autocorrelation time. [ln bins]
    log_noise_var : Tensor
        Log of its innovation variance; the first bin has the stationary variance.
    inside : Tensor, optional
        0 for bins at the end that are left out.

    Returns
    -------
    Tensor
        Summed over bins and dimensions, mean over the batch. [nat]
    """
    phi = torch.exp(-torch.exp(-log_tau))
    stationary = log_noise_var - torch.log1p(-(phi.square()).clamp(max=1 - 1e-6))
    first = _log_normal(sample[:, :1], torch.zeros_like(sample[:, :1]), stationary)
    rest = _log_normal(sample[:, 1:], phi * sample[:, :-1], log_noise_var)
    posterior = _log_normal(sample, mean, log_var)
    if inside is not None:
        rest, posterior = rest * inside[:, 1:, None], posterior * inside[:, :, None]
    log_prior = first.sum((1, 2)) + rest.sum((1, 2))
    return (posterior.sum((1, 2)) - log_prior).mean()


def _log_normal(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return -0.5 * ((x - mean).square() / log_var.exp() + log_var + math.log(2 * math.pi))

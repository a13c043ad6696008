"""The networks in plain PyTorch, as published: what benchmarks/speed/training.py measures against.

Every line here leaves the gradient to autograd. Parameters have the names and shapes of
`sbtt_models`, so that weights can be copied from one to the other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainAutoencoder(nn.Module):
    """Bidirectional GRU, linear, GRU, linear: the network of the published demonstration."""

    def __init__(self, n_inputs: int, n_channels: int, hidden: int, size: int, dropout: float):
        super().__init__()
        self.encoder = nn.GRU(n_inputs, hidden, batch_first=True, bidirectional=True)
        self.latent = nn.Linear(2 * hidden, size)
        self.generator = nn.GRU(1, size, batch_first=True)
        self.readout = nn.Linear(size, n_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Tensor, noise: bool = True) -> tuple[Tensor, Tensor]:
        del noise  # nothing is sampled here
        _, last = self.encoder(seen)
        initial = self.dropout(self.latent(self.dropout(torch.cat([last[0], last[1]], dim=1))))
        nothing = seen.new_zeros(seen.shape[0], seen.shape[1], 1)
        states, _ = self.generator(nothing, initial[None].contiguous())
        return self.readout(states), seen.new_zeros(())


class _Inputs(nn.Module):
    def __init__(self, n_inputs: int, encoder: int, control: int, outputs: int, factors: int):
        super().__init__()
        self.encoder = nn.GRU(n_inputs, encoder, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(2 * encoder + factors, control)
        self.initial = nn.Parameter(torch.zeros(control))
        self.posterior = nn.Linear(control, 2 * outputs)
        self.prior = nn.Module()
        self.prior.log_tau = nn.Parameter(torch.full((outputs,), math.log(10.0)))
        self.prior.log_noise_var = nn.Parameter(torch.full((outputs,), math.log(0.1)))


class PlainLFADS(nn.Module):
    """LFADS with a controller, one bin after the other, at the sizes published for MC_Maze."""

    clip, kl_scale, lag = 5.0, 1e-7, 1

    def __init__(self, n_inputs: int, n_channels: int, dropout: float, stepwise: bool):
        super().__init__()
        encoder, ic, size, factors = 64, 64, 200, 100
        self.stepwise = stepwise
        """Encoders, too, one bin after the other and clipped, as lfads-torch has them."""
        self.dropout = nn.Dropout(dropout)
        self.ic_encoder = nn.GRU(n_inputs, encoder, batch_first=True, bidirectional=True)
        self.ic_posterior = nn.Linear(2 * encoder, 2 * ic)
        self.ic_prior = nn.Module()
        self.ic_prior.mean = nn.Parameter(torch.zeros(ic))
        self.ic_prior.register_buffer("log_var", torch.full((ic,), 0.1).log())
        self.ic_to_state = nn.Linear(ic, size)
        self.inputs = _Inputs(n_inputs, encoder, 64, 4, factors)
        self.generator = nn.GRUCell(4, size)
        self.to_factors = nn.Linear(size, factors, bias=False)
        self.readout = nn.Linear(factors, n_channels)

    def forward(self, seen: Tensor, noise: bool = True) -> tuple[Tensor, Tensor]:
        seen = self.dropout(seen)
        _, last = self._encode(self.ic_encoder, seen)
        posterior = self.ic_posterior(self.dropout(last))
        mean, log_var = posterior.chunk(2, dim=1)
        log_var = torch.log(log_var.exp() + 1e-4)
        state = self.ic_to_state(_sample(mean, log_var, noise))
        ratio = (log_var - self.ic_prior.log_var).exp()
        distance = (mean - self.ic_prior.mean).square() / self.ic_prior.log_var.exp()
        kl = 0.5 * (ratio + distance - 1 + self.ic_prior.log_var - log_var).sum(1).mean()
        heard = self._heard(seen)
        rows = functional.normalize(self.to_factors.weight, dim=1)
        factor = self.dropout(state) @ rows.T
        control = self.inputs.initial.expand(seen.shape[0], -1)
        factors, samples, means, log_vars = [], [], [], []
        for t in range(seen.shape[1]):
            told = self.dropout(torch.cat([heard[:, t], factor], dim=1))
            control = self.inputs.cell(told, control).clamp(-self.clip, self.clip)
            mean, log_var = self.inputs.posterior(control).chunk(2, dim=1)
            sample = _sample(mean, log_var, noise)
            state = self.generator(sample, state).clamp(-self.clip, self.clip)
            factor = self.dropout(state) @ rows.T
            for kept, one in zip(
                (factors, samples, means, log_vars), (factor, sample, mean, log_var), strict=True
            ):
                kept.append(one)
        sample, mean, log_var = (torch.stack(x, dim=1) for x in (samples, means, log_vars))
        kl = kl + _autoregressive_kl(sample, mean, log_var, self.inputs.prior)
        return self.readout(torch.stack(factors, dim=1)), self.kl_scale * kl

    def _encode(self, gru: nn.GRU, seen: Tensor) -> tuple[Tensor, Tensor]:
        if not self.stepwise:
            states, last = gru(seen)
            return states, torch.cat([last[0], last[1]], dim=1)
        sides, last = [], []
        for end, order in (("_l0", 1), ("_l0_reverse", -1)):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(gru, name + end) for name in names]
            state = seen.new_zeros(seen.shape[0], gru.hidden_size)
            states = []
            for x in seen.unbind(1)[::order]:
                state = torch.gru_cell(x, state, *weights).clamp(-self.clip, self.clip)
                states.append(state)
            sides.append(torch.stack(states[::order], dim=1))
            last.append(state)
        return torch.cat(sides, dim=2), torch.cat(last, dim=1)

    def _heard(self, seen: Tensor) -> Tensor:
        states, _ = self._encode(self.inputs.encoder, seen)
        ahead, back = states.chunk(2, dim=2)
        ahead = functional.pad(ahead, (0, 0, self.lag, 0))[:, : states.shape[1]]
        back = functional.pad(back, (0, 0, 0, self.lag))[:, self.lag :]
        return torch.cat([ahead, back], dim=2)


def _sample(mean: Tensor, log_var: Tensor, noise: bool) -> Tensor:
    return mean + (0.5 * log_var).exp() * torch.randn_like(mean) if noise else mean


def _autoregressive_kl(sample: Tensor, mean: Tensor, log_var: Tensor, prior: nn.Module) -> Tensor:
    phi = torch.exp(-torch.exp(-prior.log_tau))
    stationary = prior.log_noise_var - torch.log1p(-phi.square())
    first = _log_normal(sample[:, :1], torch.zeros_like(mean[:, :1]), stationary)
    rest = _log_normal(sample[:, 1:], phi * sample[:, :-1], prior.log_noise_var)
    own = _log_normal(sample, mean, log_var).sum((1, 2))
    return (own - first.sum((1, 2)) - rest.sum((1, 2))).mean()


def _log_normal(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return -0.5 * ((x - mean).square() / log_var.exp() + log_var + math.log(2 * math.pi))


def plain_loss(log_rates: Tensor, counts: Tensor, exposure: Tensor) -> Tensor:
    """Mean Poisson loss over the observed entries."""
    observed = exposure > 0
    safe = torch.where(observed, log_rates, 0.0)
    nll = torch.where(observed, safe.exp() * exposure - counts * safe, 0.0)
    return nll.sum() / observed.sum().clamp(min=1)


def plain_dropout(counts: Tensor, exposure: Tensor, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinated dropout: what the encoder sees, and what may teach."""
    hidden = torch.rand_like(counts) < rate
    return counts.masked_fill(hidden, 0.0), exposure.masked_fill(hidden, 0.0), hidden

"""LFADS as a torch module: encoders, controller, generator, factors, log rates."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from sbtt_models.decoders.lfads import LFADS, Controller
from sbtt_models.losses import autoregressive_kl, gaussian_kl
from sbtt_models.nets.base import Inferred, Network

__all__ = ["LFADSNetwork"]


class LFADSNetwork(Network):
    """See :class:`sbtt_models.decoders.lfads.LFADS`."""

    def __init__(self, spec: LFADS, n_channels: int, log_mean: Float[Tensor, " channel"]) -> None:
        super().__init__()
        ic = spec.initial_condition
        n_inputs = n_channels * (2 if spec.mask_input else 1)
        self.spec = spec
        self.dropout = nn.Dropout(spec.dropout)
        self.ic_encoder = nn.GRU(n_inputs, ic.encoder, batch_first=True, bidirectional=True)
        self.ic_posterior = nn.Linear(2 * ic.encoder, 2 * ic.size)
        self.ic_prior_mean = nn.Parameter(torch.zeros(ic.size))
        self.ic_prior_log_var: Tensor
        self.register_buffer("ic_prior_log_var", torch.full((ic.size,), ic.prior_variance).log())
        self.ic_to_state = (
            nn.Identity() if ic.size == spec.generator else nn.Linear(ic.size, spec.generator)
        )
        self.inputs = _InferredInputs(spec, spec.controller, n_inputs) if spec.controller else None
        n_controls = spec.controller.outputs if spec.controller else 1
        self.generator = nn.GRUCell(n_controls, spec.generator)
        self.to_factors = nn.Linear(spec.generator, spec.factors, bias=False)
        self.readout = nn.Linear(spec.factors, n_channels)
        with torch.no_grad():
            self.readout.bias.copy_(log_mean)

    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
    ) -> Inferred:
        """Infer log rates and the KL and L2 penalties. Shapes as :meth:`Network.forward`."""
        seen = torch.cat([counts, exposure], dim=2) if self.spec.mask_input else counts
        seen = self.dropout(seen)
        _, last = self.ic_encoder(seen)
        posterior = self.ic_posterior(self.dropout(torch.cat([last[0], last[1]], dim=1)))
        mean, log_var = posterior.chunk(2, dim=1)  # (batch, ic)
        log_var = torch.log(log_var.exp() + self.spec.initial_condition.least_variance)
        initial = mean if generator is None else _sample(mean, log_var, generator)
        state = self.ic_to_state(initial)
        kl_ic = gaussian_kl(mean, log_var, self.ic_prior_mean, self.ic_prior_log_var)
        penalties = {"kl_ic": self.spec.initial_condition.kl_scale * kl_ic}

        factors, kl_inputs = self._unroll(seen, state, generator)
        if kl_inputs is not None and self.spec.controller is not None:
            penalties["kl_co"] = self.spec.controller.kl_scale * kl_inputs
        if self.spec.l2_scale > 0:
            penalties["l2"] = self.spec.l2_scale * self._l2()
        return Inferred(self.readout(factors), penalties)

    def _unroll(
        self,
        seen: Float[Tensor, "batch bin input"],
        state: Float[Tensor, "batch generator"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "batch bin factor"], Float[Tensor, ""] | None]:
        """Run the generator, with the controller in the loop, over all bins."""
        n_bins, clip = seen.shape[1], self.spec.state_clip
        rows = functional.normalize(self.to_factors.weight, dim=1)
        factor = self.dropout(state) @ rows.T
        factors = []
        if self.inputs is None:
            nothing = seen.new_zeros(seen.shape[0], 1)
            for _ in range(n_bins):
                state = self.generator(nothing, state).clamp(-clip, clip)
                factors.append(self.dropout(state) @ rows.T)
            return torch.stack(factors, dim=1), None
        heard = self.inputs.encode(seen)
        control = self.inputs.start(seen.shape[0])
        samples, means, log_vars = [], [], []
        for t in range(n_bins):
            control, mean, log_var = self.inputs.step(heard[:, t], factor, control)
            sample = mean if generator is None else _sample(mean, log_var, generator)
            state = self.generator(sample, state).clamp(-clip, clip)
            factor = self.dropout(state) @ rows.T
            factors.append(factor)
            samples.append(sample)
            means.append(mean)
            log_vars.append(log_var)
        kl = autoregressive_kl(
            torch.stack(samples, dim=1),
            torch.stack(means, dim=1),
            torch.stack(log_vars, dim=1),
            self.inputs.log_tau,
            self.inputs.log_noise_var,
        )
        return torch.stack(factors, dim=1), kl

    def _l2(self) -> Float[Tensor, ""]:
        weights = [self.generator.weight_hh]
        if self.inputs is not None:
            weights.append(self.inputs.cell.weight_hh)
        return torch.stack([w.square().mean() for w in weights]).sum()


class _InferredInputs(nn.Module):
    """Controller encoder, controller, and the posterior over its outputs."""

    def __init__(self, spec: LFADS, controller: Controller, n_inputs: int) -> None:
        super().__init__()
        self.lag, self.clip = controller.lag, spec.state_clip
        self.dropout = nn.Dropout(spec.dropout)
        self.encoder = nn.GRU(n_inputs, controller.encoder, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(2 * controller.encoder + spec.factors, controller.size)
        self.initial = nn.Parameter(torch.zeros(controller.size))
        self.posterior = nn.Linear(controller.size, 2 * controller.outputs)
        prior = torch.ones(controller.outputs)
        self.log_tau = nn.Parameter(prior * math.log(controller.prior_tau))
        self.log_noise_var = nn.Parameter(prior * math.log(controller.prior_variance))

    def encode(self, seen: Float[Tensor, "batch bin input"]) -> Float[Tensor, "batch bin heard"]:
        states, _ = self.encoder(seen)
        if self.lag == 0:
            return states
        ahead, back = states.chunk(2, dim=2)
        # at bin t the forward pass tells of bins up to t - lag, the backward pass from t + lag
        ahead = functional.pad(ahead, (0, 0, self.lag, 0))[:, : states.shape[1]]
        back = functional.pad(back, (0, 0, 0, self.lag))[:, self.lag :]
        return torch.cat([ahead, back], dim=2)

    def start(self, batch: int) -> Float[Tensor, "batch control"]:
        return self.initial.expand(batch, -1)

    def step(
        self,
        heard: Float[Tensor, "batch heard"],
        factor: Float[Tensor, "batch factor"],
        control: Float[Tensor, "batch control"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        control = self.cell(self.dropout(torch.cat([heard, factor], dim=1)), control)
        control = control.clamp(-self.clip, self.clip)
        mean, log_var = self.posterior(control).chunk(2, dim=1)
        return control, mean, log_var


def _sample(mean: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_var).exp() * noise

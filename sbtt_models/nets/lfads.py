"""LFADS as a torch module: encoders, controller, generator, factors, log rates."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from sbtt_models.decoders.lfads import LFADS, Controller
from sbtt_models.losses import autoregressive_kl, gaussian_kl
from sbtt_models.nets.base import Inferred, Network, together
from sbtt_models.nets.coins import drop_inputs
from sbtt_models.nets.gru import encode
from sbtt_models.nets.lfads_scan import Control, Rules, scan
from sbtt_models.nets.unroll import read_out
from sbtt_models.nets.workspace import Workspace

__all__ = ["LFADSNetwork"]


class LFADSNetwork(Network):
    """See :class:`sbtt_models.decoders.lfads.LFADS`."""

    encoder_parts = ("ic_encoder.", "ic_posterior.", "inputs.encoder.")
    read_in_parts = tuple(
        f"{e}.{p}_ih" for e in ("ic_encoder", "inputs.encoder") for p in ("weight", "bias")
    )

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
        self.workspace = Workspace()
        with torch.no_grad():
            self.readout.bias.copy_(log_mean)

    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
    ) -> Inferred:
        """Infer log rates and the KL and L2 penalties. Shapes as :meth:`Network.forward`."""
        seen = together(counts, exposure) if self.spec.mask_input else counts
        if self.training:
            seen = drop_inputs(seen, self.spec.dropout)
        last, heard = self._encode(seen)
        mean, log_var = self.ic_posterior(self.dropout(last)).chunk(2, dim=1)  # (batch, ic)
        log_var = torch.log(log_var.exp() + self.spec.initial_condition.least_variance)
        initial = mean if generator is None else _sample(mean, log_var, generator)
        state = self.ic_to_state(initial)
        kl_ic = gaussian_kl(mean, log_var, self.ic_prior_mean, self.ic_prior_log_var)
        penalties = {"kl_ic": self.spec.initial_condition.kl_scale * kl_ic}

        factors, kl_inputs = self._unroll(heard, state, generator)
        if kl_inputs is not None and self.spec.controller is not None:
            penalties["kl_co"] = self.spec.controller.kl_scale * kl_inputs
        if self.spec.l2_scale > 0:
            penalties["l2"] = self.spec.l2_scale * self._l2()
        log_rates = read_out(self.readout, factors).permute(2, 0, 1)
        return Inferred(log_rates, penalties)

    def _encode(
        self, seen: Float[Tensor, "batch bin input"]
    ) -> tuple[Float[Tensor, "batch encoded"], Float[Tensor, "bin heard batch"]]:
        """Read a window: for the initial condition, and for the controller."""
        ic, inputs = self.ic_encoder, self.inputs
        if inputs is None or inputs.encoder.hidden_size != ic.hidden_size:
            last, _ = encode([ic], seen, self.workspace)
            nothing = seen.new_empty(seen.shape[1], 0, seen.shape[0])
            return last, nothing if inputs is None else inputs.read(seen)
        last, heard = encode(
            [ic, inputs.encoder], seen, self.workspace, every_bin=True, lag=inputs.lag
        )
        return last[:, : 2 * ic.hidden_size], heard

    def _unroll(
        self,
        heard: Float[Tensor, "bin heard batch"],
        state: Float[Tensor, "batch generator"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "bin factor batch"], Float[Tensor, ""] | None]:
        """Run the generator, with the controller in the loop, over all bins."""
        dropout = self.spec.dropout if self.training else 0.0
        rules = Rules(heard.shape[0], self.spec.state_clip, dropout)
        rows = functional.normalize(self.to_factors.weight, dim=1)
        control = None if self.inputs is None else self.inputs.hear(heard, generator)
        factors, inputs, posterior = scan(
            self.generator, rows, state, control, rules, self.workspace
        )
        if self.inputs is None:
            return factors, None
        mean, log_var = posterior.chunk(2, dim=1)  # (bin, output, batch)
        kl = autoregressive_kl(
            inputs.permute(2, 0, 1),
            mean.permute(2, 0, 1),
            log_var.permute(2, 0, 1),
            self.inputs.log_tau,
            self.inputs.log_noise_var,
        )
        return factors, kl

    def _l2(self) -> Float[Tensor, ""]:
        weights = [self.generator.weight_hh]
        if self.inputs is not None:
            weights.append(self.inputs.cell.weight_hh)
        return torch.stack([w.square().mean() for w in weights]).sum()


class _InferredInputs(nn.Module):
    """Controller encoder, controller, and the posterior over its outputs."""

    def __init__(self, spec: LFADS, controller: Controller, n_inputs: int) -> None:
        super().__init__()
        self.lag = controller.lag
        self.encoder = nn.GRU(n_inputs, controller.encoder, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(2 * controller.encoder + spec.factors, controller.size)
        self.initial = nn.Parameter(torch.zeros(controller.size))
        self.posterior = nn.Linear(controller.size, 2 * controller.outputs)
        prior = torch.ones(controller.outputs)
        self.log_tau = nn.Parameter(prior * math.log(controller.prior_tau))
        self.log_noise_var = nn.Parameter(prior * math.log(controller.prior_variance))
        self.workspace = Workspace()

    def read(self, seen: Float[Tensor, "batch bin input"]) -> Float[Tensor, "bin heard batch"]:
        """Read a window: what the controller hears at each bin."""
        _, heard = encode([self.encoder], seen, self.workspace, every_bin=True, lag=self.lag)
        return heard

    def hear(
        self, heard: Float[Tensor, "bin heard batch"], generator: torch.Generator | None
    ) -> Control:
        """Draw the noise of the inferred inputs."""
        noise = None
        if generator is not None:
            shape = (heard.shape[0], len(self.log_tau), heard.shape[2])
            noise = torch.randn(shape, generator=generator, device=generator.device)
            noise = noise.to(heard)
        return Control(self.cell, self.posterior, self.initial, heard, noise)


def _sample(mean: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_var).exp() * noise

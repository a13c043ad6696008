"""LFADS as a torch module: encoders, controller, generator, factors, log rates."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from sbtt_models.decoders.lfads import LFADS, Controller
from sbtt_models.nets.base import Inferred, Network, together
from sbtt_models.nets.coins import drop_inputs
from sbtt_models.nets.gru import encode, padding
from sbtt_models.nets.lfads_scan import Control, Rules, scan
from sbtt_models.nets.priors import Prior, prior_of
from sbtt_models.nets.unroll import read_out
from sbtt_models.nets.workspace import Workspace

__all__ = ["LFADSNetwork"]


class LFADSNetwork(Network):
    """See :class:`sbtt_models.decoders.lfads.LFADS`."""

    encoder_parts = ("ic_encoder.", "ic_posterior.", "inputs.encoder.")
    read_in_parts = tuple(
        f"{e}.{p}_ih" for e in ("ic_encoder", "inputs.encoder") for p in ("weight", "bias")
    )

    def __init__(
        self, spec: LFADS, n_channels: int, start: Float[Tensor, " output"], n_external: int = 0
    ) -> None:
        super().__init__()
        ic = spec.initial_condition
        n_inputs = n_channels * (2 if spec.mask_input else 1)
        self.spec, self.samples = spec, spec.samples
        to_generator = n_external if spec.external in ("generator", "both") else 0
        to_controller = n_external if spec.external in ("controller", "both") else 0
        self.dropout = nn.Dropout(spec.dropout)
        self.ic_encoder = nn.GRU(n_inputs, ic.encoder, batch_first=True, bidirectional=True)
        self.ic_posterior = nn.Linear(2 * ic.encoder, 2 * ic.size)
        self.ic_prior = prior_of(ic.prior, ic.size)
        self.ic_to_state = (
            nn.Identity() if ic.size == spec.generator else nn.Linear(ic.size, spec.generator)
        )
        self.inputs = None
        if spec.controller:
            self.inputs = _InferredInputs(spec, spec.controller, n_inputs, to_controller)
        n_controls = spec.controller.outputs if spec.controller else 0
        # an autonomous generator keeps one input that is always 0: its weights never learn
        self.generator = nn.GRUCell(max(n_controls + to_generator, 1), spec.generator)
        self.to_factors = nn.Linear(spec.generator, spec.factors, bias=False)
        self.readout = nn.Linear(spec.factors, len(start))
        self.workspace = Workspace()
        with torch.no_grad():
            self.readout.bias.copy_(start)

    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
        external: Float[Tensor, "batch bin external"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Inferred:
        """Infer, with the KL and L2 penalties. Shapes as :meth:`Network.forward`."""
        seen = together(counts, exposure) if self.spec.mask_input else counts
        if self.training:
            seen = drop_inputs(seen, self.spec.dropout)
        last, heard = self._encode(seen[:, : self.spec.encoder_bins], lengths)
        mean, log_var = self.ic_posterior(self.dropout(last)).chunk(2, dim=1)  # (batch, ic)
        log_var = torch.log(log_var.exp() + self.spec.initial_condition.least_variance)
        initial = mean if generator is None else self._sample(mean, log_var, generator)
        state = self.ic_to_state(initial)
        kl_ic = self.ic_prior.divergence(*(one[:, None] for one in (initial, mean, log_var)))
        penalties = {"kl_ic": self.spec.initial_condition.kl_scale * kl_ic}

        driven = self._driven(heard, counts.shape[1], external)
        factors, kl_inputs = self._unroll(driven, state, generator, self._given(external), lengths)
        if kl_inputs is not None and self.spec.controller is not None:
            penalties["kl_co"] = self.spec.controller.kl_scale * kl_inputs
        if self.spec.l2_scale > 0:
            penalties["l2"] = self.spec.l2_scale * self._l2()
        return Inferred(read_out(self.readout, factors).permute(2, 0, 1), penalties)

    def _sample(
        self,
        mean: Float[Tensor, "batch ic"],
        log_var: Float[Tensor, "batch ic"],
        generator: torch.Generator,
    ) -> Float[Tensor, "batch ic"]:
        n_draws = mean.shape[0] if self.training else 1
        noise = self.ic_prior.noise((n_draws, mean.shape[1]), generator).to(mean)
        return mean + (0.5 * log_var).exp() * noise

    def _driven(
        self,
        heard: Float[Tensor, "seen heard batch"],
        n_bins: int,
        external: Float[Tensor, "batch bin external"] | None,
    ) -> Float[Tensor, "bin told batch"]:
        """What the controller is told in each bin: nothing of those the encoder did not see."""
        if heard.shape[0] < n_bins:
            unseen = heard.new_zeros(n_bins - heard.shape[0], *heard.shape[1:])
            heard = torch.cat([heard, unseen])
        if external is None or self.spec.external not in ("controller", "both"):
            return heard
        if self.inputs is None:
            return heard
        return torch.cat([heard, external.permute(1, 2, 0)], dim=1)

    def _given(
        self, external: Float[Tensor, "batch bin external"] | None
    ) -> Float[Tensor, "bin external batch"] | None:
        """What drives the generator from outside."""
        if external is None or self.spec.external not in ("generator", "both"):
            return None
        return self.dropout(external).permute(1, 2, 0)

    def _encode(
        self, seen: Float[Tensor, "batch bin input"], lengths: Int[Tensor, " batch"] | None
    ) -> tuple[Float[Tensor, "batch encoded"], Float[Tensor, "bin heard batch"]]:
        """Read a window: for the initial condition, and for the controller."""
        ic, inputs = self.ic_encoder, self.inputs
        if inputs is None or inputs.encoder.hidden_size != ic.hidden_size:
            last, _ = encode([ic], seen, self.workspace, lengths)
            nothing = seen.new_empty(seen.shape[1], 0, seen.shape[0])
            return last, nothing if inputs is None else inputs.read(seen, lengths)
        last, heard = encode(
            [ic, inputs.encoder], seen, self.workspace, lengths, every_bin=True, lag=inputs.lag
        )
        return last[:, : 2 * ic.hidden_size], heard

    def _unroll(
        self,
        heard: Float[Tensor, "bin heard batch"],
        state: Float[Tensor, "batch generator"],
        generator: torch.Generator | None,
        external: Float[Tensor, "bin external batch"] | None,
        lengths: Int[Tensor, " batch"] | None,
    ) -> tuple[Float[Tensor, "bin factor batch"], Float[Tensor, ""] | None]:
        """Run the generator, with the controller in the loop, over all bins."""
        dropout = self.spec.dropout if self.training else 0.0
        rules = Rules(heard.shape[0], self.spec.state_clip, dropout)
        rows = functional.normalize(self.to_factors.weight, dim=1)
        control = None if self.inputs is None else self.inputs.hear(heard, generator)
        factors, inputs, posterior = scan(
            self.generator, rows, state, control, rules, self.workspace, external
        )
        if self.inputs is None:
            return factors, None
        inside = None  # of the bins after a trial nothing is inferred that could cost
        if lengths is not None:
            inside = (~padding(lengths, heard.shape[0])).to(heard)
        parts = (inputs, *posterior.chunk(2, dim=1))  # (bin, output, batch)
        sample, mean, log_var = (part.permute(2, 0, 1) for part in parts)
        return factors, self.inputs.prior.divergence(sample, mean, log_var, inside)

    def _l2(self) -> Float[Tensor, ""]:
        weights = [self.generator.weight_hh]
        if self.inputs is not None:
            weights.append(self.inputs.cell.weight_hh)
        return torch.stack([w.square().mean() for w in weights]).sum()


class _InferredInputs(nn.Module):
    """Controller encoder, controller, and the posterior over its outputs."""

    def __init__(
        self, spec: LFADS, controller: Controller, n_inputs: int, n_external: int
    ) -> None:
        super().__init__()
        self.lag = controller.lag
        self.encoder = nn.GRU(n_inputs, controller.encoder, batch_first=True, bidirectional=True)
        told = 2 * controller.encoder + n_external + spec.factors
        self.cell = nn.GRUCell(told, controller.size)
        self.initial = nn.Parameter(torch.zeros(controller.size))
        self.posterior = nn.Linear(controller.size, 2 * controller.outputs)
        self.prior: Prior = prior_of(controller.prior, controller.outputs)
        self.workspace = Workspace()

    def read(
        self,
        seen: Float[Tensor, "batch bin input"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "bin heard batch"]:
        """Read a window: what the controller hears at each bin."""
        _, heard = encode(
            [self.encoder], seen, self.workspace, lengths, every_bin=True, lag=self.lag
        )
        return heard

    def hear(
        self, heard: Float[Tensor, "bin heard batch"], generator: torch.Generator | None
    ) -> Control:
        """Draw the noise of the inferred inputs."""
        noise = None
        if generator is not None:
            n_bins, _, batch = heard.shape
            n_outputs = self.posterior.out_features // 2
            shape = (n_bins, n_outputs, batch if self.training else 1)
            noise = self.prior.noise(shape, generator).to(heard).expand(-1, -1, batch)
        return Control(self.cell, self.posterior, self.initial, heard, noise)

"""One pass of LFADS over its bins. All arrays are (feature, batch)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sbtt_models.nets.cells import Trace, cell_forward
from sbtt_models.nets.coins import Coins
from sbtt_models.nets.workspace import long_lived

__all__ = ["Buffers", "Rules", "Run"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run of the dynamics needs besides parameters."""

    n_bins: int
    clip: float
    """States are kept within plus or minus this."""
    dropout: float
    """0 where nothing is dropped."""


class Buffers:
    """What a run keeps for the way back."""

    def __init__(
        self, n_bins: int, sizes: tuple[int, int, int, int, int, int], keep: bool, like: Tensor
    ) -> None:
        """Make them. `sizes` are heard, factors, control, outputs, generator, external."""
        n_heard, n_factors, n_control, n_outputs, size, n_external = sizes
        batch = like.shape[0]
        kept = n_bins if keep else 1
        driven = n_outputs + n_external
        self.generator = Trace((n_bins, 1, size, batch), (driven, 0), keep, like)
        self.state_coins = Coins(n_bins + 1, (size, batch), like)
        stored = long_lived(like, n_bins + 1 if keep else 1, size, batch)
        self.dropped = list(stored) * (1 if keep else n_bins + 1)
        """What is read out of each state: half of it, with some dropped."""
        if n_control:
            n_listened = n_heard + n_factors
            self.control = Trace((n_bins, 1, n_control, batch), (n_listened, 0), keep, like)
            self.listen_coins = Coins(n_bins, (n_listened, batch), like)
            self.listened = list(long_lived(like, kept, n_listened, batch)) * (n_bins // kept)
            self.deviation = list(like.new_empty(kept, n_outputs, batch)) * (n_bins // kept)


class Run:
    """One pass over the bins."""

    def __init__(
        self, buffers: Buffers, rules: Rules, parameters: tuple[Tensor, ...], noise: Tensor | None
    ) -> None:
        self.rules, self.noise, self.buffers = rules, noise, buffers
        self.scale = 1.0 / (1.0 - rules.dropout)
        rows, *own = parameters[:5]
        self.generator = buffers.generator
        self.generator.weights.pack([own])
        self.rows = (2 * self.scale) * rows  # on k - 1/2, half a state
        batch = buffers.dropped[0].shape[1]
        size = rows.shape[1]
        bias = self.generator.weights.bias.expand(-1, -1, batch)
        if len(parameters) == 5:
            bias = bias.contiguous()
        self.from_input, self.rest = bias[0, : 3 * size], bias[:, 3 * size :]
        self.offset, self.candidate = bias[:, size:], bias[:, :size]
        self.controlled = len(parameters) > 5
        if self.controlled:
            self.start, weight, own_bias, *cell = parameters[5:]
            self.control = buffers.control
            self.control.weights.pack([cell])
            self.control.weights.inputs.mul_(self.scale)
            self.posterior = 2 * weight
            self.posterior_bias = (own_bias - weight.sum(1))[:, None].expand(-1, batch)
            n_control = weight.shape[1]
            bias = self.control.weights.bias.expand(-1, -1, batch)
            self.control_bias, self.control_rest = (
                bias[0, : 3 * n_control],
                bias[:, 3 * n_control :],
            )

    def all_bins(
        self,
        heard: Tensor | None,
        initial: Tensor,
        outputs: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        """Write factors, inputs and their posterior, each (bin, feature, batch).

        Inputs come with the external ones in their last features.
        """
        factors, inputs, posterior = (output.unbind(0) for output in outputs)
        samples = outputs[1][:, : outputs[2].shape[1] // 2].unbind(0)
        first = self.generator.first
        torch.add(initial.t(), 1, out=first[0]).mul_(0.5)
        if self.rules.dropout:
            self.buffers.state_coins.toss()
        if heard is not None:
            if self.rules.dropout:
                self.buffers.listen_coins.toss()
            self.control.first[0].copy_((0.5 + 0.5 * self.start)[:, None])
            factor = torch.empty_like(factors[0])
            self.read(0, first, factor)
        for t in range(self.rules.n_bins):
            if heard is not None:
                self.infer(t, self.listen(t, heard[t], factor), posterior[t], samples[t])
            state = self.generate(t, inputs[t])
            factor = factors[t]
            self.read(t + 1, state, factor)

    def clips(self, t: int) -> bool:
        """Whether a state can leave the bounds: afterwards it only moves towards -1 ... 1."""
        return t == 0 or self.rules.clip < 1

    def clamp(self, t: int, state: Tensor) -> None:
        """Keep a state k within bounds."""
        if self.clips(t):
            state.clamp_(0.5 - 0.5 * self.rules.clip, 0.5 + 0.5 * self.rules.clip)

    def clamp_back(self, t: int, state: Tensor, carry: Tensor) -> None:
        """No gradient passes where a state was moved to a bound."""
        if self.clips(t):
            low, high = 0.5 - 0.5 * self.rules.clip, 0.5 + 0.5 * self.rules.clip
            carry.mul_((state > low) & (state < high))

    def read(self, step: int, state: Tensor, factor: Tensor) -> None:
        """Factors of a state; `step` counts from the initial state."""
        dropped = torch.sub(state[0], 0.5, out=self.buffers.dropped[step])
        if self.rules.dropout:
            dropped.mul_(self.buffers.state_coins.kept(step, self.rules.dropout))
        torch.mm(self.rows, dropped, out=factor)

    def listen(self, t: int, heard: Tensor, factor: Tensor) -> Tensor:
        """What the controller is told: the encoder at this bin, and the factors before."""
        listened = self.buffers.listened[t]
        if not self.rules.dropout:
            return torch.cat([heard, factor], out=listened)
        kept = self.buffers.listen_coins.kept(t, self.rules.dropout)
        n_heard = heard.shape[0]
        torch.mul(heard, kept[:n_heard], out=listened[:n_heard])
        torch.mul(factor, kept[n_heard:], out=listened[n_heard:])
        return listened

    def infer(self, t: int, listened: Tensor, posterior: Tensor, sample: Tensor) -> None:
        """Advance the controller; its posterior, and a sample of it."""
        step, before, after = self.control.bins[t]
        weights = self.control.weights
        torch.addmm(self.control_bias, weights.inputs[0], listened, out=step.nrz[0])
        step.m.copy_(self.control_rest)
        cell_forward(step, weights.recurrent, before, step.rzm, step.n, after)
        self.clamp(t, after)
        torch.addmm(self.posterior_bias, self.posterior, after[0], out=posterior)
        mean, log_var = posterior.chunk(2)
        if self.noise is None:
            sample.copy_(mean)
            return
        deviation = torch.mul(log_var, 0.5, out=self.buffers.deviation[t]).exp_()
        torch.addcmul(mean, deviation, self.noise[t], out=sample)

    def generate(self, t: int, sample: Tensor) -> Tensor:
        """Advance the generator; its new state."""
        step, before, after = self.generator.bins[t]
        weights = self.generator.weights
        if sample.shape[0]:
            torch.addmm(self.from_input, weights.inputs[0], sample, out=step.nrz[0])
            step.m.copy_(self.rest)
            cell_forward(step, weights.recurrent, before, step.rzm, step.n, after)
        else:
            cell_forward(step, weights.recurrent, before, self.offset, self.candidate, after)
        self.clamp(t, after)
        return after

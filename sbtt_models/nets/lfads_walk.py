"""The way back over the bins of an LFADS run, by hand. All arrays are (feature, batch)."""

from __future__ import annotations

import torch
from torch import Tensor

from sbtt_models.nets.cells import Backprop, cell_backward, unpack_gradients
from sbtt_models.nets.lfads_run import Run
from sbtt_models.nets.workspace import Workspace

__all__ = ["Walk"]


class Walk:
    """The way back over the bins, and what it collects."""

    def __init__(self, run: Run, workspace: Workspace, inputs: Tensor) -> None:
        self.run, self.inputs = run, inputs.unbind(0)
        state = run.generator.first
        self.lease = Backprop.lent(workspace, tuple(state.shape), 0, state)
        self.generator: Backprop = self.lease.held
        self.generator.start()
        self.d_rows = torch.zeros_like(run.rows)
        self.d_state = torch.empty_like(state[0])
        self.d_from_input = torch.zeros_like(run.generator.weights.inputs[0])
        self.driven, self.controlled = inputs.shape[1] > 0, run.controlled
        if self.controlled:
            state = run.control.first
            self.control_lease = Backprop.lent(workspace, tuple(state.shape), 0, state)
            self.control: Backprop = self.control_lease.held
            self.control.start()
            self.d_listen = torch.zeros_like(run.control.weights.inputs[0].t().contiguous())
            self.d_read = torch.zeros_like(run.posterior)

    def all_bins(
        self, d_factors: Tensor, d_inputs: Tensor, d_posterior: Tensor, d_listened: Tensor
    ) -> None:
        """Walk from the last bin to the first; `d_listened` is written."""
        given = torch.empty_like(d_factors[0])
        from_factors = torch.zeros_like(given)
        n_heard, n_outputs = d_listened.shape[1] - len(given), d_inputs.shape[1]
        if self.controlled:
            self.sampled(d_inputs, d_posterior)
        for t in reversed(range(self.run.rules.n_bins)):
            self.read(t + 1, torch.add(d_factors[t], from_factors, out=given))
            d_sample = self.generate(t)
            if self.controlled:
                self.infer(t, d_sample[:n_outputs], d_listened[t])
                from_factors = d_listened[t, n_heard:]
        if self.controlled:
            self.read(0, from_factors)
            self.read_posterior()

    def sampled(self, d_inputs: Tensor, d_posterior: Tensor) -> None:
        """Samples give their gradient to their posterior: what is known of it before the walk."""
        run = self.run
        self.d_posterior = d_posterior.clone(memory_format=torch.contiguous_format)
        d_mean, d_log_var = self.d_posterior.chunk(2, dim=1)
        d_mean.add_(d_inputs)
        self.d_mean, self.d_log_var = d_mean.unbind(0), d_log_var.unbind(0)
        if run.noise is not None:
            spread = torch.stack(run.buffers.deviation).mul_(run.noise).mul_(0.5)
            d_log_var.addcmul_(d_inputs, spread)
            self.spread = spread.unbind(0)

    def read(self, step: int, given: Tensor) -> None:
        """Factors give their gradient to a state."""
        run, rate = self.run, self.run.rules.dropout
        self.d_rows.addmm_(given, run.buffers.dropped[step].t())
        carry = self.generator.carry[0]
        if rate:
            torch.mm(run.rows.t(), given, out=self.d_state)
            carry.addcmul_(self.d_state, run.buffers.state_coins.kept(step, rate))
        else:
            carry.addmm_(run.rows.t(), given)

    def generate(self, t: int) -> Tensor:
        """A generator step gives its gradient to its input."""
        trace = self.run.generator
        step, before, after = trace.bins[t]
        self.run.clamp_back(t, after, self.generator.carry)
        cell_backward(self.generator, step, trace.weights.transposed, before, after)
        grad = self.generator.step.nrz[0]
        if self.driven:
            self.d_from_input.addmm_(grad, self.inputs[t].t())
        return torch.mm(trace.weights.inputs[0].t(), grad)

    def infer(self, t: int, d_sample: Tensor, d_listened: Tensor) -> None:
        """A controller step gives its gradient to what it listened to."""
        run, trace, back = self.run, self.run.control, self.control
        step, before, after = trace.bins[t]
        self.d_mean[t].add_(d_sample)
        if run.noise is not None:
            self.d_log_var[t].addcmul_(d_sample, self.spread[t])
        back.carry[0].addmm_(run.posterior.t(), self.d_posterior[t])
        run.clamp_back(t, after, back.carry)
        cell_backward(back, step, trace.weights.transposed, before, after)
        grad = back.step.nrz[0]
        self.d_listen.addmm_(run.buffers.listened[t], grad.t())
        torch.mm(trace.weights.inputs[0].t(), grad, out=d_listened)
        if run.rules.dropout:
            d_listened.mul_(run.buffers.listen_coins.kept(t, run.rules.dropout))

    def read_posterior(self) -> None:
        """Collect what the posteriors of all bins give to their read-out."""
        for (_, _, after), given in zip(self.run.control.bins, self.d_posterior, strict=True):
            self.d_read.addmm_(given, after[0].t())

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Of the initial state and of every parameter, in the order of the arguments."""
        run = self.run
        inputs = self.d_from_input[None] if self.driven else None
        d_rows = (2 * run.scale) * self.d_rows
        own = unpack_gradients(self.generator, inputs)[0]
        shared = (0.5 * self.generator.carry[0].t(), d_rows, *own)
        if not self.controlled:
            return shared
        cell = unpack_gradients(self.control, run.scale * self.d_listen.t()[None])[0]
        start = 0.5 * self.control.carry[0].sum(1)
        bias = self.d_posterior.sum((0, 2))
        weight = 2 * self.d_read - bias[:, None]
        return *shared, start, weight, bias, *cell

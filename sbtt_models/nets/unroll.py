"""Autonomous dynamics over whole windows, and read-outs, with a gradient written by hand.

See :mod:`sbtt_models.nets.cells`; on an accelerator the fused kernel of ``torch.nn.GRU`` is used.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sbtt_models.nets.cells import (
    Backprop,
    Trace,
    cell_backward,
    cell_forward,
    parameters_of,
    unpack_extra,
    unpack_gradients,
)
from sbtt_models.nets.precision import in_float32
from sbtt_models.nets.workspace import Workspace

__all__ = ["read_out", "unroll"]


def unroll(
    gru: nn.GRU,
    readout: nn.Linear,
    initial: Float[Tensor, "batch feature"],
    n_bins: int,
    workspace: Workspace,
) -> Float[Tensor, "batch bin channel"]:
    """Run dynamics without input from an initial state, and read every state out."""
    if initial.device.type != "cpu":
        nothing = initial.new_zeros(initial.shape[0], n_bins, gru.input_size)
        return readout(gru(nothing, initial[None].contiguous())[0])
    # what multiplies an input of zeros gets no gradient
    _, w_hh, b_ih, b_hh = parameters_of(gru)[0]
    return _Unroll.apply(  # type: ignore[no-untyped-call]
        initial, n_bins, workspace, w_hh, b_ih, b_hh, readout.weight, readout.bias
    )


def read_out(
    linear: nn.Linear, states: Float[Tensor, "bin feature batch"]
) -> Float[Tensor, "bin channel batch"]:
    """Apply an affine map to the features of every bin."""
    return _ReadOut.apply(states, linear.weight, linear.bias)  # type: ignore[no-untyped-call]


class _Unroll(torch.autograd.Function):
    """One group without input.

    The read-out of a state and the next step's gates are rows of one product.
    """

    @staticmethod
    @in_float32
    def forward(
        ctx: Any,
        initial: Tensor,
        n_bins: int,
        workspace: Workspace,
        *parameters: Tensor,
    ) -> Tensor:
        w_hh, b_ih, b_hh, w_out, b_out = parameters
        batch, size = initial.shape
        n_channels = w_out.shape[0]
        keep = any(ctx.needs_input_grad)
        log_rates = initial.new_empty(n_bins, n_channels, batch)
        with torch.inference_mode():
            shape = (n_bins, 1, size, batch)
            lease = Trace.lent(workspace, shape, (0, n_channels), keep, initial)
            trace: Trace = lease.held
            weights = trace.weights
            weights.pack([(w_hh[:, :0], w_hh, b_ih, b_hh)])
            weights.read_extra(w_out, b_out)
            offset = weights.bias.expand(-1, -1, batch).contiguous()
            candidate, offset = offset[:, :size], offset[:, size:]
            torch.add(initial.t(), 1, out=trace.first[0]).mul_(0.5)
            for t, (step, before, after) in enumerate(trace.bins):
                cell_forward(step, weights.recurrent, before, offset, candidate, after)
                if t:
                    log_rates[t - 1].copy_(step.extra[0])
            read, bias = weights.recurrent[0, 3 * size :], offset[0, 3 * size :]
            torch.addmm(bias, read, trace.last[0], out=log_rates[-1])
        if keep:
            ctx.lease, ctx.workspace = lease, workspace
        return log_rates.permute(2, 0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_log_rates: Tensor) -> tuple[Tensor | None, ...]:
        trace: Trace = ctx.lease.held
        weights = trace.weights
        batch, n_bins, n_channels = d_log_rates.shape
        with torch.inference_mode():
            size = weights.recurrent.shape[2]
            given = d_log_rates.permute(1, 2, 0).unbind(0)  # each (channel, batch)
            lease = Backprop.lent(ctx.workspace, (1, size, batch), n_channels, d_log_rates)
            back: Backprop = lease.held
            back.start()
            # the last bin is read out after the last step, every other one within the next step
            extra = back.step.extra[0]
            extra.copy_(given[-1])
            back.carry[0].addmm_(weights.recurrent[0, 3 * size :].t(), extra)
            back.recurrent[0, 3 * size :].addmm_(extra, trace.last[0].t())
            back.bias[4 * size :].addmv_(extra, back.ones)
            for t in reversed(range(n_bins)):
                if t:
                    extra.copy_(given[t - 1])
                else:
                    extra.zero_()
                step, before, after = trace.bins[t]
                cell_backward(back, step, weights.transposed, before, after)
        _, w_hh, b_ih, b_hh = unpack_gradients(back, None)[0]
        d_out, d_bias = unpack_extra(back)
        return 0.5 * back.carry[0].t(), None, None, w_hh, b_ih, b_hh, d_out, d_bias


class _ReadOut(torch.autograd.Function):
    """Bin by bin, so that no product has to be summed over bins afterwards."""

    @staticmethod
    @in_float32
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(states, weight)
        wide = bias[:, None].expand(-1, states.shape[2])
        out = states.new_empty(states.shape[0], weight.shape[0], states.shape[2])
        for one, into in zip(states.unbind(0), out.unbind(0), strict=True):
            torch.addmm(wide, weight, one, out=into)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states, weight = ctx.saved_tensors
        given = given.contiguous()
        d_states, d_weight = torch.empty_like(states), torch.zeros_like(weight)
        d_bias, ones = torch.zeros_like(weight[:, 0]), torch.ones_like(given[0, 0])
        for one, grad, into in zip(
            states.unbind(0), given.unbind(0), d_states.unbind(0), strict=True
        ):
            torch.mm(weight.t(), grad, out=into)
            d_weight.addmm_(grad, one.t())
            d_bias.addmv_(grad, ones)
        return d_states, d_weight, d_bias

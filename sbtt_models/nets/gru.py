"""The bidirectional encoder over whole windows, with a gradient written by hand.

The arithmetic and the parameters are those of ``torch.nn.GRU``; see
:mod:`sbtt_models.nets.cells` for what is done differently. On an accelerator, where
``torch.nn.GRU`` has a fused kernel, that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    unpack_gradients,
)
from sbtt_models.nets.workspace import Workspace

__all__ = ["encode"]


def encode(
    gru: nn.GRU,
    seen: Float[Tensor, "batch bin input"],
    workspace: Workspace,
    *,
    every_bin: bool = False,
    lag: int = 0,
) -> tuple[Float[Tensor, "batch encoded"], Float[Tensor, "bin encoded batch"] | None]:
    """Read a window in both directions.

    Parameters
    ----------
    gru : torch.nn.GRU
        Bidirectional, one layer, ``batch_first``.
    seen : Tensor
        Quickest where (bin, input, batch) is contiguous in memory.
    workspace : Workspace
        Buffers of this encoder.
    every_bin : bool
        Also give the states of every bin.
    lag : int
        At bin t the forward states are those of t - lag, the backward states of t + lag, and 0
        where there are none.

    Returns
    -------
    last : Tensor
        Last states of both directions, side by side.
    states : Tensor or None
        Features first, as :mod:`sbtt_models.nets.lfads` wants them.
    """
    if seen.device.type != "cpu":
        states, last = gru(seen)
        heard = _lagged(states, lag) if every_bin else None
        return torch.cat([last[0], last[1]], dim=1), heard
    parameters = [p for cell in parameters_of(gru) for p in cell]
    last, states = _Encode.apply(seen, workspace, every_bin, lag, *parameters)  # type: ignore[no-untyped-call]
    return last, states if every_bin else None


def _lagged(states: Tensor, lag: int) -> Tensor:
    """Shift (batch, bin, 2 feature) states, and put features before the batch."""
    ahead, back = states.permute(1, 2, 0).chunk(2, dim=1)
    if lag:
        nothing = torch.zeros_like(ahead[:lag])
        ahead = torch.cat([nothing, ahead[:-lag]])[: len(states[0])]
        back = torch.cat([back[lag:], nothing])[: len(states[0])]
    return torch.cat([ahead, back], dim=1)


class _Encode(torch.autograd.Function):
    """Two directions as two groups of one batched product."""

    @staticmethod
    def forward(
        ctx: Any,
        seen: Tensor,
        workspace: Workspace,
        every_bin: bool,
        lag: int,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        batch, n_bins, n_inputs = seen.shape
        size = parameters[1].shape[1]
        keep = any(ctx.needs_input_grad)
        states = seen.new_zeros(n_bins if every_bin else 0, 2 * size, batch)
        last = seen.new_empty(batch, 2 * size)
        with torch.inference_mode():
            lease = Trace.lent(workspace, (n_bins, 2, size, batch), (n_inputs, 0), keep, seen)
            trace: Trace = lease.held
            trace.weights.pack([parameters[:4], parameters[4:]])
            _read(trace, seen.permute(1, 2, 0).unbind(0), states, lag)
            torch.sub(trace.last.permute(2, 0, 1), 0.5, out=last.view(batch, 2, size)).mul_(2)
        if keep:
            ctx.save_for_backward(seen)
            ctx.lease, ctx.workspace, ctx.every_bin, ctx.lag = lease, workspace, every_bin, lag
        return last, states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_last: Tensor, d_states: Tensor) -> tuple[Tensor | None, ...]:
        (seen,) = ctx.saved_tensors
        trace: Trace = ctx.lease.held
        size, batch = trace.weights.recurrent.shape[2], seen.shape[0]
        # turned: products are quickest where rows are a multiple of 16 long, as 3 H often is
        d_inputs = torch.zeros_like(trace.weights.inputs.transpose(1, 2).contiguous())
        d_seen = torch.zeros_like(seen) if ctx.needs_input_grad[0] else None
        with torch.inference_mode():
            lease = Backprop.lent(ctx.workspace, (2, size, batch), 0, seen)
            back: Backprop = lease.held
            back.start()
            back.carry.add_(d_last.view(batch, 2, size).permute(1, 2, 0), alpha=2)
            given = d_states if ctx.every_bin else None
            _read_back(trace, back, (seen, d_seen, d_inputs), given, ctx.lag)
        flat = [p for cell in unpack_gradients(back, d_inputs.transpose(1, 2)) for p in cell]
        return d_seen, None, None, None, *flat


def _read(trace: Trace, bins: Sequence[Tensor], states: Tensor, lag: int) -> None:
    """Run both directions over `bins`, each (input, batch); write `states` if it has bins."""
    weights, n_bins = trace.weights, len(bins)
    size = weights.recurrent.shape[2]
    batch = trace.first.shape[2]
    offset = weights.bias.expand(-1, -1, batch)
    from_left, from_right = offset[:, : 3 * size].unbind(0)
    candidate = offset[:, 3 * size :]
    left, right = weights.inputs.unbind(0)
    minus_one = torch.full_like(trace.first[0], -1.0)
    trace.first.fill_(0.5)  # h = 0
    for t, (step, before, after) in enumerate(trace.bins):
        torch.addmm(from_left, left, bins[t], out=step.nrz[0])
        torch.addmm(from_right, right, bins[n_bins - 1 - t], out=step.nrz[1])
        step.m.copy_(candidate)
        cell_forward(step, weights.recurrent, before, step.rzm, step.n, after)
        if states.shape[0]:
            for side, at in _places(t, lag, n_bins):
                out = states[at, side * size : (side + 1) * size]
                torch.add(minus_one, after[side], alpha=2, out=out)


def _read_back(
    trace: Trace,
    back: Backprop,
    inputs: tuple[Tensor, Tensor | None, Tensor],
    given: Tensor | None,
    lag: int,
) -> None:
    """Walk back; `inputs` are what was read, its gradient or None, that of packed weights."""
    seen, d_seen, d_weights = inputs
    weights, n_bins = trace.weights, len(trace.bins)
    size = weights.recurrent.shape[2]
    bins = seen.permute(1, 2, 0).unbind(0)  # each (input, batch)
    left, right = d_weights.unbind(0)
    for t in reversed(range(n_bins)):
        step, before, after = trace.bins[t]
        if given is not None:
            for side, at in _places(t, lag, n_bins):
                back.carry[side].add_(given[at, side * size : (side + 1) * size], alpha=2)
        cell_backward(back, step, weights.transposed, before, after)
        left.addmm_(bins[t], back.step.nrz[0].t())
        right.addmm_(bins[n_bins - 1 - t], back.step.nrz[1].t())
        if d_seen is not None:
            for side, at in ((0, t), (1, n_bins - 1 - t)):
                d_seen[:, at].addmm_(back.step.nrz[side].t(), weights.inputs[side])


def _places(t: int, lag: int, n_bins: int) -> list[tuple[int, int]]:
    """Direction and bin of those states after step t that lie inside the window."""
    places = ((0, t + lag), (1, n_bins - 1 - t - lag))
    return [(side, at) for side, at in places if 0 <= at < n_bins]

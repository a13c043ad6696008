"""Bidirectional encoders over whole windows, with a gradient written by hand.

The arithmetic and the parameters are those of ``torch.nn.GRU``; see
:mod:`sbtt_models.nets.cells` for what is done differently. On an accelerator, where
``torch.nn.GRU`` has a fused kernel, that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sbtt_models.nets.cells import (
    Backprop,
    Trace,
    cell_backward,
    cell_forward,
    parameters_of,
    unpack_gradients,
)
from sbtt_models.nets.precision import in_float32
from sbtt_models.nets.sparse import SparseBins
from sbtt_models.nets.workspace import Workspace

__all__ = ["encode", "padding"]

_CLOSED = 1e4  # what the gate z is pushed by to be exactly 1, so that a state stays as it is


def padding(lengths: Int[Tensor, " batch"], n_bins: int) -> Bool[Tensor, "batch bin"]:
    """Mark the bins of each window that come after its trial."""
    return torch.arange(n_bins) >= lengths[:, None]


def encode(
    grus: Sequence[nn.GRU],
    seen: Float[Tensor, "batch bin input"],
    workspace: Workspace,
    lengths: Int[Tensor, " batch"] | None = None,
    *,
    every_bin: bool = False,
    lag: int = 0,
) -> tuple[Float[Tensor, "batch encoded"], Float[Tensor, "bin_or_none heard batch"]]:
    """Read a window in both directions.

    Parameters
    ----------
    grus : sequence of torch.nn.GRU
        Bidirectional, one layer, ``batch_first``, of one size: they read side by side.
    seen : Tensor
        Quickest where (bin, input, batch) is contiguous in memory.
    workspace : Workspace
        Buffers of these encoders.
    lengths : Tensor, optional
        Bins of each window, on the CPU; neither direction reads what comes after them. None: all.
    every_bin : bool
        Also give the last one's states of every bin.
    lag : int
        At bin t the forward states are those of t - lag, the backward states of t + lag, and 0
        where there are none.

    Returns
    -------
    last : Tensor
        Last states of both directions of each, side by side.
    states : Tensor
        Features first, as :mod:`sbtt_models.nets.lfads` wants them; no bins if not asked for.
    """
    if seen.device.type != "cpu":
        return fused(grus, seen, lengths, every_bin=every_bin, lag=lag)
    beyond = None
    if lengths is not None and int(lengths.min()) < seen.shape[1]:
        beyond = _CLOSED * padding(lengths, seen.shape[1]).t().to(seen.dtype)
    parameters = [p for gru in grus for cell in parameters_of(gru) for p in cell]
    return _Encode.apply(seen, beyond, workspace, every_bin, lag, *parameters)  # type: ignore[no-untyped-call]


def fused(
    grus: Sequence[nn.GRU],
    seen: Float[Tensor, "batch bin input"],
    lengths: Int[Tensor, " batch"] | None,
    *,
    every_bin: bool,
    lag: int,
) -> tuple[Float[Tensor, "batch encoded"], Float[Tensor, "bin_or_none heard batch"]]:
    """Read with ``torch.nn.GRU`` itself, as :func:`encode` does on an accelerator."""
    n_bins = seen.shape[1]
    if lengths is None:
        runs = [gru(seen) for gru in grus]
    else:
        inside = lengths.clamp(max=n_bins)
        packed = pack_padded_sequence(seen, inside, batch_first=True, enforce_sorted=False)
        runs = []
        for gru in grus:
            states, last = gru(packed)
            whole, _ = pad_packed_sequence(states, batch_first=True, total_length=n_bins)
            runs.append((whole, last))
    heard = _lagged(runs[-1][0] if every_bin else runs[-1][0][:, :0], lag)
    return torch.cat([side for _, last in runs for side in last], dim=1), heard


def _lagged(states: Tensor, lag: int) -> Tensor:
    """Shift (batch, bin, 2 feature) states, and put features before the batch."""
    ahead, back = states.permute(1, 2, 0).chunk(2, dim=1)
    if lag:
        nothing = torch.zeros_like(ahead[:lag])
        ahead = torch.cat([nothing, ahead[:-lag]])[: len(states[0])]
        back = torch.cat([back[lag:], nothing])[: len(states[0])]
    return torch.cat([ahead, back], dim=1)


class _Encode(torch.autograd.Function):
    """Each direction of each encoder as a group of one batched product, directions by turns."""

    @staticmethod
    @in_float32
    def forward(
        ctx: Any,
        seen: Tensor,
        beyond: Tensor | None,
        workspace: Workspace,
        every_bin: bool,
        lag: int,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        batch, n_bins, n_inputs = seen.shape
        cells = [parameters[first : first + 4] for first in range(0, len(parameters), 4)]
        groups, size = len(cells), parameters[1].shape[1]
        keep = any(ctx.needs_input_grad)
        states = seen.new_zeros(n_bins if every_bin else 0, 2 * size, batch)
        last = seen.new_empty(batch, groups * size)
        with torch.inference_mode():
            shape = (n_bins, groups, size, batch)
            lease = Trace.lent(workspace, shape, (n_inputs, 0), keep, seen)
            trace: Trace = lease.held
            trace.weights.pack(cells)
            bins = seen.permute(1, 2, 0)
            sparse = None if ctx.needs_input_grad[0] else SparseBins.of(bins)
            _read(trace, (bins.unbind(0), sparse, beyond), states, lag)
            torch.sub(trace.last.permute(2, 0, 1), 0.5, out=last.view(batch, groups, size)).mul_(2)
        if keep:
            ctx.save_for_backward(seen)
            ctx.lease, ctx.workspace, ctx.every_bin, ctx.lag = lease, workspace, every_bin, lag
            ctx.sparse = sparse
        return last, states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_last: Tensor, d_states: Tensor) -> tuple[Tensor | None, ...]:
        (seen,) = ctx.saved_tensors
        trace: Trace = ctx.lease.held
        groups, size, batch = trace.first.shape
        # turned: products are quickest where rows are a multiple of 16 long, as 3 H often is
        d_inputs = torch.zeros_like(trace.weights.inputs.transpose(1, 2).contiguous())
        d_seen = torch.zeros_like(seen) if ctx.needs_input_grad[0] else None
        with torch.inference_mode():
            lease = Backprop.lent(ctx.workspace, (groups, size, batch), 0, seen)
            back: Backprop = lease.held
            back.start()
            back.carry.add_(d_last.view(batch, groups, size).permute(1, 2, 0), alpha=2)
            given = d_states if ctx.every_bin else None
            _read_back(trace, back, (seen, ctx.sparse, d_seen, d_inputs), given, ctx.lag)
        flat = [p for cell in unpack_gradients(back, d_inputs.transpose(1, 2)) for p in cell]
        return d_seen, None, None, None, None, *flat


def _read(
    trace: Trace,
    inputs: tuple[Sequence[Tensor], SparseBins | None, Tensor | None],
    states: Tensor,
    lag: int,
) -> None:
    """Run all directions; write `states` if it has bins.

    `inputs` are the bins, each (input, batch), their entries if few, and what closes the gate of
    each window in its padding, (bin, batch).
    """
    bins, sparse, beyond = inputs
    weights, n_bins = trace.weights, len(bins)
    groups, size, batch = trace.first.shape
    offset = weights.bias.expand(-1, -1, batch)
    read = list(zip(offset[:, : 3 * size], weights.inputs, strict=True))
    candidate = offset[:, 3 * size :]
    turned = [] if sparse is None else list(weights.inputs.transpose(1, 2).contiguous())
    minus_one = torch.full_like(trace.first[0], -1.0)
    trace.first.fill_(0.5)  # h = 0
    for t, (step, before, after) in enumerate(trace.bins):
        both = t, n_bins - 1 - t
        for group, (bias, weight) in enumerate(read):
            into, at = step.nrz[group], both[group % 2]
            if sparse is None:
                torch.addmm(bias, weight, bins[at], out=into)
            else:
                into.copy_(sparse.times(at, turned[group]).t()).add_(bias)
            if beyond is not None:
                into[2 * size :].add_(beyond[at])
        step.m.copy_(candidate)
        cell_forward(step, weights.recurrent, before, step.rzm, step.n, after)
        if states.shape[0]:
            for side, at in _places(t, lag, n_bins):
                out = states[at, side * size : (side + 1) * size]
                torch.add(minus_one, after[groups - 2 + side], alpha=2, out=out)


def _read_back(
    trace: Trace,
    back: Backprop,
    inputs: tuple[Tensor, SparseBins | None, Tensor | None, Tensor],
    given: Tensor | None,
    lag: int,
) -> None:
    """Walk back.

    `inputs` are what was read, its entries if few, its gradient or None, that of packed weights.
    """
    seen, sparse, d_seen, d_weights = inputs
    weights, n_bins = trace.weights, len(trace.bins)
    groups, size, _ = trace.first.shape
    bins = seen.permute(1, 2, 0).unbind(0)  # each (input, batch)
    gradients = [(grad.t(), into) for grad, into in zip(back.step.nrz, d_weights, strict=True)]
    for t in reversed(range(n_bins)):
        step, before, after = trace.bins[t]
        if given is not None:
            for side, at in _places(t, lag, n_bins):
                told = given[at, side * size : (side + 1) * size]
                back.carry[groups - 2 + side].add_(told, alpha=2)
        cell_backward(back, step, weights.transposed, before, after)
        both = t, n_bins - 1 - t
        for group, (grad, into) in enumerate(gradients):
            if sparse is None:
                into.addmm_(bins[both[group % 2]], grad)
            else:
                into.add_(sparse.gradient(both[group % 2], grad.contiguous()))
            if d_seen is not None:
                d_seen[:, both[group % 2]].addmm_(grad, weights.inputs[group])


def _places(t: int, lag: int, n_bins: int) -> list[tuple[int, int]]:
    """Direction and bin of those states after step t that lie inside the window."""
    places = ((0, t + lag), (1, n_bins - 1 - t - lag))
    return [(side, at) for side, at in places if 0 <= at < n_bins]

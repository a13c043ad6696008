r"""One step of a gated recurrent unit and its gradient, by hand, in buffers that are used again.

The unit is that of ``torch.nn.GRU``, with its parameters and its gates in the order r, z, n:

.. math::
    r, z &= \sigma(W x + b + V h + c) \\
    n &= \tanh(W_n x + b_n + r (V_n h + c_n)) \\
    h' &= (1 - z) n + z h

Three things make it quick on a processor:

- All arrays are (group, feature, batch), so each gate is one block of memory, and the two
  directions of an encoder are two groups of one batched product.
- The logistic function takes a sixth of the time of tanh. Since tanh(u) = 2 sigma(2u) - 1, the
  states are kept as k = (h + 1) / 2, where every gate is logistic; the weights absorb the change.
- Nothing large is allocated: buffers are lent by a :class:`Workspace` and come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sbtt_models.nets.workspace import Lease, Workspace, long_lived

__all__ = [
    "Backprop",
    "Step",
    "Trace",
    "Weights",
    "cell_backward",
    "cell_forward",
    "parameters_of",
    "unpack_extra",
    "unpack_gradients",
]

# the overload is named so that no argument parsing is spent on choosing it
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


class Step:
    """Views of one step's gates: rows n, r, z, the candidate's recurrent part m, and more."""

    __slots__ = ("extra", "gates", "m", "n", "nrz", "r", "rz", "rzm", "z")

    def __init__(self, gates: Float[Tensor, "group row batch"], size: int) -> None:
        self.gates = gates
        self.n, self.r, self.z, self.m = (
            gates[:, first : first + size] for first in range(0, 4 * size, size)
        )
        self.extra = gates[:, 4 * size :]
        """Whatever else is read out of the state before."""
        self.nrz = gates[:, : 3 * size].unbind(0)
        """Of each group: what the input is multiplied into."""
        self.rz, self.rzm = gates[:, size : 3 * size], gates[:, size:]
        """The latter with the extra rows: what the state before is multiplied into."""


class Weights:
    """Parameters of cells, packed for logistic gates and states k = (h + 1) / 2."""

    __slots__ = ("bias", "inputs", "recurrent", "transposed")

    def __init__(self, groups: int, size: int, n_inputs: int, extra: int, like: Tensor) -> None:
        self.inputs = like.new_empty(groups, 3 * size, n_inputs)
        """Rows n, r, z."""
        self.recurrent = like.new_empty(groups, 3 * size + extra, size)
        """Rows r, z, m, extra."""
        self.transposed = like.new_empty(groups, size, 3 * size + extra)
        """The same, as the way back multiplies it: a view would be read 10 % more slowly."""
        self.bias = like.new_empty(groups, 4 * size + extra, 1)
        """Rows n, r, z, m, extra."""

    def pack(self, cells: Sequence[Sequence[Tensor]]) -> None:
        """Take over ``weight_ih, weight_hh, bias_ih, bias_hh`` of each group."""
        size = self.recurrent.shape[2]
        cut = 2 * size  # rows r, z | n of nn.GRU
        for group, (w_ih, w_hh, b_ih, b_hh) in enumerate(cells):
            inputs, recurrent, bias = self.inputs[group], self.recurrent[group], self.bias[group]
            own = b_hh - w_hh.sum(1)  # since V h + c = 2 V k + (c - V 1)
            torch.mul(w_ih[cut:], 2, out=inputs[:size])
            inputs[size:].copy_(w_ih[:cut])
            torch.mul(w_hh[:cut], 2, out=recurrent[:cut])
            torch.mul(w_hh[cut:], 4, out=recurrent[cut : 3 * size])
            torch.mul(b_ih[cut:], 2, out=bias[:size, 0])
            torch.add(b_ih[:cut], own[:cut], out=bias[size : 3 * size, 0])
            torch.mul(own[cut:], 2, out=bias[3 * size : 4 * size, 0])
        self.transposed.copy_(self.recurrent.transpose(1, 2))

    def read_extra(self, weight: Tensor, bias: Tensor) -> None:
        """Take over an affine read-out of the states of the one group."""
        size = self.recurrent.shape[2]
        torch.mul(weight, 2, out=self.recurrent[0, 3 * size :])
        torch.sub(bias, weight.sum(1), out=self.bias[0, 4 * size :, 0])
        self.transposed.copy_(self.recurrent.transpose(1, 2))


class Trace:
    """Buffers of a run over bins: gates and states of each, or of the last bin only."""

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        rows: tuple[int, int],
        keep: bool,
        like: Tensor,
    ) -> None:
        n_bins, groups, size, batch = shape
        n_inputs, extra = rows
        kept = n_bins if keep else 1
        states = list(long_lived(like, kept + 1, groups, size, batch))
        gates = long_lived(like, kept, groups, 4 * size + extra, batch)
        steps = [Step(one, size) for one in gates]
        self.first = states[0]
        self.last = states[n_bins % len(states)]
        self.weights = Weights(groups, size, n_inputs, extra, like)
        self.bins = [
            (steps[t % kept], states[t % len(states)], states[(t + 1) % len(states)])
            for t in range(n_bins)
        ]
        """Of each bin: its gates, the state before and the state after."""

    @classmethod
    def lent(
        cls,
        workspace: Workspace,
        shape: tuple[int, int, int, int],
        rows: tuple[int, int],
        keep: bool,
        like: Tensor,
    ) -> Lease:
        """Take a trace out of a workspace.

        Parameters
        ----------
        shape : tuple of int
            (bin, group, feature, batch).
        rows : tuple of int
            Inputs, and extra rows read out of the states.
        keep : bool
            Whether the way back will be walked.
        """
        key = (shape, rows, keep, like.dtype, like.device)
        return workspace.lend(key, lambda: cls(shape, rows, keep, like))


def cell_forward(
    step: Step, recurrent: Tensor, before: Tensor, offset: Tensor, candidate: Tensor, after: Tensor
) -> None:
    """Advance one step.

    Parameters
    ----------
    step : Step
        Filled with the gates, for the way back.
    recurrent : Tensor
        Packed recurrent weights, (group, 3 feature + extra, feature).
    before, after : Tensor
        States k, (group, feature, batch); `after` is written.
    offset : Tensor
        What the input adds to r, z, m and the extra rows; may be ``step.rzm``.
    candidate : Tensor
        What the input adds to n; may be ``step.n``.
    """
    torch.baddbmm(offset, recurrent, before, out=step.rzm)
    torch.sigmoid(step.rz, out=step.rz)
    torch.addcmul(candidate, step.r, step.m, out=step.n)
    torch.sigmoid(step.n, out=step.n)
    torch.lerp(step.n, before, step.z, out=after)


class Backprop:
    """What a walk back collects for one cell: gradients of packed weights, and scratch."""

    __slots__ = ("bias", "carry", "ones", "recurrent", "rows", "scratch", "step")

    def __init__(self, shape: tuple[int, int, int], extra: int, like: Tensor) -> None:
        groups, size, batch = shape
        gates = like.new_empty(groups, 4 * size + extra, batch)
        self.step = Step(gates, size)
        self.rows = gates.view(-1, batch)
        self.ones = like.new_ones(batch)
        self.scratch = like.new_empty(groups, size, batch)
        self.carry = like.new_empty(groups, size, batch)
        """Gradient of the state k of the step at hand."""
        self.bias = like.new_empty(groups * (4 * size + extra))
        self.recurrent = like.new_empty(groups, 3 * size + extra, size)

    @classmethod
    def lent(
        cls, workspace: Workspace, shape: tuple[int, int, int], extra: int, like: Tensor
    ) -> Lease:
        """Take one for a (group, feature, batch) state out of a workspace."""
        key = ("back", shape, extra, like.dtype, like.device)
        return workspace.lend(key, lambda: cls(shape, extra, like))

    def start(self) -> None:
        """Forget the last walk."""
        for tensor in (self.carry, self.bias, self.recurrent):
            tensor.zero_()


def cell_backward(
    back: Backprop, step: Step, transposed: Tensor, before: Tensor, after: Tensor
) -> None:
    """Walk one step back: ``back.carry`` turns from the gradient of `after` to that of `before`.

    ``back.step.nrz`` is left holding the gradient of what the input added to n, r and z;
    ``back.step.extra`` must hold that of the extra rows beforehand.

    Parameters
    ----------
    transposed : Tensor
        Packed recurrent weights, (group, feature, 3 feature + extra).
    """
    carry, scratch, grad = back.carry, back.scratch, back.step
    torch.addcmul(carry, carry, step.z, value=-1, out=scratch)  # through the candidate
    _sigmoid_backward(scratch, step.n, grad_input=grad.n)
    torch.sub(after, step.n, out=grad.z)  # z (1 - z) (before - n) = (1 - z) (after - n)
    grad.z.mul_(scratch)
    torch.mul(grad.n, step.m, out=scratch)
    _sigmoid_backward(scratch, step.r, grad_input=grad.r)
    torch.mul(grad.n, step.r, out=grad.m)
    carry.mul_(step.z)
    carry.baddbmm_(transposed, grad.rzm)
    back.recurrent.baddbmm_(grad.rzm, before.transpose(1, 2))
    back.bias.addmv_(back.rows, back.ones)


def unpack_gradients(
    back: Backprop, inputs: Float[Tensor, "group gate3 input"] | None
) -> list[tuple[Tensor | None, Tensor, Tensor, Tensor]]:
    """Gradients of ``weight_ih, weight_hh, bias_ih, bias_hh`` of each group.

    Parameters
    ----------
    inputs : Tensor, optional
        Gradient of the packed input weights.
    """
    groups, size = back.scratch.shape[:2]
    bias = back.bias.view(groups, -1)[:, : 4 * size]
    n, rz, m = bias[:, :size], bias[:, size : 3 * size], bias[:, 3 * size :]
    b_ih = torch.cat([rz, 2 * n], dim=1)
    b_hh = torch.cat([rz, 2 * m], dim=1)
    w_hh = 2 * back.recurrent[:, : 3 * size] - bias[:, size:, None]
    w_hh[:, 2 * size :] *= 2
    w_ih: list[Tensor | None] = [None] * groups
    if inputs is not None:
        w_ih = list(torch.cat([inputs[:, size:], 2 * inputs[:, :size]], dim=1))
    return list(zip(w_ih, w_hh, b_ih, b_hh, strict=True))


def unpack_extra(back: Backprop) -> tuple[Tensor, Tensor]:
    """Gradients of the weight and bias of the read-out of the one group."""
    size = back.scratch.shape[1]
    bias = back.bias[4 * size :].clone()
    return 2 * back.recurrent[0, 3 * size :] - bias[:, None], bias


def parameters_of(gru: nn.GRU | nn.GRUCell) -> list[tuple[Tensor, ...]]:
    """``weight_ih, weight_hh, bias_ih, bias_hh`` of each direction."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    if isinstance(gru, nn.GRUCell):
        return [tuple(getattr(gru, name) for name in names)]
    ends = ("_l0", "_l0_reverse") if gru.bidirectional else ("_l0",)
    return [tuple(getattr(gru, name + end) for name in names) for end in ends]

"""LFADS bin by bin: controller, inferred input, generator and factors, and the way back by hand.

One pass over the bins does what a recurrent network of several cells needs, in buffers that are
used again; see :mod:`sbtt_models.nets.cells` for the cells. All arrays are (feature, batch).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sbtt_models.nets.cells import parameters_of
from sbtt_models.nets.lfads_run import Buffers, Rules, Run
from sbtt_models.nets.lfads_walk import Walk
from sbtt_models.nets.precision import in_float32
from sbtt_models.nets.workspace import Workspace

__all__ = ["Control", "Rules", "scan"]


@dataclass(frozen=True, slots=True)
class Control:
    """What infers the inputs of the generator."""

    cell: nn.GRUCell
    posterior: nn.Linear
    initial: Float[Tensor, " control"]
    heard: Float[Tensor, "bin heard batch"]
    noise: Float[Tensor, "bin output batch"] | None
    """None: inputs are the posterior's means."""


def scan(
    generator: nn.GRUCell,
    rows: Float[Tensor, "factor feature"],
    initial: Float[Tensor, "batch feature"],
    control: Control | None,
    rules: Rules,
    workspace: Workspace,
    external: Float[Tensor, "bin external batch"] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the dynamics from an initial state.

    Parameters
    ----------
    rows : Tensor
        From states to factors.
    control : Control, optional
        None: an autonomous generator.
    external : Tensor, optional
        Inputs of the generator besides the inferred ones; they get no gradient.

    Returns
    -------
    factors : Tensor
        (bin, factor, batch).
    inputs : Tensor
        The inferred ones, (bin, output, batch); no outputs without a controller.
    posterior : Tensor
        Mean and log variance of the inputs, (bin, 2 output, batch).
    """
    own = parameters_of(generator)[0]
    if control is None:
        return _Scan.apply(workspace, rules, None, external, None, initial, rows, *own)  # type: ignore[no-untyped-call]
    return _Scan.apply(  # type: ignore[no-untyped-call]
        workspace,
        rules,
        control.noise,
        external,
        control.heard,
        initial,
        rows,
        *own,
        control.initial,
        control.posterior.weight,
        control.posterior.bias,
        *parameters_of(control.cell)[0],
    )


class _Scan(torch.autograd.Function):
    @staticmethod
    @in_float32
    def forward(
        ctx: Any,
        workspace: Workspace,
        rules: Rules,
        noise: Tensor | None,
        external: Tensor | None,
        heard: Tensor | None,
        initial: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (batch, size), n_bins = initial.shape, rules.n_bins
        n_factors, n_heard, n_control, n_outputs = parameters[0].shape[0], 0, 0, 0
        if heard is not None:
            n_heard, n_control = heard.shape[1], parameters[5].shape[0]
            n_outputs = parameters[6].shape[0] // 2
        n_external = 0 if external is None else external.shape[1]
        sizes = (n_heard, n_factors, n_control, n_outputs, size, n_external)
        factors = initial.new_empty(n_bins, n_factors, batch)
        inputs = initial.new_empty(n_bins, n_outputs + n_external, batch)
        if external is not None:
            inputs[:, n_outputs:] = external
        posterior = initial.new_empty(n_bins, 2 * n_outputs, batch)
        keep = any(ctx.needs_input_grad)
        key = (n_bins, batch, sizes, keep, initial.dtype, initial.device)
        with torch.inference_mode():
            lease = workspace.lend(key, lambda: Buffers(n_bins, sizes, keep, initial))
            run = Run(lease.held, rules, parameters, noise)
            run.all_bins(heard, initial, (factors, inputs, posterior))
        if keep:
            ctx.save_for_backward(inputs)
            ctx.run, ctx.lease, ctx.workspace, ctx.n_heard = run, lease, workspace, n_heard
        return factors, inputs[:, :n_outputs] if n_external else inputs, posterior

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_factors: Tensor, d_inputs: Tensor, d_posterior: Tensor
    ) -> tuple[Tensor | None, ...]:
        (inputs,) = ctx.saved_tensors
        run: Run = ctx.run
        n_bins, n_factors, batch = d_factors.shape
        d_listened = inputs.new_empty(n_bins, ctx.n_heard + n_factors, batch)
        with torch.inference_mode():
            walk = Walk(run, ctx.workspace, inputs)
            walk.all_bins(d_factors, d_inputs, d_posterior, d_listened)
        grads = walk.gradients()
        d_heard = d_listened[:, : ctx.n_heard] if ctx.n_heard else None
        return None, None, None, None, d_heard, *grads

r"""Diagonal linear state spaces, evaluated for all bins of a window at once.

A feature is filtered in time by a kernel that is a sum of damped oscillations,

.. math:: h(t) = \sum_n e^{-a_n t} (c_n \cos \omega_n t + s_n \sin \omega_n t), \quad a_n > 0,

which is what the diagonal recurrence :math:`z_{t+1} = e^{-a + i \omega} z_t + u_t` does to its
input. On windows of some hundred bins the product with a matrix of its values is quickest; longer
ones are cut into chunks, and the states of the recurrence are carried from one to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.nets.precision import in_float32

__all__ = ["Filters", "Kernel"]

_DENSE = 256  # [bins] up to here one product is quicker than chunks
_CHUNK = 128  # [bins]
_FASTEST = math.pi / 4  # [rad/bin] of the oscillators at first


class Filters(nn.Module):
    """Of each feature in each block: damped oscillators into the past, and into the future."""

    def __init__(self, spec: StateSpace, n_bins: int) -> None:
        super().__init__()
        self.spec = spec
        shape = (spec.blocks * spec.hidden, spec.modes)
        # time constants from one bin to the whole window
        log_tau = torch.rand(shape) * math.log(max(n_bins, 2))
        self.log_decay = nn.Parameter(-log_tau)
        """Log of a. [1/bin]"""
        self.frequency = nn.Parameter(torch.rand(shape) * _FASTEST)
        """Omega. [rad/bin]"""
        # a kernel of any time constant has about the same norm
        norm = (1 - torch.exp(-2 * torch.exp(-log_tau))).sqrt() / math.sqrt(2 * spec.modes)
        directions = 1 if spec.one_way else 2
        weight = torch.randn(directions, 2, *shape) * norm
        self.weight = nn.Parameter(weight.permute(2, 0, 1, 3).reshape(shape[0], directions, -1))
        """c and s of each direction."""
        self.through = nn.Parameter(torch.ones(shape[0], 1))

    def forward(self, n_bins: int) -> list[Kernel]:
        """Evaluate the kernels of each block for windows of so many bins."""
        with torch.autocast(self.weight.device.type, enabled=False):  # powers add up rounding
            return self._kernels(n_bins)

    def _kernels(self, n_bins: int) -> list[Kernel]:
        n_near = n_bins if n_bins <= _DENSE else min(n_bins, _CHUNK)
        time = torch.arange(n_near + 1, dtype=self.weight.dtype, device=self.weight.device)
        damping = torch.exp(-self.log_decay.exp()[:, :, None] * time)
        phase = self.frequency[:, :, None] * time
        waves = torch.cat([damping * phase.cos(), damping * phase.sin()], 1)
        sides = torch.bmm(self.weight, waves[:, :, :n_near])
        past, now = sides[:, 0, 1:], sides[:, 0, :1] + self.through
        future = torch.zeros_like(past) if self.spec.one_way else sides[:, 1, 1:]
        near = torch.cat([past.flip(1), now, future], 1)
        parts = (part.chunk(self.spec.blocks) for part in (near, waves, self.weight))
        return [Kernel(*block) for block in zip(*parts, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The filters of one block."""

    near: Float[Tensor, "feature shift"]
    """What bin t + shift gives to bin t, for all shifts within a window, or within a chunk."""
    waves: Float[Tensor, "feature wave time"]
    """Cosines, then sines of the oscillators, damped, from 0 to the length of a chunk."""
    weight: Float[Tensor, "feature direction wave"]

    def apply(
        self, features: Float[Tensor, "feature bin batch"]
    ) -> Float[Tensor, "feature bin batch"]:
        """Filter each feature in time."""
        size, n_bins, batch = features.shape
        n_near = self.waves.shape[2] - 1
        if n_near >= n_bins:
            return _Toeplitz.apply(features, self.near)  # type: ignore[no-untyped-call]
        n_chunks = -(-n_bins // n_near)
        padded = functional.pad(features, (0, 0, 0, n_chunks * n_near - n_bins))
        chunks = padded.view(size, n_chunks, n_near, batch).transpose(1, 2)
        within = _Toeplitz.apply(chunks.flatten(2), self.near).view(chunks.shape)  # type: ignore[no-untyped-call]
        filtered = within + self._carry(chunks, 0)
        if self.weight.shape[1] > 1:
            filtered = filtered + self._carry(chunks.flip(1, 2), 1).flip(1, 2)
        return filtered.transpose(1, 2).reshape(size, -1, batch)[:, :n_bins]

    def _carry(
        self, chunks: Float[Tensor, "feature step chunk batch"], direction: int
    ) -> Float[Tensor, "feature step chunk batch"]:
        """What all earlier chunks give to each bin, by way of their states at the end."""
        # real and imaginary part of exp(-a + i omega)^t, for the time an input waits for the end
        waits = self.waves[:, :, :-1].flip(2)
        ends = torch.bmm(waits, chunks.flatten(2)).view(len(waits), -1, *chunks.shape[2:])
        turn_re, turn_im = self.waves[:, :, -1:].chunk(2, 1)
        re, im = (torch.zeros_like(part) for part in ends[:, :, 0].chunk(2, 1))
        states = []
        for end in ends.unbind(2):
            states.append(torch.cat([re, im], 1))
            end_re, end_im = end.chunk(2, 1)
            re, im = turn_re * re - turn_im * im + end_re, turn_im * re + turn_re * im + end_im
        cosine, sine = self.waves[:, :, 1:].chunk(2, 1)
        c, s = self.weight[:, direction, :, None].chunk(2, 1)
        # the real part of (c - i s) exp(-a + i omega)^t (re + i im)
        given = torch.cat([c * cosine + s * sine, s * cosine - c * sine], 1)
        carried = torch.bmm(given.transpose(1, 2), torch.stack(states, 2).flatten(2))
        return carried.view(chunks.shape)


class _Toeplitz(torch.autograd.Function):
    """The product with a matrix whose entry depends on column minus row only."""

    @staticmethod
    @in_float32
    def forward(ctx: Any, features: Tensor, kernel: Tensor) -> Tensor:
        matrix = kernel.unfold(1, features.shape[1], 1).flip(1)  # row i begins at shift -i
        ctx.save_for_backward(features, matrix)
        return torch.bmm(matrix, features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor]:
        features, matrix = ctx.saved_tensors
        size, n_bins, _ = features.shape
        d_features = torch.bmm(matrix.transpose(1, 2), given)
        # written with one entry more a row than they are read, rows shift into columns of a shift
        rows = given.new_zeros(size, n_bins, 2 * n_bins - 1)
        strides = (rows.stride(0), max(2 * n_bins - 2, 1), 1)
        shifted = rows.as_strided((size, n_bins, n_bins), strides, n_bins - 1)
        torch.bmm(given, features.transpose(1, 2), out=shifted)
        return d_features, rows.sum(1)

"""A network that corrects the states of a linear smoother, and so the rates they stand for."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.nets.state_space import StateSpaceNetwork
from sbtt_models.online import Step

__all__ = ["StateCorrection"]


class StateCorrection(Network):
    """See :class:`sbtt_models.decoders.augmented_lds.AugmentedLDS`.

    All it sees comes as external inputs: for each bin 1 inside a trial and 0 in padding, then
    the smoother's summary (:meth:`sbtt_models.state_model.StateModel.summary`) with log rates.
    """

    loading: Float[Tensor, "state channel"]
    """What a state moved by one of its standard deviations does to log rates. [ln spikes/bin]"""
    scale: Float[Tensor, " state"]
    """Standard deviation of the smoother's states."""

    def __init__(self, spec: StateSpace, size: int, n_channels: int, n_bins: int) -> None:
        super().__init__()
        self.inner = StateSpaceNetwork(spec, 2 * size, n_bins, torch.zeros(size))
        with torch.no_grad():  # at first nothing is corrected
            self.inner.readout.weight.zero_()
        self.register_buffer("loading", torch.zeros(size, n_channels))
        self.register_buffer("scale", torch.ones(size))

    @override
    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
        external: Float[Tensor, "batch bin external"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Inferred:
        """Infer from the external inputs alone. Shapes as :meth:`Network.forward`."""
        del counts, exposure, generator, lengths
        if external is None:
            raise ValueError("external: the summary of a smoother is missing")
        size = len(self.scale)
        ends = [1, 1 + size, 1 + 2 * size]
        inside, mean, log_sd, log_rates = torch.tensor_split(external, ends, dim=2)
        seen = torch.cat([mean / self.scale, (log_sd - self.scale.log()) * inside], dim=2)
        move = self.inner(seen, inside.expand_as(seen)).read_out
        return Inferred(log_rates + move @ self.loading)

    @property
    @override
    def endless(self) -> bool:
        return self.inner.endless

    @override
    def recurrence(self) -> Step:
        """Takes the summary of a bin as its counts."""
        return _CorrectionStep(self)


class _CorrectionStep(Step):
    def __init__(self, network: StateCorrection) -> None:
        loading, scale = (t.detach().cpu().numpy() for t in (network.loading, network.scale))
        super().__init__(0, loading.shape[1])
        self._inner, self._loading, self._scale = network.inner.recurrence(), loading, scale

    @override
    def next(
        self, counts: Float[np.ndarray, " summary"], exposure: Float[np.ndarray, " summary"]
    ) -> Float[np.ndarray, " channel"] | None:
        size = self._scale.size
        mean, log_sd, log_rates = np.split(counts, [size, 2 * size])
        seen = np.concatenate([mean / self._scale, log_sd - np.log(self._scale)])
        move = self._inner.read_out(seen)
        return None if move is None else np.exp(log_rates + move @ self._loading)

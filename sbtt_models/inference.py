"""What a trained network expects of a batch of windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sbtt_models.batches import Batch
from sbtt_models.nets.base import Network
from sbtt_models.visible import rescaled

__all__ = ["Inference"]


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """A network, and what its encoder may see."""

    network: Network
    shown: Float[Tensor, "bin channel"] | None = None
    """0 for entries that it must predict, at least as many bins as a window; None: it sees all."""
    rescale: bool = False
    """Counts are shown over the share of channels that is seen in their bin."""

    def expected(self, batch: Batch) -> Float[Tensor, "batch bin channel"]:
        """Expected values; the mean over posterior samples, if the network asks for them.

        The samples are those of one seed: the same for every batch and every call.
        """
        network, rest = self.network, (batch.external, batch.lengths)
        counts, exposure = batch.counts, batch.exposure
        if self.shown is not None:
            shown = self.shown[: counts.shape[1]]
            counts, exposure = counts * shown, exposure * shown
        if self.rescale:
            counts = rescaled(counts, exposure)
        if network.samples == 0:
            return network.head.expected(network(counts, exposure, None, *rest).read_out)
        draw = torch.Generator(counts.device).manual_seed(0)
        total = torch.zeros_like(counts)
        for _ in range(network.samples):
            inferred = network(counts, exposure, draw, *rest)
            total += network.head.expected(inferred.read_out)
        return total / network.samples

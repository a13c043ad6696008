"""The sequential autoencoder: encode a trial into one vector, unroll its dynamics from there."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sbtt_models.decoders.autoencoder import Autoencoder
from sbtt_models.nets.base import Inferred, Network, together
from sbtt_models.nets.gru import encode
from sbtt_models.nets.unroll import unroll
from sbtt_models.nets.workspace import Workspace

__all__ = ["SequentialAutoencoder"]


class SequentialAutoencoder(Network):
    """See :class:`sbtt_models.decoders.autoencoder.Autoencoder`."""

    encoder_parts = ("encoder.", "latent.")
    read_in_parts = ("encoder.weight_ih", "encoder.bias_ih")

    def __init__(
        self, spec: Autoencoder, n_channels: int, start: Float[Tensor, " output"]
    ) -> None:
        super().__init__()
        n_inputs = n_channels * (2 if spec.mask_input else 1)
        self.mask_input = spec.mask_input
        self.encoder = nn.GRU(n_inputs, spec.hidden, batch_first=True, bidirectional=True)
        self.latent = nn.Linear(2 * spec.hidden, spec.generator)
        # the published generator has one input channel that is always 0: its weights never learn
        self.generator = nn.GRU(1, spec.generator, batch_first=True)
        self.readout = nn.Linear(spec.generator, len(start))
        self.dropout = nn.Dropout(spec.dropout)
        self.workspace = Workspace()
        with torch.no_grad():
            self.readout.bias.copy_(start)

    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
        external: Float[Tensor, "batch bin external"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Inferred:
        """Infer. Shapes as :meth:`Network.forward`."""
        del generator, external  # nothing is sampled here, nothing driven from outside
        seen = together(counts, exposure) if self.mask_input else counts
        last, _ = encode([self.encoder], seen, self.workspace, lengths)
        initial = self.dropout(self.latent(self.dropout(last)))  # (batch, generator)
        n_bins = counts.shape[1]
        return Inferred(unroll(self.generator, self.readout, initial, n_bins, self.workspace))

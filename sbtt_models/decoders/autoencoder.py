"""The sequential autoencoder of the published SBTT demonstration. Torch-free record."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.units import Fraction

__all__ = ["Autoencoder"]

_SPARSE = 0.25  # share of entries observed


class Autoencoder(NeuralSpec):
    """Bidirectional GRU encoder, one latent vector, GRU generator, linear read-out of log rates.

    With ``generator: 50, dropout: 0.1, sparse_dropout: 0.1, mask_input: false`` it is the network
    of the published demonstration (38,779 parameters at 29 channels). A wider generator learns the
    same dynamics in several times fewer epochs, for little more time in each.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    hidden: int = Field(50, ge=1, le=4096)
    """Units of the encoder, of each direction."""
    generator: int = Field(128, ge=1, le=4096)
    """Units of the generator, and size of the latent initial condition."""
    dropout: Fraction = Field(0.05, ge=0, lt=1)
    sparse_dropout: Fraction = Field(0.3, ge=0, lt=1)
    """Dropout instead where less than a quarter of the entries is observed: there the network
    begins to learn its samples by heart."""

    @override
    def suited_to(self, sampled: float) -> Autoencoder:
        if sampled >= _SPARSE:
            return self
        return self.model_copy(update={"dropout": self.sparse_dropout})

    @override
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        from sbtt_models.nets.autoencoder import SequentialAutoencoder

        return SequentialAutoencoder(self, n_channels, start)

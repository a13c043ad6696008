"""A masked transformer with one token per bin: NDT with SBTT. Torch-free record."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.units import Fraction

__all__ = ["Transformer"]


class Transformer(NeuralSpec):
    """Self-attention between the bins of a window; pre-norm, with learned positions.

    Where the published model hides whole bins and asks for them back, coordinated dropout hides
    single entries here; both learn only from what was observed and hidden.

    References
    ----------
    Ye & Pandarinath, "Representation learning for neural population activity with Neural Data
    Transformers", Neurons, Behavior, Data analysis, and Theory 5(3), 2021, arXiv:2108.01210.
    """

    kind: Literal["transformer"] = "transformer"
    hidden: int = Field(64, ge=1, le=4096)
    """Numbers in a token."""
    layers: int = Field(2, ge=1, le=64)
    heads: int = Field(2, ge=1, le=64)
    feedforward: int = Field(128, ge=1, le=16_384)
    """Units of the network that each token passes after each attention."""
    context_bins: int | None = Field(None, ge=0)
    """How far a token looks back, and ahead, in each layer. [bins] None: over the whole window."""
    dropout: Fraction = Field(0.1, ge=0, lt=1)
    trained_causal: bool = True
    """Train a causal decoder to look back only. False: train it to look both ways, and end its
    windows at the present when it infers."""

    @property
    @override
    def one_way(self) -> bool:
        return self.causal and self.trained_causal

    @model_validator(mode="after")
    def _heads_share_the_token(self) -> Transformer:
        if self.hidden % self.heads:
            raise ValueError(
                f"hidden {self.hidden} is not a multiple of heads {self.heads}; each head takes "
                "an equal part of a token"
            )
        return self

    @override
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        from sbtt_models.nets.transformer import TransformerNetwork

        return TransformerNetwork(self, n_channels, n_bins, start)

"""The decoders a scenario can name: this union is registry, schema and documentation at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sbtt_models.decoders.autoencoder import Autoencoder
from sbtt_models.decoders.base import DecoderSpec, Fitted, NeuralSpec, Setting
from sbtt_models.decoders.kalman import Kalman
from sbtt_models.decoders.lfads import LFADS
from sbtt_models.decoders.smoothing import Interpolation, Smoothing

__all__ = [
    "LFADS",
    "AnyDecoder",
    "Autoencoder",
    "DecoderSpec",
    "Fitted",
    "Interpolation",
    "Kalman",
    "NeuralSpec",
    "Setting",
    "Smoothing",
]

AnyDecoder = Annotated[
    Autoencoder | LFADS | Kalman | Smoothing | Interpolation, Field(discriminator="kind")
]

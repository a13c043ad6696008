"""The decoders a scenario can name: this union is registry, schema and documentation at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sbtt_models.decoders.augmented_lds import AugmentedLDS
from sbtt_models.decoders.autoencoder import Autoencoder
from sbtt_models.decoders.base import DecoderSpec, Fitted, NeuralSpec, Setting
from sbtt_models.decoders.factor_analysis import FactorAnalysis
from sbtt_models.decoders.gpfa import GPFA
from sbtt_models.decoders.kalman import Kalman
from sbtt_models.decoders.lfads import LFADS
from sbtt_models.decoders.poisson_lds import PoissonLDS
from sbtt_models.decoders.smoothing import Interpolation, Smoothing
from sbtt_models.decoders.state_space import StateSpace
from sbtt_models.decoders.transformer import Transformer
from sbtt_models.decoders.trial_mixture import TrialMixture
from sbtt_models.decoders.zero_filled import ZeroFilled

__all__ = [
    "GPFA",
    "LFADS",
    "AnyDecoder",
    "AugmentedLDS",
    "Autoencoder",
    "DecoderSpec",
    "FactorAnalysis",
    "Fitted",
    "Interpolation",
    "Kalman",
    "NeuralSpec",
    "PoissonLDS",
    "Setting",
    "Smoothing",
    "StateSpace",
    "Transformer",
    "TrialMixture",
    "ZeroFilled",
]

AnyDecoder = Annotated[
    Autoencoder
    | LFADS
    | StateSpace
    | Transformer
    | Kalman
    | FactorAnalysis
    | GPFA
    | PoissonLDS
    | TrialMixture
    | AugmentedLDS
    | ZeroFilled
    | Smoothing
    | Interpolation,
    Field(discriminator="kind"),
]

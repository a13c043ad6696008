"""How long a training takes, roughly: enough to tell minutes from days before it is begun."""

from __future__ import annotations

from sbtt_models.decoders import AnyDecoder, AugmentedLDS, TrialMixture, ZeroFilled
from sbtt_models.decoders.base import NeuralSpec

__all__ = ["epoch_s"]

_BIN_S = 3.3e-6
_WEIGHT_S = 2.4e-10
"""Seconds of a training step on one core, for each bin of a window, and for each bin and weight.
Through the three steps measured in benchmarks/speed/training.md: 6.6, 12.2 and 34 us a bin, where
this gives 6.4, 12.1 and 38."""
_TRAINED = 0.65
"""Share of the bins that a pass over training and validation is worth."""
_WIDTHS = ("hidden", "generator", "factors", "modes", "feedforward")


def epoch_s(decoder: AnyDecoder, n_bins: int, n_channels: int) -> float | None:
    """Predict the time of one epoch on one core, within a factor of a few. [s]

    Parameters
    ----------
    decoder : DecoderSpec
    n_bins : int
        Bins of all trials.
    n_channels : int

    Returns
    -------
    float or None
        None for decoders that are not trained in epochs.

    Examples
    --------
    >>> from sbtt_models.decoders import Autoencoder
    >>> round(epoch_s(Autoencoder(), n_bins=78_000, n_channels=29), 2)
    0.62
    """
    network = decoder.network if isinstance(decoder, TrialMixture | ZeroFilled) else decoder
    if not isinstance(network, NeuralSpec | AugmentedLDS):
        return None
    width = sum(int(getattr(network, name, 0)) for name in _WIDTHS)
    return _TRAINED * n_bins * (_BIN_S + _WEIGHT_S * width * (width + n_channels))

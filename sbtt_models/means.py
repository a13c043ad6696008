"""How often each channel fires, from the samples that exist."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sbtt_models.signals import MaskedStream

__all__ = ["channel_rates"]

_SPIKES = 0.5  # what the other channels weigh, in spikes; half a spike is Jeffreys' prior
_LEAST_RATE = 1e-6  # [spikes/bin] where no channel ever fired


def channel_rates(stream: MaskedStream) -> Float[np.ndarray, " channel"]:
    r"""Mean count of a full bin of each channel, shrunk a little towards all channels' mean.

    .. math:: \hat m_c = \frac{k_c + 1/2}{e_c + 1/(2 \bar m)}

    for the spikes :math:`k_c` and exposure :math:`e_c` of a channel and the mean :math:`\bar m` of
    all: the posterior mean under a Gamma prior of shape 1/2. Without it a channel that happened to
    be silent in training would have a rate of 0, and one later spike would cost infinitely much.
    A channel never observed gets the mean of all.

    Parameters
    ----------
    stream : MaskedStream
        All its trials are used: cut it first.

    Returns
    -------
    numpy.ndarray
        Positive. [spikes/bin]
    """
    exposure = stream.exposure.sum((0, 1), dtype=np.float64)
    spikes = stream.counts.sum((0, 1), dtype=np.float64)
    mean = max(spikes.sum() / max(exposure.sum(), 1e-9), _LEAST_RATE)
    return (spikes + _SPIKES) / (exposure + _SPIKES / mean)

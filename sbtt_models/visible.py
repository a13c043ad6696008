"""What an encoder sees of a window: not channels held out, nor bins to be predicted."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.errors import SpecError
from sbtt_models.signals import MaskedStream

__all__ = ["refuse_hiding", "rescaled", "visible"]


def visible(
    spec: NeuralSpec, n_bins: int, n_channels: int, device: torch.device
) -> Float[Tensor, "bin channel"] | None:
    """1 for entries that an encoder may see, 0 for those that it must predict; None: sees all."""
    if not spec.held_out and spec.encoder_bins is None:
        return None
    seen = torch.ones(n_bins, n_channels, device=device)
    seen[spec.encoder_bins :] = 0
    seen[:, list(spec.held_out)] = 0
    return seen


def rescaled(
    counts: Float[Tensor, "batch bin channel"], exposure: Float[Tensor, "batch bin channel"]
) -> Float[Tensor, "batch bin channel"]:
    """Counts over the share of channels that is seen in their bin; of less than one, as of one.

    So the input of a bin is about as large however many channels were sampled.
    """
    seen = exposure.sum(2, keepdim=True).clamp_(min=1.0)
    return counts * (exposure.shape[2] / seen)


def refuse_hiding(spec: NeuralSpec, stream: MaskedStream, window_bins: int) -> None:
    """Refuse held-out channels and bins that a stream does not have.

    Raises
    ------
    SpecError
        For a channel that is not there, none left to see, and bins to be predicted inside trials
        that are cut into windows.
    """
    spec.refuse_channels(stream.n_channels)
    longest = int(stream.lengths.max())
    if spec.encoder_bins is not None and longest > window_bins:
        raise SpecError(
            f"encoder_bins: trials of {longest} bins are cut into windows of {window_bins}, and "
            "which bins a window predicts would be undone by the next; give trials of one window"
        )

"""What is done to the training data anew in each epoch; each part is off unless asked for.

A network sees more data than there are. Everything acts on whole trials, on the device, and what
is not observed stays so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sbtt_models.batches import StreamOnDevice
from sbtt_models.nets.coins import random_bits, threshold
from sbtt_models.signals import MaskedStream
from sbtt_models.spec import DataError
from sbtt_models.training import Training

__all__ = [
    "Augmentation",
    "held_samples",
    "hidden_from",
    "jittered",
    "refuse_jitter",
    "shifted",
    "thinned",
]

_MOST_SPIKES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """All of it, in order: spikes are jittered, trials shifted, entries set aside."""

    training: Training
    most: int
    """Spikes in the fullest bin."""
    noise: torch.Generator

    def epoch(self, data: StreamOnDevice) -> StreamOnDevice:
        """The training data of one epoch."""
        if self.training.jitter_bins:
            counts = jittered(
                data.counts, data.exposure, self.training.jitter_bins, self.most, self.noise
            )
            data = replace(data, counts=counts)
        if self.training.shift_bins:
            data = shifted(data, self.training.shift_bins, self.noise)
        if self.training.redrawn_mask:
            data = thinned(data, self.training.redrawn_mask, self.noise)
        return data


def jittered(
    counts: Float[Tensor, "trial bin channel"],
    exposure: Float[Tensor, "trial bin channel"],
    n_bins: int,
    most: int,
    generator: torch.Generator,
) -> Float[Tensor, "trial bin channel"]:
    """Move each spike by up to `n_bins`, to an observed bin of its channel and trial.

    A spike whose place would not be observed stays; so counts are conserved. Each moves alone; of
    a bin with more than 64 spikes the rest stays.

    Parameters
    ----------
    most : int
        Spikes in the fullest bin, so that nothing is read back from an accelerator.
    """
    result = counts.clone()
    total = counts.shape[1]
    bins = torch.arange(total, device=counts.device)[None, :, None]
    for spike in range(min(most, _MOST_SPIKES)):
        draw = torch.randint(
            -n_bins, n_bins + 1, counts.shape, generator=generator, device=generator.device
        ).to(counts.device)
        place = bins + draw
        inside = (place >= 0) & (place < total)
        place = place.clamp(0, total - 1)
        moves = (counts > spike) & inside & (exposure.gather(1, place) > 0)
        moved = moves.to(counts.dtype)
        result.sub_(moved)
        result.scatter_add_(1, place, moved)
    return result


def shifted(data: StreamOnDevice, n_bins: int, generator: torch.Generator) -> StreamOnDevice:
    """Shift each trial whole by up to `n_bins`; what comes from outside of it is not observed."""
    n_trials, total = data.counts.shape[:2]
    draw = torch.randint(
        -n_bins, n_bins + 1, (n_trials, 1), generator=generator, device=generator.device
    ).to(data.counts.device)
    place = torch.arange(total, device=data.counts.device)[None, :] - draw
    inside = ((place >= 0) & (place < total))[:, :, None]
    place = place.clamp(0, total - 1)[:, :, None]
    moved = {
        field.name: values.gather(1, place.expand(-1, -1, values.shape[2])) * inside
        for field in fields(data)
        if isinstance(values := getattr(data, field.name), Tensor)
    }
    return replace(data, **moved)


def thinned(data: StreamOnDevice, share: float, generator: torch.Generator) -> StreamOnDevice:
    """Set a share of the entries aside, as if they had never been delivered."""
    bits = random_bits(data.counts.numel(), generator.device, generator).to(data.counts.device)
    kept = bits.view(data.counts.shape) >= threshold(share)
    return hidden_from(data, ~kept)


def hidden_from(
    data: StreamOnDevice, entries: Bool[Tensor, "trial bin channel"]
) -> StreamOnDevice:
    """The same stream with some entries unobserved."""
    return replace(data, counts=data.counts * ~entries, exposure=data.exposure * ~entries)


def held_samples(
    stream: MaskedStream, share: float
) -> Bool[np.ndarray, "trial bin channel"] | None:
    """A share of the observed entries of the training trials, the same every time; None for 0.

    Raises
    ------
    DataError
        If the draw took none, or all.
    """
    if share == 0:
        return None
    held = stream.observed & (np.random.default_rng(1).random(stream.counts.shape) < share)
    others = np.setdiff1d(np.arange(stream.lengths.size), stream.split.train)
    held[others] = False
    n_held, n_all = int(held.sum()), int(stream.observed[stream.split.train].sum())
    if not 0 < n_held < n_all:
        raise DataError(
            f"training.sample_validation {share:g}: took {n_held} of {n_all} observed entries of "
            "the training trials; choose another share, or give more samples"
        )
    return held


def refuse_jitter(stream: MaskedStream, n_bins: int) -> None:
    """Spikes can be moved; what is not counted cannot.

    Raises
    ------
    DataError
        If jitter is asked for and a count is no whole number.
    """
    if n_bins and (stream.counts != np.round(stream.counts)).any():
        raise DataError(
            f"training.jitter_bins {n_bins}: moves whole spikes, but this stream holds fractions; "
            "leave it 0"
        )

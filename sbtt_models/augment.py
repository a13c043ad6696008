"""What is done to the training data anew in each epoch; each part is off unless asked for.

A network sees more data than there are. Everything acts on whole trials, on the device, and what
is not observed stays so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sbtt_models.batches import StreamOnDevice
from sbtt_models.errors import DataError
from sbtt_models.nets.coins import random_bits, threshold
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training

__all__ = [
    "Augmentation",
    "Spikes",
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
    noise: torch.Generator
    spikes: Spikes | None
    """Of the training data, where they are jittered."""

    @classmethod
    def of(cls, training: Training, data: StreamOnDevice, noise: torch.Generator) -> Augmentation:
        """Prepare for the epochs of a training."""
        spikes = Spikes.of(data.counts, data.exposure) if training.jitter_bins else None
        return cls(training, noise, spikes)

    def epoch(self, data: StreamOnDevice) -> StreamOnDevice:
        """The training data of one epoch."""
        if self.spikes is not None:
            counts = jittered(
                data.counts, data.exposure, self.training.jitter_bins, self.spikes, self.noise
            )
            data = replace(data, counts=counts)
        if self.training.shift_bins:
            data = shifted(data, self.training.shift_bins, self.noise)
        if self.training.redrawn_mask:
            data = thinned(data, self.training.redrawn_mask, self.noise)
        return data


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Each spike of a stream that can be moved by itself; found once, moved in every epoch."""

    place: Int[Tensor, " spike"]
    """Of its entry in the flat stream."""
    bin: Int[Tensor, " spike"]
    in_part: bool
    """Some bins are observed in part; else a move to an observed bin is always made."""

    @classmethod
    def of(
        cls,
        counts: Float[Tensor, "trial bin channel"],
        exposure: Float[Tensor, "trial bin channel"],
    ) -> Spikes:
        """Find them; of an entry with more than 64 the rest is left out."""
        single = counts.clamp(max=_MOST_SPIKES).long().flatten()
        place = torch.arange(single.numel(), device=counts.device).repeat_interleave(single)
        # asked here, once: the answer makes the program wait for the device
        in_part = bool(((exposure > 0) & (exposure < 1)).any())
        return cls(place, place // counts.shape[2] % counts.shape[1], in_part)


def jittered(
    counts: Float[Tensor, "trial bin channel"],
    exposure: Float[Tensor, "trial bin channel"],
    n_bins: int,
    spikes: Spikes,
    generator: torch.Generator,
) -> Float[Tensor, "trial bin channel"]:
    """Move each spike by up to `n_bins`, to an observed bin of its channel and trial.

    A spike whose place would not be observed stays; so counts are conserved. Each moves alone. To
    a bin of less exposure it moves as rarely as makes up for its coming back more often (the rule
    of Metropolis et al., 1953), so that each bin keeps counts in proportion to its exposure.

    Parameters
    ----------
    spikes : Spikes
        Of these counts, with this exposure.
    """
    total, n_channels = counts.shape[1:]
    draw = torch.randint(
        -n_bins, n_bins + 1, spikes.bin.shape, generator=generator, device=generator.device
    ).to(counts.device)
    at = spikes.bin + draw
    draw *= (at >= 0) & (at < total)
    seen = exposure.flatten()
    there = seen[spikes.place + draw * n_channels]
    draw *= there > 0
    if spikes.in_part:
        chance = torch.rand(there.shape, generator=generator, device=generator.device)
        draw *= chance.to(seen) * seen[spikes.place] < there
    one = torch.ones_like(spikes.place, dtype=counts.dtype)
    result = counts.flatten()  # sums of whole numbers: exact in any order
    result = result.scatter_add(0, spikes.place, -one)
    return result.scatter_add_(0, spikes.place + draw * n_channels, one).view(counts.shape)


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
    return replace(data, lengths=np.minimum(data.lengths + n_bins, total), **moved)


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

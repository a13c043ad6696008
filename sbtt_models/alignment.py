"""Read-ins and read-outs of sessions that start aligned: principal-component regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sbtt_models.errors import DataError
from sbtt_models.means import channel_rates, smoothed_rates
from sbtt_models.nets.base import Network
from sbtt_models.signals import MaskedStream

__all__ = ["Alignment"]

_SMOOTHING = 2.0  # [bins] of the condition averages, as few trials are noisy
_PRIOR = 0.5  # [bins] of the channel's mean in them
_RIDGE = 1e-2  # of the largest eigenvalue


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How each session's channels go with components of the activity that all share."""

    means: list[Float[np.ndarray, " _"]]
    """Of each session. [spikes/bin]"""
    read_in: list[Float[np.ndarray, "_ _"]]
    """From counts beside their mean to components of unit variance."""
    read_out: list[Float[np.ndarray, "_ _"]]
    """From components to log rates beside that of the mean."""

    @classmethod
    def of(
        cls,
        streams: Sequence[MaskedStream],
        conditions: Sequence[Int[np.ndarray, " _"]],
        size: int,
    ) -> Alignment:
        """Regress each session's condition averages on the principal components of all.

        Only training trials are used; conditions that not all sessions have are left out.

        Raises
        ------
        DataError
            If no condition is left.
        """
        trained = [label[one.split.train] for one, label in zip(streams, conditions, strict=True)]
        shared = sorted(set.intersection(*(set(map(int, label)) for label in trained)))
        if not shared:
            raise DataError("sessions: no condition is in the training trials of all of them")
        n_bins = min(int(one.lengths.max()) for one in streams)
        parts = [one.trials(one.split.train) for one in streams]
        means = [channel_rates(part) for part in parts]
        averages = [
            _averages(part, label, shared, mean)[:, :n_bins].reshape(-1, mean.size) - mean
            for part, label, mean in zip(parts, trained, means, strict=True)
        ]
        scaled = [one / np.sqrt(mean) for one, mean in zip(averages, means, strict=True)]
        scores, values, _ = np.linalg.svd(np.concatenate(scaled, 1), full_matrices=False)
        size = min(size, int((values > 1e-6 * values[0]).sum()))
        scores = scores[:, :size] * math.sqrt(len(scores))
        read_in, read_out = [], []
        for one, mean in zip(averages, means, strict=True):
            gram = one.T @ one
            gram += _RIDGE * np.linalg.eigvalsh(gram)[-1] * np.eye(len(gram))
            read_in.append(np.linalg.solve(gram, one.T @ scores).T)
            read_out.append(one.T @ scores / len(scores) / mean[:, None])
        return cls(means, read_in, read_out)

    def put_into(
        self, network: Network, parts: Sequence[slice], generator: torch.Generator
    ) -> None:
        """Let the network's first and last weights start from the components, mixed at random.

        The mixing is that of all sessions, so that what one session's channels say is heard as
        what another's say of the same component.
        """
        n_channels = parts[-1].stop
        first = [
            (name, p)
            for name, p in network.named_parameters()
            if name.startswith(network.read_in_parts) and p.ndim == 2
        ]
        for _, weight in first:
            bound = weight.detach().abs().max()
            mix = _uniform(generator, weight.shape[0], len(self.read_in[0])) * bound
            for part, read_in, mean in zip(parts, self.read_in, self.means, strict=True):
                columns = mix @ torch.tensor(read_in, dtype=torch.float32)
                with torch.no_grad():
                    weight[:, part] = columns
                    if weight.shape[1] == 2 * n_channels:  # a missing count is as its mean
                        shown = slice(n_channels + part.start, n_channels + part.stop)
                        weight[:, shown] = -columns * torch.tensor(mean, dtype=torch.float32)
        readout = network.get_submodule("readout")
        last = readout.get_parameter("weight")
        mix = _uniform(generator, len(self.read_in[0]), last.shape[1]) / math.sqrt(last.shape[1])
        for part, read_out in zip(parts, self.read_out, strict=True):
            with torch.no_grad():
                last[part] = torch.tensor(read_out, dtype=torch.float32) @ mix


def _averages(
    stream: MaskedStream,
    label: Int[np.ndarray, " trial"],
    shared: Sequence[int],
    means: Float[np.ndarray, " channel"],
) -> Float[np.ndarray, "condition bin channel"]:
    """Mean of the trials of each condition, smoothed, over the samples that exist."""
    members = [label == condition for condition in shared]
    counts = np.stack([stream.counts[one].sum(0) for one in members])
    exposure = np.stack([stream.exposure[one].sum(0) for one in members])
    return smoothed_rates(counts, exposure, means, _SMOOTHING, _PRIOR)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1

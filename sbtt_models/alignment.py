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
    log_rates: list[Float[np.ndarray, " _"]]
    """Of each session, the mean over conditions and bins: less than the log of the mean."""
    exposure: list[Float[np.ndarray, " _"]]
    """Of each session's channels, the mean over its bins."""

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
        rates = [
            _averages(part, label, shared, mean)[:, :n_bins].reshape(-1, mean.size)
            for part, label, mean in zip(parts, trained, means, strict=True)
        ]
        averages = [one - mean for one, mean in zip(rates, means, strict=True)]
        scaled = [one / np.sqrt(mean) for one, mean in zip(averages, means, strict=True)]
        scores, values, _ = np.linalg.svd(np.concatenate(scaled, 1), full_matrices=False)
        size = min(size, int((values > 1e-6 * values[0]).sum()))
        scores = scores[:, :size] * math.sqrt(len(scores))
        read_in, read_out = [], []
        for one, mean in zip(averages, means, strict=True):
            read_in.append(np.linalg.solve(_ridged(one), one.T @ scores).T)
            read_out.append(one.T @ scores / len(scores) / mean[:, None])
        exposure = [one.exposure.sum((0, 1)) / one.lengths.sum() for one in parts]
        log_rates = [np.log(one).mean(0) for one in rates]
        return cls(means, read_in, read_out, log_rates, exposure)

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

    def carry_over(self, trained: Network, part: slice, network: Network) -> None:
        """Let the second session's channels say and hear what the first one's do, once trained.

        Weights of the second are those of the first on the components that they share. Biases
        make up for what is heard and said on the average.

        Parameters
        ----------
        trained : Network
            In which `part` are the channels of the first session.
        network : Network
            With the channels of the second alone, and all else as in `trained`.
        """
        (mean, new_mean), (shown, new_shown) = self.means, self.exposure
        own, theirs = (_arrays(each) for each in (network, trained))
        n_channels = len(theirs["readout.bias"])
        counts = mean[:, None] * self.read_out[0]  # that go with a component
        for name in [n for n in own if n.startswith(network.read_in_parts) and own[n].ndim == 2]:
            weight = theirs[name][:, part]
            columns = weight @ counts @ self.read_in[1]
            level = weight @ (mean * shown)
            if theirs[name].shape[1] == 2 * n_channels:
                level += theirs[name][:, n_channels:][:, part] @ shown
                own[name] = np.concatenate([columns, -columns * new_mean], axis=1)
            else:
                level -= columns @ (new_mean * new_shown)
                own[name] = columns
            bias = name.replace("weight", "bias")
            own[bias] = theirs[bias] + level
        said = self.read_out[0]
        to_new = self.read_out[1] @ np.linalg.solve(_ridged(said), said.T)
        own["readout.weight"] = to_new @ theirs["readout.weight"][part]
        level = self.log_rates[0] - theirs["readout.bias"][part]  # that the states say
        own["readout.bias"] = self.log_rates[1] - to_new @ level
        network.load_state_dict({n: torch.tensor(v) for n, v in own.items()}, strict=False)


def _ridged(values: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "column column"]:
    """Products of the columns, for a ridge regression on them."""
    gram = values.T @ values
    return gram + _RIDGE * np.linalg.eigvalsh(gram)[-1] * np.eye(len(gram))


def _arrays(network: Network) -> dict[str, Float[np.ndarray, "..."]]:
    """Parameters by name."""
    return {n: p.detach().cpu().numpy().astype(float) for n, p in network.named_parameters()}


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

"""Several sessions around one core: each has its own read-in and read-out, the rest is shared.

Sessions are joined into one stream with the channels of all; in the trials of one session the
channels of the others are missing. Missing samples enter nothing and teach nothing, so columns of
the first weights are the read-in of a session, rows of the last its read-out, and the one training
loop trains all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, Shaped

from sbtt_models.alignment import Alignment
from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.device import seeded
from sbtt_models.errors import DataError, SpecError
from sbtt_models.fitting import fit
from sbtt_models.online import Online
from sbtt_models.same_stream import refuse_other
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.trained import FittedNetwork
from sbtt_models.training import Training
from sbtt_models.windows import window_of

__all__ = ["FittedSession", "add_session", "fit_sessions", "join"]


@dataclass(frozen=True, slots=True, eq=False)
class FittedSession:
    """A joint network, seen through the channels of one session."""

    whole: FittedNetwork
    """Of all sessions; what is saved."""
    channels: slice
    """Of the recording in it."""

    @property
    def n_parameters(self) -> int:
        """Of the whole network."""
        return self.whole.n_parameters

    @property
    def epochs(self) -> int:
        """Of the joint training."""
        return self.whole.epochs

    @property
    def train_s(self) -> float:
        """Of the joint training. [s]"""
        return self.whole.train_s

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """Of the joint training."""
        return self.whole.history

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected values of the channels of its recording; see :class:`Fitted`.

        Raises
        ------
        DataError
            For a stream of another number of channels, or of other bins.
        """
        refuse_other(stream, self.channels.stop - self.channels.start, self.whole.bin_s)
        return self.whole.rates(_widened(stream, self.channels, self.whole.n_channels))[
            :, :, self.channels
        ]

    def online(self, lookahead_bins: int | None = None) -> Online:
        """Not for a session.

        Raises
        ------
        SpecError
            Always: push the channels of all sessions to ``whole.online()``.
        """
        del lookahead_bins
        raise SpecError(
            "online: a session has no bin-by-bin decoder of its own; push the channels of all "
            "sessions to whole.online(), with an exposure of 0 for those of the others"
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write the whole network."""
        return self.whole.save(folder)


def fit_sessions(
    decoder: NeuralSpec,
    streams: Sequence[MaskedStream],
    training: Training | None = None,
    *,
    conditions: Sequence[Int[np.ndarray, " _"]] | None = None,
    align: int = 8,
    **setting: Any,
) -> list[FittedSession]:
    """Train one network on several sessions.

    Parameters
    ----------
    decoder : NeuralSpec
        Poisson.
    streams : sequence of MaskedStream
        Sessions of any channels, masks and numbers of trials; of one bin width.
    training : Training, optional
        As for :func:`sbtt_models.fit`.
    conditions : sequence of numpy.ndarray, optional
        What each trial of each session repeats, numbered alike in all. None: all trials repeat
        the same.
    align : int
        Components that read-ins and read-outs start from, by principal-component regression of the
        condition averages of the training trials. 0: they start at random.
    **setting
        ``seed``, ``device``, ``progress`` as for :func:`sbtt_models.fit`.

    Returns
    -------
    list of FittedSession
        In the order of `streams`.

    Raises
    ------
    DataError
        For sessions that cannot be joined, or no condition that all have.
    SpecError
        For another likelihood.
    """
    if decoder.likelihood.kind != "poisson" or decoder.held_out:
        raise SpecError("fit_sessions: takes a Poisson likelihood and no held_out channels")
    joined, parts = join(streams)
    start = None
    if align:
        labels = conditions or [np.zeros(len(stream.lengths), np.int64) for stream in streams]
        _refuse_labels(streams, labels)
        found = Alignment.of(streams, labels, align)
        # a training of no consequence makes the network that the aligned weights are put into
        none = (training or Training()).model_copy(update={"epochs": 1, "checkpoint_every": None})
        start = fit(decoder, joined, none, **setting | {"progress": None})
        if isinstance(start, FittedNetwork):
            found.put_into(start.network, parts, torch.Generator().manual_seed(0))
    whole = fit(decoder, joined, training, start=start, **setting)
    if not isinstance(whole, FittedNetwork):
        raise SpecError(f"fit_sessions: {decoder.kind} is no network")
    return [FittedSession(whole, part) for part in parts]


def add_session(
    fitted: FittedSession,
    stream: MaskedStream,
    training: Training | None = None,
    *,
    seed: int = 0,
    **setting: Any,
) -> FittedSession:
    """Add a session to a trained core: its read-in and read-out learn, all else stays as it was.

    Parameters
    ----------
    fitted : FittedSession
        Any of those that share the core; none of them changes.
    stream : MaskedStream
        The new session, of any channels; bins and windows as in the others.
    training : Training, optional
        As for :func:`sbtt_models.fit`.
    seed : int
        Seeds the first weights of read-in and read-out, and the training.
    **setting
        ``device``, ``progress``, ``folder`` as for :func:`sbtt_models.fit`.

    Returns
    -------
    FittedSession
        Of a network of its own, with the core's weights.

    Raises
    ------
    DataError
        For other bins than those of the core.
    SpecError
        If the core is made for other windows.
    """
    whole = fitted.whole
    refuse_other(stream, stream.n_channels, whole.bin_s)  # its channels are its own
    spec, n_bins = whole.spec, window_of(stream)
    alone = torch.from_numpy(spec.likelihood.start(stream.trials(stream.split.train)))
    with seeded(seed, torch.device("cpu")):
        network = spec.network(alone, n_bins, 0)
    with torch.device("meta"):
        wider = spec.network(torch.zeros(len(alone) + 1), n_bins, 0).state_dict()
    weights, theirs = network.state_dict(), whole.network.state_dict()
    core = {n: theirs[n] for n, v in weights.items() if v.shape == wider[n].shape}
    if any(value.shape != weights[name].shape for name, value in core.items()):
        raise SpecError(
            f"add_session: windows of {n_bins} bins, but the core was trained with "
            f"{whole.window_bins}; window the stream alike"
        )
    network.load_state_dict(weights | core)
    start = replace(whole, network=network, n_channels=stream.n_channels)
    own = fit(spec, stream, training, seed=seed, start=start, adapt="channels", **setting)
    if not isinstance(own, FittedNetwork):
        raise SpecError(f"add_session: {spec.kind} is no network")
    return FittedSession(own, slice(0, stream.n_channels))


def join(streams: Sequence[MaskedStream]) -> tuple[MaskedStream, list[slice]]:
    """One stream of all trials and all channels, and where each session's channels are in it.

    Raises
    ------
    DataError
        For no streams, or of different bins, windows or external inputs.
    """
    if not streams:
        raise DataError("join: no streams; give at least one session")
    first = streams[0]
    for number, one in enumerate(streams):
        if one.real:
            raise DataError(f"session {number}: holds real values; sessions of counts are joined")
        if one.bin_s != first.bin_s or one.window_bins != first.window_bins:
            raise DataError(
                f"session {number}: bins of {one.bin_s:g} s, windows {one.window_bins}, but "
                f"session 0 has {first.bin_s:g} s and {first.window_bins}; bin all alike"
            )
        if one.external is not None or one.detector is not None:
            raise DataError(f"session {number}: external inputs and detectors are not joined")
    stops = np.cumsum([one.n_channels for one in streams]).tolist()
    parts = [slice(b - one.n_channels, b) for one, b in zip(streams, stops, strict=True)]
    n_bins = max(one.counts.shape[1] for one in streams)
    wide = [
        _widened(one, part, stops[-1], n_bins) for one, part in zip(streams, parts, strict=True)
    ]
    begins = np.cumsum([0, *(len(one.lengths) for one in streams[:-1])])
    split = Split(*(
        np.concatenate([getattr(one.split, n) + b for one, b in zip(streams, begins, strict=True)])
        for n in ("train", "valid", "test")
    ))  # fmt: skip
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in wide])
        for name in ("counts", "exposure", "lengths")
    }
    return replace(first, **arrays, split=split), parts


def _refuse_labels(
    streams: Sequence[MaskedStream], labels: Sequence[Int[np.ndarray, " _"]]
) -> None:
    """Say which session has not one condition for each of its trials."""
    if len(labels) != len(streams):
        raise DataError(f"conditions: of {len(labels)} sessions, but there are {len(streams)}")
    for number, (one, label) in enumerate(zip(streams, labels, strict=True)):
        if len(label) != len(one.lengths):
            raise DataError(
                f"conditions: session {number} has {len(one.lengths)} trials and {len(label)} "
                "conditions; give one for each"
            )


def _widened(
    stream: MaskedStream, part: slice, n_channels: int, n_bins: int | None = None
) -> MaskedStream:
    """The stream among the channels of all sessions."""
    shape = (len(stream.lengths), n_bins or stream.counts.shape[1], n_channels)

    def wide(values: Shaped[np.ndarray, "trial bin channel"]) -> Shaped[np.ndarray, "a b c"]:
        out = np.zeros(shape, values.dtype)
        out[:, : values.shape[1], part] = values
        return out

    return replace(stream, counts=wide(stream.counts), exposure=wide(stream.exposure))

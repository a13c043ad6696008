"""Several sessions around one core: each has its own read-in and read-out, the rest is shared.

Sessions are joined into one stream with the channels of all; in the trials of one session the
channels of the others are missing. Missing samples enter nothing and teach nothing, so columns of
the first weights are the read-in of a session, rows of the last its read-out, and the one training
loop trains all of them together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from sbtt_models.alignment import Alignment
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.device import seeded
from sbtt_models.errors import DataError, SpecError
from sbtt_models.fitting import fit
from sbtt_models.same_stream import SAME_BINS, refuse_other
from sbtt_models.session_view import FittedSession, widened
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.trained import FittedNetwork
from sbtt_models.training import Training
from sbtt_models.windows import window_of

__all__ = ["FittedSession", "add_session", "fit_sessions", "join"]


def fit_sessions(
    decoder: DecoderSpec,
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
    decoder : DecoderSpec
        A network with a Poisson likelihood.
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
        For a decoder that is no network, or of another likelihood.
    """
    if not isinstance(decoder, NeuralSpec):
        raise SpecError(
            f"fit_sessions: takes networks, and a {decoder.kind} decoder is none by itself; "
            "choose one such as lfads or state_space"
        )
    if decoder.likelihood.kind != "poisson" or decoder.held_out:
        raise SpecError("fit_sessions: takes a Poisson likelihood and no held_out channels")
    joined, parts = join(streams)
    start = None
    if align:
        found = _aligned(streams, conditions, align)
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
    beside: MaskedStream | None = None,
    conditions: Sequence[Int[np.ndarray, " _"]] | None = None,
    align: int = 8,
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
    beside : MaskedStream, optional
        The session that `fitted` is of: read-in and read-out then start by saying and hearing what
        its own do. None: they start at random.
    conditions : sequence of numpy.ndarray, optional
        What each trial repeats, of `beside` and of `stream`, numbered alike. None: all trials
        repeat the same.
    align : int
        Components of their condition averages that are carried over, as for
        :func:`fit_sessions`. 0: none.
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
        For other bins than those of the core; where `beside` has other channels than `fitted`, or
        no condition that both have.
    SpecError
        If the core is made for other windows, or `conditions` are given without `beside`.
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
    if beside is None and conditions is not None:
        raise SpecError("add_session: conditions are of two sessions; give the other as beside")
    if beside is not None and align:
        fitted.refuse_other(beside)
        _refuse_apart([beside, stream], ["beside", "stream"])
        found = _aligned([beside, stream], conditions, align)
        found.carry_over(whole.network, fitted.channels, network)
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
    _refuse_apart(streams)
    stops = np.cumsum([one.n_channels for one in streams]).tolist()
    parts = [slice(b - one.n_channels, b) for one, b in zip(streams, stops, strict=True)]
    n_bins = max(one.counts.shape[1] for one in streams)
    wide = [
        widened(one, part, stops[-1], n_bins) for one, part in zip(streams, parts, strict=True)
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


def _refuse_apart(streams: Sequence[MaskedStream], names: Sequence[str] = ()) -> None:
    """Say which session is of another make than the first."""
    first, names = streams[0], names or [f"session {n}" for n in range(len(streams))]
    for name, one in zip(names, streams, strict=True):
        if one.real:
            raise DataError(f"{name}: holds real values; sessions of counts are joined")
        alike = math.isclose(one.bin_s, first.bin_s, rel_tol=SAME_BINS)
        if not alike or one.window_bins != first.window_bins:
            raise DataError(
                f"{name}: bins of {one.bin_s:g} s, windows {one.window_bins}, but {names[0]} has "
                f"{first.bin_s:g} s and {first.window_bins}; bin all alike"
            )
        if one.external is not None or one.detector is not None:
            raise DataError(f"{name}: external inputs and detectors are not joined")


def _aligned(
    streams: Sequence[MaskedStream],
    conditions: Sequence[Int[np.ndarray, " _"]] | None,
    size: int,
) -> Alignment:
    """Components that all sessions share; refused where trials lack a condition."""
    labels = conditions or [np.zeros(len(stream.lengths), np.int64) for stream in streams]
    if len(labels) != len(streams):
        raise DataError(f"conditions: of {len(labels)} sessions, but there are {len(streams)}")
    for number, (one, label) in enumerate(zip(streams, labels, strict=True)):
        if len(label) != len(one.lengths):
            raise DataError(
                f"conditions: session {number} has {len(one.lengths)} trials and {len(label)} "
                "conditions; give one for each"
            )
    return Alignment.of(streams, labels, size)

"""Training a network: at once, in parts, or to its end; the loop itself is in :mod:`loop`."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sbtt_models.augment import held_samples, refuse_jitter
from sbtt_models.checkpoint import Checkpoints, State
from sbtt_models.decoders.base import NeuralSpec, Setting
from sbtt_models.device import device_of, kept_memory, seeded, threads
from sbtt_models.loop import Loop
from sbtt_models.online import refuse_long_wait
from sbtt_models.resume import identity
from sbtt_models.signals import MaskedStream
from sbtt_models.trained import FittedNetwork, begin_from, freeze_all_but
from sbtt_models.training import Training
from sbtt_models.visible import refuse_hiding
from sbtt_models.windows import window_of

__all__ = ["advance", "finish", "train"]


def train(
    spec: NeuralSpec, stream: MaskedStream, training: Training, setting: Setting
) -> FittedNetwork:
    """Train a network by selective backpropagation through time; keep the best weights.

    Raises
    ------
    DivergedError
        At the first epoch in which a term of the loss is not finite.
    SpecError
        If the weights to begin from are of another network, a look-ahead fills a window, or an
        option is out of proportion to it.
    """
    with _ready(spec, stream, training, setting) as loop:
        checkpoints = None
        if setting.folder is not None and training.checkpoint_every is not None:
            whole = identity(loop.spec, loop.stream, training, setting, loop.network)
            checkpoints = Checkpoints(setting.folder, whole)
            first = copy.deepcopy(loop.state)
            if not checkpoints.resume(loop.restore):
                loop.restore(first)  # one that was refused late may have left something behind
        loop.run(setting.progress, checkpoints)
        return loop.fitted()


def advance(
    spec: NeuralSpec,
    stream: MaskedStream,
    training: Training,
    setting: Setting,
    state: State | None,
) -> State:
    """Take a training, whose rules may have changed, on to ``training.epochs``.

    Raises
    ------
    DivergedError
        At the first epoch in which a term of the loss is not finite.
    """
    with _ready(spec, stream, training, setting) as loop:
        if state is not None:
            loop.adopt(state)
        loop.run(None, None)
        return loop.state


def finish(
    spec: NeuralSpec, stream: MaskedStream, training: Training, setting: Setting, state: State
) -> FittedNetwork:
    """Make of a training, as it stands, a network with its best weights."""
    with _ready(spec, stream, training, setting) as loop:
        loop.adopt(state)
        return loop.fitted()


@contextmanager
def _ready(
    spec: NeuralSpec, stream: MaskedStream, training: Training, setting: Setting
) -> Iterator[Loop]:
    """Build the network and all that trains it; threads and generators are its own meanwhile."""
    start = time.perf_counter()
    device = device_of(setting.device)
    n_bins = window_of(stream)
    spec.likelihood.check(stream)
    earlier = setting.start  # its weights go on in the unit that they were trained in
    unit = earlier.unit if isinstance(earlier, FittedNetwork) else spec.likelihood.unit(stream)
    stream = stream if unit is None else unit.of_values(stream)
    spec.refuse_window(n_bins)
    refuse_hiding(spec, stream, n_bins)
    refuse_jitter(stream, training.jitter_bins)
    with threads(training.threads), seeded(setting.seed, device), kept_memory():
        held = held_samples(stream, training.sample_validation)
        taught = stream if held is None else stream.hide(held)
        inside = stream.lengths[stream.split.train].sum() * stream.n_channels
        sampled = float(taught.observed[stream.split.train].sum() / inside)
        spec = spec.suited_to(sampled)
        alone = spec.likelihood.start(taught.trials(stream.split.train))
        n_external = 0 if stream.external is None else stream.external.shape[2]
        network = spec.network(torch.from_numpy(alone), n_bins, n_external).to(device)
        if not network.endless and int(stream.lengths.max()) > n_bins:
            refuse_long_wait(spec.waits or 0, n_bins)
        if setting.start is not None:
            begin_from(network, spec, setting.start)
        freeze_all_but(network, setting.adapt)
        loop = Loop(spec, stream, training, setting, network, held, unit)
        loop.began = start
        yield loop

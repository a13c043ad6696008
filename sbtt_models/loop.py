"""The only training loop of this library."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from sbtt_models import kept
from sbtt_models.augment import Augmentation, held_samples, hidden_from, refuse_jitter
from sbtt_models.batches import Batch, StreamOnDevice
from sbtt_models.checkpoint import Checkpoints, State
from sbtt_models.decoders.base import NeuralSpec, Progress, Setting
from sbtt_models.device import device_of, kept_memory, seeded, threads
from sbtt_models.learning_rate import LearningRate
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.objective import Objective
from sbtt_models.online import refuse_long_wait
from sbtt_models.resume import Randomness, identity, optimiser_arrays, put_back, weights_of
from sbtt_models.signals import MaskedStream
from sbtt_models.spec import DataError, DivergedError
from sbtt_models.trained import INFER_BATCH, FittedNetwork, begin_from, freeze_all_but
from sbtt_models.training import Training
from sbtt_models.visible import refuse_hiding, visible
from sbtt_models.windows import Windows, cut, window_of

_JUDGED = ("valid_loss", "sample_loss")

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
        If the weights to begin from are of another network, or a look-ahead fills a window.
    """
    with _ready(spec, stream, training, setting) as loop:
        checkpoints = None
        if setting.folder is not None and training.checkpoint_every is not None:
            whole = identity(loop.spec, stream, training, setting, loop.network)
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
) -> Iterator[_Loop]:
    """Build the network and all that trains it; threads and generators are its own meanwhile."""
    start = time.perf_counter()
    device = device_of(setting.device)
    n_bins = window_of(stream)
    spec.likelihood.check(stream)
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
        loop = _Loop(spec, stream, training, setting, network, held)
        loop.began = start
        yield loop


def _tensors(arrays: kept.Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array).clone() for name, array in arrays.items()}


class _Samples:
    """Entries of the training trials that are never taught: where they are, window by window."""

    def __init__(
        self, data: StreamOnDevice, held: Bool[np.ndarray, "trial bin channel"], windows: Windows
    ) -> None:
        beyond = data.counts.shape[1] - held.shape[1]
        entries = torch.from_numpy(held).to(data.counts.device)
        entries = torch.nn.functional.pad(entries, (0, 0, 0, beyond))
        self.windows, self.without = windows, hidden_from(data, entries)
        marked = replace(data, counts=entries.float())
        self.hidden = [batch.counts > 0 for batch in marked.batches(windows, INFER_BATCH)]


class _Loop:
    """One training: its data, optimiser, schedule and best weights so far."""

    def __init__(
        self,
        spec: NeuralSpec,
        stream: MaskedStream,
        training: Training,
        setting: Setting,
        network: Network,
        held: Bool[np.ndarray, "trial bin channel"] | None,
    ) -> None:
        self.spec, self.training, self.network, self.stream = spec, training, network, stream
        self.n_bins = n_bins = window_of(stream)
        device = next(network.parameters()).device
        self.data = StreamOnDevice.of(stream, n_bins, device)
        self.rng = np.random.default_rng([setting.seed, 1])
        hidden = training.coordinated_dropout
        scale = 1.0 / (1.0 - hidden) if spec.rescales == "dropout" else 1.0
        noise = torch.Generator(device).manual_seed(setting.seed)
        shown = visible(spec, n_bins, stream.n_channels, device)
        over_all = training.loss_over == "all"
        rescale = spec.rescales == "observed"
        self.objective = Objective(hidden, scale, noise, network.head, shown, over_all, rescale)
        self.augmentation = Augmentation(training, int(stream.counts.max()), noise)
        self.stride = max(n_bins // 2, 1)
        self.valid = cut(stream.lengths, stream.split.valid, n_bins, self.stride)
        self.hidden = self._hide_validation(device)
        windows = cut(stream.lengths, stream.split.train, n_bins, self.stride)
        self.samples = None if held is None else _Samples(self.data, held, windows)
        self.taught = self.data if self.samples is None else self.samples.without
        self.learning = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(
            self.learning,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        n_steps = -(-windows.trial.size // training.batch_size)
        self.rate = LearningRate(self.optimiser, training, n_steps)
        self.history: list[dict[str, float]] = []
        self.best_loss, self.best_epoch = float("inf"), 0
        self.best_weights = copy.deepcopy(network.state_dict())
        self.finished = False
        self.randomness = Randomness(self.rng, noise)
        self.earlier_s, self.began = 0.0, time.perf_counter()

    def _hide_validation(
        self, device: torch.device
    ) -> list[Bool[Tensor, "batch bin channel"] | None]:
        """Entries of each validation batch that the encoder must not see: the same every time."""
        draw = torch.Generator().manual_seed(0)
        share = self.training.withheld_validation
        hidden: list[Bool[Tensor, "batch bin channel"] | None] = []
        judged = 0
        for batch in self.data.batches(self.valid, INFER_BATCH):
            entries = (torch.rand(batch.exposure.shape, generator=draw) < share).to(device)
            judged += int((entries & (batch.exposure > 0)).sum())
            hidden.append(entries if share > 0 else None)
        if share > 0 and judged == 0:  # so few samples that the draw took none: judge all
            return [torch.ones_like(batch) for batch in hidden if batch is not None]
        return hidden

    def fitted(self) -> FittedNetwork:
        """The network with its best weights."""
        self.network.load_state_dict(self.best_weights)
        self.network.release()
        return FittedNetwork(
            self.spec,
            self.network,
            self.stream.n_channels,
            self.n_bins,
            self.training.threads,
            sum(p.numel() for p in self.network.parameters()),
            len(self.history),
            self.seconds,
            tuple(self.history),
            0 if self.stream.external is None else self.stream.external.shape[2],
        )

    @property
    def seconds(self) -> float:
        """Spent in training, over all the parts of one that was resumed. [s]"""
        return self.earlier_s + time.perf_counter() - self.began

    def run(self, progress: Progress | None, checkpoints: Checkpoints | None) -> None:
        """Train until the budget or the patience is spent; one row of history per epoch."""
        most, every = self.training.epochs, self.training.checkpoint_every
        while not self.finished:
            epoch = len(self.history) + 1
            self.history.append(self._epoch(epoch))
            if progress is not None:
                progress(epoch, most)
            patience = self.training.patience
            stale = "valid_loss" in self.history[-1] and epoch - self.best_epoch
            self.finished = epoch >= most or bool(patience and stale and stale >= patience)
            if checkpoints is None or every is None or epoch < every:
                continue
            if self.finished or epoch % every == 0:
                checkpoints.save(self.state)

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Train for an epoch, validate if it is time to, and remember the best."""
        row = {"epoch": float(epoch), "learning_rate": self.rate.now}
        row |= self._train_epoch(epoch)
        if epoch % self.training.validate_every == 0 or epoch == self.training.epochs:
            row |= self._validate()
            self._refuse_non_finite(epoch, {k: np.array([row[k]]) for k in _JUDGED if k in row})
            loss = row[self.training.stop_by]
            self.rate.judge(loss)
            if loss < self.best_loss:
                self.best_loss, self.best_epoch = loss, epoch
                self.best_weights = copy.deepcopy(self.network.state_dict())
        return row

    @property
    def state(self) -> State:
        """All that the next epoch depends on."""
        parts = {
            "weights": weights_of(self.network.state_dict()),
            "best": weights_of(self.best_weights),
            "adam": optimiser_arrays(self.optimiser),
            "random": self.randomness.arrays,
        }
        arrays = {f"{part}/{k}": v for part, named in parts.items() for k, v in named.items()}
        facts = {
            "best_loss": self.best_loss if self.best_epoch else None,
            "best_epoch": self.best_epoch,
            "finished": self.finished,
            "seconds": self.seconds,
            "rate": self.rate.state,
            "random": self.randomness.facts,
            "history": self.history,
        }
        return State(len(self.history), arrays, facts)

    def restore(self, state: State) -> None:
        """Go to where a training like this one stood.

        Raises
        ------
        DataError
            If the state is of another make.
        """
        try:
            self._take(state)
            self.rate.restore(state.facts["rate"])
            random = {
                name.removeprefix("random/"): array
                for name, array in state.arrays.items()
                if name.startswith("random/")
            }
            self.randomness.restore(random, state.facts["random"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise DataError(
                f"checkpoint of epoch {state.epoch}: not the state of such a training: {error}"
            ) from error

    def adopt(self, state: State) -> None:
        """Take over what another training has learned, but neither its rate nor its chance."""
        self._take(state)
        self.finished = False

    def _take(self, state: State) -> None:
        parts: dict[str, dict[str, Shaped[np.ndarray, "..."]]] = {}
        for key, array in state.arrays.items():
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = array
        self.network.load_state_dict(_tensors(parts["weights"]))
        device = next(self.network.parameters()).device
        self.best_weights = {k: v.to(device) for k, v in _tensors(parts["best"]).items()}
        put_back(self.optimiser, parts.get("adam", {}))
        facts = state.facts
        self.history = [
            {str(k): float(v) for k, v in row.items()} for row in facts["history"][: state.epoch]
        ]
        self.best_loss = float("inf") if facts["best_loss"] is None else facts["best_loss"]
        self.best_epoch, self.finished = facts["best_epoch"], facts["finished"]
        self.earlier_s = facts["seconds"]

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.network.train()
        rng = self.rng if self.stream.window_bins else None
        windows = cut(self.stream.lengths, self.stream.split.train, self.n_bins, self.stride, rng)
        order = self.rng.permutation(windows.trial.size)
        windows = Windows(windows.trial[order], windows.start[order], self.n_bins)
        steps: list[dict[str, Tensor]] = []
        data = self.augmentation.epoch(self.taught)
        for batch in data.batches(windows, self.training.batch_size):
            steps.append(self._step(batch, epoch))
        # read back once per epoch, so that an accelerator never waits inside one
        values = {
            name: torch.stack([step[name] for step in steps]).cpu().numpy() for name in steps[0]
        }
        self._refuse_non_finite(epoch, values)
        return {name: float(value.mean()) for name, value in values.items()}

    def _step(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """One step of the optimiser; the terms of the loss and the norm of its gradient."""
        ramp = min(epoch / self.training.ramp_epochs, 1.0) if self.training.ramp_epochs else 1.0
        terms = self.objective.terms(self._infer, batch)
        loss = terms["nll"] + ramp * sum(v for name, v in terms.items() if name != "nll")
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.learning, self.training.clip_norm, foreach=True)
        self.optimiser.step()
        self.rate.step()
        return {name: value.detach() for name, value in (*terms.items(), ("gradient_norm", norm))}

    def _refuse_non_finite(
        self, epoch: int, values: dict[str, Float[np.ndarray, " step"]]
    ) -> None:
        """Name the first term that stopped being finite, in the order in which they arise."""
        broken = {
            name: int(np.argmin(finite))
            for name, value in values.items()
            if not (finite := np.isfinite(value)).all()
        }
        if broken:
            name = min(broken, key=lambda key: broken[key])
            raise DivergedError(
                f"training diverged in epoch {epoch}: {name} is {values[name][broken[name]]}; "
                f"lower learning_rate (now {self.training.learning_rate:g}) or clip_norm (now "
                f"{self.training.clip_norm:g})"
            )

    def _infer(self, *arguments: Any) -> Inferred:
        """Call the network in the precision of training."""
        device = next(self.network.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, self.training.precision == "bfloat16"):
            inferred: Inferred = self.network(*arguments)
        return inferred.in_float32()

    def _validate(self) -> dict[str, float]:
        self.network.eval()
        losses = {"valid_loss": self._loss(self.valid, self.hidden)}
        if self.samples is not None:
            losses["sample_loss"] = self._loss(
                self.samples.windows, self.samples.hidden, taught=False
            )
        return losses

    @torch.no_grad()
    def _loss(
        self,
        windows: Windows,
        hidden: Sequence[Bool[Tensor, "batch bin channel"] | None],
        *,
        taught: bool = True,
    ) -> float:
        """Mean loss of the entries that are hidden from the network, or of all. [nat]"""
        judged = [
            self.objective.judge(self.network, batch, entries, taught=taught)
            for batch, entries in zip(self.data.batches(windows, INFER_BATCH), hidden, strict=True)
        ]
        # read back once, so that an accelerator waits once
        totals, entries = (torch.stack(part).sum() for part in zip(*judged, strict=True))
        return float(totals / entries.clamp(min=1))

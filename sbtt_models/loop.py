"""The only training loop of this library."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from sbtt_models import kept
from sbtt_models.augment import Augmentation
from sbtt_models.batches import Batch, StreamOnDevice
from sbtt_models.checkpoint import Checkpoints, State
from sbtt_models.decoders.base import NeuralSpec, Progress, Setting
from sbtt_models.errors import DataError, DivergedError
from sbtt_models.learning_rate import LearningRate
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.objective import Objective
from sbtt_models.resume import Randomness, optimiser_arrays, put_back, weights_of
from sbtt_models.signals import MaskedStream
from sbtt_models.trained import FittedNetwork
from sbtt_models.training import Training
from sbtt_models.validation import JUDGED, Samples, Validation
from sbtt_models.value_unit import Unit
from sbtt_models.visible import visible
from sbtt_models.windows import Windows, cut, window_of

__all__ = ["Loop"]


class Loop:
    """One training: its data, optimiser, schedule and best weights so far."""

    def __init__(
        self,
        spec: NeuralSpec,
        stream: MaskedStream,
        training: Training,
        setting: Setting,
        network: Network,
        held: Bool[np.ndarray, "trial bin channel"] | None,
        unit: Unit | None = None,
    ) -> None:
        self.unit = unit
        self.spec, self.training, self.network, self.stream = spec, training, network, stream
        self.n_bins = n_bins = window_of(stream)
        device = next(network.parameters()).device
        data = StreamOnDevice.of(stream, n_bins, device)
        self.rng = np.random.default_rng([setting.seed, 1])
        hidden = training.coordinated_dropout
        scale = 1.0 / (1.0 - hidden) if spec.rescales == "dropout" else 1.0
        noise = torch.Generator(device).manual_seed(setting.seed)
        shown = visible(spec, n_bins, stream.n_channels, device)
        over_all = training.loss_over == "all"
        rescale = spec.rescales == "observed"
        self.objective = Objective(hidden, scale, noise, network.head, shown, over_all, rescale)
        self.stride = max(n_bins // 2, 1)
        windows = cut(stream.lengths, stream.split.train, n_bins, self.stride)
        samples = None if held is None else Samples(data, held, windows)
        self.taught = data if samples is None else samples.without
        self.augmentation = Augmentation.of(training, self.taught, noise)
        valid = cut(stream.lengths, stream.split.valid, n_bins, self.stride)
        self.validation = Validation(data, valid, training.withheld_validation, samples)
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
            self.unit,
            self.stream.bin_s,
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
            row |= self.validation.losses(self.objective, self.network)
            self._refuse_non_finite(epoch, {k: np.array([row[k]]) for k in JUDGED if k in row})
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
        for batch in data.steps(windows, self.training.batch_size):
            steps.append(self._step(batch, epoch))
        # read back once per epoch, so that an accelerator never waits inside one
        values = {
            name: torch.stack([step[name] for step in steps]).cpu().numpy() for name in steps[0]
        }
        self._refuse_non_finite(epoch, values)
        return {name: float(value.mean()) for name, value in values.items()}

    def _step(self, batch: list[Batch], epoch: int) -> dict[str, Tensor]:
        """One step of the optimiser; the terms of the loss and the norm of its gradient."""
        ramp = min(epoch / self.training.ramp_epochs, 1.0) if self.training.ramp_epochs else 1.0
        terms = self.objective.terms_of(self._infer, batch)
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


def _tensors(arrays: kept.Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array).clone() for name, array in arrays.items()}

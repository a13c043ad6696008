"""The only training loop of this library, and the decoder that comes out of it."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from safetensors.torch import save_file
from torch import Tensor

from sbtt_models.batches import StreamOnDevice
from sbtt_models.decoders.base import DecoderSpec, Fitted, NeuralSpec, Progress, Setting
from sbtt_models.device import device_of, kept_memory, seeded, threads
from sbtt_models.losses import coordinated_dropout, poisson_nll, selective_loss
from sbtt_models.means import channel_rates
from sbtt_models.nets.base import Network
from sbtt_models.signals import MaskedStream
from sbtt_models.spec import DataError, DivergedError
from sbtt_models.training import Training
from sbtt_models.windows import Windows, cut, stitch

__all__ = ["FittedNetwork", "fit", "train"]

_INFER_BATCH = 256


def fit(
    decoder: DecoderSpec,
    stream: MaskedStream,
    training: Training | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Fitted:
    """Fit a decoder to a masked stream.

    Parameters
    ----------
    decoder : DecoderSpec
        For example ``Autoencoder()`` or ``Smoothing()``.
    stream : MaskedStream
        Only observed entries of its train and valid trials are used.
    training : Training, optional
        Budget and rules; ignored by decoders that need no training.
    seed : int
        Seeds initial weights, batches, dropout and sampling.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with (epochs done, most epochs).

    Returns
    -------
    Fitted
        ``.rates(stream)`` gives expected counts per full bin.

    Raises
    ------
    DataError
        If no entry of the train or valid trials is observed.
    DivergedError
        If the loss stops being finite; names the term.
    SpecError
        For a device that is not there.
    """
    for name in ("train", "valid"):
        if not stream.observed[getattr(stream.split, name)].any():
            raise DataError(
                f"stream: no entry of the {name} trials is observed; raise the bandwidth or give "
                "more trials"
            )
    return decoder.fit(stream, training or Training(), Setting(seed, device, progress))


@dataclass(frozen=True, slots=True, eq=False)
class FittedNetwork:
    """A trained network with its best validation weights."""

    network: Network
    window_bins: int
    threads: int
    n_parameters: int
    epochs: int
    train_s: float
    history: tuple[Mapping[str, float], ...] = field(repr=False)

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        data = StreamOnDevice.of(stream, self.window_bins, next(self.network.parameters()).device)
        stride = max(self.window_bins // 4, 1)
        windows = cut(stream.lengths, np.arange(stream.lengths.size), self.window_bins, stride)
        with threads(self.threads), torch.no_grad():
            self.network.eval()
            pieces = [
                self.network(counts, exposure).log_rates.exp().cpu().numpy()
                for counts, exposure in data.batches(windows, _INFER_BATCH)
            ]
        return stitch(np.concatenate(pieces), windows, stream.counts.shape)

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write ``weights.safetensors`` and ``history.json``."""
        weights, history = folder / "weights.safetensors", folder / "history.json"
        state = {
            name: value.contiguous().cpu() for name, value in self.network.state_dict().items()
        }
        save_file(state, weights, {"window_bins": str(self.window_bins)})
        history.write_text(json.dumps(list(self.history)), encoding="utf-8")
        return weights, history


def train(
    spec: NeuralSpec, stream: MaskedStream, training: Training, setting: Setting
) -> FittedNetwork:
    """Train a network by selective backpropagation through time; keep the best weights.

    Raises
    ------
    DivergedError
        At the first epoch in which a term of the loss is not finite.
    """
    start = time.perf_counter()
    device = device_of(setting.device)
    n_bins = min(stream.window_bins or int(stream.lengths.max()), int(stream.lengths.max()))
    with threads(training.threads), seeded(setting.seed, device), kept_memory():
        rates = channel_rates(stream.trials(stream.split.train))
        log_mean = torch.from_numpy(np.log(rates).astype(np.float32))
        inside = stream.lengths[stream.split.train].sum() * stream.n_channels
        sampled = float(stream.observed[stream.split.train].sum() / inside)
        network = spec.suited_to(sampled).build(stream.n_channels, n_bins, log_mean).to(device)
        loop = _Loop(spec, stream, training, setting, network, n_bins)
        history = loop.run(setting.progress)
    network.load_state_dict(loop.best_weights)
    network.release()
    return FittedNetwork(
        network,
        n_bins,
        training.threads,
        sum(p.numel() for p in network.parameters()),
        int(history[-1]["epoch"]),
        time.perf_counter() - start,
        tuple(history),
    )


class _Loop:
    """One training: its data, optimiser, schedule and best weights so far."""

    def __init__(
        self,
        spec: NeuralSpec,
        stream: MaskedStream,
        training: Training,
        setting: Setting,
        network: Network,
        n_bins: int,
    ) -> None:
        self.training, self.network, self.stream, self.n_bins = training, network, stream, n_bins
        # with the mask as input the encoder knows what is missing; without, the published scale
        self.input_scale = 1.0 if spec.mask_input else 1.0 / (1.0 - training.coordinated_dropout)
        device = next(network.parameters()).device
        self.data = StreamOnDevice.of(stream, n_bins, device)
        self.rng = np.random.default_rng([setting.seed, 1])
        self.noise = torch.Generator(device).manual_seed(setting.seed)
        self.stride = max(n_bins // 2, 1)
        self.valid = cut(stream.lengths, stream.split.valid, n_bins, self.stride)
        self.hidden = self._hide_validation(device)
        windows = cut(stream.lengths, stream.split.train, n_bins, self.stride)
        self.n_steps = -(-windows.trial.size // training.batch_size)
        self.optimiser = torch.optim.Adam(
            network.parameters(),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self.schedule = _schedule(self.optimiser, training, self.n_steps)
        self.best_loss, self.best_weights = float("inf"), copy.deepcopy(network.state_dict())

    def _hide_validation(self, device: torch.device) -> list[Bool[Tensor, "batch bin channel"]]:
        """Entries of each validation batch that the encoder must not see: the same every time."""
        draw = torch.Generator().manual_seed(0)
        share = self.training.withheld_validation
        hidden, judged = [], 0
        for _, exposure in self.data.batches(self.valid, _INFER_BATCH):
            hidden.append((torch.rand(exposure.shape, generator=draw) < share).to(device))
            judged += int((hidden[-1] & (exposure > 0)).sum())
        if share > 0 and judged == 0:  # so few samples that the draw took none: judge all
            return [torch.ones_like(batch) for batch in hidden]
        return hidden

    def run(self, progress: Progress | None) -> list[dict[str, float]]:
        """Train until the budget or the patience is spent; one row per epoch."""
        history: list[dict[str, float]] = []
        best_epoch = 0
        for epoch in range(1, self.training.epochs + 1):
            rate = float(self.schedule.get_last_lr()[0])
            row = {"epoch": float(epoch), "learning_rate": rate} | self._train_epoch(epoch)
            if epoch % self.training.validate_every == 0 or epoch == self.training.epochs:
                row["valid_loss"] = self._validate()
                self._refuse_non_finite(epoch, {"valid_loss": np.array([row["valid_loss"]])})
                if row["valid_loss"] < self.best_loss:
                    self.best_loss, best_epoch = row["valid_loss"], epoch
                    self.best_weights = copy.deepcopy(self.network.state_dict())
            history.append(row)
            if progress is not None:
                progress(epoch, self.training.epochs)
            patience = self.training.patience
            if patience and "valid_loss" in row and epoch - best_epoch >= patience:
                break
        return history

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.network.train()
        rng = self.rng if self.stream.window_bins else None
        windows = cut(self.stream.lengths, self.stream.split.train, self.n_bins, self.stride, rng)
        order = self.rng.permutation(windows.trial.size)
        windows = Windows(windows.trial[order], windows.start[order], self.n_bins)
        steps: list[dict[str, Tensor]] = []
        for counts, exposure in self.data.batches(windows, self.training.batch_size):
            steps.append(self._step(counts, exposure, epoch))
        # read back once per epoch, so that an accelerator never waits inside one
        values = {
            name: torch.stack([step[name] for step in steps]).cpu().numpy() for name in steps[0]
        }
        self._refuse_non_finite(epoch, values)
        return {name: float(value.mean()) for name, value in values.items()}

    def _step(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        epoch: int,
    ) -> dict[str, Tensor]:
        """One step of the optimiser; the terms of the loss and the norm of its gradient."""
        ramp = min(epoch / self.training.ramp_epochs, 1.0) if self.training.ramp_epochs else 1.0
        terms = self._terms(counts, exposure)
        loss = terms["nll"] + ramp * sum(v for name, v in terms.items() if name != "nll")
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), self.training.clip_norm, foreach=True
        )
        self.optimiser.step()
        self.schedule.step()
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

    def _terms(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
    ) -> dict[str, Tensor]:
        rate = self.training.coordinated_dropout
        seen, seen_exposure, learns = counts, exposure, None
        if rate > 0:
            seen, seen_exposure, learns = coordinated_dropout(counts, exposure, rate, self.noise)
        inferred = self.network(seen * self.input_scale, seen_exposure, self.noise)
        nll = selective_loss(inferred.log_rates, counts, exposure, learns)
        return {"nll": nll, **inferred.penalties}

    @torch.no_grad()
    def _validate(self) -> float:
        self.network.eval()
        totals, entries = [], []
        everything = self.training.withheld_validation == 0
        batches = self.data.batches(self.valid, _INFER_BATCH)
        for (counts, exposure), hidden in zip(batches, self.hidden, strict=True):
            inferred = self.network(counts * ~hidden, exposure * ~hidden)
            judged = exposure if everything else exposure * hidden
            totals.append(poisson_nll(inferred.log_rates, counts, judged).sum())
            entries.append((judged > 0).sum())
        # read back once, so that an accelerator waits once
        total, n_entries = torch.stack([torch.stack(totals).sum(), torch.stack(entries).sum()])
        return float(total / n_entries.clamp(min=1))


def _schedule(
    optimiser: torch.optim.Optimizer, training: Training, n_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if training.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, total_steps=training.epochs * n_steps + 1
    )

"""The linear dynamical smoother: a Kalman smoother fitted by expectation maximisation."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import DecoderSpec, Fitted, Setting
from sbtt_models.decoders.smoothing import smooth
from sbtt_models.linear_dynamics import (
    LinearDynamics,
    initial_guess,
    maximise,
    smooth_states,
)
from sbtt_models.means import channel_rates
from sbtt_models.signals import MaskedStream, within
from sbtt_models.training import Training
from sbtt_models.windows import Windows, cut, stitch

__all__ = ["FittedKalman", "Kalman"]

_WINDOW = 256  # [bins] long trials are cut here: states forget their start long before
_SMOOTHING = 3.0  # [bins] kernel of the first guess
_LEAST_SHARE = 0.05  # of the channel's mean: a linear model may go below 0, a rate may not
_WITHHELD = 0.2
_PATIENCE = 5  # iterations in a row that are no better


class Kalman(DecoderSpec):
    """Linear latent dynamics with Gaussian noise, exact for every pattern of gaps.

    The iteration that best predicts withheld observed entries of the validation trials is kept.
    Counts are taken as Gaussian with a variance of each channel's own.
    """

    kind: Literal["kalman"] = "kalman"
    size: int = Field(20, ge=1, le=512)
    """Dimension of the latent state."""
    iterations: int = Field(30, ge=1, le=10_000)
    """The most EM iterations; five in a row that are no better end it."""

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        start = time.perf_counter()
        n_bins = min(_WINDOW, int(stream.lengths.max()))
        train = _Batch.of(stream, cut(stream.lengths, stream.split.train, n_bins, n_bins))
        means = channel_rates(train.stream)
        least_noise = np.maximum(0.1 * means, 1e-3)
        first = smooth(train.stream, _SMOOTHING, 0.5, means).astype(np.float64)
        model = initial_guess(first, train.inside, min(self.size, means.size), least_noise)
        judge = _Validation.of(stream, n_bins, means)
        best, history = model, [{"epoch": 0.0, "valid_loss": judge.loss(model)}]
        lowest, best_at = history[0]["valid_loss"], 0
        for iteration in range(1, self.iterations + 1):
            posterior = smooth_states(model, train.values, train.exposure, train.stream.lengths)
            model = maximise(posterior, train.values, train.exposure, train.inside, least_noise)
            loss = judge.loss(model)
            history.append({"epoch": float(iteration), "valid_loss": loss})
            if loss < lowest:
                best, lowest, best_at = model, loss, iteration
            if setting.progress is not None:
                setting.progress(iteration, self.iterations)
            if iteration - best_at >= _PATIENCE:
                break
        seconds = time.perf_counter() - start
        return FittedKalman(best, means, n_bins, len(history) - 1, seconds, tuple(history))


@dataclass(frozen=True, slots=True, eq=False)
class FittedKalman:
    """A linear dynamical system with its parameters found."""

    model: LinearDynamics
    means: Float[np.ndarray, " channel"]
    window_bins: int
    epochs: int
    train_s: float
    history: tuple[Mapping[str, float], ...] = field(repr=False)

    @property
    def n_parameters(self) -> int:
        """Free numbers of the system."""
        size, n_channels = self.model.transition.shape[0], self.means.size
        return 2 * size * size + size * (size + 1) // 2 + n_channels * (size + 2)

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        trials = np.arange(stream.lengths.size)
        windows = cut(stream.lengths, trials, self.window_bins, max(self.window_bins // 2, 1))
        batch = _Batch.of(stream, windows)
        pieces = _rates(self.model, self.means, batch).astype(np.float32)
        return stitch(pieces, windows, stream.counts.shape)

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write ``weights.safetensors`` and ``history.json``."""
        from safetensors.numpy import save_file

        weights, history = folder / "weights.safetensors", folder / "history.json"
        names = ("transition", "innovation", "initial", "loading", "offset", "noise")
        save_file(
            {name: np.ascontiguousarray(getattr(self.model, name)) for name in names}, weights
        )
        history.write_text(json.dumps([dict(row) for row in self.history]), encoding="utf-8")
        return weights, history


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Windows of a stream, side by side."""

    stream: MaskedStream
    values: Float[np.ndarray, "sequence bin channel"]
    exposure: Float[np.ndarray, "sequence bin channel"]
    inside: Float[np.ndarray, "sequence bin"]

    @classmethod
    def of(cls, stream: MaskedStream, windows: Windows) -> _Batch:
        pad = ((0, 0), (0, windows.n_bins), (0, 0))
        rows = windows.start[:, None] + np.arange(windows.n_bins)
        counts = np.pad(stream.counts, pad)[windows.trial[:, None], rows]
        exposure = np.pad(stream.exposure, pad)[windows.trial[:, None], rows]
        lengths = np.minimum(stream.lengths[windows.trial] - windows.start, windows.n_bins)
        values = np.divide(
            counts, exposure, out=np.zeros(counts.shape), where=exposure > 0
        )  # [spikes/bin]
        view = MaskedStream(counts, exposure, lengths, stream.bin_s, stream.split)
        inside = within(lengths, windows.n_bins).astype(np.float64)
        return cls(view, values, exposure.astype(np.float64), inside)


@dataclass(frozen=True, slots=True, eq=False)
class _Validation:
    """Validation windows with a fifth of their entries hidden, the same in every iteration."""

    shown: _Batch
    counts: Float[np.ndarray, " hidden"]
    exposure: Float[np.ndarray, " hidden"]
    entries: np.ndarray
    means: Float[np.ndarray, " channel"]

    @classmethod
    def of(
        cls, stream: MaskedStream, n_bins: int, means: Float[np.ndarray, " channel"]
    ) -> _Validation:
        whole = _Batch.of(stream, cut(stream.lengths, stream.split.valid, n_bins, n_bins))
        draw = np.random.default_rng(0).random(whole.exposure.shape) < _WITHHELD
        entries = draw & (whole.exposure > 0)
        if not entries.any():  # so few samples that the draw took none: then all are judged
            entries = whole.exposure > 0
        exposure = np.where(entries, 0.0, whole.exposure)
        shown = _Batch(whole.stream, whole.values, exposure, whole.inside)
        counts = (whole.values * whole.exposure)[entries]
        return cls(shown, counts, whole.exposure[entries], entries, means)

    def loss(self, model: LinearDynamics) -> float:
        rates = _rates(model, self.means, self.shown)[self.entries]
        nll = rates * self.exposure - self.counts * np.log(rates)
        return float(nll.mean())


def _rates(
    model: LinearDynamics, means: Float[np.ndarray, " channel"], batch: _Batch
) -> Float[np.ndarray, "sequence bin channel"]:
    """Expected counts of full bins, kept above a small share of each channel's mean."""
    states = smooth_states(model, batch.values, batch.exposure, batch.stream.lengths).mean
    return np.maximum(states @ model.loading.T + model.offset, _LEAST_SHARE * means)

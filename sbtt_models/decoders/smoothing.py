"""Baselines that need no training: mask-normalised Gaussian smoothing, and interpolation.

Their few settings are chosen on withheld observed entries, as a trained decoder's are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import DecoderSpec, Fitted, Setting
from sbtt_models.interpolation import InterpolationStep, interpolate, interpolate_so_far
from sbtt_models.means import channel_rates, reach, smoothed_rates, square_loss
from sbtt_models.online import Online, WindowStep, refuse_real_fit
from sbtt_models.same_stream import refuse_other
from sbtt_models.saved import Saved, save
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.units import Seconds

__all__ = ["FittedSmoother", "Interpolation", "Smoothing", "smooth"]

_SD_GRID_BINS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
_PRIOR_GRID = (0.05, 0.5, 2.0)
_WITHHELD = 0.2


class Smoothing(DecoderSpec):
    """Gaussian smoothing of each channel over its observed bins only.

    ``(K * y + p m) / (K * e + p)`` for counts y, exposure e, kernel K, the channel's mean m and a
    prior weight p, in bins: without the normalisation by ``K * e`` rates would be biased low by
    the share of samples taken, and where no sample is near the estimate falls back to the mean.
    """

    kind: Literal["smoothing"] = "smoothing"
    sd_s: Seconds | None = Field(None, gt=0, alias="sd")
    """Standard deviation of the kernel. None: the best of a grid from half a bin to 32 bins."""
    prior: float | None = Field(None, gt=0)
    """Weight of the channel's mean. [bins] None: the best of 0.05, 0.5 and 2."""

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        setting.refuse_start(self.kind)
        return _choose(self, self.sd_s, self.prior, stream)

    @override
    def restore(self, saved: Saved, device: str) -> Fitted:
        return FittedSmoother.of(self, saved)


class Interpolation(DecoderSpec):
    """Linear interpolation of each channel between its observed bins, then Gaussian smoothing.

    A line goes through every sample, whatever its exposure; ``smoothing`` weighs samples by it.
    """

    kind: Literal["interpolation"] = "interpolation"
    sd_s: Seconds | None = Field(None, gt=0, alias="sd")
    """Standard deviation of the smoothing. None: the best of a grid from half a bin to 32 bins."""

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> Fitted:
        setting.refuse_start(self.kind)
        return _choose(self, self.sd_s, None, stream)

    @override
    def restore(self, saved: Saved, device: str) -> Fitted:
        return FittedSmoother.of(self, saved)


@dataclass(frozen=True, slots=True, eq=False)
class FittedSmoother:
    """A smoother with its settings chosen."""

    spec: Smoothing | Interpolation
    sd_bins: float
    prior: float
    means: Float[np.ndarray, " channel"]
    train_s: float
    history: tuple[Mapping[str, float], ...] = field(repr=False)
    bin_s: float | None
    """Bin width of the fit. [s] None: not known."""
    real: bool
    """Fitted to real values."""
    n_parameters: int = 0
    epochs: int = 0

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        refuse_other(stream, self.means.size, self.bin_s)
        if isinstance(self.spec, Smoothing):
            return smooth(stream, self.sd_bins, self.prior, self.means, self.spec.waits)
        if self.spec.waits is not None:
            return interpolate_so_far(stream, self.sd_bins, self.means, self.spec.waits)
        return interpolate(stream, self.sd_bins, self.means)

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        refuse_real_fit(self.spec.kind, self.real)
        wait = (self.spec.waits or 0) if lookahead_bins is None else lookahead_bins
        if isinstance(self.spec, Interpolation):
            return Online(lambda: InterpolationStep(self.sd_bins, self.means, wait))

        def infer(
            counts: Float32[np.ndarray, "bin channel"],
            exposure: Float32[np.ndarray, "bin channel"],
        ) -> Float[np.ndarray, "bin channel"]:
            seen = counts[None], exposure[None]
            return smoothed_rates(*seen, self.means, self.sd_bins, self.prior, wait)[0]

        n_bins = reach(self.sd_bins) + 1 + wait
        return Online(lambda: WindowStep(infer, n_bins, wait, self.means.size))

    def saved(self) -> Saved:
        """Means and settings."""
        names = ("sd_bins", "prior", "train_s", "bin_s", "real")
        facts = {name: getattr(self, name) for name in names}
        return Saved(self.spec, {"means": self.means}, facts, self.history)

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write means, history (the settings tried and their losses) and manifest."""
        return save(self.saved(), folder)

    @classmethod
    def of(cls, spec: Smoothing | Interpolation, saved: Saved) -> FittedSmoother:
        """Make it of what was saved; see :meth:`DecoderSpec.restore`."""
        means = saved.array("means", "float64", None)
        sd_bins, prior, train_s = map(saved.number, ("sd_bins", "prior", "train_s"))
        real = saved.facts.get("real") is True  # earlier versions did not say
        history = tuple(saved.history)
        return cls(spec, sd_bins, prior, means, train_s, history, saved.bin_s, real)


def smooth(
    stream: MaskedStream,
    sd_bins: float,
    prior: float,
    means: Float[np.ndarray, " channel"],
    ahead: int | None = None,
) -> Float32[np.ndarray, "trial bin channel"]:
    """Mask-normalised Gaussian smoothing; see :class:`Smoothing`. [spikes/bin]"""
    rates = smoothed_rates(stream.counts, stream.exposure, means, sd_bins, prior, ahead)
    return rates.astype(np.float32)


def _choose(
    spec: Smoothing | Interpolation,
    sd_s: float | None,
    prior: float | None,
    stream: MaskedStream,
) -> FittedSmoother:
    """Take the settings that best predict withheld observed entries of train and valid trials."""
    start = time.perf_counter()
    kept = stream.trials(stream.split.fitted)
    means = channel_rates(kept)
    sds = _SD_GRID_BINS if sd_s is None else (sd_s / stream.bin_s,)
    weights = _PRIOR_GRID if prior is None else (prior,)
    priors = weights if isinstance(spec, Smoothing) else (0.0,)
    hidden = kept.observed & (np.random.default_rng(0).random(kept.counts.shape) < _WITHHELD)
    if not hidden.any():  # so few samples that the draw took none: then all are judged
        hidden = kept.observed
    shown = kept.hide(hidden)
    known, history = (stream.bin_s, stream.real), []
    for sd, weight in product(sds, priors):
        trial = FittedSmoother(spec, float(sd), float(weight), means, 0.0, (), *known)
        rates = trial.rates(shown)[hidden]
        counts, exposure = kept.counts[hidden], kept.exposure[hidden]
        if stream.real:
            loss = square_loss(counts, exposure, rates)
        else:
            loss = float((rates * exposure - counts * np.log(rates)).mean())
        history.append({"sd_bins": float(sd), "prior": float(weight), "valid_loss": loss})
    best = min(history, key=lambda row: row["valid_loss"])
    seconds = time.perf_counter() - start
    settings = best["sd_bins"], best["prior"]
    return FittedSmoother(spec, *settings, means, seconds, tuple(history), *known)

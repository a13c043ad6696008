"""What all scores of one point look at, and the decoder's rates as they may be scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from implant_sim.study.withhold import ScoreOptions
from sbtt_models import metrics
from sbtt_models.errors import DataError
from sbtt_models.signals import MaskedStream, Recording, within

__all__ = ["Case", "RatesOf", "case_of", "rates_in"]

RatesOf = Callable[[MaskedStream], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What all scores of one point look at."""

    stream: MaskedStream
    recording: Recording
    options: ScoreOptions
    repeat: int
    fill: Float[np.ndarray, " channel"]
    """Rates of channels never observed. [1/bin]"""
    never: Bool[np.ndarray, " channel"]
    """Channels without a sample in training."""
    left_out: Bool[np.ndarray, " channel"]
    """Channels that means over channels leave out."""
    inside: Bool[np.ndarray, "trial bin"]
    """Bins that belong to their trial."""

    @property
    def fit_trials(self) -> Int[np.ndarray, " fitted"]:
        """Trials that a read-out may be fitted on: training and validation, never test."""
        return self.recording.split.fitted

    def only(self, trials: Int[np.ndarray, " kept"]) -> Bool[np.ndarray, "trial bin"]:
        """Bins inside some trials."""
        chosen = np.zeros(self.inside.shape[0], bool)
        chosen[trials] = True
        return self.inside & chosen[:, None]


def case_of(
    stream: MaskedStream,
    recording: Recording,
    options: ScoreOptions,
    repeat: int,
    calibration_mean: Float[np.ndarray, " channel"] | None,
) -> Case:
    """Put stream and recording together.

    Raises
    ------
    DataError
        If they do not belong together.
    """
    if stream.counts.shape != recording.counts.shape:
        raise DataError(
            f"{recording.name}: stream has shape {stream.counts.shape}, recording "
            f"{recording.counts.shape}; score a stream against the recording it was taken from"
        )
    train = recording.split.train
    exposure = np.where(recording.available[train], stream.exposure[train], np.float32(0))
    never = np.logical_not((exposure > 0).any(axis=(0, 1)))
    means = metrics.channel_means(stream.counts[train], exposure=exposure)
    if stream.detector is not None:
        means = stream.detector.true(means[None, None].astype(np.float32))[0, 0].astype(float)
    known = means[~never].mean() if not never.all() else 0.0  # all that is known of the others
    fill = np.full(recording.n_channels, known) if calibration_mean is None else calibration_mean
    left_out = np.zeros(recording.n_channels, bool)
    left_out[recording.silent_channels] = True
    if calibration_mean is None:
        left_out |= never
    inside = within(recording.lengths, recording.counts.shape[1])
    return Case(stream, recording, options, repeat, fill, never, left_out, inside)


def rates_in(
    rates_of: RatesOf, case: Case, stream: MaskedStream
) -> Float32[np.ndarray, "trial bin channel"]:
    """Ask the decoder; undo the detector; replace what cannot be known; blank the padding."""
    rates = np.asarray(rates_of(stream), np.float32)
    if rates.shape != stream.counts.shape:
        raise DataError(f"decoder: rates {rates.shape} for a stream of {stream.counts.shape}")
    inside = within(stream.lengths, rates.shape[1])[:, :, None]
    if stream.detector is not None:
        rates = stream.detector.true(rates)
    rates = np.where(case.never, case.fill.astype(np.float32), rates)
    rates = np.where(inside, rates, np.float32(0))
    if not np.isfinite(rates).all():
        raise DataError(f"decoder: {int((~np.isfinite(rates)).sum())} rates are NaN or infinite")
    return rates

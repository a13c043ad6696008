"""Second moments of behaviour and of the spikes that came before it, on calibration data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from implant_sim.hardware.schedules.view import Calibration
from sbtt_models.errors import SpecError

__all__ = ["Moments", "Regression", "moments"]

_WINDOW_S = 0.1  # spikes are summed over so long: single bins are nearly all zero
_COMPONENTS = 5  # of the population, where there is no behaviour
_RIDGE = 1e-3  # of each standardised feature's energy
_CONSTANT = 1e-9  # of its mean: what varies less does not vary


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Second moments of features and targets."""

    features: Float[np.ndarray, "feature feature"]
    cross: Float[np.ndarray, "feature target"]


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A linear regression that is not solved yet, of standardised features.

    A feature is what one channel spiked in one window of 0.1 s before a bin: the windows of the
    first channel, then those of the next.
    """

    train: Moments
    """With a ridge on the features' own."""
    valid: Moments
    poisson: Float[np.ndarray, " feature"]
    """Variance that Poisson noise gives a feature in all rows of training: their number times mean
    over variance, 0 for one that does not vary."""


def moments(data: Calibration, lags: int, filled: bool = False) -> Regression:
    """Sum over all bins that are scored; behaviour, or else the population's leading components.

    Parameters
    ----------
    data : Calibration
        Training and validation trials.
    lags : int
        Windows of 0.1 s back from a bin.
    filled : bool
        Whether windows that reach back beyond a trial's beginning are filled up with the mean of
        each channel. As they are, few spikes tell that the trial has just begun.

    Raises
    ------
    SpecError
        If no bin of the training trials can be used, or behaviour is not finite in one.
    """
    if not (data.scored & ~data.valid[:, None]).any():
        raise SpecError(
            "schedule: no bin of the training trials lies inside its trial and has behaviour, so "
            "channels cannot be chosen by it; give more training trials, or choose by rate"
        )
    if data.behaviour is not None and not np.isfinite(data.behaviour[data.scored]).all():
        raise SpecError(
            "schedule: behaviour is not finite in bins that are marked as valid, so channels "
            "cannot be chosen by it; mark those bins as invalid, or choose by rate"
        )
    features = _lagged(data, lags, filled)
    targets, scale_each = _targets(data, features[:, :, ::lags])
    x, y = {}, {}
    for name, part in (("train", ~data.valid), ("valid", data.valid)):
        rows = data.scored & part[:, None]
        x[name], y[name] = features[rows], targets[rows]
    mean_x, mean_y = x["train"].mean(axis=0), y["train"].mean(axis=0)
    scale_x = _scale(x["train"])
    scale_y = _scale(y["train"]) if scale_each else np.ones(len(mean_y))
    found = []
    for name in ("train", "valid"):
        fx, fy = (x[name] - mean_x) / scale_x, (y[name] - mean_y) / scale_y
        found.append(Moments(fx.T @ fx, fx.T @ fy))
    n_rows = len(x["train"])
    found[0].features[np.diag_indices(len(mean_x))] += _RIDGE * n_rows + 1e-9
    return Regression(found[0], found[1], n_rows * mean_x / scale_x**2)


def _scale(values: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    """Deviation of each column; infinite where it does not vary, so that nothing is left of it."""
    deviation = values.std(axis=0)
    return np.where(deviation > _CONSTANT * np.abs(values.mean(axis=0)), deviation, np.inf)


def _lagged(data: Calibration, lags: int, filled: bool) -> Float[np.ndarray, "trial bin feature"]:
    """Spikes of each channel in the windows before and up to each bin, channel by channel."""
    window = max(1, round(_WINDOW_S / data.bin_s))
    counts = np.where(data.recorded, data.counts, 0)
    n_trials, n_bins, n_channels = counts.shape
    total = np.zeros((n_trials, n_bins + 1, n_channels))
    np.cumsum(counts, axis=1, out=total[:, 1:])
    mean = counts[data.scored].mean(axis=0) if filled else np.zeros(n_channels)
    edges = [np.arange(1, n_bins + 1) - lag * window for lag in range(lags + 1)]
    windows = []
    for late, early in pairwise(edges):
        end, start = np.maximum(0, late), np.maximum(0, early)
        missing = (window - (end - start))[:, None] * mean
        windows.append(total[:, end] - total[:, start] + missing)
    return np.stack(windows, axis=3).reshape(n_trials, n_bins, n_channels * lags)


def _targets(
    data: Calibration, now: Float[np.ndarray, "trial bin channel"]
) -> tuple[Float[np.ndarray, "trial bin target"], bool]:
    """Give what is to be predicted, and whether each dimension counts the same."""
    if data.behaviour is not None:
        return data.behaviour, True
    rows: Bool[np.ndarray, "trial bin"] = data.scored & ~data.valid[:, None]
    centred = now[rows] - now[rows].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return now @ axes[:, ::-1][:, :_COMPONENTS], False

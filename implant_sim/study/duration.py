"""How long a run takes, roughly: enough to tell minutes from days before it is begun."""

from __future__ import annotations

from implant_sim.hardware.schedules import AnySchedule
from implant_sim.hardware.schedules.base import Adaptive, Budgeted
from implant_sim.hardware.schedules.hybrid import Hybrid
from implant_sim.hardware.schedules.information import Information
from implant_sim.hardware.schedules.weighted import Weighted
from implant_sim.recordings.base import Declared
from sbtt_models.decoders import LFADS, AnyDecoder, AugmentedLDS, TrialMixture, ZeroFilled
from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.training import Training

__all__ = ["choosing_s", "epoch_s", "training_s"]

_BIN_S = 3.3e-6
_WEIGHT_S = 2.4e-10
"""Seconds of a training step on one core, for each bin of a window, and for each bin and weight.
Through the three steps measured in benchmarks/speed/training.md: 6.6, 12.2 and 34 us a bin, where
this gives 6.4, 12.1 and 38."""
_TRAINED = 0.65
"""Share of the bins that a pass over training and validation is worth."""
_STEP_S, _SEEN_S, _GAINED_S = 25e-6, 0.15e-6, 3e-9
"""Seconds of an adaptive choice: of each step, of each channel in it, and where information is
gained, of each channel looked at for each place. Measured in benchmarks/engines/choosing.py."""
_LAGGED_S, _PAIRED_S, _FREED_S, _WEIGHED_S = 0.05e-6, 0.2e-9, 23e-9, 40e-9
"""Seconds of a ranking: of each bin and channel, of each bin and pair of channels, if it is greedy
of each channel for each pair of those chosen, and by behaviour of the cube of channels; measured
there, too."""
_MORE_WINDOWS = (5 / 3) ** 2
"""Work on pairs of windows by behaviour, over that of the other rankings."""
_WIDTHS = ("hidden", "generator", "factors", "modes", "feedforward")
_EPOCH_S, _STEPWISE_S, _MIXTURE_S = 12e-3, 12e-6, 30e-6
"""Seconds of what an epoch takes beside its bins; of a bin where a network goes step by step, in
batches of 32 (LFADS); and, once, of a bin in the mixture of trials."""
_EM_S = {
    "kalman": (0.15e-6, 2.5e-9),
    "factor_analysis": (0.15e-6, 2.5e-9),
    "poisson_lds": (0.42e-6, 15e-9),
    "gpfa": (0.9e-6, 64e-9),
}
"""Seconds of an iteration of a linear model for each bin and state, and for each bin, state and
channel. These and the three above through the times of benchmarks/engines/training.md, and for
gpfa through 8 states and 10 iterations on two of its recordings (1.3 and 1.7 s)."""
_STATES = 20
"""Of a linear model whose size is searched for."""


def epoch_s(decoder: AnyDecoder, n_bins: int, n_channels: int) -> float | None:
    """Predict the time of one epoch on one core, within a factor of a few. [s]

    Parameters
    ----------
    decoder : DecoderSpec
    n_bins : int
        Bins of all trials.
    n_channels : int

    Returns
    -------
    float or None
        None for decoders that are not trained in epochs.

    Examples
    --------
    >>> from sbtt_models.decoders import Autoencoder
    >>> round(epoch_s(Autoencoder(), n_bins=78_000, n_channels=29), 2)
    0.62
    """
    network = decoder.network if isinstance(decoder, TrialMixture | ZeroFilled) else decoder
    if not isinstance(network, NeuralSpec | AugmentedLDS):
        return None
    width = sum(int(getattr(network, name, 0)) for name in _WIDTHS)
    step_s = _BIN_S + _WEIGHT_S * width * (width + n_channels)
    step_s += _STEPWISE_S if isinstance(network, LFADS) else 0.0
    return _TRAINED * n_bins * step_s


def training_s(decoder: AnyDecoder, training: Training, size: Declared) -> float:
    """Predict the time of one training on one core, within a factor of two or three. [s]

    Parameters
    ----------
    decoder : DecoderSpec
        One that only smooths takes no time to speak of. A linear model that searches for its size
        or prior takes several times what is said.
    training : Training
        If none of its epochs is saved by stopping early.
    size : Declared
        Of the recording.

    Examples
    --------
    >>> from sbtt_models.decoders import AugmentedLDS
    >>> chewie = Declared(n_bins=2226, n_channels=133, bin_s=0.1)
    >>> round(training_s(AugmentedLDS(), Training(epochs=80), chewie), 1)
    3.3
    """
    epoch = epoch_s(decoder, size.n_bins, size.n_channels)
    total_s = 0.0 if epoch is None else training.epochs * (_EPOCH_S + epoch)
    if isinstance(decoder, LinearSpec):
        total_s = decoder.iterations * _iteration_s(decoder, size)
    if isinstance(decoder, AugmentedLDS):
        each = [_iteration_s(smoother, size) for smoother in decoder.smoothers]
        fits = zip(decoder.smoothers, each, strict=True)
        total_s += sum(spec.iterations * one for spec, one in fits) + decoder.folds * max(each)
    if isinstance(decoder, TrialMixture):
        total_s += _MIXTURE_S * size.n_bins
    return total_s


def _iteration_s(decoder: LinearSpec, size: Declared) -> float:
    each, paired = _EM_S[decoder.kind]
    states = decoder.size or _STATES
    return size.n_bins * states * (each + paired * size.n_channels)


def choosing_s(schedule: AnySchedule, size: Declared) -> float:
    """Predict the time of choosing channels, where it looks at data, within a factor of three. [s]

    Parameters
    ----------
    schedule : Schedule
        Those that look at no data take no time to speak of.
    size : Declared
        Of the recording.

    Examples
    --------
    >>> size = Declared(n_bins=21_150, n_channels=128, bin_s=0.02)
    >>> round(choosing_s(Information(fraction=0.5), size), 1)
    1.5
    """
    n = size.n_channels
    if not isinstance(schedule, Budgeted):
        return 0.0
    k = schedule.bandwidth or (schedule.fraction or 0.5) * n  # what a power pays for is not known
    if isinstance(schedule, Adaptive):
        n_steps = size.n_bins * size.bin_s / (schedule.dwell_s or size.bin_s)
        gained = _GAINED_S * n * k if isinstance(schedule, Information) else 0.0
        return n_steps * (_STEP_S + _SEEN_S * n + gained)
    if isinstance(schedule, Hybrid):
        k = schedule.n_fixed(round(k))
    way = getattr(schedule, "by" if isinstance(schedule, Weighted) else "order", "")
    if way not in ("greedy", "information", "behaviour"):
        return 0.0
    seen_s = size.n_bins * n * (_LAGGED_S + _PAIRED_S * n)
    if way == "behaviour":
        return _MORE_WINDOWS * seen_s + _WEIGHED_S * n**3
    return seen_s + (_FREED_S * k * k * n if way == "greedy" else 0.0)

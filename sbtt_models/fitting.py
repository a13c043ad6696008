"""Fitting a decoder to a masked stream: the way into this library."""

from __future__ import annotations

import warnings
from pathlib import Path

from sbtt_models.decoders.base import Adapt, DecoderSpec, Fitted, Progress, Setting
from sbtt_models.errors import DataError, SpecError
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training

__all__ = ["fit", "refuse_nothing_observed"]


def fit(  # noqa: PLR0913 - what may be left out is named
    decoder: DecoderSpec,
    stream: MaskedStream,
    training: Training | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    start: Fitted | None = None,
    adapt: Adapt = "all",
    folder: Path | None = None,
) -> Fitted:
    """Fit a decoder to a masked stream.

    Parameters
    ----------
    decoder : DecoderSpec
        For example ``Autoencoder()`` or ``Smoothing()``.
    stream : MaskedStream
        Only observed entries of its train and valid trials are used. A decoder that does not use
        its external inputs says so in a warning.
    training : Training, optional
        Budget and rules; ignored by decoders that need no training. A decoder that sets some of
        the rules itself says so in a warning.
    seed : int
        Seeds initial weights, batches, dropout and sampling.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with (epochs done, most epochs).
    start : Fitted, optional
        An earlier fit of the same network: training begins with its weights.
    adapt : {"all", "encoder", "read_in", "channels"}
        What learns then; all else of the network stays as it was. ``channels``: read-in and
        read-out.
    folder : pathlib.Path, optional
        Where a training keeps what it needs to go on after a crash, if
        ``training.checkpoint_every`` asks for it. The same call with the same folder goes on.

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
        For a device that is not there, a part without a start, and a start that does not fit.
    """
    refuse_nothing_observed(stream)
    if stream.external is not None and not decoder.hears_external:
        warnings.warn(
            f"stream: its external inputs are not used by a decoder of kind {decoder.kind}; lfads "
            "uses them",
            stacklevel=2,
        )
    training = training or Training()
    if passed_over := decoder.passed_over(training):
        warnings.warn(
            f"training: {', '.join(passed_over)} not used by a decoder of kind {decoder.kind}, "
            "which sets that itself",
            stacklevel=2,
        )
    if adapt != "all" and start is None:
        raise SpecError(
            f"adapt: {adapt} alone can learn only where the rest is known; give start, an earlier "
            "fit, or adapt all"
        )
    setting = Setting(seed, device, progress, start, adapt, folder)
    return decoder.fit(stream, training, setting)


def refuse_nothing_observed(stream: MaskedStream) -> None:
    """Say that a stream has nothing to learn from.

    Raises
    ------
    DataError
        If no entry of the train or valid trials is observed.
    """
    for name in ("train", "valid"):
        if not stream.observed[getattr(stream.split, name)].any():
            raise DataError(
                f"stream: no entry of the {name} trials is observed; raise the bandwidth or give "
                "more trials"
            )

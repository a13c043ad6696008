"""What a network that corrects a smoother learns from: states without some samples, and these.

A stream of lessons holds the training trials several times over. Each time other samples are
hidden from the smoother; its summary of the rest is the external input, and the hidden samples
are all that is observed, so all that is taught.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Float32

from sbtt_models.decoders.linear import FittedLinear
from sbtt_models.linear_data import Batch
from sbtt_models.linear_fit import positive
from sbtt_models.signals import MaskedStream, Split, within
from sbtt_models.state_model import StateModel

__all__ = ["guided", "lessons", "state_model", "summary_teller"]

_WITHHELD = 0.2  # of the validation samples, as where linear models are fitted

Summary = Float[np.ndarray, "*lead summary"]


def state_model(smoother: FittedLinear) -> StateModel:
    """The model of a smoother that knows of states."""
    return cast(StateModel, smoother.model)


def summary_teller(smoother: FittedLinear) -> Callable[[Summary], Float32[np.ndarray, "..."]]:
    """Make what turns the rates of a summary into log rates, at least the smoother's least."""
    n_channels = smoother.means.size

    def tell(summary: Summary) -> Float32[np.ndarray, "..."]:
        rates = positive(summary[..., -n_channels:], smoother.means)
        told = np.concatenate([summary[..., :-n_channels], np.log(rates)], axis=-1)
        return told.astype(np.float32)

    return tell


def guided(smoother: FittedLinear, stream: MaskedStream) -> MaskedStream:
    """A stream whose external inputs are 1 inside trials, and the smoother's summary."""
    model, teller = state_model(smoother), summary_teller(smoother)

    def tell(batch: Batch) -> Float32[np.ndarray, "sequence bin summary"]:
        return teller(model.summary(batch, smoother.waits))

    told = smoother.told(stream, tell)
    inside = within(stream.lengths, told.shape[1])[..., None].astype(np.float32)
    return replace(stream, external=np.concatenate([inside, inside * told], axis=2))


def lessons(
    smoother: FittedLinear, stream: MaskedStream, folds: int, share: float, seed: int
) -> MaskedStream:
    """Training trials `folds` times, then the validation trials once.

    Parameters
    ----------
    share : float
        Of the training samples, hidden from the smoother and taught.
    seed : int
        Chooses them. Of the validation trials a fifth is hidden, the same for every seed.
    """
    rng = np.random.default_rng([seed, 2])
    train, valid = (stream.trials(part) for part in (stream.split.train, stream.split.valid))
    parts = [_lesson(smoother, train, _drawn(rng, train, share)) for _ in range(folds)]
    parts.append(_lesson(smoother, valid, _drawn(np.random.default_rng(0), valid, _WITHHELD)))
    n_taught = folds * train.lengths.size
    judged = np.arange(n_taught, n_taught + valid.lengths.size)
    return replace(
        stream,
        counts=np.concatenate([part.counts for part in parts]),
        exposure=np.concatenate([part.exposure for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        external=np.concatenate([part.external for part in parts if part.external is not None]),
        split=Split(np.arange(n_taught), judged, judged),
    )


def _drawn(
    rng: np.random.Generator, stream: MaskedStream, share: float
) -> Bool[np.ndarray, "trial bin channel"]:
    drawn, longest = stream.observed, int(stream.lengths.max())  # chance ends with the trials
    drawn[:, :longest] &= rng.random(drawn[:, :longest].shape) < share
    return drawn if drawn.any() else stream.observed  # so few samples: then all are


def _lesson(
    smoother: FittedLinear, stream: MaskedStream, hidden: Bool[np.ndarray, "trial bin channel"]
) -> MaskedStream:
    taught = stream.hide(~hidden)
    known = guided(smoother, stream.hide(hidden))
    return replace(known, counts=taught.counts, exposure=taught.exposure)

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
from sbtt_models.poisson_model import PoissonModel
from sbtt_models.signals import MaskedStream, Split, within

__all__ = ["guided", "lessons", "poisson_model", "summary_teller"]

_WITHHELD = 0.2  # of the validation samples, as where linear models are fitted

Summary = Float[np.ndarray, "*lead summary"]


def poisson_model(smoother: FittedLinear) -> PoissonModel:
    """The model of a smoother that was fitted as Poisson linear dynamics."""
    return cast(PoissonModel, smoother.model)


def summary_teller(smoother: FittedLinear) -> Callable[[Summary], Float32[np.ndarray, "..."]]:
    """Make what keeps the log rates of a summary where the smoother keeps its rates."""
    least = np.log(positive(np.zeros(smoother.means.size), smoother.means))

    def tell(summary: Summary) -> Float32[np.ndarray, "..."]:
        told = summary.astype(np.float32)
        told[..., -least.size :] = np.maximum(told[..., -least.size :], least)
        return told

    return tell


def guided(smoother: FittedLinear, stream: MaskedStream) -> MaskedStream:
    """A stream whose external inputs are 1 inside trials, and the smoother's summary."""
    model, teller = poisson_model(smoother), summary_teller(smoother)

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

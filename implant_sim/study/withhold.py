"""What is kept back before anything is acquired: held-out channels, and withheld test entries.

Both are drawn from the recording and the repeat alone, so that schedules, bandwidths and decoders
are asked about the same things.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field

from sbtt_models import metrics
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction, Seconds

__all__ = ["HeldOut", "ScoreOptions", "hold_out", "recording_digest", "withheld_entries"]


class ScoreOptions(Spec):
    """How fidelity is measured; the same for everything that is compared."""

    withheld: Fraction = Field(0.1, gt=0, lt=1)
    """Share of the test entries that the scoring pass hides from the decoder."""
    held_out: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the channels that no schedule, decoder or ledger ever sees, for `co_bps`."""
    max_lag_s: Seconds = Field(0.5, ge=0, le=5, alias="max_lag")
    """Behaviour is read out of the rates now and up to this long ago."""
    single_lag_s: Seconds | None = Field(None, ge=0, le=5, alias="single_lag")
    """One lag instead of all up to `max_lag`: the paper's way, with 80 ms."""
    ridge_folds: int = Field(5, ge=2, le=20)
    """Folds of the cross-validation that chooses the ridge penalty."""
    psth_smooth_s: Seconds | None = Field(None, ge=0, le=1, alias="psth_smooth")
    """Standard deviation of the Gaussian that smooths the trial-averaged counts. None: 70 ms, as
    the Neural Latents Benchmark has it; none where true rates are known: they may be faster."""

    def lags(self, bin_s: float) -> tuple[int, ...]:
        """Lags of the read-out. [bin]"""
        if self.single_lag_s is not None:
            return (round(self.single_lag_s / bin_s),)
        return tuple(range(int(self.max_lag_s / bin_s + 1e-9) + 1))


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A recording cut in two: what the implant sees, and channels that it never does."""

    held_in: Recording
    channels: Int[np.ndarray, " held_out"]
    """Indices of the held-out channels in the whole recording, sorted; may be empty."""
    held_out: Recording | None
    """The recording through the held-out channels; None if there are none."""


def recording_digest(recording: Recording) -> str:
    """Name a recording by its counts and trial lengths, so that equal data give equal draws."""
    digest = hashlib.sha256(repr(recording.counts.shape).encode())
    kind = "<f4" if recording.real else "<i4"
    digest.update(np.ascontiguousarray(recording.counts, dtype=kind).tobytes())
    digest.update(np.ascontiguousarray(recording.lengths, dtype="<i8").tobytes())
    return digest.hexdigest()


def _generator(recording: Recording, purpose: str, repeat: int) -> np.random.Generator:
    """Chance from the recording and the repeat alone, apart for each purpose."""
    key = hashlib.sha256(f"{purpose}:{recording_digest(recording)}".encode()).digest()
    return np.random.default_rng([int.from_bytes(key[:16], "little"), repeat])


def hold_out(recording: Recording, options: ScoreOptions, repeat: int) -> HeldOut:
    """Put channels aside that nothing may see until `co_bps` is scored.

    Channels that fire are sorted by mean training rate and cut into strata of one held-out
    channel each, so that quiet and busy channels are held out alike.

    Parameters
    ----------
    recording : Recording
        All channels.
    options : ScoreOptions
        `held_out` is the share of the firing channels that is put aside.
    repeat : int
        Each repeat draws others.

    Returns
    -------
    HeldOut
        With the recording itself as `held_in` where no channel is held out.

    Raises
    ------
    DataError
        If the share leaves nothing on one of the two sides.
    """
    if options.held_out == 0:
        return HeldOut(recording, np.zeros(0, int), None)
    if recording.real:
        raise DataError(
            f"{recording.name}: holds real values, and co_bps is a score of spike counts; leave "
            "score.held_out at 0"
        )
    train = recording.split.train
    means = metrics.channel_means(recording.counts[train], where=recording.available[train])
    firing = np.setdiff1d(np.arange(recording.n_channels), recording.silent_channels)
    n = round(options.held_out * firing.size)
    if not 0 < n < firing.size:
        raise DataError(
            f"{recording.name}: holding out {options.held_out:g} of {firing.size} firing channels "
            f"leaves {n} out and {firing.size - n} in; both need at least one"
        )
    rng = _generator(recording, "held-out channels", repeat)
    ordered = firing[np.argsort(means[firing], kind="stable")]
    drawn = np.sort([rng.choice(stratum) for stratum in np.array_split(ordered, n)])
    kept = np.setdiff1d(np.arange(recording.n_channels), drawn)
    return HeldOut(recording.select_channels(kept), drawn, recording.select_channels(drawn))


def withheld_entries(
    recording: Recording, options: ScoreOptions, repeat: int
) -> Bool[np.ndarray, "trial bin channel"]:
    """Draw the test entries that the scoring pass hides.

    Parameters
    ----------
    recording : Recording
        What the implant is offered (held-out channels are already gone).
    options : ScoreOptions
        `withheld` is the share, exact to one entry.
    repeat : int
        Each repeat draws others; schedules, bandwidths and decoders do not.

    Returns
    -------
    numpy.ndarray of bool, shape (trial, bin, channel)
        True only for entries of test trials that exist.
    """
    test = recording.split.test
    candidates = np.flatnonzero(recording.available[test])
    rng = _generator(recording, "withheld entries", repeat)
    n = max(1, round(options.withheld * candidates.size))
    cut = np.zeros((test.size, *recording.counts.shape[1:]), bool)
    cut.flat[rng.choice(candidates, n, replace=False, shuffle=False)] = True
    hidden = np.zeros(recording.counts.shape, bool)
    hidden[test] = cut
    return hidden

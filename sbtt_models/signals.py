"""The two records that flow through the house: a recording, and the stream an implant makes of it.

Torch-free. Shapes use one vocabulary: trial, bin, channel, dim. Trials of unequal length are
padded at their end; ``lengths`` says where each stops. A continuous recording is a few long
trials (its contiguous blocks) and ``window_bins`` says how a decoder should cut them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Shaped

from sbtt_models.counts import first_at
from sbtt_models.detector import Detector
from sbtt_models.errors import DataError

__all__ = ["Behaviour", "MaskedStream", "Recording", "Split", "within"]


def within(lengths: Int[np.ndarray, " trial"], n_bins: int) -> Bool[np.ndarray, "trial bin"]:
    """Mark the bins that belong to each trial, not to its padding."""
    return np.arange(n_bins)[None, :] < lengths[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which trials train, validate and test. Indices into the trial axis, sorted."""

    train: Int[np.ndarray, " n_train"]
    valid: Int[np.ndarray, " n_valid"]
    test: Int[np.ndarray, " n_test"]

    def __post_init__(self) -> None:
        """Refuse an empty part, and a training trial that is also judged."""
        for name in ("train", "valid", "test"):
            if getattr(self, name).size == 0:
                raise DataError(
                    f"split: the {name} part is empty; give the recording more trials, or the "
                    "part a larger fraction"
                )
        leaked = np.intersect1d(self.train, np.concatenate([self.valid, self.test]))
        if leaked.size:
            raise DataError(f"split: trial {int(leaked[0])} both trains and is judged")

    @property
    def fitted(self) -> Int[np.ndarray, " n_fitted"]:
        """Trials that read-outs, rankings and baselines may see: train and valid, never test."""
        return np.setdiff1d(np.union1d(self.train, self.valid), self.test)

    @property
    def judged_once(self) -> bool:
        """False where validation trials are also the test trials (the published demo's way)."""
        return np.intersect1d(self.valid, self.test).size == 0


@dataclass(frozen=True, slots=True, eq=False)
class Behaviour:
    """What the animal did, or meant to do, bin by bin."""

    name: str
    unit: str
    values: Float[np.ndarray, "trial bin dim"]
    """In `unit`; 0 where not valid."""
    valid: Bool[np.ndarray, "trial bin"]
    """Bins that are scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Spike counts of a population, with whatever truth is known about them.

    Or what a microscope makes of spikes: sizes of deconvolved calcium events.
    """

    name: str
    counts: Int32[np.ndarray, "trial bin channel"] | Float32[np.ndarray, "trial bin channel"]
    """Spikes per bin, int32; or real values, float32. 0 in padding and where not recorded."""
    bin_s: float
    lengths: Int[np.ndarray, " trial"]
    """Bins that belong to each trial."""
    split: Split
    recorded: Bool[np.ndarray, "trial bin channel"] | None = None
    """False where the file itself has a gap; None if it has none."""
    rates_hz: Float[np.ndarray, "trial bin channel"] | None = None
    """True firing rates, as published with the data. [1/s]"""
    expected: Float[np.ndarray, "trial bin channel"] | None = None
    """Expected counts per bin, given how the counts were drawn."""
    behaviour: Behaviour | None = None
    condition: Int[np.ndarray, " trial"] | None = None
    window_bins: int | None = None
    """For continuous recordings: the window that a decoder sees at once."""
    sources: tuple[str, ...] = ()
    """Files and digests that this came from."""
    origin: Int[np.ndarray, "trial 2"] | None = None
    """Trial or segment of the file that each trial came from, and the bin it starts with there."""
    external: Float32[np.ndarray, "trial bin input"] | None = None
    """What is known to drive the population from outside, such as a stimulus: decoders may use
    it. Finite; 0 in padding."""

    def __post_init__(self) -> None:
        """Refuse what would give wrong numbers later."""
        n_trials, n_bins, n_channels = self.counts.shape
        if n_trials == 0 or n_bins == 0 or n_channels == 0:
            raise DataError(
                f"{self.name}: counts have shape {self.counts.shape} (trials, bins, channels); "
                "each must be at least 1"
            )
        if not self.bin_s > 0:
            raise DataError(f"{self.name}: bin width {self.bin_s} s must be positive")
        if self.lengths.shape != (n_trials,) or not (
            (self.lengths >= 1).all() and (self.lengths <= n_bins).all()
        ):
            raise DataError(f"{self.name}: trial lengths must lie between 1 and {n_bins} bins")
        for name in ("recorded", "rates_hz", "expected"):
            array = getattr(self, name)
            if array is not None and array.shape != self.counts.shape:
                raise DataError(
                    f"{self.name}: {name} has shape {array.shape}, counts {self.counts.shape}"
                )
        _check_external(self.name, self.external, self.counts)
        if self.real and not np.isfinite(self.counts).all():
            raise DataError(
                f"{self.name}: some values are NaN or infinite (first at "
                f"{first_at(~np.isfinite(self.counts))}); mark what is missing in `recorded`"
            )
        last = max(
            int(part.max()) for part in (self.split.train, self.split.valid, self.split.test)
        )
        if last >= n_trials:
            raise DataError(f"{self.name}: the split names trial {last} of {n_trials}")

    @property
    def n_channels(self) -> int:
        """Channels, silent ones included."""
        return self.counts.shape[2]

    @property
    def real(self) -> bool:
        """Whether the values are real numbers, read by a microscope, rather than counts."""
        return self.counts.dtype.kind == "f"

    @property
    def available(self) -> Bool[np.ndarray, "trial bin channel"]:
        """Entries that exist: inside their trial and not in a gap of the file."""
        inside = within(self.lengths, self.counts.shape[1])[:, :, None]
        if self.recorded is None:
            return np.broadcast_to(inside, self.counts.shape)
        return inside & self.recorded

    @property
    def silent_channels(self) -> Int[np.ndarray, " silent"]:
        """Channels that never fire, or are 0 throughout: left out of means over channels."""
        return np.flatnonzero(~self.counts.any(axis=(0, 1)))

    def select_channels(self, channels: Int[np.ndarray, " kept"]) -> Recording:
        """The same recording, seen through some of its channels."""
        cut: dict[str, Any] = {
            name: None if (array := getattr(self, name)) is None else array[:, :, channels]
            for name in ("recorded", "rates_hz", "expected")
        }
        return replace(self, counts=self.counts[:, :, channels], **cut)


@dataclass(frozen=True, slots=True, eq=False)
class MaskedStream:
    """What reaches the decoder: counts of the samples taken, and which they are."""

    counts: Int32[np.ndarray, "trial bin channel"] | Float32[np.ndarray, "trial bin channel"]
    """Delivered spikes, int32, never negative; or real values such as deconvolved calcium events,
    float32, of any sign. 0 where not observed."""
    exposure: Float32[np.ndarray, "trial bin channel"]
    """Fraction of the bin with valid data. A partial count is Binomial(count, exposure)."""
    lengths: Int[np.ndarray, " trial"]
    bin_s: float
    split: Split
    window_bins: int | None = None
    detector: Detector | None = None
    """None where counts are the spikes themselves. Decoders need not know it: they infer the
    rates of the counts, and `Detector.true` turns those into rates of spikes."""
    external: Float32[np.ndarray, "trial bin input"] | None = None
    """What is known to drive the population from outside; see `Recording.external`."""

    def __post_init__(self) -> None:
        """Refuse a count where nothing was observed, which would be a leak, and what is none."""
        if self.counts.shape != self.exposure.shape:
            raise DataError(
                f"stream: counts {self.counts.shape} and exposure {self.exposure.shape} differ"
            )
        if ((self.counts != 0) & (self.exposure == 0)).any():
            raise DataError("stream: a count is given where exposure is 0; set it to 0")
        if not ((self.exposure >= 0) & (self.exposure <= 1)).all():
            raise DataError("stream: exposure must lie between 0 and 1")
        if not self.real and self.counts.min(initial=0) < 0:
            bad = self.counts < 0
            raise DataError(
                f"stream: {int(bad.sum())} counts are negative (first {self.counts[bad][0]} at "
                f"{first_at(bad)}); mark missing ones by an exposure of 0, and set them to 0; "
                "give real values as float32"
            )
        if self.real and not np.isfinite(self.counts).all():
            bad = ~np.isfinite(self.counts)
            raise DataError(
                f"stream: {int(bad.sum())} values are NaN or infinite (first at {first_at(bad)}); "
                "mark missing ones by an exposure of 0, and set them to 0"
            )
        self._check_lengths()
        _check_external("stream", self.external, self.counts)

    def _check_lengths(self) -> None:
        """Refuse lengths that are none, and data in the padding, which would teach zeros there."""
        n_trials, n_bins, _ = self.counts.shape
        fits = self.lengths.shape == (n_trials,) and (self.lengths >= 0).all()
        if not fits or (self.lengths > n_bins).any():
            raise DataError(
                f"stream: lengths must hold one number for each of {n_trials} trials, from 0 to "
                f"{n_bins} bins; got shape {self.lengths.shape}, {self.lengths.min(initial=0)} to "
                f"{self.lengths.max(initial=0)}"
            )
        if (self.lengths < n_bins).any():
            late = self.exposure.any(axis=2) & ~within(self.lengths, n_bins)
            if late.any():
                raise DataError(
                    f"stream: {int(late.sum())} bins with exposure come after their trial's end "
                    f"(first at {first_at(late)}); set exposure to 0 there, or mend lengths"
                )

    @property
    def observed(self) -> Bool[np.ndarray, "trial bin channel"]:
        """Entries with any valid data."""
        return self.exposure > 0

    @property
    def real(self) -> bool:
        """Whether the values are real numbers rather than counts."""
        return self.counts.dtype.kind == "f"

    @property
    def n_channels(self) -> int:
        """Channels, observed or not."""
        return self.counts.shape[2]

    def trials(self, index: Int[np.ndarray, " kept"]) -> MaskedStream:
        """Some trials only; the split is kept as it is and must not be used afterwards."""
        return replace(
            self,
            counts=self.counts[index],
            exposure=self.exposure[index],
            lengths=self.lengths[index],
            external=None if self.external is None else self.external[index],
        )

    def hide(self, entries: Bool[np.ndarray, "trial bin channel"]) -> MaskedStream:
        """The same stream with some entries unobserved."""
        return replace(
            self,
            counts=np.where(entries, 0, self.counts).astype(self.counts.dtype),
            exposure=np.where(entries, np.float32(0), self.exposure),
        )


def _check_external(
    where: str,
    external: Float32[np.ndarray, "a b input"] | None,
    counts: Shaped[np.ndarray, "trial bin channel"],
) -> None:
    """Refuse external inputs that do not go with the counts."""
    if external is None:
        return
    if external.shape[:2] != counts.shape[:2] or external.shape[2] == 0:
        raise DataError(
            f"{where}: external inputs have shape {external.shape}, counts {counts.shape}; they "
            "need the same trials and bins, and at least one dimension"
        )
    bad = ~np.isfinite(external)
    if bad.any():
        raise DataError(
            f"{where}: {int(bad.sum())} external inputs are NaN or infinite (first at "
            f"{first_at(bad)}); give a value for every bin, 0 in padding"
        )

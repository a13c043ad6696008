"""The blocks of a file recording in YAML: what is in which data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import override

from implant_sim.recordings.base import MAX_BIN_S, FileSplit, RecordingSource
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction, Hertz, Seconds, to_si

__all__ = [
    "Axis",
    "BehaviourField",
    "EventsField",
    "ExternalField",
    "Fluorescence",
    "Layout",
    "Scan",
    "SecondsOrName",
    "TruthField",
]

Axis = Literal["trial", "bin", "channel", "dim"]


def _seconds_or_name(value: object) -> object:
    if isinstance(value, str) and not re.match(r"\s*[-+.\d]", value):
        return value
    seconds = to_si(value, "s")
    if not 0 < seconds <= MAX_BIN_S:
        raise ValueError(
            f"expected a bin width between 0 and {MAX_BIN_S:g} s, got {value!r}, which is "
            f"{seconds:g} s; a number alone is in seconds: `50 ms`, not `50`"
        )
    return seconds


SecondsOrName = Annotated[float | str, BeforeValidator(_seconds_or_name)]
"""A time such as ``50 ms``, or the name of a scalar data set or attribute that holds it in s."""


class BehaviourField(Spec):
    """What the animal did or meant, from one data set or the difference of two."""

    name: str = Field("behaviour", min_length=1, max_length=80)
    data: str
    """Data set by bin, by trial, or by its own clock (`time`)."""
    minus: str | None = None
    """Data set to subtract, by bin or by trial: target - cursor is the intended direction."""
    unit: str = Field(max_length=40)
    direction: bool = False
    """Keep the direction only: unit vectors; bins without one are not scored."""
    per: Literal["auto", "bin", "trial"] = "auto"
    """What the first axis of the data counts; ``auto`` goes by its length."""
    axes: tuple[Axis, ...] | None = None
    """Order of the axes where it is not (trial,) bin, dim."""
    columns: tuple[int, ...] | None = None
    """Dimensions to keep, counted from 0."""
    time: str | None = None
    """Data set with the time of each sample, for behaviour on a clock of its own."""
    max_gap_s: Seconds = Field(0.25, alias="max_gap", gt=0)
    """With `time`: bins that touch a longer gap between samples are not scored."""
    clock_hz: Hertz | None = Field(None, alias="clock", gt=0)
    """Ticks of `time` in a second, where it is not on `events.clock`; both start together."""

    @model_validator(mode="after")
    def _a_clock_has_times(self) -> BehaviourField:
        if self.clock_hz is not None and self.time is None:
            raise ValueError("clock goes with time")
        return self


class ExternalField(Spec):
    """What drives the population from outside, such as a stimulus; decoders may use it."""

    data: str
    """Data set by bin or by trial; finite numbers."""
    per: Literal["auto", "bin", "trial"] = "auto"
    """What the first axis of the data counts; ``auto`` goes by its length."""
    axes: tuple[Axis, ...] | None = None
    """Order of the axes where it is not (trial,) bin, dim."""
    columns: tuple[int, ...] | None = None
    """Dimensions to keep, counted from 0."""


class TruthField(Spec):
    """Known rates, for simulated recordings: by trial, by bin, or by condition."""

    rates: str | None = None
    unit: Literal["Hz", "spikes/s", "spikes/ms", "spikes/bin"] = "Hz"
    """Unit of `rates`."""
    expected: str | None = None
    """Data set of expected counts per bin, where counts were not drawn as plain Poisson."""

    @model_validator(mode="after")
    def _something(self) -> TruthField:
        if self.rates is None and self.expected is None:
            raise ValueError("truth names neither `rates` nor `expected`")
        return self


class EventsField(Spec):
    """Spike times instead of counts."""

    time: str
    """Data set with the time of each spike; or a pattern such as ``units/*/times``, which names a
    data set for each channel."""
    unit: str | None = None
    """Data set with the channel of each spike, counted from 0; without it, one channel."""
    labels: bool = False
    """`unit` holds labels, such as the cluster numbers of a spike sorter: the distinct ones, in
    ascending order, are channels 0, 1, ..."""
    per_unit: str | None = None
    """Data set with the number of spikes of each channel, whose times follow one another; instead
    of `unit`. Of a cell array (MATLAB) or rows of unequal length (HDF5) ``spikes`` it is
    ``spikes/count``."""
    clock_hz: Hertz = Field(1.0, alias="clock", gt=0)
    """Ticks of `time` in a second; 1 where times are in seconds."""
    trial_clock_hz: Hertz | None = Field(None, alias="trial_clock", gt=0)
    """Ticks in a second of `segments`, `start`, `stop` and `length`, where not `clock`; both start
    together."""
    n_channels: int | None = Field(None, ge=1, le=1_000_000)
    """Channels, where the last ones may be silent; otherwise the largest `unit` plus 1."""
    span: str | None = None
    """Data set on the same clock whose first and last value bound the recording: spikes outside
    it are left out. Without it: the first and last spike."""

    @model_validator(mode="after")
    def _one_way_to_tell_channels(self) -> EventsField:
        if self.per_unit is not None and (self.unit is not None or self.n_channels is not None):
            raise ValueError("per_unit says how many channels there are and which spikes are "
                             "theirs; leave out unit and n_channels")  # fmt: skip
        if self.labels and (self.unit is None or self.n_channels is not None):
            raise ValueError("labels goes with unit, and without n_channels")
        return self


class Scan(Spec):
    """When in a frame a scanning microscope sees each cell."""

    bins_per_frame: int = Field(3, ge=1, le=100)
    """Bins that a frame is divided into; a cell is observed in one of them."""
    rows: str | None = None
    """Data set with the height of each channel's cell in the image, 0 for the first line, towards
    1 for the last. Without it they are drawn evenly by `seed`: an emulation."""
    seed: int = Field(0, ge=0)


class Fluorescence(Spec):
    """Turn calcium fluorescence into events: one where its innovation stands out of the noise.

    The trace F is taken as a first-order process that decays with `decay`:
    ``s[t] = F[t] - exp(-bin / decay) F[t-1]``. A bin holds one event where s exceeds its median by
    `threshold` times its noise, 1.4826 x the median absolute deviation, channel by channel over
    the whole file. The first bin of each trial has no event. Events are not spikes: a burst is
    one, and a single spike may be none.

    With `sizes` events are real values instead, found by non-negative deconvolution (OASIS) with
    the same decay, in units of `threshold` times the noise, below which none counts: a recording
    that a microscope has read, for networks with `likelihood: {kind: zero_inflated_gamma}`.
    """

    decay_s: Seconds = Field(alias="decay", gt=0)
    """Time constant of the indicator."""
    threshold: float = Field(3.0, gt=0, le=100)
    sizes: bool = False
    """Keep the sizes of events."""
    baseline: Fraction = Field(0.2, ge=0, lt=1)
    """With `sizes`: the quantile of a trial's trace that is taken for its baseline."""
    scan: Scan | None = None
    """With `sizes`: bins finer than a frame; `bin` is then the frame."""

    @model_validator(mode="after")
    def _sizes_are_scanned(self) -> Fluorescence:
        if self.scan is not None and not self.sizes:
            raise ValueError("scan goes with `sizes: true`")
        return self


class Layout(RecordingSource):
    """What is where in a file of named arrays. Names are data sets, relative to `group`."""

    path: Path
    group: str | tuple[str, ...] = ""
    """Folder of the data sets inside the file. A list, or a pattern such as ``trial_*``, gives
    one trial for each group."""
    counts: str | None = None
    """Spike counts by bin and channel, or by trial, bin and channel."""
    events: EventsField | None = None
    """Spike times, instead of `counts`."""
    axes: tuple[Axis, ...] | None = None
    """Order of the axes of `counts`, where it is not (trial,) bin, channel."""
    bin_s: SecondsOrName = Field(alias="bin")
    segments: str | None = None
    """Rows of start and stop of the pieces of a continuous recording: bins, or with `events`
    times. Bins count from 0; stop is the first bin after."""
    trial: str | None = None
    """Label of the trial of each bin: whole numbers or text."""
    start: str | None = None
    """First bin (or time) of each trial, with `length` or `stop`."""
    length: str | None = None
    """Bins (or time) of each trial. Alone: how many bins of a trial axis are filled."""
    stop: str | None = None
    """First bin after each trial (or the time of its end), instead of `length`."""
    timestep: str | None = None
    """Number of each bin in its trial; skipped numbers are bins that were not recorded."""
    condition: str | None = None
    """What each trial repeats (target, stimulus), by trial or by bin. Whole numbers count from
    0; text and fractions are numbered in their order, over all groups."""
    keep: dict[str, tuple[int | str, ...]] = Field(default_factory=dict)
    """Trials to keep, as data set: allowed values."""
    channels: str | tuple[int, ...] | None = None
    """Channels to keep, counted from 0: a list, or a data set of numbers."""
    drop: tuple[int, ...] = ()
    """Channels to leave out, counted from 0 in the file."""
    missing: Literal["nan", "negative"] | None = None
    """How the file marks counts that were not recorded. Undeclared, they are an error."""
    fluorescence: Fluorescence | None = None
    """`counts` names calcium traces, to be turned into events."""
    behaviour: BehaviourField | None = None
    external: ExternalField | None = None
    """Inputs from outside; with `counts`."""
    truth: TruthField | None = None
    split: FileSplit = FileSplit()
    window_s: Seconds | None = Field(None, alias="window", gt=0)
    """What a decoder sees at once. 2 s where time is split into blocks, else whole trials."""

    @property
    @override
    def imaged(self) -> bool:
        return self.fluorescence is not None and self.fluorescence.sizes

    def _cutting_faults(self) -> list[str]:
        faults = []
        ways = [w for w in ("segments", "trial", "start") if getattr(self, w) is not None]
        if len(ways) > 1:
            faults.append(
                f"give one of segments, trial, start + length or stop; got {' and '.join(ways)}"
            )
        if self.start is not None and (self.length is None) == (self.stop is None):
            faults.append("`start` needs either `length` or `stop`")
        if self.stop is not None and self.start is None:
            faults.append("`stop` goes with `start`")
        if self.length is not None and ({"segments", "trial"} & set(ways)):
            faults.append("`length` goes with `start`, or with a trial axis")
        return faults

    @model_validator(mode="after")
    def _consistent(self) -> Layout:
        faults = self._cutting_faults()
        if (self.counts is None) == (self.events is None):
            faults.append("give either `counts` or `events`")
        clocked = self.behaviour is not None and self.behaviour.time is not None
        if self.events is None and clocked:
            faults.append("`behaviour.time` goes with `events`; counts carry no clock")
        binned = ("trial", "timestep", "axes", "missing", "fluorescence", "truth", "external")
        extra = [name for name in binned if getattr(self, name) is not None]
        if self.events is not None and extra:
            faults.append(f"events take no {', '.join(extra)}")
        timed = ("behaviour", "truth", "external")
        by_frame = [name for name in timed if getattr(self, name) is not None]
        if self.fluorescence is not None and self.fluorescence.scan is not None and by_frame:
            faults.append(f"fluorescence.scan: {', '.join(by_frame)} by frame cannot be divided")
        if self.events is not None and self.behaviour is not None and not clocked:
            faults.append("with `events`, behaviour needs its `time`")
        if faults:
            raise ValueError("; ".join(faults))
        return self

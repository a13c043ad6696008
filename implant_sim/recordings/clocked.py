"""Spike times of a group, binned from the start of each trial or segment on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from implant_sim.recordings import cutting, events
from implant_sim.recordings.assemble import check_size
from implant_sim.recordings.cutting import Rows
from implant_sim.recordings.fields import EventsField
from implant_sim.recordings.scope import Scope, Table
from sbtt_models.counts import as_counts
from sbtt_models.errors import DataError

__all__ = ["clock_s", "events_table"]


def clock_s(scope: Scope, name: str, clock_hz: float) -> Float[np.ndarray, "..."]:
    """Times on a clock of so many ticks in a second. [s]"""
    values = scope.read(name)
    return events.check_times(values.ravel(), scope.where(name)).reshape(values.shape) / clock_hz


def events_table(scope: Scope, spec: EventsField, bin_s: float) -> Table:
    """Bin the spike times of a group.

    Raises
    ------
    DataError
        For times that are not finite, channels out of range, trials shorter than a bin.
    """
    where = scope.where(spec.time)
    times, channels, n_channels = _spikes(scope, spec)
    order = np.argsort(times, kind="stable")
    times, channels = times[order], channels[order]
    starts_s, stops_s, continuous = _bounds(scope, spec, times)
    durations = zip(starts_s, stops_s, strict=True)
    sizes = [events.whole_bins(stop - start, bin_s) for start, stop in durations]
    if min(sizes, default=0) < 1:
        short = int(np.argmin(sizes)) if sizes else 0
        raise DataError(
            f"{where}: trial {short} is shorter than one bin of {bin_s:g} s, or there is none; "
            "use narrower bins, or leave it out"
        )
    ends = np.cumsum(sizes)
    clock = "" if spec.clock_hz != 1 else ", taken for seconds as `events.clock` is not given,"
    check_size((int(ends[-1]), n_channels), 8, f"{where}: times{clock} in bins of {bin_s:g} s")
    counts = np.concatenate([
        events.bin_spikes(times, channels, float(start), (size, n_channels), bin_s)
        for start, size in zip(starts_s, sizes, strict=True)
    ])  # fmt: skip
    rows = Rows(ends - np.array(sizes), ends, int(ends[-1]), continuous)
    return Table(as_counts(counts, where), rows, starts_s=starts_s)


def _spikes(
    scope: Scope, spec: EventsField
) -> tuple[Float[np.ndarray, " spike"], Int[np.ndarray, " spike"], int]:
    """Time and channel of each spike, and how many channels there are."""
    names = scope.matching(spec.time)
    if not names:
        times = clock_s(scope, spec.time, spec.clock_hz).ravel()
        return times, *_channels(scope, spec, times.size)
    if spec.unit is not None or spec.per_unit is not None or spec.n_channels is not None:
        raise DataError(
            f"{scope.where(spec.time)}: names {len(names)} data sets, each of one channel; leave "
            "out events.unit, per_unit and n_channels"
        )
    found = [clock_s(scope, name, spec.clock_hz).ravel() for name in names]
    channels = np.repeat(np.arange(len(names)), [times.size for times in found])
    check_size((channels.size,), 8, scope.where(spec.time))
    return np.concatenate(found), channels, len(names)


def _channels(
    scope: Scope, spec: EventsField, n_spikes: int
) -> tuple[Int[np.ndarray, " spike"], int]:
    if spec.per_unit is not None:
        return _in_turn(scope, spec.per_unit, n_spikes)
    sizes = f"{spec.time}/count"
    if spec.unit is None and scope.file.has(scope.at(sizes)):
        raise DataError(
            f"{scope.where(spec.time)}: is a cell array; say that each cell is a channel "
            f"(`events.per_unit: {sizes}`), or name the channel of each spike (`events.unit`)"
        )
    if spec.unit is None:
        return np.zeros(n_spikes, np.int64), 1
    where = scope.where(spec.unit)
    channels = cutting.as_indices(scope.read(spec.unit).ravel(), where)
    if channels.size != n_spikes:
        raise DataError(f"{where}: {channels.size} channels for {n_spikes} spike times")
    if spec.labels:
        labels, places = np.unique(channels, return_inverse=True)
        return places, max(1, labels.size)
    found = int(channels.max()) + 1 if channels.size else 1
    n_channels = spec.n_channels or found
    if channels.size and (channels.min() < 0 or found > n_channels):
        raise DataError(
            f"{where}: channels run from {channels.min()} to {channels.max()}; they must lie "
            f"between 0 and {n_channels - 1} (`events.n_channels`)"
        )
    return channels, n_channels


def _in_turn(scope: Scope, name: str, n_spikes: int) -> tuple[Int[np.ndarray, " spike"], int]:
    """Channels whose spikes follow one another."""
    where = scope.where(name)
    sizes = cutting.as_indices(scope.read(name).ravel(), where)
    if sizes.size == 0 or (sizes < 0).any() or sizes.sum() != n_spikes:
        raise DataError(
            f"{where}: {sizes.size} numbers of spikes that add up to {sizes.sum()}, for "
            f"{n_spikes} spike times; give one for each channel, 0 for a silent one"
        )
    return np.repeat(np.arange(sizes.size), sizes), sizes.size


def _bounds(
    scope: Scope, spec: EventsField, times: Float[np.ndarray, " spike"]
) -> tuple[Float[np.ndarray, " piece"], Float[np.ndarray, " piece"], bool]:
    """Start and stop of each piece [s], and whether they make up one recording."""
    layout, trial_hz = scope.layout, spec.trial_clock_hz or spec.clock_hz
    if layout.segments is not None:
        table, where = clock_s(scope, layout.segments, trial_hz), scope.where(layout.segments)
        if table.ndim != 2 or table.shape[1] != 2:
            raise DataError(f"{where}: must have rows of start and stop, got shape {table.shape}")
        starts, stops, continuous = table[:, 0], table[:, 1], True
    elif layout.start is not None:
        where = scope.where(layout.start)
        end = layout.stop or layout.length or ""
        start_s, end_s = (clock_s(scope, name, trial_hz).ravel() for name in (layout.start, end))
        starts, stops = cutting.spans(start_s, end_s, where, lengths=layout.stop is None)
        continuous = False
    else:
        where = scope.where(spec.span or spec.time)
        bound = times if spec.span is None else clock_s(scope, spec.span, spec.clock_hz).ravel()
        if bound.size < 2:
            raise DataError(f"{where}: holds fewer than two times, which bound no recording")
        return bound.min()[None], bound.max()[None], True
    cutting.refuse_overlap(starts, stops - 1e-9, where)  # a nanosecond is rounding
    return starts, stops, continuous

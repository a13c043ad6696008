"""Acquire a recording through an implant: plan, sense, encode, send."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.calibration import with_calibration
from implant_sim.hardware.coverage import Coverage, measure
from implant_sim.hardware.detect import detect
from implant_sim.hardware.encode import Encoded, encode
from implant_sim.hardware.feedback import choice_actions, view_of
from implant_sim.hardware.grid import Grid
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels.exposure import deliver, hold, send_on_change
from implant_sim.hardware.link import send
from implant_sim.hardware.rules import Clock
from implant_sim.hardware.schedules.base import Calibration, Plan, Schedule, View
from implant_sim.hardware.sense import Sensed, sense
from implant_sim.hardware.tally import summarise
from sbtt_models.errors import SpecError
from sbtt_models.signals import MaskedStream, Recording, within

__all__ = ["acquire", "plan"]


def acquire(
    recording: Recording, implant: Implant, schedule: Schedule, rng: np.random.Generator
) -> tuple[MaskedStream, Activity]:
    """Take a recording through an implant.

    The schedule runs once, on the recording's own clock, through all bins of all trials; only what
    the recording holds can be observed. Where a schedule moves on inside a bin, the spikes of the
    bin are taken to be spread over it uniformly, at the same times for every schedule.

    Parameters
    ----------
    recording : Recording
        What the electrodes would give.
    implant : Implant
        What takes it.
    schedule : Schedule
        Which samples it takes.
    rng : numpy.random.Generator
        Seeds, independently, the schedule, the times of spikes inside their bins, the packets
        lost, and the spikes missed and imagined by the detector.

    Returns
    -------
    MaskedStream
        What reaches the decoder.
    Activity
        What was done for it.

    Raises
    ------
    SpecError
        Where implant, schedule and recording do not go together.
    """
    for_schedule, for_spikes, for_link, for_noise = rng.spawn(4)
    recording, found = detect(recording, implant, for_noise)
    inside = within(recording.lengths, recording.counts.shape[1])
    grid = Grid.of(recording, schedule, implant)
    counts, times = recording.counts[inside], for_spikes.integers(0, 2**64, dtype=np.uint64)
    view = view_of(recording, implant, grid, counts, times)
    planned = _plan(view, schedule, for_schedule)
    _refuse_uncounted(planned, implant)
    clock = grid.clock(planned.sampled)
    if not clock.sampled.any():
        raise SpecError(f"schedule: it samples nothing of {recording.name}")
    sensed = sense(clock, implant)
    valid = _where_recorded(sensed.valid, recording.available[inside], clock.steps_per_bin)
    counts, exposure = deliver(times, counts, valid, clock.steps_per_bin)
    counts, changed, encoded = _encode(counts, clock, sensed, planned, implant)
    choice_bit = grid.per_bin(planned.choice_bit)
    up = planned.chosen_by == "implant"
    bits = encoded.bits + np.ceil(choice_bit).astype(np.int64) if up else encoded.bits
    sent = send(bits, recording.bin_s, implant, for_link)
    if changed is not None and not sent.arrived.all():
        counts = hold(counts, changed & sent.arrived[:, None])
    exposure[~sent.arrived] = 0
    counts[~sent.arrived] = 0
    stream = MaskedStream(
        _lay_out(counts, inside),
        _lay_out(exposure, inside),
        recording.lengths,
        recording.bin_s,
        recording.split,
        recording.window_bins,
        found,
        recording.external,
    )
    spans_s = clock.duration_s, recording.bin_s
    activity = summarise(
        spans_s, recording.n_channels, implant, found, sensed.actions, encoded, sent
    )
    present = int(recording.available[inside].sum())
    side_info_bps = float(choice_bit.sum()) / clock.duration_s
    told = choice_actions(planned, recording, grid, implant)
    heard = {done.action: done.n_actions for done in told if done.component == "radio"}
    activity = replace(
        activity,
        actions=(*activity.actions, *told),
        bandwidth=int(clock.sampled.sum()) / len(clock.sampled),
        sampled_fraction=float(exposure.sum(dtype=float)) / present,
        side_info_bps=side_info_bps,
        peak_load=sent.peak_load + implant.radio.listening_s(heard) / clock.duration_s,
        # what goes up is in the payload's peak already
        peak_link_rate_bps=sent.peak_rate_bps + (0.0 if up else side_info_bps),
        notes=(*activity.notes, *grid.notes, *planned.notes, *sensed.notes),
    )
    if planned.calibrated_every_s is not None:
        activity = with_calibration(activity, recording, implant, planned)
    coverage = _coverage(planned, grid, clock, sensed, view.groups.n, activity)
    return stream, replace(activity, coverage=coverage)


def plan(
    recording: Recording, implant: Implant, schedule: Schedule, rng: np.random.Generator
) -> Plan:
    """Let a schedule choose its samples; it sees no more of the recording than a `View`.

    The same generator gives the same choice as in :func:`acquire`.

    Parameters
    ----------
    recording : Recording
        Gives clock and channels, and the calibration data.
    implant : Implant
        Gives the wires.
    schedule : Schedule
        Chooses.
    rng : numpy.random.Generator
        The schedule's randomness.

    Returns
    -------
    Plan
        Samples to take.

    Raises
    ------
    SpecError
        For a schedule that looks at calibration data and does not say how often it takes them.
    """
    for_schedule, for_spikes, _, for_noise = rng.spawn(4)
    recording, _ = detect(recording, implant, for_noise)
    counts = recording.counts[within(recording.lengths, recording.counts.shape[1])]
    times = for_spikes.integers(0, 2**64, dtype=np.uint64)
    grid = Grid.of(recording, schedule, implant)
    view = view_of(recording, implant, grid, counts, times)
    return _plan(view, schedule, for_schedule)


def _plan(view: View, schedule: Schedule, rng: np.random.Generator) -> Plan:
    looked = []

    def calibrate() -> Calibration:
        looked.append(True)
        return view.calibrate()

    planned = schedule.plan(replace(view, calibrate=calibrate), rng)
    if looked and planned.calibrated_every_s is None:
        raise SpecError(
            f"schedule: {type(schedule).__name__} used calibration data that its plan does not "
            "charge; set calibrated_every_s"
        )
    return planned


def _refuse_uncounted(planned: Plan, implant: Implant) -> None:
    """Refuse choices by counts that the implant does not make."""
    here = planned.choice_bit is not None and planned.chosen_by == "implant"
    if implant.processing.feature == "raw" and (here or planned.least_change is not None):
        raise SpecError(
            "schedule: it follows spike counts on the implant, but implant.processing.feature is "
            "raw, so that spikes are detected outside; use feature: threshold or "
            "spiking_band_power, or a schedule that decides at the receiver"
        )


def _where_recorded(
    valid: Float32[np.ndarray, "step channel"],
    recorded: Bool[np.ndarray, "bin channel"],
    steps_per_bin: int,
) -> Float32[np.ndarray, "step channel"]:
    """Nothing is valid where the file itself has a gap."""
    if recorded.all():
        return valid
    return np.where(np.repeat(recorded, steps_per_bin, axis=0), valid, np.float32(0))


def _encode(
    counts: Int32[np.ndarray, "bin channel"],
    clock: Clock,
    sensed: Sensed,
    planned: Plan,
    implant: Implant,
) -> tuple[Int32[np.ndarray, "bin channel"], Bool[np.ndarray, "bin channel"] | None, Encoded]:
    """Code what is sent; give back what the receiver makes of it if all arrives, and what is sent.

    The latter is None where every bin is sent whole, so that a lost one tells of no other.
    """
    s = clock.steps_per_bin
    sampled = clock.sampled
    if s > 1:
        sampled = np.logical_or.reduce(sampled.reshape(-1, s, sampled.shape[1]), axis=1)
    if planned.least_change is None:
        return counts, None, encode(counts, sampled, sensed.n_samples, implant)
    held, sent = send_on_change(counts, sampled, planned.least_change)
    return held, sent, encode(held, sent, sensed.n_samples, implant, announced=False)


def _lay_out(
    rows: Int32[np.ndarray, "row channel"] | Float32[np.ndarray, "row channel"],
    inside: Bool[np.ndarray, "trial bin"],
) -> Int32[np.ndarray, "trial bin channel"] | Float32[np.ndarray, "trial bin channel"]:
    out = np.zeros((*inside.shape, rows.shape[1]), dtype=rows.dtype)
    out[inside] = rows
    return out


def _coverage(
    planned: Plan, grid: Grid, clock: Clock, sensed: Sensed, slots: int, activity: Activity
) -> Coverage:
    return measure(
        planned.sampled,
        grid.step_s,
        slots,
        valid_fraction=float(sensed.valid.sum(dtype=float)) / int(clock.sampled.sum()),
        side_info_bps=activity.side_info_bps,
        link_latency_s=activity.latency_s,
    )

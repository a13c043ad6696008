"""Acquire a recording through an implant: plan, sense, encode, send."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from implant_sim.hardware.activity import CALIBRATE, Action, Activity, actions_of
from implant_sim.hardware.encode import Encoded, encode
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.link import Sent, send
from implant_sim.hardware.schedules.base import Calibration, Groups, Plan, Schedule, View
from implant_sim.hardware.sense import Clock, Sensed, sense, thin
from sbtt_models.signals import MaskedStream, Recording, within
from sbtt_models.spec import SpecError

__all__ = ["acquire", "plan"]


def acquire(
    recording: Recording, implant: Implant, schedule: Schedule, rng: np.random.Generator
) -> tuple[MaskedStream, Activity]:
    """Take a recording through an implant.

    The schedule runs once, on the recording's own clock, through all bins of all trials; only what
    the recording holds can be observed.

    Parameters
    ----------
    recording : Recording
        What the electrodes would give.
    implant : Implant
        What takes it.
    schedule : Schedule
        Which samples it takes.
    rng : numpy.random.Generator
        Seeds, independently, the schedule, the spikes lost to settling, and the packets lost.

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
    for_schedule, for_spikes, for_link = rng.spawn(3)
    planned = plan(recording, implant, schedule, for_schedule)
    inside = within(recording.lengths, recording.counts.shape[1])
    clock = Clock(planned.sampled[inside], recording.bin_s)
    if not clock.sampled.any():
        raise SpecError(f"schedule: it samples nothing of {recording.name}")
    sensed = sense(clock, implant)
    present = recording.available[inside]
    exposure = np.where(present, sensed.exposure, np.float32(0))
    counts = thin(recording.counts[inside], exposure, for_spikes)
    encoded = encode(counts, clock.sampled, sensed.warm_up_bins, clock.bin_s, implant)
    sent = send(encoded.bits, clock.bin_s, implant, for_link)
    exposure[~sent.arrived] = 0
    counts[~sent.arrived] = 0
    stream = MaskedStream(
        _lay_out(counts, inside),
        _lay_out(exposure, inside),
        recording.lengths,
        recording.bin_s,
        recording.split,
        recording.window_bins,
    )
    activity = _summarise(clock, implant, sensed, encoded, sent)
    activity = replace(activity, sampled_fraction=float((exposure > 0).sum() / present.sum()))
    if planned.calibrated_every_s is not None:
        activity = _with_calibration(activity, recording, implant, planned)
    return stream, activity


def plan(
    recording: Recording, implant: Implant, schedule: Schedule, rng: np.random.Generator
) -> Plan:
    """Let a schedule choose its samples; it sees no more of the recording than a `View`.

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
    looked = []

    def calibrate() -> Calibration:
        looked.append(True)
        return _calibration_data(recording)

    view = View(
        recording.lengths,
        recording.counts.shape[1],
        recording.n_channels,
        Groups.by_wire(implant.groups(recording.n_channels)),
        implant.multiplexer.any_order,
        calibrate,
    )
    planned = schedule.plan(view, rng)
    if looked and planned.calibrated_every_s is None:
        raise SpecError(
            f"schedule: {type(schedule).__name__} used calibration data that its plan does not "
            "charge; set calibrated_every_s"
        )
    return planned


def _calibration_data(recording: Recording) -> Calibration:
    """Training and validation trials, and nothing of the others."""
    trials = recording.split.fitted
    valid = np.isin(trials, recording.split.valid)
    if not valid.any():  # all validation trials are tested, too: take some of the training trials
        valid[::5] = True
    scored = within(recording.lengths[trials], recording.counts.shape[1])
    behaviour = recording.behaviour
    return Calibration(
        recording.counts[trials],
        recording.available[trials],
        valid,
        None if behaviour is None else behaviour.values[trials].astype(float),
        scored if behaviour is None else scored & behaviour.valid[trials],
        recording.bin_s,
    )


def _lay_out(
    rows: Int32[np.ndarray, "row channel"] | Float32[np.ndarray, "row channel"],
    inside: Bool[np.ndarray, "trial bin"],
) -> Int32[np.ndarray, "trial bin channel"] | Float32[np.ndarray, "trial bin channel"]:
    out = np.zeros((*inside.shape, rows.shape[1]), dtype=rows.dtype)
    out[inside] = rows
    return out


def _summarise(
    clock: Clock, implant: Implant, sensed: Sensed, encoded: Encoded, sent: Sent
) -> Activity:
    n_rows, n_channels = clock.sampled.shape
    notes = []
    if implant.processing.feature == "spiking_band_power":
        notes.append("spiking band power is emulated by spike counts")
    if encoded.code == "entropy":
        notes.append("payload is the entropy bound of Poisson counts, which no code beats")
    return Activity(
        actions=(
            *sensed.actions,
            *encoded.actions,
            *sent.actions,
            *actions_of("overhead", {"run": clock.duration_s}),
        ),
        duration_s=clock.duration_s,
        bin_s=clock.bin_s,
        n_channels=n_channels,
        n_electrodes=implant.n_electrodes(n_channels),
        bandwidth=float(clock.sampled.sum() / n_rows),
        sampled_fraction=0.0,
        sample_rate_hz=implant.adc.sample_rate_hz,
        code=encoded.code,
        payload_bit=float(encoded.bits.sum()),
        side_info_bps=0.0,
        peak_link_rate_bps=sent.peak_rate_bps,
        link_capacity_bps=implant.radio.throughput_bps,
        peak_load=sent.peak_load,
        packet_loss=sent.packet_loss,
        latency_s=sent.latency_s,
        notes=tuple(notes),
    )


def _with_calibration(
    activity: Activity, recording: Recording, implant: Implant, planned: Plan
) -> Activity:
    """Charge the data that a schedule was tuned on, spread over the time until they are retaken.

    Charged is what sampling in full costs beyond what the schedule does anyhow. Where the
    multiplexer holds one channel of a group, the data are taken in as many passes as it has ways.
    """
    every_s = planned.calibrated_every_s or math.inf
    clock, counts = _calibration_clock(recording, implant)
    if clock.duration_s > every_s:
        raise SpecError(
            f"schedule.calibration.every: {every_s:g} s is shorter than the calibration itself, "
            f"{clock.duration_s:g} s of training and validation trials; raise it"
        )
    sensed = sense(clock, implant)
    encoded = encode(counts, clock.sampled, sensed.warm_up_bins, clock.bin_s, implant)
    sent = send(encoded.bits, clock.bin_s, implant, None)
    usual = {(a.component, a.action): a.n_actions / activity.duration_s for a in activity.actions}
    times = activity.duration_s / every_s  # calibrations within this acquisition
    rows = []
    for done in (*sensed.actions, *encoded.actions, *sent.actions):
        anyhow = usual.get((done.component, done.action), 0.0) * clock.duration_s
        rows.append(Action(done.component, done.action, max(0.0, done.n_actions - anyhow) * times))
    choice = implant.radio.send(np.array([math.ceil(planned.side_info_bit)]))
    rows += [Action("radio", name, n * times) for name, n in choice.actions.items()]
    notes = activity.notes
    if sent.peak_load > 1:
        notes = (*notes, "calibration data exceed the radio's rate and are sent more slowly")
    return replace(
        activity,
        actions=(*activity.actions, *_merged(rows)),
        side_info_bps=planned.side_info_bit / every_s,
        notes=notes,
    )


def _merged(rows: list[Action]) -> tuple[Action, ...]:
    total: dict[tuple[str, str], float] = {}
    for row in rows:
        key = row.component, CALIBRATE + row.action
        total[key] = total.get(key, 0.0) + row.n_actions
    return tuple(Action(*key, n) for key, n in total.items() if n > 0)


def _calibration_clock(
    recording: Recording, implant: Implant
) -> tuple[Clock, Int32[np.ndarray, "row channel"]]:
    data = _calibration_data(recording)
    trials = recording.split.fitted
    counts = data.counts[within(recording.lengths[trials], data.counts.shape[1])]
    groups = Groups.by_wire(implant.groups(recording.n_channels))
    place = np.empty(len(groups.members), dtype=np.int64)
    place[groups.members] = (
        np.arange(len(groups.members)) - groups.start[groups.of[groups.members]]
    )
    passes = range(int(place.max()) + 1)
    sampled = [np.broadcast_to(place == p, counts.shape) for p in passes]
    return Clock(np.concatenate(sampled), recording.bin_s), np.tile(counts, (len(passes), 1))

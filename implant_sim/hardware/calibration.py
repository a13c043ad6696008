"""Calibration: the data that a schedule is tuned on, and what taking them costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Int32

from implant_sim.hardware.activity import CALIBRATE, PRETRAIN, Action, Activity
from implant_sim.hardware.encode import encode
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.link import send
from implant_sim.hardware.rules import Clock
from implant_sim.hardware.schedules.base import Calibration, Groups, Plan
from implant_sim.hardware.sense import sense
from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording, within

__all__ = ["calibration_data", "with_calibration", "with_dense_trials"]


def calibration_data(recording: Recording) -> Calibration:
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


def with_calibration(
    activity: Activity, recording: Recording, implant: Implant, planned: Plan
) -> Activity:
    """Charge the data that a schedule was tuned on, spread over the time until they are retaken.

    Charged is what sampling in full costs beyond what the schedule does anyhow. Where the
    multiplexer holds one channel of a group, the data are taken in as many passes as it has ways.

    Parameters
    ----------
    activity : Activity
        Of the acquisition itself.
    recording : Recording
        Its training and validation trials are the data.
    implant : Implant
        What takes them.
    planned : Plan
        Says how often, and how many bits tell of the choice.

    Returns
    -------
    Activity
        With the actions of calibration added.

    Raises
    ------
    SpecError
        Where a calibration takes longer than the time until the next.
    """
    every_s = planned.calibrated_every_s or math.inf
    clock, counts = _calibration_clock(recording, implant)
    if clock.duration_s > every_s:
        raise SpecError(
            f"schedule.calibration.every: {every_s:g} s is shorter than the calibration itself, "
            f"{clock.duration_s:g} s of training and validation trials; raise it"
        )
    sensed = sense(clock, implant)
    encoded = encode(counts, clock.sampled, sensed.n_samples, implant)
    sent = send(encoded.bits, recording.bin_s, implant, None)
    times = activity.duration_s / every_s  # calibrations within this acquisition
    taken = (*sensed.actions, *encoded.actions, *sent.actions)
    rows = _beyond(activity, taken, clock.duration_s, times)
    told = list(implant.radio.receive(planned.model_bit).items())
    if planned.side_info_bit > 0:
        told += implant.radio.send(np.array([math.ceil(planned.side_info_bit)])).actions.items()
    rows += [Action("radio", name, n * times) for name, n in told]
    notes = activity.notes
    told_bps = (planned.side_info_bit + planned.model_bit) / every_s
    if sent.peak_load > 1:
        notes = (*notes, "calibration data exceed the radio's rate and are sent more slowly")
    return replace(
        activity,
        actions=(*activity.actions, *_merged(rows, CALIBRATE)),
        side_info_bps=activity.side_info_bps + told_bps,
        peak_link_rate_bps=activity.peak_link_rate_bps + told_bps,
        notes=notes,
    )


def with_dense_trials(
    activity: Activity, densely: Activity, dense_s: float, every_s: float
) -> Activity:
    """Charge trials that were sampled densely, spread over the time until they are retaken.

    Charged is what they cost beyond what they would have cost as sparsely as the others.

    Parameters
    ----------
    activity : Activity
        Of the acquisition itself, all trials at their usual sampling.
    densely : Activity
        Of all trials, sampled densely: the mean cost of a second of it is taken.
    dense_s : float
        How long the dense trials are. [s]
    every_s : float
        Time from one such sampling to the next. [s]

    Raises
    ------
    SpecError
        Where it takes longer than the time until the next.
    """
    if dense_s > every_s:
        raise SpecError(
            f"pretraining.every: {every_s:g} s is shorter than the dense trials themselves, "
            f"{dense_s:g} s; raise it"
        )
    share, times = dense_s / densely.duration_s, activity.duration_s / every_s
    taken = [Action(a.component, a.action, a.n_actions * share) for a in densely.actions]
    rows = _merged(_beyond(activity, taken, dense_s, times), PRETRAIN)
    notes, told_bps = activity.notes, densely.side_info_bps * dense_s / every_s
    if densely.peak_load > 1:
        notes = (*notes, "dense trials exceed the radio's rate and are sent more slowly")
    return replace(
        activity,
        actions=(*activity.actions, *rows),
        side_info_bps=activity.side_info_bps + told_bps,
        peak_link_rate_bps=activity.peak_link_rate_bps + told_bps,
        notes=(*notes, "power is a mean; limits of the tissue hold during dense trials, too"),
        densest=densely,
    )


def _beyond(
    activity: Activity, taken: Iterable[Action], taken_s: float, times: float
) -> list[Action]:
    """What so many seconds took beyond the usual, so many times."""
    usual = {(a.component, a.action): a.n_actions / activity.duration_s for a in activity.actions}
    rows = []
    for done in taken:
        anyhow = usual.get((done.component, done.action), 0.0) * taken_s
        rows.append(Action(done.component, done.action, max(0.0, done.n_actions - anyhow) * times))
    return rows


def _merged(rows: Iterable[Action], purpose: str) -> tuple[Action, ...]:
    total: dict[tuple[str, str], float] = {}
    for row in rows:
        key = row.component, purpose + row.action
        total[key] = total.get(key, 0.0) + row.n_actions
    return tuple(Action(*key, n) for key, n in total.items() if n > 0)


def _calibration_clock(
    recording: Recording, implant: Implant
) -> tuple[Clock, Int32[np.ndarray, "row channel"]]:
    data = calibration_data(recording)
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

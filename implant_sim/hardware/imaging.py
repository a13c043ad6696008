"""What a schedule takes of values that a microscope has read: no implant, nothing to price."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.coverage import measure
from implant_sim.hardware.schedules.base import Groups, Schedule, View
from sbtt_models.errors import SpecError
from sbtt_models.signals import MaskedStream, Recording, within

__all__ = ["image"]


def image(
    recording: Recording, schedule: Schedule, rng: np.random.Generator
) -> tuple[MaskedStream, Activity]:
    """Take of a recording what a schedule chooses, bin by bin.

    The microscope's own scan is part of the recording. Its cost is the light that falls on the
    tissue, which depends on the scan alone and on nothing that is chosen here: the activity holds
    no actions.

    Parameters
    ----------
    recording : Recording
        Values that were read; what was not recorded cannot be chosen.
    schedule : Schedule
        A fixed or random one.
    rng : numpy.random.Generator
        The schedule's randomness.

    Returns
    -------
    MaskedStream
        What reaches the decoder.
    Activity
        What was sampled.

    Raises
    ------
    SpecError
        For a schedule that moves on inside a bin, or that follows the data.
    """
    if schedule.dwell_s is not None:
        raise SpecError(
            f"schedule.dwell: {schedule.dwell_s:g} s, but values that a microscope has read are "
            "taken bin by bin; leave dwell out"
        )
    inside = within(recording.lengths, recording.counts.shape[1])
    n_steps, n_channels = int(inside.sum()), recording.n_channels
    view = View(
        n_steps=n_steps,
        step_s=recording.bin_s,
        n_channels=n_channels,
        groups=Groups.by_wire(np.arange(n_channels)),
        any_order=True,
        trial_steps=np.asarray(recording.lengths),
        delay_steps=1,
        calibrate=_follows,
        observe=_follows,
    )
    planned = schedule.plan(view, rng.spawn(4)[0])
    if planned.least_change is not None:
        _follows()
    taken = np.zeros(recording.counts.shape, np.bool_)
    taken[inside] = planned.sampled
    taken &= recording.available
    if not taken.any():
        raise SpecError(f"schedule: it samples nothing of {recording.name}")
    stream = MaskedStream(
        np.where(taken, recording.counts, 0).astype(recording.counts.dtype),
        taken.astype(np.float32),
        recording.lengths,
        recording.bin_s,
        recording.split,
        recording.window_bins,
        external=recording.external,
    )
    share = float(taken.sum()) / int(recording.available.sum())
    duration_s = n_steps * recording.bin_s
    coverage = measure(taken[inside], recording.bin_s, n_channels)
    return stream, Activity(
        actions=(),
        duration_s=duration_s,
        bin_s=recording.bin_s,
        n_channels=n_channels,
        n_electrodes=0,
        bandwidth=float(taken.sum()) / n_steps,
        sampled_fraction=share,
        sample_rate_hz=float(taken.sum()) / n_channels / duration_s,
        code="none",
        payload_bit=0.0,
        side_info_bps=0.0,
        peak_link_rate_bps=0.0,
        link_capacity_bps=0.0,
        peak_load=0.0,
        packet_loss=0.0,
        latency_s=0.0,
        buffer_bit=0.0,
        notes=("read by a microscope: there is no implant, and nothing is priced",),
        coverage=coverage,
    )


def _follows(*_: object) -> NoReturn:
    raise SpecError(
        "schedule.kind: it follows the data or is tuned on them, which a recording that a "
        "microscope has read does not serve; choose one that does not"
    )

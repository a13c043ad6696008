"""What a schedule is shown of a recording, and what its own choices cost."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int32

from implant_sim.hardware.activity import COMMAND, Action, actions_of
from implant_sim.hardware.calibration import calibration_data
from implant_sim.hardware.grid import Grid
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules.base import Groups, Plan, View
from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording, within

__all__ = ["choice_actions", "lead_s", "view_of"]


def view_of(
    recording: Recording,
    implant: Implant,
    grid: Grid,
    counts: Int32[np.ndarray, "bin channel"],
    times: np.uint64,
) -> View:
    """Show a schedule the clock, the wires, and data once they are there.

    Parameters
    ----------
    recording : Recording
        Gives the channels, its gaps, and the calibration data.
    implant : Implant
        Gives wires, latency, and the time to wake and settle.
    grid : Grid
        The schedule's steps.
    counts : numpy.ndarray, shape (bin, channel)
        What the detector counts, on the recording's clock.
    times : numpy.uint64
        Seed of the spikes' places inside their bins.

    Returns
    -------
    View
        Counts can be asked for step by step only, each step once.
    """
    last = -1

    def observe(step: int, channels: np.ndarray) -> np.ndarray:
        nonlocal last
        if step <= last:
            raise SpecError(f"schedule: it asked for step {step} after step {last}")
        last = step
        return grid.observe(counts, times, step, channels)

    inside = within(recording.lengths, recording.counts.shape[1])
    available = None if recording.recorded is None else recording.available[inside]

    def exists(step: int, channels: np.ndarray) -> np.ndarray:
        first, last = grid.bins_of(step)
        return available[first:last, channels].all(axis=0)  # type: ignore[index]

    back_s = implant.radio.interval_s + recording.bin_s
    return View(
        n_steps=grid.n_steps,
        step_s=grid.step_s,
        n_channels=recording.n_channels,
        groups=Groups.by_wire(implant.groups(recording.n_channels)),
        any_order=implant.multiplexer.any_order,
        trial_steps=grid.trial_steps,
        delay_steps=max(1, math.ceil(back_s / grid.step_s - 1e-9)),
        calibrate=lambda: calibration_data(recording),
        observe=observe,
        exists=None if available is None else exists,
        lead_steps=math.ceil(lead_s(implant) / grid.step_s - 1e-9),
    )


def lead_s(implant: Implant) -> float:
    """Time before a step at which its channels must be known, to wake and to settle. [s]

    None where that takes its time inside the step.
    """
    amplifier = implant.amplifier
    if amplifier.wake != "early":
        return 0.0
    warm_s = implant.warm_before_s
    return amplifier.settling_s(warm_s) if amplifier.gating == "per_bin" else warm_s


def choice_actions(
    planned: Plan, recording: Recording, grid: Grid, implant: Implant
) -> tuple[Action, ...]:
    """Count what choosing takes beyond the payload: arithmetic, or messages to the implant.

    Parameters
    ----------
    planned : Plan
        Says where choices are made, their bits and their arithmetic.
    recording : Recording
        Gives the width of a bin.
    grid : Grid
        The schedule's steps. A message names the choices of a step, or of all steps of a bin, or
        of all that the radio gathers into one frame.
    implant : Implant
        Its radio receives.

    Returns
    -------
    tuple of Action
        Rows of processing and radio.

    Raises
    ------
    SpecError
        Where the radio has no price for receiving.
    """
    arithmetic = actions_of("processing", {"choose": planned.operations})
    if planned.choice_bit is None or planned.chosen_by == "implant":
        return arithmetic
    every_s = max(implant.radio.interval_s, grid.step_s, recording.bin_s)
    messages = math.ceil(grid.n_bins * recording.bin_s / every_s - 1e-9)
    heard = implant.radio.receive(float(planned.choice_bit.sum()), float(messages))
    commands = {COMMAND + action: n for action, n in heard.items()}
    return (*arithmetic, *actions_of("radio", commands))

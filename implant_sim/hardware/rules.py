"""What a front end goes by, in steps of a schedule, and what it was made to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from jaxtyping import Bool, Int

from implant_sim.hardware.implant import Implant
from sbtt_models.errors import SpecError

__all__ = ["Clock", "Counted", "Rules", "refuse_unsettled", "settling_notes"]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """A plan on the recording's clock: the steps of all trials, one after the other."""

    sampled: Bool[np.ndarray, "step channel"]
    step_s: float
    steps_per_bin: int = 1

    @property
    def duration_s(self) -> float:
        """Length of the clock. [s]"""
        return self.sampled.shape[0] * self.step_s


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What an implant's front end goes by, on a clock of its own steps."""

    n_steps: int
    step_s: float
    n_electrodes: int
    unit_of: Int[np.ndarray, " channel"]
    """The amplifier of each channel."""
    n_units: int
    """Amplifiers of all electrodes."""
    least_gap: int
    """Steps of a pause from which an amplifier sleeps through it; `n_steps` + 1 if never."""
    wakes_late: bool
    """True where an amplifier wakes inside the step."""
    settles_inside: bool
    """True where settling takes the first part of the step, and not samples before it."""
    warm_steps: float
    wake_steps: float
    wire_of: Int[np.ndarray, " channel"]
    """The multiplexer's wire of each channel."""
    n_wires: int
    switching: Literal["none", "held", "whole", "shared"]
    """No multiplexer; a channel held for a step; the group visited whole, or as sampled."""

    @classmethod
    def of(cls, implant: Implant, n_channels: int, n_steps: int, step_s: float) -> Rules:
        """Read them off an implant."""
        amplifier, mux = implant.front_end.working_amplifier, implant.multiplexer
        n_electrodes = implant.n_electrodes(n_channels)
        wire_of, n_wires = mux.group_of(n_channels, n_electrodes), mux.n_groups(n_electrodes)
        before = mux.placement == "before_amplifier"
        warm_s = implant.processing.warm_up(amplifier.band_hz[0])
        gap = amplifier.least_gap_s(implant.physical, implant.warm_before_s) / step_s
        switching: Literal["none", "held", "whole", "shared"] = "none"
        if mux.placement != "none":
            switching = "held" if mux.holds_bin else "shared" if mux.any_order else "whole"
        return cls(
            n_steps=n_steps,
            step_s=step_s,
            n_electrodes=n_electrodes,
            unit_of=wire_of if before else np.arange(n_channels),
            n_units=n_wires if before else n_electrodes,
            least_gap=n_steps + 1 if math.isinf(gap) else min(n_steps + 1, math.floor(gap) + 1),
            wakes_late=amplifier.gating != "none" and amplifier.wake == "late",
            settles_inside=amplifier.wake == "late" or mux.holds_bin,
            warm_steps=warm_s / step_s,
            wake_steps=(amplifier.wake_time_s or 0.0) / step_s,
            wire_of=wire_of,
            n_wires=n_wires,
            switching=switching,
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """What a plan makes a front end do."""

    n_sampled: int
    """Samples of the plan: (step, channel)."""
    before: float
    """Steps that filters need before samples, of all channels together."""
    on: int
    """Steps that amplifiers are on, of those that are ever used."""
    wakes: int
    switched: int
    """Changes of channel of wires that hold one; or places of wires that take turns."""
    wires_used: int
    """Wires that ever carry a sample."""


def settling_notes(rules: Rules, valid_fraction: float) -> tuple[str, ...]:
    """Say where settling takes whole steps, which a schedule may not have meant.

    Parameters
    ----------
    rules : Rules
        What a front end goes by.
    valid_fraction : float
        Share of the sampled time that is valid.

    Returns
    -------
    tuple of str
        One note, or none where settling fits into a step or nothing ever settles.
    """
    steps = rules.warm_steps + (rules.wake_steps if rules.wakes_late else 0.0)
    if not rules.settles_inside or steps < 1 - 1e-9 or valid_fraction >= 1:
        return ()
    return (
        f"settling takes {steps * rules.step_s:.3g} s inside steps of {rules.step_s:.3g} s: a "
        f"channel gives no data in its first {math.floor(steps + 1e-9)} after a pause, and "
        f"{1 - valid_fraction:.0%} of the time sampled is lost",
    )


def refuse_unsettled(rules: Rules, woken: bool) -> NoReturn:
    """Refuse a plan of which settling leaves nothing.

    Raises
    ------
    SpecError
        Always.
    """
    settling_s = (rules.warm_steps + (rules.wake_steps if woken else 0.0)) * rules.step_s
    raise SpecError(
        f"schedule.dwell: settling inside the step (amplifier.wake_time and processing.warm_up) "
        f"takes {settling_s:.3g} s, a step lasts {rules.step_s:.3g} s, so no data are left; hold "
        "a channel for longer, or use wake: early, a multiplexer with cycle: sample, or faster "
        "parts"
    )

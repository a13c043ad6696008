"""Sense: the samples that amplifiers and converters take, what they keep, what they do for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import counting, exposure
from sbtt_models.errors import SpecError

__all__ = [
    "Clock",
    "Counted",
    "Rules",
    "Sensed",
    "front_end_actions",
    "refuse_unsettled",
    "sense",
    "settling_notes",
]


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


@dataclass(frozen=True, slots=True, eq=False)
class Sensed:
    """What sampling leaves for the encoder, and what it cost."""

    valid: Float32[np.ndarray, "step channel"]
    """Share of the step with valid data, at its end."""
    n_samples: Float[np.ndarray, " bin"]
    """Conversions of each bin, with those that warm filters up."""
    actions: tuple[Action, ...]
    notes: tuple[str, ...]


def sense(clock: Clock, implant: Implant) -> Sensed:
    """Run the front end over a plan.

    Amplifiers sleep where gating allows and a gap repays the wake-up. A channel that is sampled
    again after a pause needs its amplifier awake and its filter warm: before the step, for energy
    (``wake: early``), or inside it, for exposure (``wake: late``, and always where the multiplexer
    held another channel until then).

    Parameters
    ----------
    clock : Clock
        Samples to take.
    implant : Implant
        Its amplifier, multiplexer, ADC and processing.

    Returns
    -------
    Sensed
        Valid shares and counted actions.

    Raises
    ------
    SpecError
        Where settling leaves nothing valid.
    """
    n_steps, n_channels = clock.sampled.shape
    rules = Rules.of(implant, n_channels, n_steps, clock.step_s)
    on, n_wakes, woken = 0, 0, None
    if implant.amplifier.gating != "none":
        needed = clock.sampled
        if implant.multiplexer.placement == "before_amplifier":
            needed = _any_of(clock.sampled, rules.unit_of, int(rules.unit_of.max()) + 1)
        on_of, wakes, woken = counting.gate(needed, rules.least_gap)
        on, n_wakes = int(on_of.sum()), int(wakes.sum())
        woken = woken[:, rules.unit_of] if rules.wakes_late and n_wakes else None
    valid, warm_up = _settle(clock, rules, woken)
    counted = Counted(
        n_sampled=int(clock.sampled.sum()),
        before=float(warm_up.sum()),
        on=on,
        wakes=n_wakes,
        switched=_switched(clock, rules),
        wires_used=len(np.unique(rules.wire_of[clock.sampled.any(axis=0)])),
    )
    of_step = (clock.sampled.sum(axis=1) + warm_up) * clock.step_s * implant.adc.sample_rate_hz
    n_samples = of_step.reshape(-1, clock.steps_per_bin).sum(axis=1)
    share = float(valid.sum(dtype=float)) / max(1, counted.n_sampled)
    actions = front_end_actions(counted, rules, implant)
    return Sensed(valid, n_samples, actions, settling_notes(rules, share))


def front_end_actions(counted: Counted, rules: Rules, implant: Implant) -> tuple[Action, ...]:
    """Turn what was counted in steps into actions, in seconds and samples.

    Parameters
    ----------
    counted : Counted
        Of a whole plan.
    rules : Rules
        What it was counted by.
    implant : Implant
        Its amplifier, multiplexer, ADC and processing.

    Returns
    -------
    tuple of Action
        Rows of amplifier, multiplexer, ADC and processing.
    """
    duration_s = rules.n_steps * rules.step_s
    samples_per_step = rules.step_s * implant.adc.sample_rate_hz
    n_convert, n_warm = counted.n_sampled * samples_per_step, counted.before * samples_per_step
    adc = {"convert": n_convert, "warm up": n_warm}
    if implant.adc.idle_power_w is not None:
        gated = implant.amplifier.gating != "none"
        adc["idle"] = (counted.wires_used if gated else rules.n_wires) * duration_s
    switches = {
        "none": 0.0,
        "held": float(counted.switched),
        "shared": counted.switched * samples_per_step,
        "whole": rules.n_wires * implant.multiplexer.ways * rules.n_steps * samples_per_step,
    }
    return (
        *actions_of("amplifier", _amplified(counted, rules, implant)),
        *actions_of("multiplexer", {"switch": switches[rules.switching]}),
        *actions_of("adc", adc),
        *actions_of("processing", _processed(counted, rules, implant, n_convert + n_warm)),
    )


def _amplified(counted: Counted, rules: Rules, implant: Implant) -> dict[str, float]:
    """Seconds on and asleep, and wake-ups."""
    amplifier, all_s = implant.amplifier, rules.n_units * rules.n_steps * rules.step_s
    if amplifier.gating == "none":
        return {"on": all_s}
    settling_s = amplifier.settling_s(implant.warm_before_s)
    on_s = counted.on * rules.step_s + counted.wakes * settling_s
    return {"on": on_s, "sleep": all_s - on_s, "wake": float(counted.wakes)}


def _processed(
    counted: Counted, rules: Rules, implant: Implant, n_samples: float
) -> dict[str, float]:
    channel_s = counted.n_sampled * rules.step_s
    done = {
        "sample": n_samples,
        "clock": n_samples,
        "channel": channel_s,
        "sort": channel_s,
        "leak": rules.n_electrodes * rules.n_steps * rules.step_s,
    }
    priced = implant.processing.prices(implant.physical)
    return {action: n for action, n in done.items() if action in priced}


def _any_of(
    sampled: Bool[np.ndarray, "step channel"], unit_of: Int[np.ndarray, " channel"], n: int
) -> Bool[np.ndarray, "step unit"]:
    needed = np.zeros((sampled.shape[0], n), dtype=np.bool_)
    for channel, unit in enumerate(unit_of):
        needed[:, unit] |= sampled[:, channel]
    return needed


def _settle(
    clock: Clock, rules: Rules, woken: Bool[np.ndarray, "step channel"] | None
) -> tuple[Float32[np.ndarray, "step channel"], Float[np.ndarray, " step"]]:
    """Charge what settling takes out of the steps, or find the samples taken before them."""
    if not rules.settles_inside:
        before = counting.warm_ups(clock.sampled, rules.warm_steps)
        return clock.sampled.astype(np.float32), before
    none = np.zeros((0, 0), dtype=np.bool_)
    valid = exposure.settle(
        clock.sampled, none if woken is None else woken, rules.warm_steps, rules.wake_steps
    )
    if clock.sampled[1:].any() and not valid[1:].any():  # the first step finds all warm
        refuse_unsettled(rules, woken is not None)
    return valid, np.zeros(len(clock.sampled))


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


def _switched(clock: Clock, rules: Rules) -> int:
    if rules.switching == "held":
        return int(counting.switches_held(clock.sampled, rules.wire_of, rules.n_wires))
    if rules.switching == "shared":
        return int(counting.switches_shared(clock.sampled, rules.wire_of, rules.n_wires))
    return 0

"""Sense: the samples that amplifiers and converters take, what they keep, what they do for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import counting, exposure
from implant_sim.hardware.rules import Clock, Counted, Rules, refuse_unsettled, settling_notes

__all__ = ["Sensed", "front_end_actions", "sense"]


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
    done = {
        "sample": n_samples,
        "clock": n_samples,
        # a detector runs while its filter warms up; there is nothing to sort yet
        "channel": (counted.n_sampled + counted.before) * rules.step_s,
        "sort": counted.n_sampled * rules.step_s,
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


def _switched(clock: Clock, rules: Rules) -> int:
    if rules.switching == "held":
        return int(counting.switches_held(clock.sampled, rules.wire_of, rules.n_wires))
    if rules.switching == "shared":
        return int(counting.switches_shared(clock.sampled, rules.wire_of, rules.n_wires))
    return 0

"""Sense: the samples that amplifiers and converters take, what they keep, what they do for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import counting
from sbtt_models.spec import SpecError

__all__ = ["Clock", "Sensed", "sense", "thin"]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """A plan on the recording's clock: the bins of all trials, one after the other."""

    sampled: Bool[np.ndarray, "row channel"]
    bin_s: float

    @property
    def duration_s(self) -> float:
        """Length of the clock. [s]"""
        return self.sampled.shape[0] * self.bin_s


@dataclass(frozen=True, slots=True, eq=False)
class Sensed:
    """What sampling leaves for the encoder, and what it cost."""

    exposure: Float32[np.ndarray, "row channel"]
    """Fraction of the bin with valid data."""
    warm_up_bins: Float[np.ndarray, " row"]
    """Bins' worth of samples taken before each bin, so that filters are warm in it."""
    actions: tuple[Action, ...]


def sense(clock: Clock, implant: Implant) -> Sensed:
    """Run the front end over a plan.

    Amplifiers sleep where gating allows and a gap repays the wake-up. A channel that is sampled
    again after a pause needs its amplifier awake and its filter warm: before the bin, for energy
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
        Exposure and counted actions.

    Raises
    ------
    SpecError
        Where settling inside the bin would take the whole bin.
    """
    n_electrodes = implant.n_electrodes(clock.sampled.shape[1])
    amplifier, woken = _amplify(clock, implant, n_electrodes)
    exposure, warm_up = _settle(clock, implant, woken)
    samples_per_bin = clock.bin_s * implant.adc.sample_rate_hz
    n_convert = int(clock.sampled.sum()) * samples_per_bin
    n_warm = float(warm_up.sum()) * samples_per_bin
    adc = {"convert": n_convert, "warm up": n_warm}
    if implant.adc.idle_power_w is not None:
        adc["idle"] = _adcs_powered(clock, implant, n_electrodes) * clock.duration_s
    actions = (
        *amplifier,
        *actions_of("multiplexer", {"switch": _switches(clock, implant, n_electrodes)}),
        *actions_of("adc", adc),
        *actions_of("processing", _process(clock, implant, n_convert + n_warm, n_electrodes)),
    )
    return Sensed(exposure, warm_up, actions)


def _amplify(
    clock: Clock, implant: Implant, n_electrodes: int
) -> tuple[tuple[Action, ...], Bool[np.ndarray, "row channel"] | None]:
    """Count seconds on and asleep, and wake-ups; mark samples of an amplifier just woken."""
    amplifier, mux = implant.amplifier, implant.multiplexer
    n_channels = clock.sampled.shape[1]
    unit_of, n_units, needed = np.arange(n_channels), n_electrodes, clock.sampled
    if mux.placement == "before_amplifier":
        unit_of, n_units = mux.group_of(n_channels, n_electrodes), mux.n_groups(n_electrodes)
        needed = _any_of(clock.sampled, unit_of, int(unit_of.max()) + 1)
    n_rows = clock.sampled.shape[0]
    if amplifier.gating == "none":
        return actions_of("amplifier", {"on": n_units * clock.duration_s}), None
    warm_s = implant.processing.warm_up(amplifier.band_hz[0])
    gap = amplifier.least_gap_s(implant.physical, warm_s) / clock.bin_s
    least_gap = n_rows + 1 if math.isinf(gap) else min(n_rows + 1, math.floor(gap) + 1)
    on, wakes, woken = counting.gate(needed, least_gap)
    n_wakes = float(wakes.sum())
    on_s = float(on.sum()) * clock.bin_s + n_wakes * amplifier.settling_s(warm_s)
    counted = {"on": on_s, "sleep": n_units * clock.duration_s - on_s, "wake": n_wakes}
    late = amplifier.wake == "late" and n_wakes > 0
    return actions_of("amplifier", counted), woken[:, unit_of] if late else None


def _any_of(
    sampled: Bool[np.ndarray, "row channel"], unit_of: Int[np.ndarray, " channel"], n: int
) -> Bool[np.ndarray, "row unit"]:
    needed = np.zeros((sampled.shape[0], n), dtype=np.bool_)
    for channel, unit in enumerate(unit_of):
        needed[:, unit] |= sampled[:, channel]
    return needed


def _settle(
    clock: Clock, implant: Implant, woken: Bool[np.ndarray, "row channel"] | None
) -> tuple[Float32[np.ndarray, "row channel"], Float[np.ndarray, " row"]]:
    """Charge what settling takes out of the bins, or find the samples taken before them."""
    amplifier = implant.amplifier
    warm_s = implant.processing.warm_up(amplifier.band_hz[0])
    warm_up, starts = counting.warm_ups(clock.sampled, warm_s / clock.bin_s)
    exposure = clock.sampled.astype(np.float32)
    if amplifier.wake == "early" and not implant.multiplexer.holds_bin:
        return exposure, warm_up
    lost_s = warm_s * starts
    if woken is not None:
        lost_s = lost_s + (amplifier.wake_time_s or 0.0) * woken
    if lost_s.size and lost_s[clock.sampled].max(initial=0.0) >= clock.bin_s:
        raise SpecError(
            f"implant.amplifier.wake: settling inside the bin (wake_time and processing.warm_up) "
            f"takes {lost_s.max():.3g} s of a bin of {clock.bin_s:g} s, so no data are left; use "
            "wake: early, a multiplexer with cycle: sample, faster parts, or longer bins"
        )
    exposure -= (lost_s / clock.bin_s * clock.sampled).astype(np.float32)
    return exposure, np.zeros_like(warm_up)


def _adcs_powered(clock: Clock, implant: Implant, n_electrodes: int) -> int:
    """ADCs with static power: all, or those in use where amplifiers can sleep."""
    n_all = -(-n_electrodes // implant.adc.shared_by)
    if implant.amplifier.gating == "none":
        return n_all
    n_channels = clock.sampled.shape[1]
    used = implant.multiplexer.group_of(n_channels, n_electrodes)[clock.sampled.any(axis=0)]
    return len(np.unique(used))


def _switches(clock: Clock, implant: Implant, n_electrodes: int) -> float:
    mux = implant.multiplexer
    if mux.placement == "none":
        return 0.0
    group = mux.group_of(clock.sampled.shape[1], n_electrodes)
    n_groups = mux.n_groups(n_electrodes)
    if mux.holds_bin:
        return float(counting.switches_held(clock.sampled, group, n_groups))
    samples = clock.duration_s * implant.adc.sample_rate_hz
    if not mux.any_order:
        return n_groups * mux.ways * samples
    shared = counting.switches_shared(clock.sampled, group, n_groups)
    return float(shared) * clock.bin_s * implant.adc.sample_rate_hz


def _process(
    clock: Clock, implant: Implant, n_samples: float, n_electrodes: int
) -> dict[str, float]:
    processing, counted = implant.processing, {}
    if processing.per_sample_j is not None:
        counted["sample"] = n_samples
    if processing.per_channel_w is not None:
        counted["channel"] = float(clock.sampled.sum()) * clock.bin_s
    if processing.leakage_w is not None:
        counted["leak"] = n_electrodes * clock.duration_s
    return counted


def thin(
    counts: Int32[np.ndarray, "row channel"],
    exposure: Float32[np.ndarray, "row channel"],
    rng: np.random.Generator,
) -> Int32[np.ndarray, "row channel"]:
    """Keep the spikes that fall into the valid part of each bin: Binomial(count, exposure)."""
    kept = np.where(exposure > 0, counts, 0).astype(np.int32)
    partial = (kept > 0) & (exposure < 1)
    kept[partial] = rng.binomial(kept[partial], exposure[partial].astype(float))
    return kept

"""The noise of a front end, source by source, at the electrode."""

from __future__ import annotations

import math
from dataclasses import dataclass

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics.electrode import electrode_noise_v
from implant_sim.hardware.physics.sampling import quantisation_noise_v

__all__ = ["NoiseBudget", "noise_budget"]


@dataclass(frozen=True, slots=True)
class NoiseBudget:
    """Independent sources of noise, each rms over the band, at the electrode. [V]"""

    amplifier_v: float
    """With its 1/f noise."""
    electrode_v: float
    """Thermal noise; 0 where `array.impedance` is not given."""
    background_v: float
    """Biological noise; 0 where `array.background_noise` is not given."""
    folded_v: float
    """What a multiplexer without a filter adds to amplifier and electrode."""
    quantisation_v: float
    """Rounding to the effective bits; 0 where `adc.full_scale` is not given."""
    gain: float
    """Share of the electrode's signal that reaches the amplifier, in (0, 1]."""

    @property
    def total_v(self) -> float:
        """All of them together: the root of the sum of squares. [V]"""
        return math.hypot(
            self.amplifier_v,
            self.electrode_v,
            self.background_v,
            self.folded_v,
            self.quantisation_v,
        )


def noise_budget(implant: Implant) -> NoiseBudget:
    """Add up the noise of an implant's front end.

    Noise that enters behind the electrode is divided by the loading gain, as if it came from the
    tissue. A multiplexer without a filter multiplies white noise, that of amplifier and electrode;
    biological noise lies inside the band and does not fold.

    Parameters
    ----------
    implant : Implant
        Its array, amplifier, multiplexer, ADC.

    Returns
    -------
    NoiseBudget
        Noise by source.

    References
    ----------
    .. [1] Independent sources add in squares; folding by `physics.multiplexer`.
    """
    array, amplifier, adc = implant.array, implant.amplifier, implant.adc
    gain = implant.front_end.gain
    amplifier_v = amplifier.band_noise_v / gain
    electrode_v = 0.0
    if array.impedance_ohm is not None:
        electrode_v = electrode_noise_v(
            array.impedance_ohm, amplifier.bandwidth_hz, implant.physical
        )
    # only white noise lies beyond the band, ready to fold into it
    white_v = math.hypot(amplifier.noise_v / gain, electrode_v)
    rise = implant.multiplexer.folding(adc.bits)
    step_v = adc.step_v((amplifier.gain or 1.0) * gain)
    return NoiseBudget(
        amplifier_v=amplifier_v,
        electrode_v=electrode_v,
        background_v=array.background_noise_v or 0.0,
        folded_v=white_v * math.sqrt(rise**2 - 1),
        quantisation_v=0.0 if step_v is None else quantisation_noise_v(step_v),
        gain=gain,
    )

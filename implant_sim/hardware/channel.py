"""One channel as its detector sees it: sampled, with the noise and the spikes that are left."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.noise import noise_budget
from implant_sim.hardware.physics.sampled_noise import band_correlation
from implant_sim.hardware.physics.waveform import filtered_spike
from sbtt_models.errors import SpecError

__all__ = ["PHASES", "Channel", "Shape", "channel"]

PHASES = 16
"""Places of a spike between two samples that are told apart."""

_NEGLIGIBLE = 0.01  # of the peak: where a spike's trough and the window of its detection begin
_BEFORE, _AFTER = 3.0, 20.0  # widths of a spike that are looked at, and kept at most
_ALONE = 0.005  # correlation below which samples count as independent


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A spike of amplitude 1 as it is sampled. The trough counts as positive."""

    template: Float[np.ndarray, "phase sample"]
    """Row p is for a spike (p + 1/2) / PHASES of a sample period after sample `origin`."""
    origin: int
    """Samples before that of the spike that the template begins."""
    window: tuple[int, int]
    """First and last sample of the template in which a detection counts as this spike's."""

    @property
    def seen(self) -> Float[np.ndarray, "phase sample"]:
        """The template inside the window."""
        return self.template[:, self.window[0] : self.window[1] + 1]


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """Noise, converter and threshold of a channel, at the electrode."""

    sample_rate_hz: float
    band_hz: tuple[float, float]
    noise_v: float
    """Before the converter rounds, rms."""
    white: float
    """Share of its variance that is independent from sample to sample: what a multiplexer folds,
    and what the converter adds beyond its rounding."""
    lsb_v: float
    """A code of the converter; 0 where it is not known, and nothing is rounded."""
    codes: int
    """Codes on either side of zero."""
    threshold_v: float
    """What the voltage has to fall below, negative, before it is rounded."""
    dead_samples: int
    shape: Shape

    @property
    def threshold_sigma(self) -> float:
        """The threshold over the noise that the converter gets."""
        return self.threshold_v / self.noise_v

    @property
    def correlation(self) -> Float[np.ndarray, " lag"]:
        """Of the noise, samples 0, 1, 2, ... apart, as far as there is any and it matters."""
        lags = np.arange(max(self.dead_samples + 2, self.shape.seen.shape[1]))
        rho = (1 - self.white) * band_correlation(lags / self.sample_rate_hz, self.band_hz)
        rho[0] = 1.0
        far = np.flatnonzero(np.abs(rho) > _ALONE)
        return rho[: max(3, int(far[-1]) + 3)]


def channel(implant: Implant) -> Channel:
    """Put together what decides on the detection of spikes.

    All noise within the band is given the amplifier's spectrum, that of one pole at each corner.
    The detector compares codes: its threshold is the step between two of them next to
    `processing.threshold_sigma` times the noise, rounding included.

    Parameters
    ----------
    implant : Implant
        With all that detection needs.

    Returns
    -------
    Channel
        The same for every channel.

    Raises
    ------
    SpecError
        For what is missing, and for a threshold beyond the range of the converter.
    """
    sigma, missing = implant.processing.threshold_sigma, implant.missing_for_detection
    if sigma is None or missing:
        names = [*(["processing.threshold_sigma"] if sigma is None else []), *missing]
        raise SpecError(f"implant {implant.name!r}: detection of spikes needs {', '.join(names)}")
    budget, adc = noise_budget(implant), implant.adc
    lsb_v = 0.0
    if adc.full_scale_v is not None:
        lsb_v = adc.full_scale_v / ((implant.amplifier.gain or 1.0) * budget.gain * 2.0**adc.bits)
    rounding = lsb_v**2 / 12  # part of the budget's, which is that of the effective bits
    white = budget.folded_v**2 + max(0.0, budget.quantisation_v**2 - rounding)
    variance = budget.total_v**2 - rounding
    wanted_v, codes = sigma * budget.total_v, 2 ** (adc.bits - 1)
    threshold_v = _between_codes(wanted_v, lsb_v) if lsb_v > 0 else wanted_v
    if lsb_v > 0 and threshold_v > codes * lsb_v:
        raise SpecError(
            f"processing.threshold_sigma: {sigma:g} times the noise of {budget.total_v:.3g} V is "
            f"{wanted_v:.3g} V at the electrode, but adc.full_scale ends at {codes * lsb_v:.3g} "
            "V; raise adc.full_scale, or lower amplifier.gain or the threshold"
        )
    rate, band = adc.sample_rate_hz, implant.amplifier.band_hz
    return Channel(
        sample_rate_hz=rate,
        band_hz=band,
        noise_v=math.sqrt(variance),
        white=white / variance,
        lsb_v=lsb_v,
        codes=codes,
        threshold_v=threshold_v,
        dead_samples=round(implant.processing.dead_time_s * rate),
        shape=_shape(rate, implant.array.spike_width_s, band),
    )


def _between_codes(wanted_v: float, lsb_v: float) -> float:
    """The step between two codes that lies next to a voltage above 0."""
    return (max(1, round(wanted_v / lsb_v + 0.5)) - 0.5) * lsb_v


@functools.lru_cache(maxsize=64)
def _shape(sample_rate_hz: float, width_s: float, band_hz: tuple[float, float]) -> Shape:
    # a slow amplifier delays the trough by about its time constant and draws it out
    reach_s = max(width_s, 1 / (2 * math.pi * band_hz[1]), 1 / sample_rate_hz)
    first = -math.ceil(_BEFORE * reach_s * sample_rate_hz)
    place = np.arange(first, math.ceil(_AFTER * reach_s * sample_rate_hz) + 1)
    phase = (np.arange(PHASES) + 0.5) / PHASES
    time_s = (place - phase[:, None]) / sample_rate_hz
    template = filtered_spike(time_s, width_s, band_hz)
    most = template.max(axis=0)
    peak = int(most.argmax())
    small = most < _NEGLIGIBLE * most[peak]
    begin = peak - int(small[peak::-1].argmax()) + 1
    end = peak + int(small[peak:].argmax()) - 1
    strong = np.flatnonzero(np.abs(template).max(axis=0) >= _NEGLIGIBLE / 4 * most[peak])
    kept = template[:, begin : strong[-1] + 1]
    kept.flags.writeable = False
    return Shape(np.ascontiguousarray(kept), -(first + begin), (0, end - begin))

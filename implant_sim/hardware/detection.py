"""How likely an implant's threshold finds a spike, and how often it takes noise for one."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.channel import Channel, channel
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics import detection as physics
from implant_sim.hardware.physics.crossing import event_probability
from sbtt_models.errors import SpecError

__all__ = ["Detection", "amplitudes_v", "detection", "detects"]

_TABLE = 128  # amplitudes to compute; of more channels the probability is interpolated


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """What the detector makes of spikes and of noise.

    A bin with n spikes delivers Binomial(n, probability) + Poisson(false_hz * valid time) events.
    """

    probability: Float[np.ndarray, " channel"]
    """That a spike gives an event which noise alone would not have given."""
    false_hz: float
    """Events of noise alone, of one channel. [Hz]"""


def detects(implant: Implant) -> bool:
    """True where a threshold is set, so that spikes are missed and noise is taken for spikes."""
    return implant.processing.threshold_sigma is not None


def amplitudes_v(
    implant: Implant, n_channels: int, rng: np.random.Generator
) -> Float[np.ndarray, " channel"]:
    """Draw the amplitude of each channel's unit, log-normal about `array.spike_amplitude`.

    Parameters
    ----------
    implant : Implant
        Its array.
    n_channels : int
        Channels.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        Peak of a spike at the electrode. All the same where `array.spike_spread` is not given. [V]

    Raises
    ------
    SpecError
        Where the array has no spike_amplitude.
    """
    scatter = np.exp((implant.array.spike_spread or 0.0) * rng.standard_normal(n_channels))
    return _median_v(implant) * scatter


def detection(implant: Implant, amplitude_v: Float[np.ndarray, " channel"]) -> Detection:
    """Find the probability of detection and the rate of false alarms, in closed form.

    Parameters
    ----------
    implant : Implant
        Its threshold, its noise, its band and sample rate.
    amplitude_v : float array, shape (channel,)
        Peak of a spike at the electrode, before any filter. [V]

    Returns
    -------
    Detection
        For spikes far apart; a spike within the dead time of another is hidden by it.

    Raises
    ------
    SpecError
        For what is missing, and for a threshold beyond the range of the converter.

    References
    ----------
    .. [1] `physics.detection`: discrete-time crossings, not Rice's rate, since the detector sees
       samples; `broadband.simulate` gives the same from sampled voltage.
    """
    chain = channel(implant)
    per_sample = _false_per_sample(
        chain.threshold_sigma, tuple(chain.correlation.tolist()), chain.dead_samples
    )
    some = np.unique(amplitude_v)
    if len(some) > _TABLE:
        # where the probability rises; above three thresholds it is flat
        most_v = 3 * chain.threshold_v / chain.shape.template.max()
        ends = np.append(np.linspace(0, most_v, _TABLE - 1), max(some[-1], most_v))
        some = np.unique(ends)
    found = np.interp(amplitude_v, some, _probability(chain, some, per_sample))
    return Detection(found, per_sample * chain.sample_rate_hz)


@functools.lru_cache(maxsize=256)  # most points of a sweep share it
def _false_per_sample(
    threshold_sigma: float, correlation: tuple[float, ...], dead_samples: int
) -> float:
    return event_probability(threshold_sigma, np.array(correlation), dead_samples)


def _median_v(implant: Implant) -> float:
    if implant.array.spike_amplitude_v is None:
        raise SpecError(f"implant {implant.name!r}: amplitudes need array.spike_amplitude")
    return implant.array.spike_amplitude_v


def _probability(
    chain: Channel, amplitude_v: Float[np.ndarray, " amplitude"], false: float
) -> Float[np.ndarray, " amplitude"]:
    """Detection probability without that of a chance alarm in the window, mean over phases."""
    seen, rho = chain.shape.seen, chain.correlation
    silent = np.full((1, seen.shape[1]), chain.threshold_sigma)
    beyond = chain.threshold_sigma - amplitude_v[:, None, None] * seen / chain.noise_v
    hit, chance = physics.hit_probability(beyond, rho), physics.hit_probability(silent, rho)[0]
    free = 1 - false * physics.blocked_samples(beyond, chain.dead_samples)
    # what a spike adds to chance; the latter is counted among the false alarms
    found: Float[np.ndarray, " amplitude"] = ((hit - chance) / (1 - chance) * free).mean(axis=1)
    return np.clip(found, 0.0, 1.0)

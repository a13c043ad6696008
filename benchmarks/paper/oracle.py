"""What could be known at most: the posterior mean of one who knows how the demo is generated.

The oracle is told the weights, the level, the dynamics and the initial states of all 65
conditions, that each condition is as likely as any other, and how counts arise (at most one spike
in a millisecond, so a bin's count is a sum of 20 unequal coins). It is not told which condition a
trial belongs to: that it infers, exactly, from the trial's own delivered counts. No decoder that
has to learn any of this can expect a smaller squared error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from implant_sim.recordings.lorenz import demo_latents
from sbtt_models.signals import MaskedStream, Recording

_CONDITIONS, _NEURONS, _BINS, _MS = 65, 29, 50, 20


def demo_rates(seed: int) -> np.ndarray:
    """Spikes per ms of `lorenz`, `demo`: shape (65, 50, 20, 29), by the draws of the generator."""
    rng = np.random.default_rng(seed)
    latents = demo_latents(rng.standard_normal((_CONDITIONS, 3)) * 2)
    sizes = rng.random((_NEURONS, 3)) + 1
    weights = np.sort(sizes * np.sign(rng.standard_normal((_NEURONS, 3))), axis=0)
    rate = np.exp(np.clip(latents @ weights.T + np.log(0.005), -20, 20))
    return rate.reshape(_CONDITIONS, _BINS, _MS, _NEURONS)


def log_probabilities(rate: np.ndarray) -> np.ndarray:
    """Log probability of each count 0 to 20 of a bin, shape (count, condition, bin, neuron)."""
    spike = -np.expm1(-rate)
    chance = np.zeros((_MS + 1, *spike.shape[:2], _NEURONS))
    chance[0] = 1.0
    for ms in range(_MS):
        p = spike[:, :, ms]
        chance[1:] = chance[1:] * (1 - p) + chance[:-1] * p
        chance[0] *= 1 - p
    return np.log(np.maximum(chance, 1e-300))


def oracle(recording: Recording, seed: int) -> Callable[[MaskedStream], np.ndarray]:
    """Rates, as `score` asks for them, by exact inference of the condition."""
    rate = demo_rates(seed)
    expected = -np.expm1(-rate).sum(axis=2)
    if not np.allclose(expected[recording.condition], recording.expected, rtol=1e-9):
        raise RuntimeError(f"seed {seed}: the rebuilt rates are not those of the recording")
    table = log_probabilities(rate)

    def rates(stream: MaskedStream) -> np.ndarray:
        n = stream.counts.shape[0]
        log_odds = np.zeros((n, _CONDITIONS))
        for count in range(_MS + 1):
            here = ((stream.counts == count) & stream.observed).reshape(n, -1).astype(float)
            log_odds += here @ table[count].reshape(_CONDITIONS, -1).T
        odds = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        return np.einsum("tc,cbn->tbn", odds, expected).astype(np.float32)

    return rates

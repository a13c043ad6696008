"""The channels that are most worth following, found by trying: a bandit."""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.kernels import choosing
from implant_sim.hardware.schedules.adaptive import Fading, Scoring
from implant_sim.hardware.schedules.base import Adaptive, Groups, Policy, View
from sbtt_models.units import Fraction, Seconds

__all__ = ["Bandit"]

# Shape of the gamma prior of the recent rate, which so is known to a third. Of 0.5, 1, 2 ... 32 it
# forecast 171 units of motor cortex best (Stevenson et al. 2011, 50 ms bins), for any `follow`
# from 0.2 to 1 s.
_SHAPE = 8.0
_LONG_SHAPE, _LONG_RATE = 0.5, 1.0  # half a spike in one sample, before anything is known


class Bandit(Adaptive):
    r"""The channels whose samples predict their own future best, by upper bound or by lot.

    The reward of a sample is the log probability that the channel's recent samples gave it, less
    what its long-run mean gave it: what following the channel has gained, on a count not yet seen
    then. [nat/sample] Channels that only flicker around a constant rate gain nothing, however
    active. All samples cost the same, so the gain per joule is proportional to it.

    Both forecasts are gamma-Poisson models: recent samples fade with `follow`, towards a prior at
    the long-run mean whose standard deviation is about a third of it; the long run,
    and the rewards, fade with `memory`. Each of the k places of a step is an arm pulled, and pays
    by itself (a combinatorial semi-bandit [1]_). `ucb` takes the largest
    :math:`m_c + a s \sqrt{2 \ln(1 + N) / (1 + n_c)}` [2]_, `thompson` the largest draw of
    :math:`m_c + a s\,\epsilon / \sqrt{1 + n_c}`, with the mean reward `m_c` of faded weight `n_c`,
    shrunk towards the mean over channels by one sample, `N` samples in all, and `s` their standard
    deviation.

    References
    ----------
    .. [1] W. Chen, Y. Wang, Y. Yuan, "Combinatorial multi-armed bandit", ICML 2013.
    .. [2] A. Garivier, E. Moulines, "On upper-confidence bound policies for switching bandit
       problems", ALT 2011.
    """

    kind: Literal["bandit"] = "bandit"
    decided: Literal["implant", "receiver"] = "receiver"
    rule: Literal["ucb", "thompson"] = "ucb"
    explore: Fraction = Field(0.0, ge=0, le=1)
    """Share of the places that go to the channels not sampled for the longest. The rule explores
    by itself."""
    confidence: float = Field(1.0, ge=0, le=100)
    """The factor a: 0 takes the best so far, more tries the others more."""
    follow_s: Seconds = Field(0.5, gt=0, alias="follow")
    """Time constant of a channel's recent samples."""
    memory_s: Seconds = Field(60.0, gt=0, alias="memory")
    """Time constant of rewards and of the long-run mean."""

    @override
    def policy(self, view: View, k: int, rng: np.random.Generator) -> Policy:
        forgets = _Forgets(self.follow_s / view.step_s, self.memory_s / view.step_s)
        lot = rng if self.rule == "thompson" else None
        return _Gainful(view.groups, k, self.explore, forgets, self.confidence, lot)


class _Forgets(NamedTuple):
    """Time constants. [steps]"""

    recent: float
    usual: float


class _Gainful(Scoring):
    """Keeps, of each channel, recent counts, usual counts and rewards, and samples under way."""

    def __init__(
        self,
        groups: Groups,
        k: int,
        explore: float,
        forgets: _Forgets,
        confidence: float,
        lot: np.random.Generator | None,
    ) -> None:
        super().__init__(groups, k, explore)
        n = len(groups.members)
        self.confidence, self.lot = confidence, lot
        self.recent = Fading(forgets.recent, (1.0,) * 2, n)
        """Samples, spikes."""
        self.usual = Fading(forgets.usual, (1.0,) * 4, n)
        """Samples, spikes, rewards, squared rewards."""
        self.under_way = np.zeros(n)
        self._waiting: deque[Int[np.ndarray, " chosen"]] = deque()

    @override
    def choose(self, step: int) -> Int[np.ndarray, " chosen"]:
        channels = super().choose(step)
        self.under_way[channels] += 1
        self._waiting.append(channels)
        return channels

    @override
    def learn(
        self, step: int, channels: Int[np.ndarray, " chosen"], counts: Int[np.ndarray, " chosen"]
    ) -> None:
        self.under_way[self._waiting.popleft()] -= 1
        ones = np.ones(len(counts))
        samples, spikes, _, _ = self.usual.at(step, channels)
        recent_samples, recent_spikes = self.recent.at(step, channels)
        shape, rate = _LONG_SHAPE + spikes, _LONG_RATE + samples
        reward = choosing.forecast_gain(
            counts, _SHAPE + recent_spikes, _SHAPE * rate / shape + recent_samples, shape, rate
        )
        self.recent.add(step, channels, np.stack([ones, counts]))
        self.usual.add(step, channels, np.stack([ones, counts, reward, reward * reward]))

    @override
    def score(self, step: int) -> Float[np.ndarray, " channel"]:
        samples, _, reward, square = self.usual.at(step)
        n = float(samples.sum())
        mean = float(reward.sum()) / n if n > 0 else 0.0
        variance = float(square.sum()) / n - mean * mean if n > 0 else 1.0
        scale = self.confidence * math.sqrt(max(0.0, variance))
        doubt = 1.0 / np.sqrt(1.0 + samples + self.under_way)
        value = (mean + reward) / (1.0 + samples)
        if self.lot is not None:
            return value + scale * doubt * self.lot.standard_normal(len(value))
        return value + scale * math.sqrt(2 * math.log1p(n)) * doubt

    @property
    @override
    def operations(self) -> float:
        # six sums fade and grow, two forecasts of some 40 each; then fading and score of all
        return 100.0 * self.turns.k + 20.0 * len(self.groups.members)

"""The channels that tell most of a latent state, under a linear model of the population."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt
from typing_extensions import override

from implant_sim.hardware.kernels import choosing
from implant_sim.hardware.schedules.adaptive import Turns, in_steps
from implant_sim.hardware.schedules.base import Adaptive, Groups, Policy, View
from implant_sim.hardware.schedules.linear_model import USUAL_SIZE, LinearModel, fit_linear_model
from sbtt_models.units import Fraction

__all__ = ["Information"]

_LEAST_RATE = 0.2  # of a channel's mean: a linear model knows no rate below zero
_MODEL_BIT = 16.0  # of each number of the model, sent to the implant


class Information(Adaptive):
    r"""The channels that lower the entropy of a latent state most: maximal Fisher information.

    A linear Gaussian model is fitted on calibration data, which are charged. For each step it
    takes the k channels with the largest
    :math:`\log\det(J + \sum_c C_c C_c^T / r_c)`, one by one: greedily, which reaches at least
    1 - 1/e of the largest gain where every channel has a wire of its own, and half of it where
    they share wires [1]_. `J` is the inverse covariance of the state, given all samples
    chosen so far, and :math:`r_c` the Poisson noise at the rate expected from all that have come
    back. Samples still under way count as taken: what they will say changes the state's mean, not
    its covariance.

    References
    ----------
    .. [1] G. Nemhauser, L. Wolsey, M. Fisher, "An analysis of approximations for maximizing
       submodular set functions", Math. Program. 14, 1978.
    """

    kind: Literal["information"] = "information"
    decided: Literal["implant", "receiver"] = "receiver"
    """Where the choice is made. On the implant, the model is sent down after each calibration."""
    explore: Fraction = Field(0.0, ge=0, le=1)
    """Share of the places that go to the channels not sampled for the longest. The model values
    what it has not seen by itself; a channel that was silent in calibration it never values."""
    size: PositiveInt | None = None
    """Latent dimensions. Default: 8, or as many as channels where those are fewer."""

    @property
    @override
    def calibrates(self) -> bool:
        return True

    @override
    def policy(self, view: View, k: int, rng: np.random.Generator) -> Policy:
        data = in_steps(view.calibrate(), view.step_s)
        model = fit_linear_model(data, self.size or min(USUAL_SIZE, view.n_channels))
        starts = np.zeros(view.n_steps + 1, dtype=np.bool_)
        if view.trial_steps is not None:
            starts[np.cumsum(view.trial_steps)] = True
        clock = _StateClock(starts, max(1, round(1 / data.share)), self.delay_steps(view))
        return _MostInformative(model, clock, view.groups, Turns(view.n_channels, k, self.explore))


class _StateClock:
    """When the state moves on: with the recording's bins, not with steps shorter than those."""

    def __init__(self, starts: Bool[np.ndarray, " step"], parts: int, delay: int) -> None:
        self.starts, self.parts, self.delay = starts, parts, delay
        self._trial = np.cumsum(starts)

    def moves(self, step: int) -> bool:
        """Whether the state moved on at the beginning of this step."""
        return step > 0 and step % self.parts == 0

    def ahead(self, step: int) -> int | None:
        """Moves from the first step not yet known to this one; None where a trial begins."""
        first = max(0, step - self.delay + 1)
        if self._trial[step] != self._trial[first]:
            return None
        return step // self.parts - first // self.parts


class _MostInformative(Policy):
    """One Kalman filter in two halves: the covariance runs ahead, the mean follows the data.

    The covariance, and with it the gain, is settled when a step is chosen; the mean is corrected
    by that gain when the step's counts come back.
    """

    def __init__(
        self, model: LinearModel, clock: _StateClock, groups: Groups, turns: Turns
    ) -> None:
        self.model, self.clock, self.groups, self.turns = model, clock, groups, turns
        size = len(model.dynamics)
        self.covariance = np.eye(size)
        """Of the state at the step chosen last, given all that was chosen."""
        self.mean = np.zeros(size)
        """Of the state at the first step not yet known, given all that came back."""
        self._waiting: deque[
            tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, "latent chosen"]]
        ] = deque()
        self._powers = [np.eye(size)]
        for _ in range(clock.delay):
            self._powers.append(model.dynamics @ self._powers[-1])
        share = 1.0 / clock.parts
        self._loadings, self._usual = model.loadings * share, model.mean * share
        # fluctuations of its own are as slow as the bin: they thin out as the square of the share
        self._noise_ratio = 1.0 + share * (model.noise_ratio - 1.0)
        # a channel silent in calibration has no loadings, so any noise will do for it
        self._least = np.where(model.mean > 0, _LEAST_RATE * self._usual, 1.0)

    @override
    def choose(self, step: int) -> Int[np.ndarray, " chosen"]:
        if self.clock.starts[step]:
            self.covariance = np.eye(len(self.mean))
        elif self.clock.moves(step):
            self.covariance = (
                self.model.dynamics @ self.covariance @ self.model.dynamics.T
                + self.model.innovation
            )
        noise = self._noise(step)
        channels, self.covariance = choosing.most_informative(
            self.covariance, self._loadings, noise, self.turns.last, self.groups.of,
            self.groups.n, self.turns.k, self.turns.n_oldest(step),
        )  # fmt: skip
        self.turns.note(step, channels)
        gain = self.covariance @ self._loadings[channels].T / noise[channels]
        self._waiting.append((channels, gain))
        return channels

    def _noise(self, step: int) -> Float[np.ndarray, " channel"]:
        """Variance of each count, at the rate expected for a step."""
        ahead, rate = self.clock.ahead(step), self._usual
        if ahead is not None:
            rate = rate + self._loadings @ (self._powers[ahead] @ self.mean)
        return self._noise_ratio * np.maximum(rate, self._least)

    @override
    def learn(
        self, step: int, channels: Int[np.ndarray, " chosen"], counts: Int[np.ndarray, " chosen"]
    ) -> None:
        chosen, gain = self._waiting.popleft()
        if len(channels) < len(chosen):
            gain = gain[:, np.isin(chosen, channels)]
        expected = self._usual[channels] + self._loadings[channels] @ self.mean
        self.mean = self.mean + gain @ (counts - expected)
        if self.clock.starts[step + 1]:
            self.mean = np.zeros_like(self.mean)
        elif self.clock.moves(step + 1):
            self.mean = self.model.dynamics @ self.mean

    @property
    @override
    def operations(self) -> float:
        # spread of all channels; for each place: the step, its square, all channels along it;
        # then rates, gain, correction, and the covariance moved on
        n, size = self.model.loadings.shape
        k = self.turns.k
        greedy = n * size * (size + 1) + k * (2 * size * size + n * (size + 1))
        return float(greedy + n * (size + 1) + k * size * (size + 2) + 2 * size**3)

    @property
    @override
    def model_bit(self) -> float:
        return _MODEL_BIT * self.model.n_numbers

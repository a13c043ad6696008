"""Synthetic populations driven by a Lorenz attractor: the published demo's, and a correct one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.recordings import splits
from implant_sim.recordings.assemble import Draft, Piece, assemble, check_size
from implant_sim.recordings.base import Declared, FileSplit, RecordingSource, Shares
from sbtt_models.signals import Recording, Split
from sbtt_models.spec import Hertz, Seconds

__all__ = ["LorenzSource", "demo_latents", "lorenz_path"]

Z_PEAK = 1.32
"""Spectral peak of z of the correct system [cycles per unit of Lorenz time]: Welch's method, 64
paths of 180 units, Runge-Kutta steps of 0.005, resolution 0.025."""
_STEP = 0.005  # longest Runge-Kutta step, in units of Lorenz time
_BURN_IN = 20.0  # units of Lorenz time from the random start to the attractor
_State = tuple[Any, ...]  # x, y, z: three floats, or three arrays over paths


class LorenzSource(RecordingSource):
    """Poisson neurons whose log rates are linear in the state of a Lorenz attractor."""

    kind: Literal["lorenz"] = "lorenz"
    variant: Literal["demo", "standard"] = "standard"
    """``demo``: the data of the published SBTT demo, quirks included; only `seed` may be chosen.
    ``standard``: the correct system, after burn-in, and true Poisson counts."""
    seed: int = Field(0, ge=0)
    channels: int = Field(29, ge=1, le=100_000)
    conditions: int = Field(65, ge=1, le=100_000)
    """Different initial states."""
    trials: int = Field(24, ge=1, le=100_000)
    """Repeats of each condition: same rates, new spikes."""
    bins: int = Field(50, ge=2, le=10_000_000)
    """Bins in one trial."""
    bin_s: Seconds = Field(0.02, alias="bin", ge=1e-4, le=10)
    mean_rate_hz: Hertz = Field(5.0, alias="mean_rate", gt=0, le=1000)
    """Mean rate of each channel over the whole recording."""
    frequency_hz: Hertz = Field(6.8, alias="frequency", gt=0, le=1000)
    """Time scale: the spectral peak of z, so the dynamics run at frequency / 1.32 units of Lorenz
    time a second."""
    modulation: float = Field(1.0, gt=0, le=5)
    """Standard deviation of each channel's log rate over the attractor."""
    duration_s: Seconds | None = Field(None, alias="duration", gt=0, le=1e6)
    """One continuous recording of so long, instead of conditions and trials."""
    window_s: Seconds | None = Field(None, alias="window", gt=0)
    """Window of a decoder; 2 s where the recording is continuous."""
    split: Shares = Shares()

    @model_validator(mode="after")
    def _check(self) -> LorenzSource:
        if self.variant == "demo":
            fields = type(self).model_fields
            fixed = [
                spec.alias or name
                for name, spec in fields.items()
                if name not in ("kind", "variant", "seed") and getattr(self, name) != spec.default
            ]
            if fixed:
                raise ValueError(
                    f"variant demo is fixed but for its seed: {', '.join(fixed)} cannot be "
                    "chosen; use `variant: standard`"
                )
        elif self.duration_s is None and self.trials < 3:
            raise ValueError(
                f"trials must be at least 3 (train, valid, test of each condition), got "
                f"{self.trials}; or give a duration for a continuous recording"
            )
        if self.duration_s is not None and self.duration_s < 3 * self.bin_s:
            raise ValueError("duration is shorter than three bins; lengthen it")
        if self.mean_rate_hz * self.bin_s > 1000:
            raise ValueError("mean_rate x bin exceeds 1000 spikes in a bin; lower one of them")
        return self

    @property
    @override
    def declared(self) -> Declared:
        if self.duration_s is not None:
            n_bins = self.split.padded(max(1, round(self.duration_s / self.bin_s)))
        else:
            n_bins = self.conditions * self.trials * self.bins
        return Declared(n_bins, self.channels, self.bin_s)

    @override
    def load(self, root: Path) -> Recording:
        if self.variant == "demo":
            return _demo(self.seed)
        return self._continuous() if self.duration_s is not None else self._trials()

    def _trials(self) -> Recording:
        where = "lorenz-standard"
        check_size((self.conditions * self.trials, self.bins, self.channels), 8, where)
        rng = np.random.default_rng(self.seed)
        rates_hz = self._rates(rng, self.conditions, self.bins)
        each = np.repeat(np.arange(self.conditions), self.trials)
        expected = (rates_hz * self.bin_s)[each]
        counts = rng.poisson(expected).astype(np.int32)
        return Recording(
            name=where,
            counts=counts,
            bin_s=self.bin_s,
            lengths=np.full(each.size, self.bins),
            split=splits.by_repeat(self.conditions, self.trials, self.split, where),
            rates_hz=rates_hz[each],
            expected=expected,
            condition=each,
            window_bins=None if self.window_s is None else self._window_bins(),
            sources=(f"generated: lorenz standard, seed {self.seed}",),
        )

    def _window_bins(self) -> int:
        return min(self.bins, max(1, round((self.window_s or 0) / self.bin_s)))

    def _continuous(self) -> Recording:
        n_bins = max(1, round((self.duration_s or 0) / self.bin_s))
        check_size((n_bins, self.channels), 8, "lorenz-continuous")
        rng = np.random.default_rng(self.seed)
        rates_hz = self._rates(rng, 1, n_bins)[0]
        expected = rates_hz * self.bin_s
        counts = rng.poisson(expected).astype(np.int32)
        draft = Draft(
            "lorenz-continuous",
            self.bin_s,
            [Piece(counts, rates_hz=rates_hz, expected=expected)],
            continuous=True,
            sources=(f"generated: lorenz standard, continuous, seed {self.seed}",),
        )
        shares = FileSplit(train=self.split.train, valid=self.split.valid, test=self.split.test)
        return assemble(draft, shares, self.window_s)

    def _rates(
        self, rng: np.random.Generator, n_paths: int, n_bins: int
    ) -> Float[np.ndarray, "path bin channel"]:
        """Mean rate in each bin [1/s]; weights and level make every channel's mean the same."""
        speed = self.frequency_hz / Z_PEAK
        steps = max(1, int(np.ceil(self.bin_s * speed / _STEP)))
        check_size((n_paths, n_bins * steps, 3), 8, "lorenz: path of the attractor")
        states = lorenz_path(rng, n_paths, n_bins * steps, self.bin_s * speed / steps)
        states -= states.mean(axis=(0, 1))
        weights = rng.standard_normal((self.channels, 3))
        covariance = np.cov(states.reshape(-1, 3).T)
        deviation = np.sqrt(np.einsum("ci,ij,cj->c", weights, covariance, weights))
        weights *= self.modulation / deviation[:, None]
        check_size((n_paths, n_bins, self.channels), 8, "lorenz rates")
        rates = np.zeros((n_paths, n_bins, self.channels))
        for k in range(steps):
            rates += np.exp(states[:, k::steps] @ weights.T)
        return rates * (self.mean_rate_hz / rates.mean(axis=(0, 1)))


def lorenz_path(
    rng: np.random.Generator, n_paths: int, n_steps: int, step: float
) -> Float[np.ndarray, "path step dim"]:
    """Follow the Lorenz system (10, 28, 8/3) on its attractor, by fourth-order Runge-Kutta.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the initial states, which then burn in for 20 units of Lorenz time.
    n_paths, n_steps : int
        How many paths, how many states of each.
    step : float
        Lorenz time from one state to the next; at most 0.005 for the accuracy of the default.

    References
    ----------
    .. [1] E. N. Lorenz, "Deterministic nonperiodic flow," J Atmos Sci 20:130-141, 1963.
    """
    start = rng.standard_normal((n_paths, 3)) * 5 + np.array([0.0, 0.0, 25.0])
    # one path runs ten times faster on plain floats than on arrays of length one
    state: _State = tuple(map(float, start[0])) if n_paths == 1 else tuple(start.T)
    state = _follow(state, round(_BURN_IN / _STEP), _STEP, None)
    path = np.empty((n_paths, n_steps, 3))
    _follow(state, n_steps, step, path)
    return path


def _follow(
    state: _State, n_steps: int, h: float, path: Float[np.ndarray, "path step dim"] | None
) -> _State:
    """Take Runge-Kutta steps of h, and note the states before each of them.

    Written out: a function call for each slope would double the time.
    """
    x, y, z = state
    for n in range(n_steps):
        if path is not None:
            path[:, n, 0], path[:, n, 1], path[:, n, 2] = x, y, z
        x1, y1, z1 = 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z
        u, v, w = x + h / 2 * x1, y + h / 2 * y1, z + h / 2 * z1
        x2, y2, z2 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        u, v, w = x + h / 2 * x2, y + h / 2 * y2, z + h / 2 * z2
        x3, y3, z3 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        u, v, w = x + h * x3, y + h * y3, z + h * z3
        x4, y4, z4 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        x = x + h / 6 * (x1 + 2 * (x2 + x3) + x4)
        y = y + h / 6 * (y1 + 2 * (y2 + y3) + y4)
        z = z + h / 6 * (z1 + 2 * (z2 + z3) + z4)
    return x, y, z


def demo_latents(state: Float[np.ndarray, "condition 3"]) -> Float[np.ndarray, "condition 1000 3"]:
    """Follow the demo's dynamics: 1000 Euler steps of 0.006, one a millisecond.

    The second equation lacks its -y term, as in the generator behind the published data. The
    initial state is sample 0; there is no burn-in. Each dimension then loses its mean over time
    and is divided by its maximum over time.
    """
    path = np.empty((state.shape[0], 1000, 3))
    for k in range(1000):
        path[:, k] = state
        x, y, z = state.T
        slope = np.stack([10 * (y - x), x * (28 - z), x * y - 8 / 3 * z], axis=1)
        state = state + 0.006 * slope
    path -= path.mean(axis=1, keepdims=True)
    return path / path.max(axis=1, keepdims=True)


def _demo(seed: int) -> Recording:
    n_conditions, n_repeats, n_neurons, n_bins, n_ms = 65, 24, 29, 50, 20
    rng = np.random.default_rng(seed)  # the order of the draws is part of the data
    latents = demo_latents(rng.standard_normal((n_conditions, 3)) * 2)
    sizes = rng.random((n_neurons, 3)) + 1
    weights = np.sort(sizes * np.sign(rng.standard_normal((n_neurons, 3))), axis=0)
    rate = np.exp(np.clip(latents @ weights.T + np.log(0.005), -20, 20))  # spikes/ms
    binned = (n_conditions, n_bins, n_ms, n_neurons)
    counts = np.empty((n_conditions, n_repeats, n_bins, n_neurons), np.int32)
    for repeat in range(n_repeats):
        spikes = rng.poisson(rate) > 0  # one spike a millisecond at most
        counts[:, repeat] = spikes.reshape(binned).sum(axis=2)
    each: Int[np.ndarray, " trial"] = np.repeat(np.arange(n_conditions), n_repeats)
    rates_hz = rate.reshape(binned).mean(axis=2) * 1e3
    expected = -np.expm1(-rate.reshape(binned)).sum(axis=2)
    trains = np.tile(np.arange(n_repeats) < 19, n_conditions)
    judged = np.flatnonzero(~trains)
    return Recording(
        name="lorenz-demo",
        counts=counts.reshape(-1, n_bins, n_neurons),
        bin_s=0.02,
        lengths=np.full(each.size, n_bins),
        split=Split(np.flatnonzero(trains), judged, judged),
        rates_hz=rates_hz[each],
        expected=expected[each],
        condition=each,
        sources=(f"generated: lorenz demo, seed {seed}",),
    )

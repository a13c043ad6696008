"""Synthetic populations driven by a Lorenz attractor: the published demo's, and a correct one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.recordings import splits
from implant_sim.recordings.assemble import Draft, Piece, assemble, check_size
from implant_sim.recordings.attractor import (
    LONGEST_STEP,
    Z_PEAK,
    log_rate_weights,
    lorenz_path,
)
from implant_sim.recordings.base import Declared, FileSplit, RecordingSource, Shares
from sbtt_models.signals import Recording, Split
from sbtt_models.units import Hertz, Seconds

__all__ = ["LorenzSource", "demo_latents"]


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
            return Declared(n_bins, self.channels, self.bin_s)
        n_bins = self.conditions * self.trials * self.bins
        return Declared(n_bins, self.channels, self.bin_s, self._window_bins() or self.bins)

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
            window_bins=self._window_bins(),
            sources=(f"generated: lorenz standard, seed {self.seed}",),
        )

    def _window_bins(self) -> int | None:
        if self.window_s is None:
            return None
        return min(self.bins, max(1, round(self.window_s / self.bin_s)))

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
        steps = max(1, int(np.ceil(self.bin_s * speed / LONGEST_STEP)))
        check_size((n_paths, n_bins * steps, 3), 8, "lorenz: path of the attractor")
        states = lorenz_path(rng, n_paths, n_bins * steps, self.bin_s * speed / steps)
        states -= states.mean(axis=(0, 1))
        weights = log_rate_weights(rng, states.reshape(-1, 3), self.channels, self.modulation)
        check_size((n_paths, n_bins, self.channels), 8, "lorenz rates")
        rates = np.zeros((n_paths, n_bins, self.channels))
        for k in range(steps):
            rates += np.exp(states[:, k::steps] @ weights.T)
        return rates * (self.mean_rate_hz / rates.mean(axis=(0, 1)))


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

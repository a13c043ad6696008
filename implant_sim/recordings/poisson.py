"""A stationary population, for studies of the hardware: large arrays, and no truth to decode."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int32, UInt64
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.recordings import splits
from implant_sim.recordings.assemble import WINDOW_S, Draft, Piece, assemble, check_size
from implant_sim.recordings.base import Declared, FileSplit, RecordingSource, Shares
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from sbtt_models.undrawn import Population
from sbtt_models.units import Hertz, Seconds

__all__ = ["PoissonSource", "draw"]

MOST_PER_BIN = 500.0
"""Mean spikes of a channel in a bin; exp(-mean), where the draws begin, must not vanish."""
_CHUNK = 2**20  # entries drawn at a time
_ROW, _CHANNEL = 0xD1342543DE82EF95, 0x2545F4914F6CDD1D
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def draw(population: Population, first: int, n_bins: int) -> Int32[np.ndarray, "bin channel"]:
    """Draw some bins of a population's clock, of all channels.

    By inversion: the uniform number is a hash of seed, bin and channel (SplitMix64 of Steele, Lea
    and Flood 2014), the count the first whose distribution function exceeds it.

    Parameters
    ----------
    population : Population
        Rates and seed.
    first, n_bins : int
        Which bins.

    Returns
    -------
    numpy.ndarray, shape (bin, channel)
        The same for a bin, whatever other bins are drawn.
    """
    bins = np.arange(first + 1, first + 1 + n_bins).astype(np.uint64) * np.uint64(_ROW)
    places = np.arange(population.n_channels).astype(np.uint64) * np.uint64(_CHANNEL)
    hashed = _mix(_mix(population.seed + bins)[:, None] + places)
    uniform = (hashed >> np.uint64(11)) * 2.0**-53
    counts = np.zeros(uniform.shape, np.int32)
    share = np.exp(-population.mean)
    below = share.copy()
    for n in range(1, population.most + 1):
        more = uniform >= below
        if not more.any():
            break
        counts += more
        share = share * population.mean / n
        below += share
    return counts


def _mix(state: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    z = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


class PoissonSource(RecordingSource):
    """Independent Poisson neurons of constant rates: for hardware studies of any size."""

    kind: Literal["poisson"] = "poisson"
    channels: int = Field(ge=1, le=10_000_000)
    rate_hz: Hertz = Field(alias="rate", gt=0, le=10_000)
    """Mean rate over the population."""
    spread: float = Field(0.0, ge=0, le=3)
    """Standard deviation over the channels of the natural logarithm of the rate."""
    duration_s: Seconds = Field(alias="duration", gt=0, le=1e9)
    """Of the whole recording, or of each trial."""
    bin_s: Seconds = Field(alias="bin", ge=1e-5, le=10)
    trials: int | None = Field(None, ge=3, le=1_000_000)
    """So many trials, instead of one continuous recording."""
    seed: int = Field(0, ge=0)
    window_s: Seconds | None = Field(None, alias="window", gt=0)
    """Window of a decoder; 2 s where the recording is continuous."""
    split: Shares = Shares()

    @model_validator(mode="after")
    def _check(self) -> PoissonSource:
        if self.duration_s < (1 if self.trials else 3) * self.bin_s:
            raise ValueError("duration is too short for its bins; lengthen it")
        return self

    @property
    def n_entries(self) -> int:
        """Bins times channels, gaps between blocks included."""
        return self._bins * (self.trials or 1) * self.channels

    @property
    @override
    def declared(self) -> Declared:
        n_bins = self._bins * self.trials if self.trials else self.split.padded(self._bins)
        return Declared(n_bins, self.channels, self.bin_s)

    @property
    def _bins(self) -> int:
        return max(1, round(self.duration_s / self.bin_s))

    def _blocks(self) -> list[splits.Block]:
        window = max(1, round((self.window_s or WINDOW_S) / self.bin_s))
        gap = splits.gap_bins(window, self.bin_s)
        return splits.blocks(self._bins, gap, self.split, 1, "poisson")

    def population(self) -> Population:
        """Rates and clock, without any count.

        Raises
        ------
        DataError
            Where a channel fires more than 500 times in a bin, or the recording is too short for
            its parts.
        """
        rng = np.random.default_rng(self.seed)
        log = self.spread * rng.standard_normal(self.channels) - self.spread**2 / 2
        mean = self.rate_hz * self.bin_s * np.exp(log)
        if mean.max() > MOST_PER_BIN:
            raise DataError(
                f"recording.rate: a channel would fire {mean.max():.3g} times in a bin of "
                f"{self.bin_s:g} s, above {MOST_PER_BIN:g}; lower rate, spread or bin"
            )
        if self.trials is None:
            lengths = np.array([block.stop - block.start for block in self._blocks()])
        else:
            lengths = np.full(self.trials, self._bins)
        seed = rng.integers(0, 2**64, dtype=np.uint64)
        return Population(f"poisson-{self.channels}", self.bin_s, lengths, mean, seed)

    @override
    def load(self, root: Path) -> Recording:
        check_size((self._bins * (self.trials or 1), self.channels), 4, "poisson")
        drawn = self.population()
        n_bins = int(drawn.lengths.sum())
        counts = np.empty((n_bins, self.channels), np.int32)
        rows = max(1, _CHUNK // self.channels)
        for first in range(0, n_bins, rows):
            counts[first : first + rows] = draw(drawn, first, min(rows, n_bins - first))
        pieces = [Piece(part) for part in np.split(counts, np.cumsum(drawn.lengths)[:-1])]
        if self.trials is None:
            pieces = [
                Piece(piece.counts, part=block.part, origin=(0, block.start))
                for piece, block in zip(pieces, self._blocks(), strict=True)
            ]
        # constant rates are nothing to infer: no truth is given to be scored against
        draft = Draft(
            drawn.name,
            self.bin_s,
            pieces,
            continuous=self.trials is None,
            sources=(f"generated: poisson, seed {self.seed}",),
        )
        shares = FileSplit(train=self.split.train, valid=self.split.valid, test=self.split.test)
        return assemble(draft, shares, self.window_s)

"""A population so large that its recording is not drawn at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Population"]


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """A recording of independent Poisson channels that has not been drawn.

    The count of a bin and a channel is a function of seed, bin and channel alone, so that who
    needs few of them draws few.
    """

    name: str
    bin_s: float
    lengths: Int[np.ndarray, " trial"]
    """Bins of each trial; the clock runs through all of them."""
    mean: Float[np.ndarray, " channel"]
    """Spikes of a channel in a bin."""
    seed: np.uint64

    @property
    def n_channels(self) -> int:
        """Channels, silent ones included."""
        return len(self.mean)

    @property
    def most(self) -> int:
        """The largest count that is ever drawn; beyond lie less than one in 1e16."""
        mean = float(self.mean.max())
        return int(np.ceil(mean + 10 * np.sqrt(mean) + 30))

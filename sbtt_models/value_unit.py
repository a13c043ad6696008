"""What real values are measured in, for a fit: so that no fit depends on their physical unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from sbtt_models.means import Moments
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream

__all__ = ["Unit"]


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Real values of each channel as distances from their mean, in standard deviations.

    Floors and priors of the linear models, and the first weights of networks, are then alike
    whatever the values are measured in.
    """

    mean: Float[np.ndarray, " channel"]
    sd: Float[np.ndarray, " channel"]

    @classmethod
    def of(cls, stream: MaskedStream) -> Unit:
        """Measure the training trials."""
        found = Moments.of(stream.trials(stream.split.train))
        return cls(found.mean, np.sqrt(np.where(found.variance > 0, found.variance, 1.0)))

    @classmethod
    def of_sizes(cls, stream: MaskedStream) -> Unit:
        """The same for values that are positive and must stay so: in multiples of their mean."""
        found = Moments.of(stream.trials(stream.split.train))
        return cls(np.zeros_like(found.mean), np.where(found.mean > 0, found.mean, 1.0))

    @classmethod
    def restored(cls, saved: Saved, n_channels: int) -> Unit | None:
        """Read it back, where a fit had one."""
        names = ("unit.mean", "unit.sd")
        if not any(name in saved.arrays for name in names):
            return None
        return cls(*(saved.array(name, "float64", n_channels) for name in names))

    def arrays(self) -> dict[str, Float[np.ndarray, " channel"]]:
        """Both by name."""
        return {"unit.mean": self.mean, "unit.sd": self.sd}

    def of_values(self, stream: MaskedStream) -> MaskedStream:
        """The same stream in this unit."""
        values = (stream.counts - self.mean * stream.exposure) / self.sd
        return replace(stream, counts=np.where(stream.observed, values, 0).astype(np.float32))

    def back(
        self, values: Float[np.ndarray, "*lead channel"]
    ) -> Float32[np.ndarray, "*lead channel"]:
        """Expected values of full bins, in their own unit again."""
        return (values * self.sd + self.mean).astype(np.float32)

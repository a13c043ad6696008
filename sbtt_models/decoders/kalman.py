"""The linear dynamical smoother: a Kalman smoother fitted by expectation maximisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.gaussian_models import GaussianModel, KalmanFamily
from sbtt_models.linear_fit import Family
from sbtt_models.moments import least_noise
from sbtt_models.saved import Saved

__all__ = ["Kalman"]


class Kalman(LinearSpec):
    """Linear latent dynamics with Gaussian noise, exact for every pattern of gaps.

    Counts are taken as Gaussian with a variance of each channel's own.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {"prior": (1.0, 10.0, 100.0)}

    kind: Literal["kalman"] = "kalman"
    prior: float | None = Field(None, ge=0)
    """Pull of each loading towards 0: what so many observations at x = 1 would tell. [bins] None:
    the best of 1, 10 and 100."""

    @override
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        return KalmanFamily(means, least_noise(means))

    @override
    def model(self, saved: Saved, n_channels: int) -> GaussianModel:
        return GaussianModel.of(saved, n_channels)

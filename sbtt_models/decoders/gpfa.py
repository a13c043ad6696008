"""Gaussian-process factor analysis with missing entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.gaussian_models import GaussianModel, GaussianProcessFamily
from sbtt_models.linear_fit import Family
from sbtt_models.matern import MAX_SCALE, MIN_SCALE
from sbtt_models.moments import least_noise
from sbtt_models.saved import Saved

__all__ = ["GPFA"]


class GPFA(LinearSpec):
    """Independent smooth latents, read out linearly; exact for every pattern of gaps.

    Each latent is a Gaussian process with a Matérn kernel, which a Kalman smoother infers exactly
    in time proportional to the bins. The squared-exponential kernel of the published method would
    cost the cube of the bins for each pattern of gaps; `order` 3 is the closest to it here. Counts
    are taken as Gaussian with a variance of each channel's own.

    References
    ----------
    Yu et al., "Gaussian-process factor analysis for low-dimensional single-trial analysis of
    neural population activity", J. Neurophysiol. 102:614-635, 2009.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "order": (1.0, 2.0, 3.0),
        "scale_bins": (5.0, 2.0, 10.0, 20.0),
        "prior": (1.0, 10.0, 100.0),
    }

    kind: Literal["gpfa"] = "gpfa"
    order: int | None = Field(None, ge=1, le=3)
    """Smoothness of the kernel, plus 1/2: 1 is rough (an autoregression), 2 once and 3 twice
    differentiable. None: the best of all three."""
    scale_bins: float | None = Field(None, ge=MIN_SCALE, le=MAX_SCALE)
    """Time constant to begin with. [bins] None: the best of 2, 5, 10 and 20."""
    prior: float | None = Field(None, ge=0)
    """Pull of each loading towards 0: what so many observations at x = 1 would tell. [bins] None:
    the best of 1, 10 and 100."""
    learn_scales: bool = True
    """EM moves the time constant of each latent."""

    @override
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        return GaussianProcessFamily(means, least_noise(means), self.learn_scales)

    @override
    def model(self, saved: Saved, n_channels: int) -> GaussianModel:
        return GaussianModel.of(saved, n_channels, saved.array("scales", "float64", None))

"""Factor analysis with missing entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from sbtt_models.common_factors import FactorFamily, FactorModel
from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.linear_fit import Family
from sbtt_models.moments import ReadOut, least_noise
from sbtt_models.saved import Saved

__all__ = ["FactorAnalysis"]


class FactorAnalysis(LinearSpec):
    """Channels share a few factors, drawn anew in each bin; exact for every pattern of gaps.

    Counts are taken as Gaussian with a variance of each channel's own, which grows as the exposure
    of a bin shrinks. It knows nothing of time, so it is causal, and shows what dynamics add.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {"prior": (1.0, 10.0, 100.0)}

    kind: Literal["factor_analysis"] = "factor_analysis"
    prior: float | None = Field(None, ge=0)
    """Pull of each loading towards 0: what so many observations at x = 1 would tell. [bins] None:
    the best of 1, 10 and 100."""

    @override
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        return FactorFamily(means, least_noise(means))

    @override
    def model(self, saved: Saved, n_channels: int) -> FactorModel:
        loading = saved.array("loading", "float64", n_channels, None)
        channels = saved.chosen(("offset", "noise"), n_channels)
        return FactorModel(ReadOut(loading=loading, **channels))

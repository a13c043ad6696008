"""Linear dynamics with Poisson counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import Setting
from sbtt_models.decoders.linear import FittedLinear, LinearSpec
from sbtt_models.likelihoods import refuse_real
from sbtt_models.linear_fit import Family
from sbtt_models.poisson_dynamics import PoissonDynamics
from sbtt_models.poisson_model import PoissonFamily, PoissonModel
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training

__all__ = ["PoissonLDS"]


class PoissonLDS(LinearSpec):
    """Linear latent dynamics whose exponential drives Poisson counts, for every pattern of gaps.

    The likelihood is that of the counts themselves, rate times exposure; the posterior of the
    states is approximated by a Gaussian about its mode (Laplace), in EM as in inference.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {"prior": (10.0, 1.0, 100.0)}

    kind: Literal["poisson_lds"] = "poisson_lds"
    prior: float | None = Field(None, ge=0)
    """Precision of each loading about 0, for log rates. None: the best of 1, 10 and 100."""

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> FittedLinear:
        refuse_real("poisson_lds", stream)
        return super().fit(stream, training, setting)

    @override
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        return PoissonFamily(means)

    @override
    def model(self, saved: Saved, n_channels: int) -> PoissonModel:
        loading = saved.array("loading", "float64", n_channels, None)
        size = loading.shape[1]
        states = ("transition", "innovation", "initial")
        chain = saved.chosen(states, size, size)
        offset = saved.array("offset", "float64", n_channels)
        return PoissonModel(PoissonDynamics(loading=loading, offset=offset, **chain))

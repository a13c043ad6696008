"""Linear dynamics with Poisson counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Real
from pydantic import Field, model_validator
from typing_extensions import override

from sbtt_models.counts import first_at
from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.errors import DataError
from sbtt_models.likelihoods import refuse_real
from sbtt_models.linear_fit import Family
from sbtt_models.poisson_dynamics import MOST_LOG_RATE, PoissonDynamics
from sbtt_models.poisson_model import PoissonFamily, PoissonModel
from sbtt_models.saved import Saved
from sbtt_models.signals import MaskedStream

__all__ = ["PoissonLDS"]


class PoissonLDS(LinearSpec):
    """Linear latent dynamics whose exponential drives Poisson counts, for every pattern of gaps.

    The likelihood is that of the counts themselves, rate times exposure; the posterior of the
    states is approximated by a Gaussian about its mode (Laplace), in EM as in inference. Rates end
    at exp(12), 163,000 spikes a bin; a stream that holds more is refused.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {"prior": (10.0, 1.0, 100.0)}

    kind: Literal["poisson_lds"] = "poisson_lds"
    prior: float | None = Field(None, ge=0)
    """Precision of each loading about 0, for log rates. None: the best of 1, 10 and 100."""
    learn_prior: bool = False
    """Learn the covariance of the loadings from all channels, beginning with `prior`: where some
    channels are sampled much less than others, as in weighted and hybrid schedules."""

    @model_validator(mode="after")
    def _something_to_begin_with(self) -> PoissonLDS:
        if self.learn_prior and self.prior == 0:
            raise ValueError("learn_prior: begins with `prior`, which must be above 0")
        return self

    @override
    def check(self, stream: MaskedStream) -> None:
        refuse_real("poisson_lds", stream)
        super().check(stream)

    @override
    def check_counts(
        self, counts: Real[np.ndarray, "*shape"], exposure: Float[np.ndarray, "*shape"]
    ) -> None:
        most = math.exp(MOST_LOG_RATE)
        # nearly always all are small, and no array as large as the stream is made to know it
        if counts.max(initial=0) <= most * exposure.min(initial=1, where=exposure > 0):
            return
        bad = counts > most * exposure
        if bad.any():
            raise DataError(
                f"poisson_lds: {int(bad.sum())} entries hold more than {most:,.0f} spikes a full "
                f"bin, the most that its rates can reach (first {counts[bad][0]:.0f} in an "
                f"exposure of {exposure[bad][0]:g} at {first_at(bad)}); are these spikes "
                "per bin? If so, take shorter bins, or kalman or a network"
            )

    @override
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        return PoissonFamily(means, self.learn_prior)

    @override
    def model(self, saved: Saved, n_channels: int) -> PoissonModel:
        loading = saved.array("loading", "float64", n_channels, None)
        size = loading.shape[1]
        states = ("transition", "innovation", "initial")
        chain = saved.chosen(states, size, size)
        offset = saved.array("offset", "float64", n_channels)
        return PoissonModel(PoissonDynamics(loading=loading, offset=offset, **chain))

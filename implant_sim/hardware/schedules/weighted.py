"""Each channel at a rate of its own."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.hardware.kernels import patterns
from implant_sim.hardware.schedules.allocation import behaviour_rates
from implant_sim.hardware.schedules.base import Budgeted, CalibrationRule, Plan, View
from implant_sim.hardware.schedules.sharing import (
    WEIGHT_BIT,
    calibrated_weights,
    eight_bits,
    visit_rates,
)
from implant_sim.hardware.schedules.wires import refuse_fixed_order
from sbtt_models.errors import SpecError
from sbtt_models.units import Fraction

__all__ = ["Weighted"]


class Weighted(Budgeted):
    """Visit channels in proportion to their weights, as evenly as whole visits allow.

    Channel c has the rate r_c, visits per step, with all rates adding up to the budget: the weight
    times a factor, at most 1. What a channel cannot use goes to the others. After t steps it has
    had r_c t visits, less or more by under one (under two where wires hold one channel).

    `by: rate` and `by: variance` weigh on training and validation trials, which are charged as
    calibration; the weights are rounded to 8 bits, and so many are sent for each channel. So does
    `by: behaviour`, whose rates are those of the best linear read-out of behaviour (or of the
    population's leading components, where there is none), see
    :func:`implant_sim.hardware.schedules.allocation.behaviour_rates`. What `least_share` gives the
    other channels lets a decoder learn what they say of the population.

    References
    ----------
    .. [1] S. K. Baruah, N. K. Cohen, C. G. Plaxton, D. A. Varvel, "Proportionate progress: a
       notion of fairness in resource allocation", Algorithmica 15, 1996.
    .. [2] A. Srinivasan, J. H. Anderson, "Optimal rate-based scheduling on multiprocessors",
       STOC 2002.
    """

    kind: Literal["weighted"] = "weighted"
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, min_length=1)
    """One for each channel, any scale."""
    by: Literal["rate", "variance", "behaviour"] | None = None
    """Weigh on calibration data instead."""
    least_share: Fraction = Field(0.0, ge=0, le=1)
    """The least rate of a channel, as a share of the even rate: 1 visits all alike; at 0, channels
    without weight get only what the others cannot use."""
    calibration: CalibrationRule = CalibrationRule()

    @model_validator(mode="after")
    def _one_way_to_weigh(self) -> Weighted:
        if (self.weights is None) == (self.by is None):
            given = "both are" if self.by is not None else "neither is"
            ways = "weights or by (rate, variance, behaviour)"
            raise ValueError(f"give {ways}, exactly one: {given} given")
        if self.weights is not None and not any(self.weights):
            raise ValueError("weights: all are 0, so that nothing would be visited")
        return self

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        refuse_fixed_order(view, self.kind)
        groups = view.groups
        rates = visit_rates(self._weigh(view, k), groups, k, self.least_share)
        sampled = patterns.weighted(
            view.n_steps, groups.start, groups.members, rates[groups.members], k
        )
        if self.by is None:
            return Plan(sampled)
        return Plan(sampled, self.calibration.every_s, float(WEIGHT_BIT * view.n_channels))

    def _weigh(self, view: View, k: int) -> Float[np.ndarray, " channel"]:
        if self.weights is not None:
            if len(self.weights) != view.n_channels:
                raise SpecError(
                    f"schedule.weights: {len(self.weights)} weights for {view.n_channels} "
                    "channels; give one for each, or use by: rate"
                )
            return np.array(self.weights)
        by, data = self.by or "rate", view.calibrate()
        if by == "behaviour":
            return eight_bits(behaviour_rates(data, view.groups, k, self.least_share), by)
        return eight_bits(calibrated_weights(data, by), by)

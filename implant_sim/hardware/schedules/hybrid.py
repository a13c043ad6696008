"""Some channels always, the others by turns."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from typing_extensions import override

from implant_sim.hardware.kernels import masks, patterns
from implant_sim.hardware.schedules import ranking
from implant_sim.hardware.schedules.base import Budgeted, CalibrationRule, Groups, Plan, View
from implant_sim.hardware.schedules.random_subset import draw_subsets
from implant_sim.hardware.schedules.sharing import (
    WEIGHT_BIT,
    calibrated_weights,
    eight_bits,
    visit_rates,
)
from implant_sim.hardware.schedules.wires import checked_channels, refuse_fixed_order
from sbtt_models.errors import SpecError
from sbtt_models.units import Fraction

__all__ = ["Hybrid"]

_LEAST_SHARE = 0.25  # of the even rate, so that no channel stays away for long


class Hybrid(Budgeted):
    """Keep some channels always on, and let the others share what is left of the budget.

    A wire that holds a channel always on has no place for its others: they are never sampled.
    """

    kind: Literal["hybrid"] = "hybrid"
    always: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)
    """These channels are always on."""
    n_always: PositiveInt | None = None
    """So many channels are always on, chosen by `order`."""
    always_share: Fraction | None = Field(None, gt=0, lt=1)
    """Of the budget, so large a share is always on: rounded, at least one channel, and one for the
    others."""
    order: ranking.Order = "random"
    """As of static_subset; all but random rank on calibration data, which are charged."""
    rest: Literal["round_robin", "random_subset", "weighted"] = "round_robin"
    """How the others take turns. Weighted: in proportion to the variance of their spikes, as
    calibration data have it, each at least a quarter as often as if all were alike."""
    calibration: CalibrationRule = CalibrationRule()

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Hybrid:
        ways = ("always", "n_always", "always_share")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "give always (channels), n_always or always_share, exactly one: "
                f"{' and '.join(given) or 'none'} given"
            )
        if self.always is not None:
            if len(set(self.always)) < len(self.always):
                raise ValueError(f"always: {self.always} names a channel twice")
            if self.order != "random":
                raise ValueError("order and always exclude each other; leave order out")
        return self

    @property
    @override
    def least_bandwidth(self) -> int:
        return 1 + (self.n_always or len(self.always or (0,)))

    def n_fixed(self, k: int) -> int:
        """How many of k channels in a step are always on."""
        if self.always_share is not None:
            return min(max(1, round(self.always_share * k)), max(1, k - 1))
        return self.n_always or len(self.always or ())

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        refuse_fixed_order(view, self.kind)
        n_fixed = self.n_fixed(k)
        if n_fixed >= k:
            raise SpecError(
                f"schedule.bandwidth: hybrid keeps {n_fixed} channels always on, which leaves "
                f"nothing of {k} for the others; raise it, or use a static_subset"
            )
        fixed = self._choose(view, n_fixed, rng)
        sampled = np.zeros((view.n_steps, view.n_channels), dtype=np.bool_)
        sampled[:, fixed] = True
        others = np.flatnonzero(~np.isin(view.groups.of, view.groups.of[fixed]))
        by_turns = Groups.by_wire(view.groups.of[others])
        n_steps, left = view.n_steps, k - n_fixed
        if self.rest == "weighted":
            weights = eight_bits(calibrated_weights(view.calibrate(), "variance"), "variance")
            rates = visit_rates(weights[others], by_turns, left, _LEAST_SHARE)[by_turns.members]
            turns = patterns.weighted(n_steps, by_turns.start, by_turns.members, rates, left)
        elif self.rest == "random_subset":
            turns = draw_subsets(n_steps, by_turns, left, rng)
        else:
            turns = masks.round_robin(n_steps, by_turns.start, by_turns.members, left)
        sampled[:, others] = turns
        told_bit = 0.0
        if self.always is None and self.order != "random":
            told_bit += view.groups.subset_bit(n_fixed)
        if self.rest == "weighted":
            told_bit += WEIGHT_BIT * len(others)
        return Plan(sampled, self.calibration.every_s, told_bit) if told_bit else Plan(sampled)

    def _choose(self, view: View, n: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
        if self.always is not None:
            return checked_channels(self.always, view, "always")
        return ranking.choose(self.order, view, n, rng)

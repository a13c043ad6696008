"""Each channel by the toss of a coin."""

from __future__ import annotations

from typing import Literal

import numpy as np
from typing_extensions import override

from implant_sim.hardware.kernels import patterns
from implant_sim.hardware.schedules.base import Budgeted, Plan, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order
from sbtt_models.errors import SpecError

__all__ = ["Bernoulli"]


class Bernoulli(Budgeted):
    """Each channel in each step by itself, with one probability, so that the load varies.

    `bandwidth` is the mean number of channels, `fraction` the probability itself. Where two
    channels of a wire are drawn, one of them at random is taken and the other is dropped. Implant
    and receiver share the seed.
    """

    kind: Literal["bernoulli"] = "bernoulli"

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        self.refuse_unsettled()
        refuse_fixed_order(view, self.kind)
        n, groups = view.n_channels, view.groups
        if self.bandwidth is not None and self.bandwidth > n:
            raise SpecError(
                f"schedule.bandwidth: bernoulli asks for {self.bandwidth} channels in a step, the "
                f"recording has {n}; lower it, or use fraction"
            )
        probability = self.fraction if self.bandwidth is None else self.bandwidth / n
        seed = rng.integers(0, 2**64, dtype=np.uint64)
        sampled, dropped = patterns.bernoulli(
            seed, view.n_steps, groups.start, groups.members, probability
        )
        if dropped == 0:
            return Plan(sampled)
        share = dropped / (dropped + int(sampled.sum()))
        note = f"bernoulli: {share:.1%} of the draws were dropped, their wire being taken"
        return Plan(sampled, notes=(note,))

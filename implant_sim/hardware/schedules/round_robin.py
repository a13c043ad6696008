"""By turns, in a fixed order."""

from __future__ import annotations

from typing import Literal

import numpy as np
from typing_extensions import override

from implant_sim.hardware.kernels import masks
from implant_sim.hardware.schedules.base import Budgeted, Plan, View

__all__ = ["RoundRobin"]


class RoundRobin(Budgeted):
    """The next channels in each step, round the array; the clock runs on from trial to trial.

    With a multiplexer that holds its channel: the next wires, and of each the next channel.
    """

    kind: Literal["round_robin"] = "round_robin"

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        groups = view.groups
        return Plan(masks.round_robin(view.n_steps, groups.start, groups.members, k))

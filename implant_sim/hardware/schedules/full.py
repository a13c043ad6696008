"""Every channel in every bin."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from sbtt_models.errors import SpecError

__all__ = ["Full"]


class Full(Schedule):
    """Every channel in every bin: the baseline."""

    kind: Literal["full"] = "full"
    moves: ClassVar[bool] = False

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        if not view.groups.free:
            raise SpecError(
                f"schedule.kind: full samples all {view.n_channels} channels at once, but the "
                f"multiplexer leaves {view.groups.n} wires, one channel each; use round_robin, or "
                "set implant.multiplexer.cycle: sample"
            )
        return Plan(np.ones((view.n_steps, view.n_channels), dtype=np.bool_))

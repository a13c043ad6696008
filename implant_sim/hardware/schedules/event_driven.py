"""Look always, speak only of changes."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt
from typing_extensions import override

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from sbtt_models.errors import SpecError

__all__ = ["EventDriven"]


class EventDriven(Schedule):
    """Sample all channels, and send a bin's count where it has changed enough (send on delta).

    It saves the link, not the front end. The receiver holds each channel's last count, so that
    silence tells it something: all entries count as observed, at the value held. Where a packet is
    lost, it holds the count before, until the next change arrives.
    """

    kind: Literal["event_driven"] = "event_driven"
    moves: ClassVar[bool] = False
    delta: PositiveInt
    """The least change that is sent. [spikes per bin]"""

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        if not view.groups.free:
            raise SpecError(
                f"schedule.kind: event_driven watches all {view.n_channels} channels at once, but "
                f"the multiplexer leaves {view.groups.n} wires, one channel each; set "
                "implant.multiplexer.cycle: sample"
            )
        sampled = np.ones((view.n_steps, view.n_channels), dtype=np.bool_)
        return Plan(sampled, least_change=self.delta)

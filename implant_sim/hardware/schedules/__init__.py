"""Which (bin, channel) samples the implant takes.

The union below is the registry of schedules, their YAML schema and their list in one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from implant_sim.hardware.schedules.full import Full
from implant_sim.hardware.schedules.random_subset import RandomSubset
from implant_sim.hardware.schedules.round_robin import RoundRobin
from implant_sim.hardware.schedules.static_subset import StaticSubset

__all__ = [
    "AnySchedule",
    "Full",
    "Plan",
    "RandomSubset",
    "RoundRobin",
    "Schedule",
    "StaticSubset",
    "View",
]

AnySchedule = Annotated[
    Full | StaticSubset | RoundRobin | RandomSubset, Field(discriminator="kind")
]

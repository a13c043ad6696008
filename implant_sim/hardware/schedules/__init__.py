"""Which (bin, channel) samples the implant takes.

The union below is the registry of schedules, their YAML schema and their list in one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from implant_sim.hardware.schedules.activity import Activity
from implant_sim.hardware.schedules.bandit import Bandit
from implant_sim.hardware.schedules.base import Plan, Schedule, View
from implant_sim.hardware.schedules.bernoulli import Bernoulli
from implant_sim.hardware.schedules.blocks import Blocks
from implant_sim.hardware.schedules.event_driven import EventDriven
from implant_sim.hardware.schedules.file import FromFile
from implant_sim.hardware.schedules.full import Full
from implant_sim.hardware.schedules.hybrid import Hybrid
from implant_sim.hardware.schedules.information import Information
from implant_sim.hardware.schedules.low_discrepancy import LowDiscrepancy
from implant_sim.hardware.schedules.random_subset import RandomSubset
from implant_sim.hardware.schedules.raster import Raster
from implant_sim.hardware.schedules.round_robin import RoundRobin
from implant_sim.hardware.schedules.static_subset import StaticSubset
from implant_sim.hardware.schedules.weighted import Weighted
from implant_sim.hardware.schedules.windows import Windows

__all__ = [
    "Activity",
    "AnySchedule",
    "Bandit",
    "Bernoulli",
    "Blocks",
    "EventDriven",
    "FromFile",
    "Full",
    "Hybrid",
    "Information",
    "LowDiscrepancy",
    "Plan",
    "RandomSubset",
    "Raster",
    "RoundRobin",
    "Schedule",
    "StaticSubset",
    "View",
    "Weighted",
    "Windows",
]

AnySchedule = Annotated[
    Full
    | StaticSubset
    | RoundRobin
    | Blocks
    | LowDiscrepancy
    | RandomSubset
    | Bernoulli
    | Weighted
    | Hybrid
    | Windows
    | Raster
    | Activity
    | Information
    | Bandit
    | EventDriven
    | FromFile,
    Field(discriminator="kind"),
]

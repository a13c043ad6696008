"""Where recordings come from: synthetic populations, and files of many layouts.

To add a source: one file with a :class:`RecordingSource`, one name in `AnyRecording`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from implant_sim.recordings.base import FileSplit, RecordingSource, Shares
from implant_sim.recordings.calcium import CalciumSource
from implant_sim.recordings.hdf5 import Hdf5Source
from implant_sim.recordings.lfads import LfadsSource
from implant_sim.recordings.lorenz import LorenzSource
from implant_sim.recordings.mat import MatSource
from implant_sim.recordings.nlb import NlbSource
from implant_sim.recordings.npz import NpzSource
from implant_sim.recordings.nwb import NwbSource
from implant_sim.recordings.poisson import PoissonSource

__all__ = ["AnyRecording", "FileSplit", "RecordingSource", "Shares"]

AnyRecording = Annotated[
    LorenzSource
    | CalciumSource
    | PoissonSource
    | Hdf5Source
    | NpzSource
    | MatSource
    | LfadsSource
    | NlbSource
    | NwbSource,
    Field(discriminator="kind"),
]

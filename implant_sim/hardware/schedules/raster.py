"""Line by line, as a scanning microscope sees."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order, refuse_shared_wires
from sbtt_models.errors import SpecError
from sbtt_models.units import Seconds

__all__ = ["Raster"]


class Raster(Schedule):
    """Sample each cell in the one step of each frame in which the scanned line crosses it.

    A line at the height y of the image is scanned y x `frame` after the frame begins, so that
    cells are seen at times of their own, finer than the frame; a frame need not be a whole number
    of steps.

    References
    ----------
    .. [1] F. Zhu et al., "A deep learning framework for inference of single-trial neural
       population dynamics from calcium imaging with subframe temporal resolution", Nature
       Neuroscience 25, 2022.
    """

    kind: Literal["raster"] = "raster"
    frame_s: Seconds = Field(gt=0, alias="frame")
    """From one frame to the next."""
    rows: tuple[Annotated[float, Field(ge=0, lt=1)], ...] | None = Field(None, min_length=1)
    """Height of each channel's cell in the image, 0 for the first line, towards 1 for the last.
    Default: drawn evenly by `seed`."""
    seed: int = Field(0, ge=0)
    """Where cells lie whose rows are not given: the same in every repeat."""

    def heights(self, n_channels: int) -> Float[np.ndarray, " channel"]:
        """Height of each channel's cell in the image, in [0, 1).

        Raises
        ------
        SpecError
            Where rows were given for another number of channels.
        """
        if self.rows is None:
            return np.random.default_rng(self.seed).uniform(size=n_channels)
        if len(self.rows) != n_channels:
            raise SpecError(
                f"schedule.rows: {len(self.rows)} rows for {n_channels} channels; give one for "
                "each, or leave rows out"
            )
        return np.array(self.rows)

    def line_times_s(self, n_channels: int) -> Float[np.ndarray, " channel"]:
        """When, after the start of each frame, the line of each channel's cell is scanned. [s]"""
        return self.heights(n_channels) * self.frame_s

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        refuse_fixed_order(view, self.kind)
        frame = self.frame_s / view.step_s
        if frame < 1 - 1e-9:
            raise SpecError(
                f"schedule.frame: {self.frame_s:g} s is shorter than a step, {view.step_s:g} s; "
                "set dwell to a part of it"
            )
        late = self.line_times_s(view.n_channels) / view.step_s
        begins = np.arange(math.ceil(view.n_steps / frame)) * frame
        step = np.floor(begins[:, None] + late + 1e-9).astype(np.int64)
        seen, channel = np.nonzero(step < view.n_steps)
        sampled = np.zeros((view.n_steps, view.n_channels), dtype=np.bool_)
        sampled[step[seen, channel], channel] = True
        refuse_shared_wires(sampled, view, self.kind)
        return Plan(sampled)

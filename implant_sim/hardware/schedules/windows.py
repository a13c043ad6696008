"""On for a while, off for a while."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, model_validator
from typing_extensions import override

from implant_sim.hardware.schedules.base import Plan, Schedule, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order, refuse_shared_wires
from sbtt_models.errors import SpecError
from sbtt_models.units import Seconds

__all__ = ["Windows"]


class Windows(Schedule):
    """Sample for a window of every period, and sleep for the rest of it.

    All channels do so at once; or `staggered`, their windows spread over the period, so that as
    many are on at any time. That is how a multiplexed chip powers its amplifiers just before their
    turn: 12 of 32 at a time in WINeR (Lee et al., IEEE TBioCAS 4, 2010).
    """

    kind: Literal["windows"] = "windows"
    window_s: Seconds = Field(gt=0, alias="window")
    """Time on, in each period. A whole number of steps."""
    period_s: Seconds = Field(gt=0, alias="period")
    """From one window to the next. A whole number of steps."""
    staggered: bool = False
    """Each channel's window starts a little after the one before, once round in a period."""
    channels: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)
    """Only these; default: all."""

    @model_validator(mode="after")
    def _window_in_period(self) -> Windows:
        if self.window_s >= self.period_s:
            raise ValueError(
                f"window: {self.window_s:g} s leaves nothing off of a period of "
                f"{self.period_s:g} s; shorten it, or use kind: full"
            )
        if self.channels is not None and len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels: {self.channels} names a channel twice")
        return self

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        refuse_fixed_order(view, self.kind)
        on, period = (self._steps(view, key) for key in ("window", "period"))
        if self.channels is None:
            chosen = np.arange(view.n_channels)
        elif max(self.channels) < view.n_channels:
            chosen = np.array(self.channels)
        else:
            raise SpecError(
                f"schedule.channels: channel {max(self.channels)} of a recording with "
                f"{view.n_channels}, counted from 0"
            )
        late = np.arange(len(chosen)) * period // len(chosen) if self.staggered else 0
        cycle = np.zeros((period, view.n_channels), dtype=np.bool_)
        cycle[:, chosen] = (np.arange(period)[:, None] - late) % period < on
        refuse_shared_wires(cycle, view, self.kind)
        return Plan(cycle[np.arange(view.n_steps) % period])

    def _steps(self, view: View, key: str) -> int:
        """A time as a number of steps, which must be whole."""
        time_s: float = getattr(self, f"{key}_s")
        steps = max(1, round(time_s / view.step_s))
        if abs(time_s - steps * view.step_s) > 1e-6 * time_s:
            raise SpecError(
                f"schedule.{key}: {time_s:g} s is no whole number of steps of {view.step_s:g} s; "
                f"the nearest that fits is {steps * view.step_s:g} s, or set dwell to a common "
                "part of window and period"
            )
        return steps

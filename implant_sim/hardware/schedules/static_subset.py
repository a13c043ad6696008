"""The same channels always: the rival of every sparse schedule."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, NonNegativeInt, model_validator
from typing_extensions import override

from implant_sim.hardware.physics.information import subset_bits
from implant_sim.hardware.schedules import ranking
from implant_sim.hardware.schedules.base import Budgeted, Groups, Plan, View
from implant_sim.hardware.schedules.random_subset import draw_subsets
from sbtt_models.spec import Seconds, Spec, SpecError

__all__ = ["CalibrationRule", "StaticSubset"]


class CalibrationRule(Spec):
    """How often the data that rank the channels are taken again."""

    every_s: Seconds = Field(86_400.0, gt=0, alias="every")
    """Time over which the energy of one calibration is spread."""


class StaticSubset(Budgeted):
    """The same channels in every bin.

    `rate` takes the most active ones, `greedy` those that together predict behaviour best (or the
    population's own leading components, where there is no behaviour). Both rank on training and
    validation trials only, and those are charged as calibration.
    """

    kind: Literal["static_subset"] = "static_subset"
    order: Literal["random", "rate", "greedy"] = "random"
    channels: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)
    """These channels and no others, instead of order and budget."""
    calibration: CalibrationRule = CalibrationRule()

    @model_validator(mode="before")
    @classmethod
    def _budget_of_list(cls, tree: object) -> object:
        """Take the budget from an explicit list, and refuse a second one."""
        if not isinstance(tree, dict) or tree.get("channels") is None:
            return tree
        for key in ("bandwidth", "fraction", "order"):
            n = len(tree["channels"]) if hasattr(tree["channels"], "__len__") else None
            agrees = tree.get(key) in (None, n if key == "bandwidth" else "random")
            if not agrees:
                raise ValueError(f"{key} and channels exclude each other; leave {key} out")
        return {**tree, "bandwidth": n}

    @model_validator(mode="after")
    def _distinct(self) -> StaticSubset:
        if self.channels is not None and len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels: {self.channels} names a channel twice")
        return self

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        chosen = self._choose(view, k, rng)
        row = np.zeros(view.n_channels, dtype=np.bool_)
        row[chosen] = True
        sampled = view.unroll(np.broadcast_to(row, (view.n_rows, view.n_channels)))
        if self.channels is not None or self.order == "random":
            return Plan(sampled)
        return Plan(sampled, self.calibration.every_s, subset_bits(view.n_channels, k))

    def _choose(self, view: View, k: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
        if self.channels is not None:
            return _checked(np.array(self.channels), view.n_channels, view.groups)
        if self.order == "random":
            return np.flatnonzero(draw_subsets(1, view.groups, k, rng)[0])
        rank = ranking.by_rate if self.order == "rate" else ranking.greedy
        return rank(view.calibrate(), view.groups, k)


def _checked(
    channels: Int[np.ndarray, " chosen"], n_channels: int, groups: Groups
) -> Int[np.ndarray, " chosen"]:
    if channels.max() >= n_channels:
        raise SpecError(
            f"schedule.channels: channel {channels.max()} of a recording with {n_channels}, "
            "counted from 0"
        )
    wires = groups.of[channels]
    if len(np.unique(wires)) < len(wires):
        raise SpecError(
            "schedule.channels: two of them share a wire of the multiplexer, which holds one in a "
            "bin; choose others, or set implant.multiplexer.cycle: sample"
        )
    return channels

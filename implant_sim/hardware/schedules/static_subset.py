"""The same channels always: the rival of every sparse schedule."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, NonNegativeInt, model_validator
from typing_extensions import override

from implant_sim.hardware.schedules import ranking
from implant_sim.hardware.schedules.base import Budgeted, CalibrationRule, Plan, View
from implant_sim.hardware.schedules.wires import checked_channels, refuse_fixed_order

__all__ = ["StaticSubset"]


class StaticSubset(Budgeted):
    """The same channels in every bin.

    `rate` takes the most active ones, `greedy` those that together predict behaviour best (or the
    population's own leading components, where there is no behaviour), chosen one after the other;
    `behaviour` the same, weighed all at once, as `weighted` weighs by behaviour; `information`
    those that tell most of the population's state, under a linear model of it. All four rank on
    training and validation trials only, and those are charged as calibration.
    """

    kind: Literal["static_subset"] = "static_subset"
    moves: ClassVar[bool] = False
    order: ranking.Order = "random"
    channels: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)
    """These channels and no others, instead of order and budget."""
    calibration: CalibrationRule = CalibrationRule()

    @model_validator(mode="before")
    @classmethod
    def _budget_of_list(cls, tree: object) -> object:
        """Take the budget from an explicit list, and refuse a second one."""
        if not isinstance(tree, dict) or tree.get("channels") is None:
            return tree
        for key in ("bandwidth", "fraction", "power", "order"):
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
        refuse_fixed_order(view, self.kind)
        chosen = self._choose(view, k, rng)
        row = np.zeros(view.n_channels, dtype=np.bool_)
        row[chosen] = True
        sampled = np.tile(row, (view.n_steps, 1))
        if self.channels is not None or self.order == "random":
            return Plan(sampled)
        return Plan(sampled, self.calibration.every_s, view.groups.subset_bit(k))

    def _choose(self, view: View, k: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
        if self.channels is not None:
            return checked_channels(self.channels, view, "channels")
        return ranking.choose(self.order, view, k, rng)

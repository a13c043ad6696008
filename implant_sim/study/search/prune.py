"""Early stopping: a point is run briefly first, and in full only if that leaves some hope.

The short run is a run like any other, with fewer epochs or one repeat only, so that what it gives
depends on the point alone; what is compared are short runs of earlier batches. Neither the number
of workers nor an interruption changes which points are stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from implant_sim.study.scenario import Scenario
from implant_sim.study.search.spec import Pruning
from sbtt_models.decoders.base import NeuralSpec

__all__ = ["Pruner", "Short", "short_of"]


@dataclass(frozen=True, slots=True)
class Short:
    """How a point is run briefly."""

    scenario: Scenario
    cost: float
    """As a share of running the point in full."""
    is_part: bool
    """Whether the full run uses it again."""
    what: str


def short_of(scenario: Scenario, rule: Pruning, repeats: int) -> Short:
    """The first repeat of a point, with a share of its epochs where it is trained in epochs."""
    if not isinstance(scenario.decoder, NeuralSpec) or scenario.tuning is not None:
        return Short(scenario, 1 / repeats, True, "one repeat")
    epochs = max(1, math.ceil(rule.epochs * scenario.training.epochs))
    training = scenario.training.model_copy(update={"epochs": epochs})
    brief = scenario.model_copy(update={"training": training})
    share = epochs / scenario.training.epochs / repeats
    return Short(brief, share, False, f"one repeat of {epochs} epochs")


class Pruner:
    """Remembers what short runs gave, and says which points are hopeless."""

    def __init__(self, rule: Pruning) -> None:
        self.rule = rule
        self._known: list[tuple[int, list[float]]] = []

    @property
    def n_known(self) -> int:
        """Points whose short runs are known."""
        return len(self._known)

    def rivals(self, values: Sequence[float]) -> list[int]:
        """Points of earlier batches that were better briefly, if they are enough to stop at.

        Better is: as good in all objectives, and better in one. Empty if the point goes on.
        """
        if len(self._known) < self.rule.after:
            return []
        mine = np.array(values)
        others = np.array([known for _, known in self._known])
        better = np.all(others <= mine, axis=1) & np.any(others < mine, axis=1)
        if better.sum() < self.rule.share * len(others):
            return []
        return [
            point for (point, _), is_better in zip(self._known, better, strict=True) if is_better
        ]

    def learn(self, found: Sequence[tuple[int, list[float]]]) -> None:
        """Note what the short runs of a batch gave: points and their objectives."""
        self._known += found

"""The learning rate over a training."""

from __future__ import annotations

import torch

from sbtt_models.training import Training

__all__ = ["LearningRate"]


class LearningRate:
    """Sets the rate of an optimiser after each step.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
    training : Training
    n_steps : int
        Steps of an epoch.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, training: Training, n_steps: int) -> None:
        self._optimiser = optimiser
        self._cycle: torch.optim.lr_scheduler.OneCycleLR | None = None
        if training.schedule == "one_cycle":
            self._cycle = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, training.learning_rate, total_steps=training.epochs * n_steps + 1
            )

    @property
    def now(self) -> float:
        """The rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def step(self) -> None:
        """Go on by one step of the optimiser."""
        if self._cycle is not None:
            self._cycle.step()

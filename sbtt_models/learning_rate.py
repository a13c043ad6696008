"""The learning rate over a training."""

from __future__ import annotations

from collections.abc import Mapping

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
        self._optimiser, self._steps = optimiser, 0
        self._cycle: torch.optim.lr_scheduler.OneCycleLR | None = None
        if training.schedule == "one_cycle":
            self._cycle = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, training.learning_rate, total_steps=training.epochs * n_steps + 1
            )

    @property
    def now(self) -> float:
        """The rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    @property
    def state(self) -> dict[str, float]:
        """Where it stands."""
        beta = float(self._optimiser.param_groups[0]["betas"][0])  # a cycle moves it, too
        return {"steps": self._steps, "now": self.now, "beta": beta}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go to where another one stood."""
        self._steps = int(state["steps"])
        if self._cycle is not None:
            self._cycle.last_epoch = self._steps
        for group in self._optimiser.param_groups:
            group["lr"] = float(state["now"])
            group["betas"] = (float(state["beta"]), group["betas"][1])

    def step(self) -> None:
        """Go on by one step of the optimiser."""
        self._steps += 1
        if self._cycle is not None:
            self._cycle.step()

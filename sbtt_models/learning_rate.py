"""The learning rate over a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        self._plateau = training.plateau if training.schedule == "plateau" else None
        self._best = float("inf")
        self._waited: int | None = None
        """Validations since the best; None before the first."""
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
    def state(self) -> dict[str, float | None]:
        """Where it stands."""
        beta = float(self._optimiser.param_groups[0]["betas"][0])  # a cycle moves it, too
        best = self._best if self._waited is not None else None
        return {
            "steps": self._steps,
            "now": self.now,
            "beta": beta,
            "best": best,
            "waited": self._waited,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to where another one stood."""
        self._steps = int(state["steps"])
        if state["waited"] is not None:
            self._best, self._waited = float(state["best"]), int(state["waited"])
        if self._cycle is not None:
            self._cycle.last_epoch = self._steps
        for group in self._optimiser.param_groups:
            group["lr"] = float(state["now"])
            group["betas"] = (float(state["beta"]), group["betas"][1])

    def judge(self, loss: float) -> None:
        """Hear a validation loss; a rate on a plateau falls."""
        if self._plateau is None:
            return
        if self._waited is None or loss < self._best:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited > self._plateau.patience:
            self._waited = 0
            lower = max(self.now * self._plateau.decay, self._plateau.stop)
            for group in self._optimiser.param_groups:
                group["lr"] = min(lower, group["lr"])

    def step(self) -> None:
        """Go on by one step of the optimiser."""
        self._steps += 1
        if self._cycle is not None:
            self._cycle.step()

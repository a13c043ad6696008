"""What a batch of windows costs: the one place that turns what a network infers into a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sbtt_models.losses import coordinated_dropout, poisson_nll, selective_loss
from sbtt_models.nets.base import Inferred

__all__ = ["Objective", "entry_loss", "taught_loss"]

Infer = Callable[..., Inferred]
"""A network, or a function that calls one."""


def taught_loss(
    inferred: Inferred,
    counts: Float[Tensor, "batch bin channel"],
    exposure: Float[Tensor, "batch bin channel"],
    learns: Bool[Tensor, "batch bin channel"] | None,
) -> Float[Tensor, ""]:
    """Mean loss of the observed entries; those that `learns` marks send a gradient. [nat]"""
    return selective_loss(inferred.log_rates, counts, exposure, learns)


def entry_loss(
    inferred: Inferred,
    counts: Float[Tensor, "batch bin channel"],
    exposure: Float[Tensor, "batch bin channel"],
) -> Float[Tensor, "batch bin channel"]:
    """Loss of each entry without a gradient, 0 where `exposure` is: for validation. [nat]"""
    return poisson_nll(inferred.log_rates, counts, exposure)


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """Rules of the loss, and the randomness of what is hidden."""

    coordinated_dropout: float
    """Share of the inputs that is hidden in each step."""
    input_scale: float
    """What the counts that are shown in training are multiplied with."""
    noise: torch.Generator

    def terms(
        self,
        infer: Infer,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
    ) -> dict[str, Float[Tensor, ""]]:
        """``nll`` and the penalties of a training batch."""
        seen, seen_exposure, learns = counts, exposure, None
        if self.coordinated_dropout > 0:
            seen, seen_exposure, learns = coordinated_dropout(
                counts, exposure, self.coordinated_dropout, self.noise
            )
        inferred = infer(seen * self.input_scale, seen_exposure, self.noise)
        nll = taught_loss(inferred, counts, exposure, learns)
        return {"nll": nll, **inferred.penalties}

    def judge(
        self,
        infer: Infer,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        hidden: Bool[Tensor, "batch bin channel"] | None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Summed loss of a batch, and its entries: those hidden; None hides none, judges all."""
        if hidden is None:
            inferred, judged = infer(counts, exposure), exposure
        else:
            inferred, judged = infer(counts * ~hidden, exposure * ~hidden), exposure * hidden
        return entry_loss(inferred, counts, judged).sum(), judged.sign().sum()

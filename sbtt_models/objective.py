"""What a batch of windows costs: the one place that turns what a network infers into a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sbtt_models.batches import Batch
from sbtt_models.losses import coordinated_dropout
from sbtt_models.nets.base import Inferred
from sbtt_models.nets.likelihoods import Head
from sbtt_models.visible import rescaled

__all__ = ["Objective"]

Infer = Callable[..., Inferred]
"""A network, or a function that calls one."""


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """Rules of the loss, and the randomness of what is hidden."""

    coordinated_dropout: float
    """Share of the inputs that is hidden in each step."""
    input_scale: float
    """What the counts that are shown in training are multiplied with."""
    noise: torch.Generator
    head: Head
    """The likelihood."""
    visible: Float[Tensor, "bin channel"] | None = None
    """0 for entries that the encoder never sees, and is always taught; None: it may see all."""
    over_all: bool = False
    """The mean is over all entries of the trials, not the observed ones."""
    rescale: bool = False
    """Counts are shown over the share of channels that is seen in their bin."""

    def terms_of(self, infer: Infer, parts: Sequence[Batch]) -> dict[str, Float[Tensor, ""]]:
        """The terms of a training batch that comes in parts: what they would be of it whole."""
        found = [self.terms(infer, part) for part in parts]
        if len(parts) == 1:
            return found[0]
        taught = [
            torch.tensor(float(part.n_entries)) if self.over_all else part.exposure.sign().sum()
            for part in parts
        ]
        counted = torch.stack(taught).to(parts[0].counts)
        shares = counted / counted.sum().clamp_(min=1)
        weights = counted.new_tensor([len(part.counts) for part in parts])
        weights /= weights.sum()  # penalties are means over windows
        return {
            name: (torch.stack(values) * (shares if name == "nll" else weights)).sum()
            for name in found[0]
            if (values := [terms[name] for terms in found])
        }

    def terms(self, infer: Infer, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """``nll`` and the penalties of a training batch."""
        seen, seen_exposure, learns = batch.counts, batch.exposure, None
        if self.coordinated_dropout > 0:
            seen, seen_exposure, learns = coordinated_dropout(
                seen, seen_exposure, self.coordinated_dropout, self.noise
            )
        if self.visible is not None:
            visible = self.visible[: seen.shape[1]]
            seen, seen_exposure = seen * visible, seen_exposure * visible
            learns = None if learns is None else learns | (visible == 0)
        seen = self._scaled(seen * self.input_scale, seen_exposure)
        inferred = infer(seen, seen_exposure, self.noise, batch.external, batch.lengths)
        nll = self.head.loss(inferred.read_out, batch.counts, batch.exposure, learns)
        if self.over_all:
            nll = nll * (batch.exposure.sign().sum() / batch.n_entries)
        return {"nll": nll, **inferred.penalties, **self.head.penalties()}

    def judge(
        self,
        infer: Infer,
        batch: Batch,
        hidden: Bool[Tensor, "batch bin channel"] | None,
        *,
        taught: bool = True,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Summed loss of a batch, and its entries: those hidden; None hides none, judges all.

        Those that the encoder never sees are judged, too, unless `taught` is false.
        """
        counts, exposure = batch.counts, batch.exposure
        shown = None if self.visible is None else self.visible[: counts.shape[1]]
        judged = exposure
        if hidden is not None:
            shown = ~hidden if shown is None else shown * ~hidden
            judged = exposure * ((shown == 0) if taught else hidden)
        seen = (counts, exposure) if shown is None else (counts * shown, exposure * shown)
        inferred = infer(self._scaled(*seen), seen[1], None, batch.external, batch.lengths)
        loss = self.head.entries(inferred.read_out, counts, judged)
        return loss.sum(), judged.sign().sum()

    def _scaled(self, counts: Tensor, exposure: Tensor) -> Tensor:
        return rescaled(counts, exposure) if self.rescale else counts

"""What the ``search:`` block of a scenario says."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from implant_sim.study.axes import Range
from implant_sim.study.search.questions import AnyQuestion, Way
from sbtt_models.spec import Spec

__all__ = ["Budget", "Pruning", "Sampler", "Search"]


class Budget(Spec):
    """How long to search."""

    points: int = Field(50, ge=1, le=10_000)
    """Points evaluated in full: trained, or priced where no column needs a decoder. What was
    screened out by hardware alone does not count; what was pruned counts by its short run."""
    hours: float | None = Field(None, gt=0)
    """Computing time of all points, as it was recorded with each: a search that was interrupted
    goes on with what is left of it."""


class Sampler(Spec):
    """Who proposes points."""

    kind: Literal["tpe", "nsga2", "random", "bisection"] | None = None
    """Tree-structured Parzen estimators, an evolving population, chance, or probes and halving
    along one axis. Without it: bisection where a question asks for one end of it, else tpe."""
    seed: int = Field(0, ge=0, lt=2**32)
    startup: int = Field(6, ge=1)
    """Random points before a model is believed; the size of the population for `nsga2`."""
    batch: int | None = Field(None, ge=1, le=1000)
    """Points asked for at a time; 2 if None, and where no decoder is needed 50, or 200 if they are
    drawn. They may run side by side; how many do changes nothing."""


class Pruning(Spec):
    """Run each point briefly first, and leave those that are hopeless then."""

    epochs: float = Field(0.25, gt=0, lt=1)
    """Share of the epochs of the short run, which is one repeat. Decoders without epochs are run
    for one repeat as it is."""
    share: float = Field(1 / 3, gt=0, le=1)
    """Share of the earlier points that must be better in the same short run, in one objective and
    no worse in any, for a point to be left. With one objective, 0.5 is the median rule."""
    after: int = Field(5, ge=1)
    """Points that are run in full before any is left."""


class Search(Spec):
    """Which designs there are, and which are good."""

    space: dict[str, list[Any] | Range] = Field({})
    """Dotted key -> two numbers, the ends of a range; a range with its scale; or values."""
    skip: tuple[str, ...] = ()
    """Conditions, as in a sweep; such points are never run."""
    question: AnyQuestion | None = None
    """Instead of objectives: a question by its name."""
    objectives: dict[str, Way] = Field({}, max_length=4)
    """Columns of the results table; means over repeats count."""
    constraints: tuple[str, ...] = ()
    """Conditions on columns that a design has to meet: `heat_k < 1`. Those that need no decoder
    are looked at before any training."""
    target: str | dict[str, str] | None = None
    """A further condition; the cheapest design that meets it is written as a scenario. Several by
    their names make several scenarios."""
    pruning: Pruning | None = None
    """Stop hopeless points early."""
    sampler: Sampler = Sampler()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _can_be(self) -> Search:
        if (self.question is None) == (not self.objectives):
            raise ValueError("give objectives, or a question by its name, and not both")
        if self.question is None and not self.space:
            raise ValueError("space: name the keys that vary")
        if self.question is not None and self.target is not None:
            raise ValueError("a question is its own target; put the condition into constraints")
        return self

    @property
    def aims(self) -> dict[str, Way]:
        """The objectives, or the question's."""
        return self.objectives if self.question is None else self.question.objectives()

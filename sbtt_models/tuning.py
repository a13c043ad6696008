"""What population-based training may change, and how far. Torch-free record.

References
----------
Keshtkaran et al., "A large-scale neural network training framework for generalized estimation of
single-trial population dynamics" (AutoLFADS), Nature Methods 19:1572-1577, 2022. Numbers that
default here are those of the lfads-torch library's ``run_pbt.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.training import Training

__all__ = ["Range", "Tuning", "changed", "tunable"]


class Range(Spec):
    """Where a number may lie, and how it is drawn and moved."""

    low: float
    high: float
    first: float | None = None
    """Where every member begins. None: each draws its own."""
    scale: Literal["linear", "log"] = "linear"
    """First values are uniform in the number, or in its logarithm."""
    explore: float = Field(0.3, gt=0, lt=1)
    """A loser multiplies the winner's number by a factor drawn between 1 - this and 1 + this."""

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be above 0 on a logarithmic scale")
        if self.first is not None and not self.low <= self.first <= self.high:
            raise ValueError(f"first {self.first:g} must lie from {self.low:g} to {self.high:g}")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """A first value."""
        if self.first is not None:
            return self.first
        if self.scale == "log":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))

    def move(self, value: float, rng: np.random.Generator) -> float:
        """A value near another, inside the range."""
        factor = rng.uniform(1 - self.explore, 1 + self.explore)
        return float(np.clip(value * factor, self.low, self.high))


class Tuning(Spec):
    """Population-based training: members train side by side, losers go on from winners.

    After each generation every member meets another drawn by chance. If the other has the lower
    loss, it takes the other's weights and numbers, and moves the numbers. The learning rate is a
    number like any other: it is constant within a generation, whatever ``training.schedule`` says.
    """

    ranges: dict[str, Range] = Field(min_length=1)
    """Dotted field of ``decoder`` or ``training`` -> range, for example ``decoder.dropout``."""
    members: int = Field(20, ge=2, le=1000)
    generation_epochs: int = Field(25, ge=1)
    """Epochs from one tournament to the next."""
    burn_in_epochs: int = Field(80, ge=0)
    """Epochs before the first generation: nothing is compared while penalties still rise."""
    generations: int = Field(50, ge=1, le=10_000)
    """The most there can be."""
    patience: int = Field(4, ge=1)
    """Tuning stops when so many generations together have improved the best loss too little."""
    least_gain: float = Field(5e-4, ge=0)
    """Share of the loss that is too little."""
    smoothing: float = Field(0.3, ge=0, lt=1)
    """Weight of the epochs before in the validation loss that members are compared by."""

    def refuse(self, decoder: DecoderSpec, training: Training) -> None:
        """Check that every range is one of a decoder and its training.

        Raises
        ------
        SpecError
            For a decoder that is no network, a key that is none of theirs, and for ends that they
            do not allow.
        """
        tunable(decoder)
        for key, found in self.ranges.items():
            for value in (found.low, found.high):
                changed(decoder, training, {key: value})


def tunable(decoder: DecoderSpec) -> NeuralSpec:
    """The decoder, if a population can train it.

    Raises
    ------
    SpecError
        If it is no network.
    """
    if not isinstance(decoder, NeuralSpec):
        raise SpecError(
            f"tuning: a population trains networks, and a {decoder.kind} decoder is none by "
            "itself; choose one such as state_space, or leave tuning out"
        )
    return decoder


def changed(
    decoder: DecoderSpec, training: Training, values: Mapping[str, float]
) -> tuple[DecoderSpec, Training]:
    """A decoder and its training with other numbers in some of their dotted fields.

    Raises
    ------
    SpecError
        For a key that is none of theirs, and for a number that they do not allow.
    """
    blocks: dict[str, Any] = {"decoder": decoder.model_dump(), "training": training.model_dump()}
    for key, value in values.items():
        *path, last = key.split(".")
        block: Any = blocks
        for name in path:
            block = block.get(name) if isinstance(block, dict) else None
        old = block.get(last) if path and isinstance(block, dict) else None
        if isinstance(old, bool) or not isinstance(old, float):
            raise SpecError(
                f"tuning: {key} is no number with a fraction in this decoder or training; name "
                "one such as decoder.dropout or training.learning_rate"
            )
        block[last] = value
    try:
        return type(decoder).model_validate(blocks["decoder"]), Training.model_validate(
            blocks["training"]
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"tuning: {place}: {first['msg']} ({first['input']!r:.40})") from None

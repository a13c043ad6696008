"""Fitting of linear latent models: withheld validation entries, EM, choice of settings.

A model is a :class:`LatentModel`; where it comes from and how EM improves it is a
:class:`Family`. The rest is common: EM begins on a part of long data and goes on with all of it,
the iteration that best predicts withheld observed entries of the validation trials is kept, and
the latent size and further settings are chosen by the same loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from sbtt_models.chain_filter import RowFilter
from sbtt_models.linear_data import Batch
from sbtt_models.means import square_loss
from sbtt_models.signals import MaskedStream
from sbtt_models.windows import cut

__all__ = [
    "WINDOW",
    "Choice",
    "Family",
    "Found",
    "LatentModel",
    "Search",
    "Validation",
    "find",
    "positive",
]

WINDOW = 256  # [bins] long trials are cut here: states forget their start long before
_LEAST_SHARE = 0.05  # of the channel's mean: a linear model may go below 0, a rate may not
_WITHHELD = 0.2
_PATIENCE = 5  # iterations in a row that are no better
_SHORT = 2  # the same, while settings are compared; and settings in a row
_TRIAL = 10  # the most iterations while settings are compared
_PART_BINS = 8192  # EM begins with about so many bins: its first steps need no more


@runtime_checkable
class LatentModel(Protocol):
    """Parameters of a latent model."""

    @property
    def n_parameters(self) -> int:
        """Free numbers."""
        ...

    def rates(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin channel"]:
        """Expected counts of full bins; may be negative where the model is linear. [spikes/bin]

        `lookahead` is how many later bins an inference may use; None: all.
        """
        ...

    def filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """The same inference with a look-ahead, fed bin by bin."""
        ...

    def arrays(self) -> Mapping[str, Float[np.ndarray, "..."]]:
        """All parameters by name."""
        ...


M = TypeVar("M", bound=LatentModel)


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that are chosen by validation."""

    size: int
    """Latent dimensions."""
    settings: Mapping[str, float]
    """The family's further settings, by name."""
    damping: float = 0.95
    """Of the transition that the guess begins with."""


class Family(ABC, Generic[M]):
    """Where a model begins, and how EM goes on."""

    dampings: ClassVar[tuple[float, ...]] = (0.95,)
    """What may be tried of :attr:`Choice.damping`. EM hardly speeds up states whose innovations
    are small, and overfits few samples from a fast start; so both are worth a trial."""

    @abstractmethod
    def first(self, batch: Batch, choice: Choice) -> M:
        """A guess from the data, better than a random one."""

    @abstractmethod
    def climb(self, model: M, batch: Batch, choice: Choice) -> Iterator[M]:
        """Endlessly many models, each from one more iteration of EM on the batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Validation trials with a fifth of their entries hidden, the same for every model."""

    shown: Batch
    counts: Float[np.ndarray, " hidden"]
    exposure: Float[np.ndarray, " hidden"]
    entries: Bool[np.ndarray, "sequence bin channel"]
    means: Float[np.ndarray, " channel"]
    lookahead: int | None
    real: bool
    """Values are real numbers: errors are squared."""

    @classmethod
    def of(
        cls,
        stream: MaskedStream,
        means: Float[np.ndarray, " channel"],
        lookahead: int | None = None,
    ) -> Validation:
        """Draw the hidden entries."""
        n_bins = min(WINDOW, int(stream.lengths.max()))
        windows = cut(stream.lengths, stream.split.valid, n_bins, n_bins)
        whole = Batch.of(stream, windows.longest_first(stream.lengths))
        draw = np.random.default_rng(0).random(whole.exposure.shape) < _WITHHELD
        entries = draw & (whole.exposure > 0)
        if not entries.any():  # so few samples that the draw took none: then all are judged
            entries = whole.exposure > 0
        hidden = np.where(entries, 0.0, whole.exposure)
        shown = Batch.made(np.where(entries, 0.0, whole.counts), hidden, whole.lengths)
        exposure = whole.exposure[entries]
        counts = whole.counts[entries]
        return cls(shown, counts, exposure, entries, means, lookahead, stream.real)

    def loss(self, model: LatentModel) -> float:
        """Poisson loss of the hidden entries, without terms that no rate changes. [nat/entry]

        Of real values, the square error of what a full bin would be; see :func:`square_loss`.
        """
        rates = model.rates(self.shown, self.lookahead)
        if self.real:
            return square_loss(self.counts, self.exposure, rates[self.entries])
        rates = positive(rates, self.means)[self.entries]
        return float((rates * self.exposure - self.counts * np.log(rates)).mean())


def positive(
    rates: Float[np.ndarray, "*lead channel"], means: Float[np.ndarray, " channel"]
) -> Float[np.ndarray, "*lead channel"]:
    """Keep rates above a small share of each channel's mean."""
    return np.maximum(rates, _LEAST_SHARE * means)


@dataclass(frozen=True, slots=True)
class Search:
    """What may be tried."""

    sizes: tuple[int, ...]
    """Ascending."""
    settings: Mapping[str, tuple[float, ...]]
    """Values of each; the first is used until it is the setting's turn."""
    iterations: int
    """The most of any one EM."""

    @property
    def open(self) -> bool:
        """Whether anything is left to choose."""
        return max(len(values) for values in (self.sizes, *self.settings.values())) > 1

    def choice(self, size: int) -> Choice:
        """A size with the first values of all settings."""
        return Choice(size, {name: values[0] for name, values in self.settings.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The best model, and what was tried."""

    model: LatentModel
    choice: Choice
    history: tuple[Mapping[str, float], ...]


def find(
    family: Family[Any],
    train: Batch,
    judge: Validation,
    search: Search,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Choose the settings one after the other, then fit.

    At the middle of the sizes the family's dampings are compared. From there the walk goes up, or
    else down, until two in a row are no better; then the values of each further setting are tried
    with the best of all before. So the number of fits is at most the sum of the numbers of values.
    They are compared on a part of long data; the winner goes on with all of it.
    """
    lists = (search.sizes, family.dampings, *search.settings.values())
    tried = sum(len(values) for values in lists)
    most = tried * (_TRIAL + 1) + search.iterations
    told = None if progress is None else lambda done: progress(min(done, most), most)
    climber = _Climber(family, judge, search.iterations, told, [])
    part = _part(train)
    if search.open or part is not train or len(family.dampings) > 1:
        best = climber.walk(part, search)
        for name, values in search.settings.items():
            for value in values[1:]:
                settings = {**best.choice.settings, name: value}
                reached = climber.start(part, replace(best.choice, settings=settings))
                best = reached if reached.loss < best.loss else best
    else:
        best = climber.start(train, search.choice(search.sizes[0]), patience=0)
    if part is not train:  # a guess from all data may be better than a model of a part
        afresh = climber.start(train, best.choice, patience=0)
        best = afresh if afresh.loss < best.loss else best
    best = climber.go_on(best, train, _PATIENCE, search.iterations)
    return Found(best.model, best.choice, tuple(climber.history))


@dataclass(frozen=True, slots=True, eq=False)
class _Reached:
    """A model with its validation loss."""

    model: LatentModel
    choice: Choice
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class _Climber:
    """Runs EM, writes down every iteration, and keeps the best."""

    family: Family[Any]
    judge: Validation
    iterations: int
    progress: Callable[[int], None] | None
    history: list[Mapping[str, float]]

    def start(self, batch: Batch, choice: Choice, patience: int = _SHORT) -> _Reached:
        """Begin with a guess."""
        model = self.family.first(batch, choice)
        reached = self._judged(model, choice)
        return self.go_on(reached, batch, patience, _TRIAL) if patience else reached

    def walk(self, batch: Batch, search: Search) -> _Reached:
        """Choose damping and size."""
        middle = len(search.sizes) // 2
        first = search.choice(search.sizes[middle])
        starts = (replace(first, damping=damping) for damping in self.family.dampings)
        best = min((self.start(batch, choice) for choice in starts), key=lambda got: got.loss)
        for sizes in (search.sizes[middle + 1 :], search.sizes[:middle][::-1]):
            if best.choice.size != search.sizes[middle]:
                break  # larger was better
            stale = 0
            for size in sizes:
                reached = self.start(batch, replace(best.choice, size=size))
                stale = 0 if reached.loss < best.loss else stale + 1
                best = reached if stale == 0 else best
                if stale == _SHORT:
                    break
        return best

    def go_on(self, best: _Reached, batch: Batch, patience: int, most: int) -> _Reached:
        """Improve until so many iterations in a row were no better."""
        stale = 0
        models = self.family.climb(best.model, batch, best.choice)
        for model in islice(models, min(most, self.iterations)):
            reached = self._judged(model, best.choice)
            stale = 0 if reached.loss < best.loss else stale + 1
            best = reached if stale == 0 else best
            if self.progress is not None:
                self.progress(len(self.history))
            if stale == patience:
                break
        return best

    def _judged(self, model: LatentModel, choice: Choice) -> _Reached:
        loss = self.judge.loss(model)
        row = {"epoch": float(len(self.history)), "valid_loss": loss, "size": float(choice.size)}
        self.history.append(row | dict(choice.settings))
        return _Reached(model, choice, loss)


def _part(batch: Batch) -> Batch:
    """Every n-th window, so that about the bins of a part remain."""
    step = int(batch.lengths.sum()) // _PART_BINS
    return batch if step < 2 else batch.some(slice(None, None, step))

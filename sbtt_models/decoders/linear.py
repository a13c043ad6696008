"""What all linear latent decoders share: settings, the walk through them, and their result."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Real
from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import DecoderSpec, Setting
from sbtt_models.linear_data import Batch
from sbtt_models.linear_fit import (
    WINDOW,
    Choice,
    Family,
    LatentModel,
    Search,
    Validation,
    find,
    positive,
)
from sbtt_models.means import channel_rates
from sbtt_models.online import Online, Step, refuse_real_fit
from sbtt_models.same_stream import refuse_other
from sbtt_models.saved import Saved, save
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.value_unit import Unit
from sbtt_models.windows import cut, stitch

__all__ = ["FittedLinear", "LinearSpec"]

_SIZES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 30, 40)


class LinearSpec(DecoderSpec):
    """A latent model fitted by expectation maximisation; members only say which.

    The iteration that best predicts withheld observed entries of the validation trials is kept,
    and what is left to None is chosen by the same loss, out of no more settings than a smoothing
    baseline tries.
    """

    grids: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Fields that None leaves to validation, with the values that are tried; until it is a
    field's turn, its first value is used."""

    size: int | None = Field(None, ge=1, le=512)
    """Latent dimensions. None: the best of a grid from 1 to 40."""
    iterations: int = Field(30, ge=1, le=10_000)
    """The most EM iterations; five in a row that are no better end it."""

    @abstractmethod
    def family(self, means: Float[np.ndarray, " channel"]) -> Family[Any]:
        """The family of models, for channels of known mean. [spikes/bin]"""

    @abstractmethod
    def model(self, saved: Saved, n_channels: int) -> LatentModel:
        """Make a model of its saved parameters.

        Raises
        ------
        DataError
            If they do not fit together.
        """

    def check(self, stream: MaskedStream) -> None:
        """Refuse values that the model cannot give; a Gaussian one can give any.

        Raises
        ------
        DataError
        """
        self.check_counts(stream.counts, stream.exposure)

    def check_counts(
        self, counts: Real[np.ndarray, "*shape"], exposure: Float[np.ndarray, "*shape"]
    ) -> None:
        """Refuse counts that the model cannot give, also where they come bin by bin.

        Raises
        ------
        DataError
        """
        del counts, exposure

    @override
    def fit(self, stream: MaskedStream, training: Training, setting: Setting) -> FittedLinear:
        setting.refuse_start(self.kind)
        self.check(stream)
        start = time.perf_counter()
        unit = Unit.of(stream) if stream.real else None
        stream = stream if unit is None else unit.of_values(stream)
        n_bins = min(WINDOW, int(stream.lengths.max()))
        windows = cut(stream.lengths, stream.split.train, n_bins, n_bins)
        train = Batch.of(stream, windows.longest_first(stream.lengths))
        means = channel_rates(stream.trials(stream.split.train))
        sizes = tuple(size for size in _SIZES if size <= means.size)
        settings = {
            name: values if getattr(self, name) is None else (float(getattr(self, name)),)
            for name, values in self.grids.items()
        }
        search = Search(sizes if self.size is None else (self.size,), settings, self.iterations)
        judge = Validation.of(stream, means, self.waits)
        found = find(self.family(means), train, judge, search, setting.progress)
        # in the order of rows, as it is read back: the order of sums depends on it
        arrays = {k: np.ascontiguousarray(v) for k, v in found.model.arrays().items()}
        facts = {"n_parameters": found.model.n_parameters}
        return FittedLinear(
            self,
            self.model(Saved(self, arrays, facts), means.size),
            found.choice,
            means,
            n_bins,
            self.waits,
            len(found.history) - 1,
            time.perf_counter() - start,
            found.history,
            unit,
            stream.bin_s,
        )

    @override
    def restore(self, saved: Saved, device: str) -> FittedLinear:
        means = saved.array("means", "float64", None)
        settings = {name: saved.number(f"setting.{name}") for name in self.grids}
        return FittedLinear(
            self,
            self.model(saved, means.size),
            Choice(saved.whole("size", 1), settings),
            means,
            saved.whole("window_bins", 1),
            self.waits,
            saved.whole("epochs"),
            saved.number("train_s"),
            tuple(saved.history),
            Unit.restored(saved, means.size),
            saved.bin_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FittedLinear:
    """A latent model with its settings and parameters found."""

    spec: LinearSpec
    model: LatentModel
    choice: Choice
    means: Float[np.ndarray, " channel"]
    window_bins: int
    waits: int | None
    epochs: int
    train_s: float
    history: tuple[Mapping[str, float], ...] = field(repr=False)
    unit: Unit | None = None
    """What real values were measured in, for the fit."""
    bin_s: float | None = None
    """Bin width of the fit. [s]"""

    @property
    def n_parameters(self) -> int:
        """Free numbers of the model."""
        return self.model.n_parameters

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected counts of each full bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        self.refuse_other(stream)
        stream = stream if self.unit is None else self.unit.of_values(stream)
        return self.told(stream, self._positive)

    def refuse_other(self, stream: MaskedStream) -> None:
        """Refuse a stream of other channels or bins, or of values that the model cannot give.

        Raises
        ------
        DataError
        """
        refuse_other(stream, self.means.size, self.bin_s)
        self.spec.check(stream)

    def told(
        self,
        stream: MaskedStream,
        tell: Callable[[Batch], Float32[np.ndarray, "sequence bin told"]],
    ) -> Float32[np.ndarray, "trial bin told"]:
        """What `tell` says of windows of a stream, put together; 0 in padding."""
        trials = np.arange(stream.lengths.size)
        if self.waits is not None:  # a filter runs through each trial once, from its start
            n_bins = int(stream.lengths.max())
            rows = tell(Batch.of(stream, cut(stream.lengths, trials, n_bins, n_bins)))
            return np.pad(rows, ((0, 0), (0, stream.counts.shape[1] - n_bins), (0, 0)))
        windows = cut(stream.lengths, trials, self.window_bins, max(self.window_bins // 2, 1))
        windows = windows.longest_first(stream.lengths)
        pieces = tell(Batch.of(stream, windows))
        return stitch(pieces, windows, (*stream.counts.shape[:2], pieces.shape[2]))

    def _positive(self, batch: Batch) -> Float32[np.ndarray, "sequence bin channel"]:
        rates = self.model.rates(batch, self.waits)
        if self.unit is not None:
            return self.unit.back(rates)
        return positive(rates, self.means).astype(np.float32)

    def online(self, lookahead_bins: int | None = None) -> Online:
        """The same decoder, fed bin by bin; see :class:`sbtt_models.decoders.base.Fitted`."""
        refuse_real_fit(self.spec.kind, self.unit is not None)
        wait = (self.waits or 0) if lookahead_bins is None else lookahead_bins
        return Online(lambda: _FilterStep(self, wait))

    def saved(self) -> Saved:
        """Parameters of the model, means and settings."""
        facts: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("n_parameters", "window_bins", "epochs", "bin_s")
        }
        facts |= {"train_s": self.train_s, "size": self.choice.size}
        settings = {f"setting.{name}": value for name, value in self.choice.settings.items()}
        unit = {} if self.unit is None else self.unit.arrays()
        arrays = {**self.model.arrays(), **unit, "means": self.means}
        return Saved(self.spec, arrays, facts | settings, self.history)

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write parameters, history and manifest."""
        return save(self.saved(), folder)


class _FilterStep(Step):
    """A filter within one trial."""

    def __init__(self, fitted: FittedLinear, wait: int) -> None:
        super().__init__(wait, fitted.means.size)
        self._filter, self._means = fitted.model.filter(1, wait), fitted.means
        self._check = fitted.spec.check_counts

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        self._check(counts, exposure)
        rates = self._filter(counts[None], exposure[None])
        return None if rates is None else positive(rates, self._means)[0]

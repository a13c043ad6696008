"""The values that an acquisition sends, gone through chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int32
from typing_extensions import override

from implant_sim.hardware.encode import Values
from implant_sim.hardware.grid import Grid
from implant_sim.hardware.kernels import list_counts, list_units
from implant_sim.hardware.rules import Rules, refuse_unsettled
from implant_sim.hardware.schedules.lists import Lists
from sbtt_models.errors import SpecError
from sbtt_models.undrawn import Population

__all__ = ["Counts", "Drawn", "Payload", "Recorded"]

Samples = Int32[np.ndarray, " sample"]
Sizes = Int[np.ndarray, " row"]
Times = Int[np.ndarray, " value"]
Feed = Callable[[int, Samples, Sizes], object]


class Counts(ABC):
    """Where the counts of some samples come from."""

    largest: int
    """No count is larger."""

    @abstractmethod
    def of(
        self, first: int, rows_per_bin: int, channels: Samples, size: Sizes, times: Times
    ) -> tuple[Samples, Sizes]:
        """Counts of the bins that some rows lie in, and the spikes of each row.

        `times` adds up how often each count above zero occurs.
        """


class Drawn(Counts):
    """Counts drawn as they are asked for."""

    def __init__(self, population: Population) -> None:
        self._mean, self._seed = population.mean, population.seed
        self._quiet = np.exp(-population.mean)
        self.largest = population.most

    @override
    def of(
        self, first: int, rows_per_bin: int, channels: Samples, size: Sizes, times: Times
    ) -> tuple[Samples, Sizes]:
        return list_counts.drawn_counts(
            self._seed, first, rows_per_bin, channels, size, self._mean, self._quiet, times
        )


class Recorded(Counts):
    """Counts of a recording's table."""

    def __init__(self, counts: Int32[np.ndarray, "bin channel"]) -> None:
        self._counts = counts
        self.largest = int(counts.max(initial=0))

    @override
    def of(
        self, first: int, rows_per_bin: int, channels: Samples, size: Sizes, times: Times
    ) -> tuple[Samples, Sizes]:
        return list_counts.picked_counts(self._counts, first, rows_per_bin, channels, size, times)


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Some bins in a row."""

    first: int
    size: Sizes
    """Channels of each."""
    counts: Samples
    """Theirs, one bin after the other."""
    spikes: Sizes
    exposure: Float[np.ndarray, " row"] | None
    """Added up over the channels of each bin; None where every bin is valid in full."""


class Payload(Values):
    """What is sent of each bin; the counts are made anew whenever they are asked for."""

    def __init__(
        self,
        lists: Lists,
        grid: Grid,
        rules: Rules,
        counts: Counts,
        times: np.uint64,
        n_at_once: int,
    ) -> None:
        self._lists, self._grid, self._rules, self._source = lists, grid, rules, counts
        self._times, self._at_once = times, n_at_once
        self.n_channels = len(rules.unit_of)
        self.size = np.zeros(grid.n_bins, dtype=np.int64)
        self.spikes = np.zeros(grid.n_bins, dtype=np.int64)
        self.largest = 0
        self.exposure: Float[np.ndarray, " row"] | None = None
        self.valid: Float[np.ndarray, " row"] | None = None
        self._occurs = np.zeros(counts.largest + 1, dtype=np.int64)

    @property
    def partial(self) -> bool:
        """True where a bin may be valid in part."""
        return self._rules.settles_inside or self._grid.steps_per_bin > 1

    def count(self, also: Feed | None, without_counts: bool) -> None:
        """Go through all bins once.

        Parameters
        ----------
        also : callable, optional
            Is given the steps of each chunk, too: the first of them, channels, sizes.
        without_counts : bool
            True where no bit depends on a count.
        """
        if self.partial:
            self.exposure = np.zeros(self._grid.n_bins)
        if without_counts and not self.partial:
            for first, channels, size in self._steps():
                if also is not None:
                    also(first, channels, size)
                at = first * self._grid.bins_per_step
                of_bins = np.repeat(size, self._grid.bins_per_step)
                self.size[at : at + len(of_bins)] = of_bins[: self._grid.n_bins - at]
            return
        for chunk in self._chunks(self._occurs, also):
            here = slice(chunk.first, chunk.first + len(chunk.size))
            self.size[here], self.spikes[here] = chunk.size, chunk.spikes
            if self.exposure is not None and chunk.exposure is not None:
                self.exposure[here] = chunk.exposure
        self._occurs[0] = int(self.size.sum()) - int(self._occurs[1:].sum())
        self.largest = int(np.flatnonzero(self._occurs).max(initial=0))

    @override
    def histogram(self) -> Int[np.ndarray, " value"]:
        return self._occurs[: self.largest + 1]

    @override
    def bits(self, lengths: Int[np.ndarray, " value"]) -> Int[np.ndarray, " row"]:
        bits = np.zeros(self._grid.n_bins, dtype=np.int64)
        for chunk in self._chunks(np.zeros_like(self._occurs), None):
            here = slice(chunk.first, chunk.first + len(chunk.size))
            bits[here] = list_counts.lengths_of(chunk.counts, chunk.size, lengths)
        return bits

    @override
    def entropy_bits(self, announced: bool) -> Int[np.ndarray, " row"]:
        raise SpecError("implant.compression.kind: entropy needs the whole table of counts")

    def _steps(self) -> Iterator[tuple[int, Samples, Sizes]]:
        """Steps of the schedule, some at once."""
        for first in range(0, self._grid.n_steps, self._at_once):
            n = min(self._at_once, self._grid.n_steps - first)
            yield first, *self._lists.take(first, n)

    def _chunks(self, times: Times, also: Feed | None) -> Iterator[_Chunk]:
        grid, s = self._grid, self._grid.steps_per_bin
        settle = _Settling(self._rules) if self._rules.settles_inside else None
        if settle is not None and self.valid is None:
            self.valid = np.zeros(self._rules.n_steps)
        place = np.full(self.n_channels if s > 1 else 0, -1, dtype=np.int64)
        for step, channels, size in self._steps():
            if also is not None:
                also(step, channels, size)
            first = step * grid.bins_per_step
            if grid.bins_per_step > 1:
                channels, size = _held(channels, size, grid.bins_per_step, grid.n_bins - first)
            if not self.partial:
                counts, spikes = self._source.of(first, 1, channels, size, times)
                yield _Chunk(first, size, counts, spikes, None)
                continue
            valid = np.ones(len(channels), dtype=np.float32)
            if settle is not None and self.valid is not None:
                valid = settle.of(first, channels, size)
                self.valid[first : first + len(size)] = _sums(valid, size)
            counts, _ = self._source.of(first, s, channels, size, np.zeros_like(times))
            kept = list_counts.thinned(self._times, first, s, channels, size, counts, valid)
            if s > 1:
                kept, valid, size = list_counts.merge_steps(channels, size, kept, valid, s, place)
            spikes = list_counts.tally_lists(kept, size, times)
            yield _Chunk(first // s, size, kept, spikes, _sums(valid, size))
        if settle is not None:
            settle.refuse_nothing(self.valid)


class _Settling:
    """The valid share of each sample, as its channels and amplifiers wake and warm up."""

    def __init__(self, rules: Rules) -> None:
        n_channels, n_units = len(rules.unit_of), int(rules.unit_of.max()) + 1
        self._rules = rules
        self._last = np.full(n_channels, -1, dtype=np.int64)
        self._last_unit = np.full(n_units, -1, dtype=np.int64)
        self._left = np.zeros(n_channels)
        self._least_gap = rules.least_gap if rules.wakes_late else rules.n_steps + 1

    def of(self, first: int, channels: Samples, size: Sizes) -> Float32[np.ndarray, " sample"]:
        rules = self._rules
        return list_units.settled(
            channels,
            size,
            first,
            rules.unit_of,
            self._last,
            self._last_unit,
            self._left,
            self._least_gap,
            rules.warm_steps,
            rules.wake_steps,
        )

    def refuse_nothing(self, valid: Float[np.ndarray, " row"] | None) -> None:
        """Refuse a plan of which, after the first step, nothing is valid."""
        if valid is not None and len(valid) > 1 and not valid[1:].any():
            refuse_unsettled(self._rules, self._rules.wakes_late)


def _held(
    channels: Samples, size: Sizes, times: int, at_most: int
) -> tuple[Int32[np.ndarray, " more_samples"], Int[np.ndarray, " more_rows"]]:
    """Repeat each row so many times, up to some rows in all."""
    if len(size) and (size == size[0]).all():
        same = np.repeat(channels.reshape(len(size), -1), times, axis=0)[:at_most]
        return same.ravel(), np.full(len(same), size[0])
    rows = [np.tile(part, times) for part in np.split(channels, np.cumsum(size)[:-1])]
    held = np.repeat(size, times)[:at_most]
    return np.concatenate(rows)[: int(held.sum())], held


def _sums(values: Float32[np.ndarray, " sample"], size: Sizes) -> Float[np.ndarray, " row"]:
    """Add up the values of each row; none is empty."""
    edges = np.concatenate([[0], np.cumsum(size)[:-1]])
    return np.add.reduceat(values.astype(float), edges)

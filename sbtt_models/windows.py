"""Long trials cut into overlapping windows, and put together again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from sbtt_models.signals import MaskedStream

__all__ = ["Windows", "aligned", "cut", "pieces_of", "stitch", "up_to", "window_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Where each window lies. A trial shorter than the window is one window, padded."""

    trial: Int[np.ndarray, " window"]
    start: Int[np.ndarray, " window"]
    n_bins: int

    def inside(self, lengths: Int[np.ndarray, " trial"]) -> Int[np.ndarray, " window"]:
        """How many bins of its trial are in each; what comes after them is padding."""
        return np.minimum(lengths[self.trial] - self.start, self.n_bins)

    def by_length(self, lengths: Int[np.ndarray, " trial"]) -> Int[np.ndarray, " window"]:
        """Their order if those with the most bins of their trial come first."""
        return np.argsort(-self.inside(lengths), kind="stable")

    def longest_first(self, lengths: Int[np.ndarray, " trial"]) -> Windows:
        """The same ones, those with the most bins of their trial first."""
        order = self.by_length(lengths)
        return Windows(self.trial[order], self.start[order], self.n_bins)

    def thinned(self, most: int) -> Windows:
        """At most so many of them, evenly chosen."""
        n = self.trial.size
        kept = np.arange(n) if n <= most else np.arange(most) * n // most
        return Windows(self.trial[kept], self.start[kept], self.n_bins)


def cut(
    lengths: Int[np.ndarray, " trial"],
    trials: Int[np.ndarray, " kept"],
    n_bins: int,
    stride: int,
    rng: np.random.Generator | None = None,
) -> Windows:
    """Choose windows that cover some trials.

    Parameters
    ----------
    lengths : numpy.ndarray
        Bins in each trial of the stream.
    trials : numpy.ndarray
        Trials to cover.
    n_bins, stride : int
        Length of a window and the step to the next. The last window ends with its trial.
    rng : numpy.random.Generator, optional
        If given, every start is redrawn uniformly within its trial: as many windows, but new
        ones each epoch.
    """
    last = np.maximum(lengths[trials] - n_bins, 0)
    n_windows = -(-last // stride) + 1
    if rng is None:
        step = np.arange(n_windows.sum()) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
        start = np.minimum(step * stride, np.repeat(last, n_windows))
    else:
        draws = zip(last, n_windows, strict=True)
        start = np.concatenate([rng.integers(0, end + 1, size=n) for end, n in draws])
    return Windows(np.repeat(trials, n_windows), start, n_bins)


def aligned(lengths: Int[np.ndarray, " trial"], n_bins: int) -> Windows:
    """Windows side by side from the start of each trial; the last may reach beyond its end."""
    whole = -(-lengths // n_bins) * n_bins
    return cut(whole, np.arange(lengths.size), n_bins, n_bins)


def up_to(
    lengths: Int[np.ndarray, " trial"], n_bins: int, wait: int
) -> Iterator[tuple[Windows, Int[np.ndarray, " window"]]]:
    """One window for each bin of each trial, which ends `wait` bins later or with the trial.

    Parameters
    ----------
    n_bins, wait : int
        The longest window, and how much of it lies after the bin that it is for. [bins]

    Yields
    ------
    Windows, numpy.ndarray
        Windows of one length, shorter ones first, and the bin of its trial that each is for.
    """
    trial = np.repeat(np.arange(lengths.size), lengths)
    bins = np.arange(trial.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    end = np.minimum(bins + wait, lengths[trial] - 1) + 1
    size = np.minimum(end, n_bins)
    for each in np.unique(size):
        rows = np.flatnonzero(size == each)
        yield Windows(trial[rows], end[rows] - each, int(each)), bins[rows]


def pieces_of(
    values: Shaped[np.ndarray, "trial bin channel"], windows: Windows
) -> Shaped[np.ndarray, "window step channel"]:
    """Cut windows out of values; 0 beyond the last bin."""
    padded = np.pad(values, ((0, 0), (0, windows.n_bins), (0, 0)))
    return padded[windows.trial[:, None], windows.start[:, None] + np.arange(windows.n_bins)]


def stitch(
    pieces: Float[np.ndarray, "window step channel"],
    windows: Windows,
    shape: tuple[int, int, int],
) -> Float[np.ndarray, "trial bin channel"]:
    """Average overlapping windows, each weighted towards its centre.

    The weight is a triangle, so a bin is mostly inferred from windows that see both its past and
    its future. Bins that no window covers (padding, trials not asked for) are 0.

    Parameters
    ----------
    pieces : numpy.ndarray
        One result per window.
    shape : tuple of int
        Trials, bins and channels of the result.
    """
    n_bins = windows.n_bins
    triangle = np.minimum(np.arange(1, n_bins + 1), np.arange(n_bins, 0, -1)).astype(pieces.dtype)
    total = np.zeros((shape[0], shape[1] + n_bins, shape[2]), pieces.dtype)
    weight = np.zeros((shape[0], shape[1] + n_bins, 1), pieces.dtype)
    for piece, trial, start in zip(pieces, windows.trial, windows.start, strict=True):
        total[trial, start : start + n_bins] += piece * triangle[:, None]
        weight[trial, start : start + n_bins, 0] += triangle
    total /= np.maximum(weight, np.finfo(pieces.dtype).tiny)
    return total[:, : shape[1]]


def window_of(stream: MaskedStream) -> int:
    """The window that a network is trained on. [bins]"""
    longest = int(stream.lengths.max())
    return min(stream.window_bins or longest, longest)

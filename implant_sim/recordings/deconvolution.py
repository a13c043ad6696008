"""Calcium events out of fluorescence: non-negative deconvolution of a first-order process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

__all__ = ["Rule", "deconvolve", "events_of", "noise_of"]

_MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Rule:
    """How traces are deconvolved."""

    kept: float
    """Share of the calcium that is left after a frame."""
    threshold: float
    """The least event that counts, in standard deviations of the channel's noise."""
    baseline: float | None = None
    """Quantile of a run of frames that is taken for its baseline; None: the baseline is 0."""

    def above_baseline(self, trace: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
        """A run of frames, less its baseline."""
        trace = trace.astype(np.float64)
        return trace if self.baseline is None else trace - np.quantile(trace, self.baseline)


def deconvolve(
    trace: Float[np.ndarray, " frame"], kept: float, least: float = 0.0
) -> Float[np.ndarray, " frame"]:
    r"""Find the events that drive a decaying trace: OASIS, by pooling adjacent violators.

    .. math:: \min_c \sum_t (y_t - c_t)^2, \quad s_t = c_t - \gamma c_{t-1} \ge 0, \quad c \ge 0

    In one pass: a frame is a pool of its own until it would need a negative event; then it joins
    the pool before it, which decays through it. With `least` above 0 an event must be at least
    so large, and the pass is a greedy one, as its authors give it.

    Parameters
    ----------
    trace : numpy.ndarray, shape (frame,)
        Fluorescence above its baseline.
    kept : float
        gamma: share of the calcium that is left after a frame, in (0, 1).
    least : float
        Least size of an event. [unit of the trace]

    Returns
    -------
    numpy.ndarray, shape (frame,)
        Size of the event in each frame; the first is the calcium that was there at the start.

    References
    ----------
    .. [1] J. Friedrich, P. Zhou, L. Paninski, "Fast online deconvolution of calcium imaging
       data", PLoS Comput Biol 13:e1005423, 2017.

    Examples
    --------
    >>> deconvolve(np.array([0.0, 1.0, 0.5, 0.25, 2.125]), 0.5)
    array([0., 1., 0., 0., 2.])
    """
    n = len(trace)
    left = (kept ** np.arange(n + 1)).tolist()
    level: list[float] = []  # of each pool, at its first frame
    weight: list[float] = []
    size: list[int] = []
    for value in trace.tolist():
        v, w, k = value, 1.0, 1
        while level:
            decayed = left[size[-1]]
            if v >= max(level[-1], 0.0) * decayed + least:
                break
            w0 = weight.pop()
            v = (w0 * level.pop() + decayed * w * v) / (w0 + decayed * decayed * w)
            w = w0 + decayed * decayed * w
            k += size.pop()
        level.append(v)
        weight.append(w)
        size.append(k)
    begins = np.cumsum([0, *size[:-1]])
    height = np.maximum(level, 0.0)
    before = np.concatenate([[0.0], height[:-1] * np.array(left)[size[:-1]]])
    events = np.zeros(n)
    events[begins] = np.maximum(height - before, 0.0)
    return events


def noise_of(runs: Sequence[Float[np.ndarray, "..."]], kept: float) -> float:
    """Standard deviation of the noise of a frame, from what decay does not explain.

    1.4826 x the median absolute deviation of ``y[t] - kept * y[t-1]``, / sqrt(1 + kept^2): few of
    these differences hold an event. 0 where no frame has a neighbour.
    """
    left = np.concatenate([run[1:] - kept * run[:-1] for run in runs] or [np.zeros(0)])
    if not left.size:
        return 0.0
    return float(_MAD_TO_SD * np.median(np.abs(left - np.median(left))) / np.hypot(1, kept))


def events_of(
    traces: Float[np.ndarray, "frame channel"],
    known: Bool[np.ndarray, "frame channel"],
    starts: Int[np.ndarray, " piece"],
    rule: Rule,
) -> tuple[Float32[np.ndarray, "frame channel"], Bool[np.ndarray, "frame channel"]]:
    """Events of each channel, in units of the least event that counts.

    Parameters
    ----------
    traces : numpy.ndarray, shape (frame, channel)
        Fluorescence, any unit.
    known : numpy.ndarray
        False where nothing was recorded. A run of recorded frames is deconvolved by itself.
    starts : numpy.ndarray, shape (piece,)
        First frames of trials, where a new run begins.
    rule : Rule
        Decay, threshold, baseline.

    Returns
    -------
    events : numpy.ndarray
        0, or at least 1 (up to rounding). 0 where not observed. Of a channel without noise, in
        the unit of the trace.
    observed : numpy.ndarray
        What is known of the first frame of a run is a level, not an event: it is not observed.
    """
    events = np.zeros(traces.shape, np.float32)
    observed = known.copy()
    observed[1:] &= known[:-1]
    observed[0] = observed[starts] = False
    for channel in range(traces.shape[1]):
        runs = _runs(known[:, channel], starts)
        values = [rule.above_baseline(traces[run, channel]) for run in runs]
        least = rule.threshold * noise_of(values, rule.kept)
        for run, trace in zip(runs, values, strict=True):
            events[run, channel] = deconvolve(trace, rule.kept, least) / (least or 1.0)
    return np.where(observed, events, np.float32(0)), observed


def _runs(known: Bool[np.ndarray, " frame"], starts: Int[np.ndarray, " piece"]) -> list[slice]:
    """Stretches of recorded frames, none of which reaches into the next piece."""
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False)).reshape(-1, 2)
    found = []
    for first, stop in edges:
        inside = starts[(starts > first) & (starts < stop)]
        found += [slice(*pair) for pair in pairwise([first, *inside, stop])]
    return found

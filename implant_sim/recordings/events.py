"""From clocks to bins: spike times to counts, sampled behaviour to means over bins."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int32, Num, Shaped

from implant_sim.recordings.assemble import check_size
from sbtt_models.errors import DataError

__all__ = ["bin_means", "bin_spikes", "check_times", "whole_bins"]

# A spike so close before an edge (in bins) is on it: 0.3 / 0.1 is 2.9999999999999996 in floats.
_EDGE = 1e-6


def check_times(times: Shaped[np.ndarray, " sample"], where: str) -> Float[np.ndarray, " sample"]:
    """Refuse times that are not finite numbers, and return them as floats.

    Raises
    ------
    DataError
        For NaN, infinite or non-numeric times.
    """
    if times.dtype.kind not in "iuf":
        raise DataError(f"{where}: times must be numbers, got dtype {times.dtype}")
    times = times.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(times))
    if bad.size:
        raise DataError(
            f"{where}: {bad.size} of {times.size} times are NaN or infinite (first at {bad[0]}); "
            "remove those events"
        )
    return times


def whole_bins(duration_s: float, bin_s: float) -> int:
    """How many whole bins fit; a last, incomplete one is left out.

    Examples
    --------
    >>> whole_bins(0.3, 0.1), whole_bins(0.35, 0.1)
    (3, 3)
    """
    return int(np.floor(duration_s / bin_s + _EDGE))


def bin_spikes(
    times_s: Float[np.ndarray, " spike"],
    channels: Num[np.ndarray, " spike"],
    start_s: float,
    shape: tuple[int, int],
    bin_s: float,
) -> Int32[np.ndarray, "bin channel"]:
    """Count spikes from `start_s` on.

    Parameters
    ----------
    times_s : numpy.ndarray, shape (spike,)
        Spike times in ascending order. [s]
    channels : numpy.ndarray, shape (spike,)
        Channel of each spike.
    start_s : float
        Left edge of the first bin; a spike on an edge counts in the bin to its right. [s]
    shape : tuple of int
        Bins and channels.
    bin_s : float
        Bin width. [s]

    Examples
    --------
    >>> bin_spikes(np.array([0.05, 0.1, 0.3]), np.array([0, 1, 1]), 0.0, (3, 2), 0.1)
    array([[1, 0],
           [0, 1],
           [0, 0]], dtype=int32)
    """
    check_size(shape, 8, "binned spikes")
    slack = _EDGE * bin_s
    stop_s = start_s + shape[0] * bin_s
    first, last = np.searchsorted(times_s, [start_s - slack, stop_s - slack])
    index = np.floor((times_s[first:last] - start_s) / bin_s + _EDGE).astype(np.int64)
    flat = np.clip(index, 0, shape[0] - 1) * shape[1] + channels[first:last].astype(np.int64)
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int32)


def bin_means(
    times_s: Float[np.ndarray, " sample"],
    values: Float[np.ndarray, "sample dim"],
    edges_s: Float[np.ndarray, " edge"],
    max_gap_s: float,
) -> Float[np.ndarray, "bin dim"]:
    """Mean in each bin of the straight lines between samples.

    One rule for behaviour sampled slower and faster than the bins. Samples that hold a NaN are
    left out; a bin that touches a gap longer than `max_gap_s`, or reaches beyond the samples, is
    NaN. Of samples at the same time the first counts.

    Parameters
    ----------
    times_s : numpy.ndarray, shape (sample,)
        Times in ascending order. [s]
    values : numpy.ndarray, shape (sample, dim)
        Values at these times, any unit.
    edges_s : numpy.ndarray, shape (bin + 1,)
        Edges of the bins, ascending. [s]
    max_gap_s : float
        Longest step between samples that is bridged. [s]

    Returns
    -------
    numpy.ndarray, shape (bin, dim)
        NaN where unknown.

    Examples
    --------
    >>> times, values = np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [1.0]])
    >>> bin_means(times, values, np.array([0.0, 1.0, 2.0, 3.0]), max_gap_s=1.0).ravel()
    array([0.5, 1. , nan])
    """
    known = np.isfinite(values).all(axis=1)
    times_s, first = np.unique(times_s[known], return_index=True)
    values = values[known][first]
    n_bins, n_dims = len(edges_s) - 1, values.shape[1]
    if times_s.size < 2:
        return np.full((n_bins, n_dims), np.nan)
    grid = np.union1d(times_s, edges_s)
    lines = np.stack([np.interp(grid, times_s, column) for column in values.T], axis=1)
    areas = np.diff(grid)[:, None] * (lines[1:] + lines[:-1]) / 2
    integral = np.concatenate([np.zeros((1, n_dims)), np.cumsum(areas, axis=0)])
    at = np.searchsorted(grid, edges_s)
    means = np.diff(integral[at], axis=0) / np.diff(edges_s)[:, None]

    left = np.searchsorted(times_s, edges_s[:-1], side="right") - 1
    right = np.searchsorted(times_s, edges_s[1:], side="left")
    outside = (left < 0) | (right >= times_s.size)
    # gaps longer than allowed, counted up to each sample: a bin touches none if the count stands
    wide = np.concatenate([[0], np.cumsum(np.diff(times_s) > max_gap_s * (1 + 1e-9))])
    inside = np.clip(right, 0, times_s.size - 1)
    broken = wide[inside] > wide[np.clip(left, 0, None)]
    means[outside | broken] = np.nan
    return means

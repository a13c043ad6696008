"""Counts that the file marks as missing, and calcium traces that are no counts yet."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Shaped

from implant_sim.recordings.deconvolution import Rule, events_of
from implant_sim.recordings.fields import Fluorescence

__all__ = ["calcium_events", "without_missing"]

_Flat = Shaped[np.ndarray, "row channel"]
_Recorded = Bool[np.ndarray, "row channel"] | None
_MAD_TO_SD = 1.4826  # of a normal distribution


def without_missing(
    flat: _Flat, missing: Literal["nan", "negative"] | None
) -> tuple[_Flat, _Recorded]:
    """Put 0 where the file says that nothing was recorded, and say where that is.

    Examples
    --------
    >>> without_missing(np.array([[1.0, np.nan]]), "nan")
    (array([[1., 0.]]), array([[ True, False]]))
    """
    if missing == "nan" and flat.dtype.kind == "f":
        recorded = ~np.isnan(flat)
    elif missing == "negative" and flat.dtype.kind in "if":
        recorded = ~(flat < 0)
    else:
        return flat, None
    if recorded.all():
        return flat, None
    return np.where(recorded, flat, np.zeros((), flat.dtype)), recorded


def calcium_events(
    flat: _Flat,
    recorded: _Recorded,
    starts: Int[np.ndarray, " piece"],
    rule: Fluorescence,
    bin_s: float,
) -> tuple[_Flat, _Recorded]:
    """Events of calcium traces, by the rule that :class:`Fluorescence` states.

    Parameters
    ----------
    flat : numpy.ndarray, shape (row, channel)
        Fluorescence, any unit.
    recorded : numpy.ndarray or None
        False where missing. An event needs its own frame and the one before.
    starts : numpy.ndarray, shape (piece,)
        First row of each trial.
    rule : Fluorescence
        Decay and threshold.
    bin_s : float
        Time from frame to frame. [s]

    Returns
    -------
    tuple
        Events (0 or 1, or their sizes), and where they are known. Values that are not finite stay
        as they are, to be refused as counts.
    """
    if not np.isfinite(flat).all():
        return flat, recorded
    kept = float(np.exp(-bin_s / rule.decay_s))
    if rule.sizes:
        every = np.ones(flat.shape, bool) if recorded is None else recorded
        how = Rule(kept, rule.threshold, rule.baseline)
        return events_of(flat.astype(np.float64), every, starts, how)
    innovation = np.zeros(flat.shape)
    innovation[1:] = flat[1:] - kept * flat[:-1].astype(np.float64)
    known = np.ones(flat.shape, bool) if recorded is None else recorded.copy()
    known[1:] &= known[:-1]
    known[starts] = False
    counts = np.zeros(flat.shape, np.int32)
    for channel in range(flat.shape[1]):
        own = known[:, channel]
        if not own.any():
            continue
        values = innovation[own, channel]
        values = values - np.median(values)
        noise = _MAD_TO_SD * np.median(np.abs(values))
        counts[own, channel] = values > rule.threshold * noise
    if recorded is None:
        return counts, None
    return counts, known | (recorded & _first(starts, flat.shape))


def _first(starts: Int[np.ndarray, " piece"], shape: tuple[int, int]) -> Bool[np.ndarray, "..."]:
    first = np.zeros(shape, bool)
    first[starts] = True
    return first

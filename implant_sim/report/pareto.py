"""Which operating points are worth having: pure functions of power, fidelity and their repeats."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["Standing", "difference", "front", "standings"]

Standing = Literal["front", "tie", "dominated"]
_TIE_SE = 2.0  # standard errors of the paired difference
_SAME_COST = 1e-9  # relative
_ROUNDING = 1e-9


def front(
    cost: Float[np.ndarray, " point"], value: Float[np.ndarray, " point"]
) -> Bool[np.ndarray, " point"]:
    """Mark the points that no other point beats.

    A point beats another if it costs no more and is worth no less, and is better in one of the
    two. Points with a NaN are never on the front.

    Parameters
    ----------
    cost : numpy.ndarray, shape (point,)
        Less is better, for example power. [W]
    value : numpy.ndarray, shape (point,)
        More is better, for example R².

    Examples
    --------
    >>> front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.5, 0.7, 0.6, 0.7])).tolist()
    [True, True, False, False]
    """
    on = np.zeros(cost.size, bool)
    usable = np.flatnonzero(np.isfinite(cost) & np.isfinite(value))
    best, at = -np.inf, np.inf
    for i in usable[np.lexsort((-value[usable], cost[usable]))]:
        if value[i] > best:
            best, at = value[i], cost[i]
        on[i] = value[i] == best and cost[i] == at
    return on


def difference(
    a: Float[np.ndarray, " repeat"], b: Float[np.ndarray, " repeat"]
) -> tuple[float, float]:
    """Mean of the paired differences a - b and its standard error; NaN marks a missing repeat.

    Repeats share their random numbers, so the pairs differ by less than the values do.

    Returns
    -------
    tuple of float
        The error is 0 for a single pair: nothing is known about it. Both NaN without pairs.

    Examples
    --------
    >>> difference(np.array([3.0, 5.0]), np.array([1.0, 2.0]))
    (2.5, 0.5)
    """
    d = (a - b)[np.isfinite(a) & np.isfinite(b)]
    if d.size == 0:
        return float("nan"), float("nan")
    return float(d.mean()), float(d.std(ddof=1) / np.sqrt(d.size)) if d.size > 1 else 0.0


def standings(
    cost: Float[np.ndarray, " point"], values: Float[np.ndarray, "point repeat"]
) -> list[Standing | None]:
    """Say of each point whether it is on the front, tied with it, or beaten.

    Parameters
    ----------
    cost : numpy.ndarray, shape (point,)
        Less is better. [W]
    values : numpy.ndarray, shape (point, repeat)
        More is better; NaN where a repeat is missing.

    Returns
    -------
    list of {"front", "tie", "dominated", None}
        ``tie``: some cheaper point has a higher mean, but none by more than two standard errors
        of the paired difference. None: no value.
    """
    known = np.isfinite(values).any(axis=1)
    mean = np.full(len(values), np.nan)
    mean[known] = np.nanmean(values[known], axis=1)
    on = front(cost, mean)
    out: list[Standing | None] = []
    for i in range(len(cost)):
        if not known[i] or not np.isfinite(cost[i]):
            out.append(None)
        elif on[i]:
            out.append("front")
        else:
            rivals = values[known & (cost <= cost[i] * (1 + _SAME_COST)) & (mean > mean[i])]
            out.append("dominated" if _beaten(rivals - values[i]) else "tie")
    return out


def _beaten(gaps: Float[np.ndarray, "rival repeat"]) -> bool:
    """Does some rival's paired difference exceed its error? As `difference`, for many at once."""
    there = np.isfinite(gaps)
    n = there.sum(axis=1)
    mean = np.where(there, gaps, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = (np.where(there, gaps - mean[:, None], 0.0) ** 2).sum(axis=1)
    error = np.sqrt(squares / np.maximum(n - 1, 1) / np.maximum(n, 1))
    # just two errors are a tie, whichever way the last digit was rounded
    return bool(((n > 0) & (mean > 0) & (mean > _TIE_SE * error * (1 + _ROUNDING))).any())

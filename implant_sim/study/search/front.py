"""Fronts: what nothing else dominates, how much it covers, and where it bends. All minimised."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["hypervolume", "knee", "non_dominated"]


def non_dominated(values: Float[np.ndarray, "point objective"]) -> Bool[np.ndarray, " point"]:
    """Which points no other is better than in one objective and as good in all.

    Of equal points all are kept.

    Examples
    --------
    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [True, True, False]
    """
    as_good = np.ones((len(values), len(values)), bool)
    better = np.zeros_like(as_good)
    for column in values.T:  # one at a time: the pairs alone may be a hundred million
        as_good &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    dominated: Bool[np.ndarray, " point"] = np.any(as_good & better, axis=0)
    return np.logical_not(dominated)


def hypervolume(
    values: Float[np.ndarray, "point objective"], reference: Float[np.ndarray, " objective"]
) -> float:
    """Volume between the points and a reference that is worse than they are.

    Parameters
    ----------
    values : ndarray, shape (point, objective)
        Of at most a few objectives; points beyond the reference cover nothing.
    reference : ndarray, shape (objective,)

    Examples
    --------
    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    if inside.shape[1] == 2:
        first, second = inside[np.argsort(inside[:, 0], kind="stable")].T
        widths = np.diff(np.append(first, reference[0]))
        return float(widths @ (reference[1] - np.minimum.accumulate(second)))
    # slices along the last objective, each as wide as the way to the next point
    order = np.argsort(inside[:, -1], kind="stable")
    inside = inside[order]
    widths = np.diff(np.append(inside[:, -1], reference[-1]))
    return float(
        sum(
            width * hypervolume(inside[: i + 1, :-1], reference[:-1])
            for i, width in enumerate(widths)
            if width > 0
        )
    )


def knee(values: Float[np.ndarray, "point objective"]) -> int:
    """The point of a front that lies farthest from the line between its ends.

    With more than two objectives, from the plane through the best of each; both on scales where
    the front reaches from 0 to 1.

    Parameters
    ----------
    values : ndarray, shape (point, objective)
        The front; at least one point.

    Returns
    -------
    int
        Its place; of a front without a bend, the point with the best mean.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))

"""By turns, in an order that spreads every stretch of it over the array."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from jaxtyping import Int
from typing_extensions import override

from implant_sim.hardware.kernels import masks
from implant_sim.hardware.schedules.base import Budgeted, Groups, Plan, View

__all__ = ["LowDiscrepancy", "spread_order"]

_GOLDEN = (math.sqrt(5) - 1) / 2


class LowDiscrepancy(Budgeted):
    """By turns, so that any few steps in a row cover the whole array evenly.

    With n channels, k of them in a step, a channel comes back after at most ceil(n / k) steps. On
    wires that hold one channel, the wires take turns in such an order, and so do, in their turn,
    the channels of each; a channel then comes back after at most ceil(m n / k) steps, for n wires
    and m channels on its own.
    """

    kind: Literal["low_discrepancy"] = "low_discrepancy"
    order: Literal["golden_ratio", "bit_reversal"] = "golden_ratio"
    """Multiples of the golden ratio, or of the van der Corput sequence, by size."""

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        g = _reordered(view.groups, self.order, view.any_order)
        return Plan(masks.round_robin(view.n_steps, g.start, g.members, k))


def spread_order(n: int, order: str) -> Int[np.ndarray, " place"]:
    """Put 0 to n - 1 in an order of which every stretch is spread evenly.

    Parameters
    ----------
    n : int
        How many there are.
    order : {"golden_ratio", "bit_reversal"}
        Which sequence of low discrepancy says where to go next.

    Returns
    -------
    numpy.ndarray, shape (place,)
        A permutation.

    References
    ----------
    .. [1] H. Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods", SIAM 1992,
       chapter 3: both sequences have the least order of discrepancy there is in one dimension.

    Examples
    --------
    >>> spread_order(8, "bit_reversal").tolist()
    [0, 4, 2, 6, 1, 5, 3, 7]
    >>> spread_order(5, "golden_ratio").tolist()
    [0, 3, 1, 4, 2]
    """
    if order == "golden_ratio":
        places = np.arange(n) * _GOLDEN % 1.0
        return np.argsort(np.argsort(places))
    bits = max(1, (n - 1).bit_length())
    reversed_ = np.zeros(1, dtype=np.int64)
    for _ in range(bits):
        reversed_ = np.concatenate([2 * reversed_, 2 * reversed_ + 1])
    return reversed_[reversed_ < n]


def _reordered(groups: Groups, order: str, any_order: bool) -> Groups:
    """The same groups, taken in another order, with their members in another order."""
    members, sizes = [], []
    for g in spread_order(groups.n, order):
        own = groups.members[groups.start[g] : groups.start[g + 1]]
        members.append(own[spread_order(len(own), order)] if any_order else own)
        sizes.append(len(own))
    start = np.concatenate([[0], np.cumsum(sizes)])
    return Groups(start, np.concatenate(members), groups.of)

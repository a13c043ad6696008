"""Banks of channels, one after the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool
from typing_extensions import override

from implant_sim.hardware.schedules.base import Budgeted, Groups, Plan, View

__all__ = ["Blocks", "banks"]


class Blocks(Budgeted):
    """A bank of channels in each step, then the next bank, and so round.

    Banks are fixed: a channel always comes with the same others. A bank never holds two channels
    of a wire: banks are cut from the first channels of all wires, then from the second ones, and
    so on, as a chip does that switches all its wires at once. The last of each may be smaller.
    """

    kind: Literal["blocks"] = "blocks"
    layout: Literal["contiguous", "strided"] = "contiguous"
    """Neighbours together, or channels spread over the array."""

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        bank = banks(view.groups, self.channels_per_bin(view), self.layout)
        return Plan(bank[np.arange(view.n_steps) % len(bank)])


def banks(groups: Groups, k: int, layout: str) -> Bool[np.ndarray, "bank channel"]:
    """Cut the channels into banks of k at most, one channel of a wire in each."""
    n = len(groups.members)
    place = np.empty(n, dtype=np.int64)  # of each channel on its wire
    place[groups.members] = np.arange(n) - groups.start[groups.of[groups.members]]
    rows = []
    for turn in range(int(place.max()) + 1):
        channels = groups.members[place[groups.members] == turn]
        n_banks = -(-len(channels) // k)
        for b in range(n_banks):
            row = np.zeros(n, dtype=np.bool_)
            part = slice(b, None, n_banks) if layout == "strided" else slice(b * k, (b + 1) * k)
            row[channels[part]] = True
            rows.append(row)
    return np.stack(rows)

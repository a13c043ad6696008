"""The end of the values of one key that will do: probes over the whole range, then halving."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from implant_sim.study.axes import Axis, Choice, Listed, Ranged
from implant_sim.study.search.propose import Proposal, Proposer
from sbtt_models.errors import SpecError

__all__ = ["Bisection"]

_PROBES = 17
"""Values over the whole range that are looked at first, so that a gap in what will do shows."""
_STEPS = 10_000
"""Parts of a range of real numbers that are told apart."""


class Bisection(Proposer):
    """Looks for the last value of an axis that will do, from one side.

    Parameters
    ----------
    axis : Axis or None
        Its values rise or fall; None for a space without axes, of one point.
    upwards : bool
        Whether the highest value is looked for, or the lowest.

    Raises
    ------
    SpecError
        For values without an order.
    """

    def __init__(self, axis: Axis | None, upwards: bool) -> None:
        if axis is not None and not axis.is_ordered:
            raise SpecError(
                f"search.space.{axis.keys[0]}: to bisect, its values must rise or fall"
            )
        self._axis, self._n = axis, _n_places(axis)
        whole = isinstance(axis, Ranged) and axis.range.whole
        self._low = int(axis.range.ends[0]) if isinstance(axis, Ranged) and whole else 0
        falling = isinstance(axis, Listed) and axis.falls
        self._towards_last = upwards != falling
        self._holds: dict[int, bool] = {}
        self._asked: list[int] = []
        shares = [i / (_PROBES - 1) for i in range(_PROBES)]
        self._queue = sorted({self._place(share) for share in shares})

    @override
    def ask(self, n: int) -> list[Proposal]:
        if not self._queue and len(self._holds) == len(self._asked):
            self._queue = self._next()
        taken, self._queue = self._queue[:n], self._queue[n:]
        first = len(self._asked)
        self._asked += taken
        return [Proposal(first + i, self.choice(place)) for i, place in enumerate(taken)]

    @override
    def tell(self, number: int, values: Sequence[float], violation: float) -> None:
        self._holds[self._asked[number]] = bool(values) and violation == 0

    @property
    def answer(self) -> int | None:
        """The place of the last value that will do; None if none does."""
        good = [place for place, holds in self._holds.items() if holds]
        return (max if self._towards_last else min)(good, default=None)

    @property
    def ends_here(self) -> bool:
        """Whether the answer is the end of the range, so that more might do."""
        return self.answer == (self._n - 1 if self._towards_last else 0)

    @property
    def monotone(self) -> bool:
        """Whether all values looked at up to the answer will do, so that it is the only end."""
        best = self.answer
        if best is None:
            return True
        side = 1 if self._towards_last else -1
        return all(holds for place, holds in self._holds.items() if side * (best - place) >= 0)

    def number_of(self, place: int) -> int:
        """The proposal that asked for a place."""
        return self._asked.index(place)

    def beyond(self, share: float) -> int | None:
        """The place of the first value past the answer by a share of it; None without any."""
        best, side = self.answer, 1 if self._towards_last else -1
        if best is None or self.ends_here:
            return None
        wanted = abs(self._value(best)) * share
        place = best + side
        while 0 < place < self._n - 1 and abs(self._value(place) - self._value(best)) < wanted:
            place += side * max(1, (self._n - 1) // _STEPS)
        return min(max(place, 0), self._n - 1)

    def choice(self, place: int) -> Choice:
        """What stands at a place."""
        axis = self._axis
        if axis is None:
            return {}
        if not isinstance(axis, Ranged):
            return axis[place]
        if axis.range.whole:
            return axis.of(axis.range.spelt(self._low + place))
        return axis.at(place / (self._n - 1))

    def _value(self, place: int) -> float:
        axis = self._axis
        if isinstance(axis, Ranged):
            low, high = axis.range.ends
            if axis.range.whole:
                return low + place
            share = place / (self._n - 1)
            log = axis.range.spacing.startswith("log")
            return low * (high / low) ** share if log else low + share * (high - low)
        return float(place)

    def _place(self, share: float) -> int:
        axis = self._axis
        if isinstance(axis, Ranged) and axis.range.spacing == "log_integer":
            low, high = axis.range.ends
            return round(low * (high / low) ** share) - self._low
        return round(share * (self._n - 1))

    def _next(self) -> list[int]:
        """Between the last value that will do and the first beyond that does not."""
        best = self.answer
        if best is None or self.ends_here:
            return []
        side = 1 if self._towards_last else -1
        others = [place for place in self._holds if side * (place - best) > 0]
        first = min(others, key=lambda place: side * place)
        if abs(first - best) < 2:
            return []
        return [self._middle(*sorted((best, first)))]

    def _middle(self, low: int, high: int) -> int:
        axis = self._axis
        if isinstance(axis, Ranged) and axis.range.spacing == "log_integer":
            found = round(((self._low + low) * (self._low + high)) ** 0.5) - self._low
        else:
            found = (low + high) // 2
        return min(max(found, low + 1), high - 1)


def _n_places(axis: Axis | None) -> int:
    if axis is None:
        return 1
    if not isinstance(axis, Ranged):
        return len(axis)
    low, high = axis.range.ends
    return int(high - low) + 1 if axis.range.whole else _STEPS + 1

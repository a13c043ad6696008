"""The end of the values of one key that will do: probes over the whole range, then the bracket."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from implant_sim.study.axes import Axis, Choice, Listed, Ranged
from implant_sim.study.search.propose import Proposal, Proposer
from sbtt_models.errors import SpecError

__all__ = ["Bisection"]

_PROBES = 17
"""Values over the whole range that are looked at first, so that a gap in what will do shows."""
_NEVER = 1e6
"""A violation so large says that a point cannot be at all, not how far it is from it."""
_GUESSES = 2
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
        self._broken: dict[int, float] = {}
        """How far the conditions are broken, where that is told."""
        self._n_guesses = 0
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
        place = self._asked[number]
        self._holds[place] = bool(values) and violation == 0
        if 0 < violation < _NEVER:
            self._broken[place] = violation

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

    def _nearest(self, value: float) -> int:
        """The last place whose value is not above this one."""
        low, high = 0, self._n - 1
        rises = self._value(high) >= self._value(low)
        while low < high:
            middle = (low + high + 1) // 2
            if (self._value(middle) <= value) == rises:
                low = middle
            else:
                high = middle - 1
        return low

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
        guess = self._guess(best, first, side)
        return [self._middle(*sorted((best, first)))] if guess is None else guess

    def _guess(self, best: int, first: int, side: int) -> list[int] | None:
        """Places about the end, as a line through two that will not do foretells it.

        Most conditions are broken by an amount that grows as a straight line: three looks instead
        of a dozen; twice, since those tell a better line where several conditions are broken.
        After that halving is due.
        """
        self._n_guesses += 1
        beyond = sorted((p for p in self._broken if side * (p - best) > 0), key=lambda p: side * p)
        if self._n_guesses > _GUESSES or len(beyond) < 2 or beyond[0] != first:
            return None
        (x, y), (u, v) = ((self._value(p), self._broken[p]) for p in beyond[:2])
        if v <= y:
            return None
        end = self._nearest(x - y * (u - x) / (v - y))
        inside = range(min(best, first) + 1, max(best, first))
        return [p for p in range(end - 1, end + 2) if p in inside] or [best + side]

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

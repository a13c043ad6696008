"""The front end's work on lists of channels, chunk by chunk, or over one period of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Int32

from implant_sim.hardware.coverage import Visits
from implant_sim.hardware.kernels import list_units
from implant_sim.hardware.rules import Counted, Rules
from implant_sim.hardware.schedules.lists import Lists

__all__ = ["FrontEndCount"]

# totals that are kept
_SAMPLES, _SWITCHED = 0, 1
_OF_CHANNELS, _OF_UNITS = slice(2, 8), slice(8, 14)
_ANEW, _SHORT, _LONG, _WHOLE, _CUT, _LATE = range(6)


class FrontEndCount:
    """Counts the steps of a schedule as they come.

    A step of the schedule is `span` steps of the front end's clock; where the clock ends inside
    the last step, `finish` takes off what lies beyond.
    """

    def __init__(self, rules: Rules, gated: bool, span: int) -> None:
        n_channels = len(rules.unit_of)
        self._rules, self._span = rules, span
        self._own_units = gated and rules.n_units < rules.n_electrodes
        self._least_gap = rules.least_gap if gated else rules.n_steps + 1
        self._gated = gated
        self.settles_inside = rules.settles_inside
        self.total = np.zeros(14, dtype=np.int64)
        self.seen = _unseen(n_channels)
        self.seen_units = _unseen(rules.n_units if self._own_units else 0)
        self._held = np.full(rules.n_wires, -1, dtype=np.int32)
        self._load = np.zeros(rules.n_wires, dtype=np.int32)
        self._wire_of = rules.wire_of.astype(np.int32)
        self._between, self._longest = 0, 0

    def feed(
        self, first: int, channels: Int32[np.ndarray, " sample"], size: Int[np.ndarray, " step"]
    ) -> Float[np.ndarray, " step"]:
        """Take the next steps; return what filters need before each, in steps of the clock."""
        rules = self._rules
        of_gate = rules.n_steps + 1 if self._own_units else self._least_gap
        total, between, longest, before = list_units.pauses(
            channels, size, first, self.seen, self._span, of_gate, rules.warm_steps
        )
        self.total[_SAMPLES] += len(channels)
        self.total[_OF_CHANNELS] += total
        self._between, self._longest = max(self._between, between), max(self._longest, longest)
        if self._own_units:
            units = rules.unit_of[channels].astype(np.int32)
            self.total[_OF_UNITS] += list_units.pauses(
                units, size, first, self.seen_units, self._span, self._least_gap, 0.0
            )[0]
        self.total[_SWITCHED] += self._switched(channels, size)
        return before

    def _switched(
        self, channels: Int32[np.ndarray, " sample"], size: Int[np.ndarray, " step"]
    ) -> int:
        rules = self._rules
        if rules.switching == "held":
            return int(list_units.changes_in(channels, self._wire_of, self._held))
        if rules.switching == "shared":
            return int(list_units.shared_in(channels, size, self._wire_of, self._load))
        return 0

    def finish(self, n_steps: int, last: Int32[np.ndarray, " sample"]) -> tuple[Counted, Visits]:
        """Say what was counted in so many steps, the last of which took these channels."""
        rules, span = self._rules, self._span
        beyond = n_steps * span - rules.n_steps
        of, visits = self.total[_OF_CHANNELS], self.seen[:, 1]
        switched = int(self.total[_SWITCHED])
        if rules.switching == "shared":
            at_last = self._switched(last, np.array([len(last)]))
            switched = switched * span - beyond * at_last
        on, wakes = self._gate(n_steps, beyond)
        counted = Counted(
            n_sampled=int(self.total[_SAMPLES]) * span - beyond * len(last),
            before=0.0
            if rules.settles_inside
            else int(of[_WHOLE]) * span + int(of[_CUT]) * rules.warm_steps,
            on=on,
            wakes=wakes,
            switched=switched,
            wires_used=len(np.unique(rules.wire_of[visits > 0])),
        )
        ever = visits > 0
        trailing = int((n_steps - 1 - self.seen[ever, 0]).max())
        found = Visits(
            n_steps=n_steps,
            visits=visits,
            longest=self._between + 1 if int(visits.max()) > 1 else 0,
            between=int(self.seen[ever, 0].sum()) - int(of[_LATE]),
            pause=max(self._longest, trailing),
            starts=int(of[_ANEW]),
        )
        return counted, found

    def _gate(self, n_steps: int, beyond: int) -> tuple[int, int]:
        """Steps on and wake-ups; a pause at the end counts as followed by a wake-up."""
        if not self._gated:
            return 0, 0
        own = self._own_units
        seen = self.seen_units if own else self.seen
        of = self.total[_OF_UNITS if own else _OF_CHANNELS]
        ever = seen[:, 1] > 0
        ends = np.minimum((seen[ever, 0].astype(np.int64) + 1) * self._span, self._rules.n_steps)
        trailing = self._rules.n_steps - ends
        asleep = trailing >= self._least_gap
        visits = int(seen[:, 1].sum()) * self._span - beyond * int(
            (seen[:, 0] == n_steps - 1).sum()
        )
        on = visits + int(of[_SHORT]) * self._span + int(trailing[~asleep].sum())
        return on, int(of[_LONG]) + int(asleep.sum())

    def run(self, lists: Lists, n_steps: int, n_at_once: int) -> Float[np.ndarray, " step"]:
        """Take all steps; of a schedule that repeats itself, one period stands for the others.

        Returns
        -------
        numpy.ndarray, shape (step,)
            What filters need before each, in steps of the clock.
        """
        period = lists.period or n_steps
        begin, end = period + n_steps % period, 2 * period + n_steps % period
        if n_steps <= end:
            return self._feed_all(lists, 0, n_steps, n_at_once)
        lead_in = self._feed_all(lists, 0, begin, n_at_once)
        total, visits = self.total.copy(), self.seen[:, 1].copy()
        visits_of_units = self.seen_units[:, 1].copy()
        turn = self._feed_all(lists, begin, end, n_at_once)
        more = (n_steps - end) // period
        self.total += more * (self.total - total)
        for seen, was in ((self.seen, visits), (self.seen_units, visits_of_units)):
            seen[:, 1] += more * (seen[:, 1] - was)
            seen[seen[:, 0] >= 0, 0] += n_steps - end
        return np.concatenate([lead_in, np.tile(turn, more + 1)])

    def _feed_all(
        self, lists: Lists, begin: int, end: int, n_at_once: int
    ) -> Float[np.ndarray, " step"]:
        before = np.empty(end - begin)
        for first in range(begin, end, n_at_once):
            n = min(n_at_once, end - first)
            before[first - begin :][:n] = self.feed(first, *lists.take(first, n))
        return before


def _unseen(n_units: int) -> Int32[np.ndarray, "unit 2"]:
    seen = np.zeros((n_units, 2), dtype=np.int32)
    seen[:, 0] = -1
    return seen

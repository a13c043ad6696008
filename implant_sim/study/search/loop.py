"""The loop of a search: ask, price, train what is worth it, tell; the run folder keeps it all.

Nothing of the search itself is kept: proposals follow from the seed and from what came of the
points before, so an interrupted search asks the same again and finds the answers in the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from implant_sim.study.axes import Choice
from implant_sim.study.budget import Budget, Shop, budgets
from implant_sim.study.expand import labels_of
from implant_sim.study.expression import Condition
from implant_sim.study.keys import point_key
from implant_sim.study.runner import Runner
from implant_sim.study.scenario import Point, Scenario, Study
from implant_sim.study.search.propose import Proposal, Proposer
from implant_sim.study.search.space import Space
from implant_sim.study.search.verdict import mean_row, objectives_of, violation_of
from implant_sim.study.store import Entry, Outcome, RunFolder
from sbtt_models.spec import LimitError, SpecError

__all__ = ["Evaluated", "explore"]

_FREE = 20
"""Points that may be screened out for each one that the budget allows to be run."""
_NO_VALUE = "an objective has no value"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A point that a search has looked at."""

    point: int
    axes: dict[str, Any]
    state: str
    """``ok``; ``screened``: broke a constraint of the hardware, and was not trained; ``broken``:
    a constraint of its results; ``skipped``; ``failed``."""
    row: dict[str, Any]
    """Means over repeats; of the hardware alone if it was screened."""
    values: list[float]
    """Objectives, to be minimised."""
    violation: float
    reason: str
    choice: Choice
    """As it enters the scenario's tree."""


def explore(
    study: Study, space: Space, folder: RunFolder, runner: Runner, listed: list[Entry],
    shop: Shop, on_batch: Callable[[Sequence[Evaluated]], None],
) -> tuple[Proposer, list[Evaluated]]:  # fmt: skip
    """Search until the budget is spent or the space is gone through.

    Parameters
    ----------
    study : Study
    space : Space
        Its design space.
    folder : RunFolder
    runner : Runner
        Entered.
    listed : list of Entry
        What the tables list; grows.
    shop : Shop
        Keeps what pricing makes.
    on_batch : callable
        Called after each batch with all that is known.

    Returns
    -------
    Proposer
        As it is at the end.
    list of Evaluated
        In the order in which they were asked for.
    """
    search = space.search
    proposer = space.proposer()
    judge = _Judge(study, space, folder, runner, listed, shop)
    found: list[Evaluated] = []
    n_run, seconds = 0, 0.0
    most_s = None if search.budget.hours is None else 3600 * search.budget.hours
    while n_run < search.budget.points and len(found) < _FREE * search.budget.points:
        if most_s is not None and seconds >= most_s:
            break
        batch = proposer.ask(min(search.sampler.batch, search.budget.points - n_run))
        if not batch:
            break
        for proposal, new in zip(batch, judge.judge(batch, len(found)), strict=True):
            proposer.tell(proposal.number, new.values, new.violation)
            found.append(new)
            if new.state in ("ok", "broken", "failed"):
                n_run += 1
                seconds += sum(judge.durations_s(new.point))
        on_batch(found)
    return proposer, found


class _Judge:
    """Finds out what a point is worth, at the least price."""

    def __init__(
        self, study: Study, space: Space, folder: RunFolder, runner: Runner, listed: list[Entry],
        shop: Shop,
    ) -> None:  # fmt: skip
        self._study, self._space, self._folder, self._runner = study, space, folder, runner
        self._listed, self._shop = listed, shop
        self._keys: dict[int, list[str]] = {}
        self._choices: dict[int, Choice] = {}

    def judge(self, batch: Sequence[Proposal], first: int) -> list[Evaluated]:
        """Skip, price, and run what is left; in the order of the batch."""
        points, done = list[Point](), dict[int, Evaluated]()
        self._choices = {index: proposal.choice for index, proposal in enumerate(batch, first)}
        for index, proposal in enumerate(batch, first):
            axes = labels_of(proposal.choice)
            try:
                skipped = self._space.expander.skipped(proposal.choice)
                if skipped is None:
                    points.append(Point(index, axes, self._space.expander.check(proposal.choice)))
                    continue
                reason = skipped.condition
            except SpecError as error:
                reason = str(error)
            done[index] = Evaluated(index, axes, "skipped", {}, [], 1e6, reason, proposal.choice)
        priced = self._price(points)
        to_run = list[Point]()
        for point in points:
            verdict = self._by_hardware(point, priced[point.index])
            if verdict is None:
                to_run.append(point)
            else:
                done[point.index] = verdict
        self._keep([(p, priced[p.index], done[p.index]) for p in points if p.index in done])
        done.update(self._run(to_run))
        return [done[index] for index in range(first, first + len(batch))]

    def durations_s(self, point: int) -> list[float]:
        """What each repeat of a point took, as kept with it. [s]"""
        contents = (self._folder.result(key) for key in self._keys.get(point, ()))
        return [sum((c or {}).get("durations_s", {}).values()) for c in contents]

    def _price(self, points: Sequence[Point]) -> dict[int, Budget]:
        try:
            study = replace(self._study, points=tuple(points))
            return {b.point: b for b in budgets(study, shop=self._shop)} if points else {}
        except LimitError as error:
            if len(points) > 1:
                return {p.index: self._price([p])[p.index] for p in points}
            (point,) = points
            row = {"status": "infeasible"}
            return {point.index: Budget(point.index, point.axes, "", row, [], str(error))}

    def _by_hardware(self, point: Point, budget: Budget) -> Evaluated | None:
        """The verdict, where the hardware alone decides; None where a decoder is needed."""
        if budget.error:
            return self._verdict(point, "skipped", {}, [], 1e6, budget.error)
        row = point.axes | budget.row
        constraints = [c for c in self._conditions if set(c.names) <= set(row)]
        broken = [c.text for c in constraints if not c.holds(row.get)]
        if broken:
            violation = violation_of(row, constraints)
            reason = " and ".join(f"not {text}" for text in broken)
            return self._verdict(point, "screened", row, [], violation, reason)
        if not self._space.columns <= set(row):
            return None
        values = objectives_of(row, self._space.search.aims)
        if not values:
            return self._verdict(point, "failed", row, [], 1e6, _NO_VALUE)
        return self._verdict(point, "ok", row, values, 0.0)

    def _verdict(
        self,
        point: Point,
        state: str,
        row: dict[str, Any],
        values: list[float],
        violation: float,
        reason: str = "",
    ) -> Evaluated:
        choice = self._choices[point.index]
        return Evaluated(point.index, point.axes, state, row, values, violation, reason, choice)

    @property
    def _conditions(self) -> Sequence[Condition]:
        return self._space.constraints

    def _keep(self, decided: Iterable[tuple[Point, Budget, Evaluated]]) -> None:
        """Keep the rows of points that were priced and are not run."""
        entries = dict[str, tuple[Entry, Outcome]]()
        for point, budget, verdict in decided:
            key = _hardware_key(point_key(point.scenario, 0, self._study.root))
            entry = Entry(point.index, 0, key, point.axes)
            status = "ok" if verdict.state == "ok" else "infeasible"
            row = _base(point.scenario) | budget.row | {"status": status}
            detail = {"error": verdict.reason} if verdict.reason else {}
            entries[key] = entry, Outcome(row, budget.energy, detail=detail)
            self._listed.append(entry)
        kept = self._folder.kept(entries)
        missing = [pair for key, pair in entries.items() if key not in kept]
        if missing:
            self._folder.commit_rows(missing)

    def _run(self, points: Sequence[Point]) -> dict[int, Evaluated]:
        study, found = self._study, dict[int, Evaluated]()
        entries = [
            Entry(p.index, repeat, point_key(p.scenario, repeat, study.root), p.axes)
            for p in points
            for repeat in range(study.repeats)
        ]
        self._listed.extend(entries)
        unique = list({entry.key: entry for entry in entries}.values())
        kept = self._folder.kept(entry.key for entry in unique)
        self._runner.run(unique, {p.index: p.scenario for p in points}, kept)
        kept = self._folder.kept(entry.key for entry in unique)
        for point in points:
            keys = [entry.key for entry in entries if entry.point == point.index]
            self._keys[point.index] = keys
            found[point.index] = self._of_rows(point, [kept[key].row for key in keys])
        return found

    def _of_rows(self, point: Point, rows: Sequence[dict[str, Any]]) -> Evaluated:
        statuses = [str(row["status"]) for row in rows if row["status"] != "ok"]
        row = point.axes | mean_row(rows)
        values = [] if statuses else objectives_of(row, self._space.search.aims)
        if not values:
            reason = ", ".join(statuses) or _NO_VALUE
            return self._verdict(point, "failed", row, [], 1e6, reason)
        violation = violation_of(row, self._conditions)
        state = "broken" if violation else "ok"
        return self._verdict(point, state, row, values, violation)


def _hardware_key(key: str) -> str:
    """A name for the hardware's part of a result; it is never taken for the result itself."""
    return hashlib.sha256(f"hardware {key}".encode()).hexdigest()[:20]


def _base(scenario: Scenario) -> dict[str, Any]:
    return {
        "scenario": scenario.name,
        "implant": scenario.implant.name if scenario.implant else None,
        "decoder": scenario.decoder.kind,
        "schedule": scenario.schedule.kind,
        "seed": scenario.seed,
    }

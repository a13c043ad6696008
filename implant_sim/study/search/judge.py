"""Finds out what a point of a search is worth, at the least price."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from implant_sim.study.axes import Choice
from implant_sim.study.budget import Budget, Shop, budgets
from implant_sim.study.expand import labels_of
from implant_sim.study.keys import PointKeys
from implant_sim.study.load import Point, Study
from implant_sim.study.runner import Runner
from implant_sim.study.scenario import Scenario
from implant_sim.study.search.propose import Proposal
from implant_sim.study.search.prune import Pruner, short_of
from implant_sim.study.search.space import Space
from implant_sim.study.search.verdict import (
    broken_in,
    mean_row,
    number_of,
    objectives_of,
    violation_of,
)
from implant_sim.study.store import Entry, Outcome, RunFolder
from sbtt_models.errors import LimitError, SpecError

__all__ = ["Evaluated", "Judge"]

_NEVER = 1e6
"""How far a point breaks its limits that cannot be at all."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A point that a search has looked at."""

    point: int
    axes: dict[str, Any]
    state: str
    """``ok``; ``screened``: broke a constraint of the hardware, and was not trained; ``pruned``:
    hopeless in a short run; ``broken``: a constraint of its results; ``skipped``; ``failed``."""
    row: dict[str, Any]
    """Means over repeats, and what was chosen; of the hardware alone if it was screened."""
    values: list[float]
    """Objectives, to be minimised; of the short run if it was pruned."""
    violation: float
    reason: str
    choice: Choice
    """As it enters the scenario's tree."""
    cost: float = 0.0
    """What it took of the budget, in points."""


class Judge:
    """Judges points a batch at a time.

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
    """

    def __init__(
        self, study: Study, space: Space, folder: RunFolder, runner: Runner, listed: list[Entry],
        shop: Shop,
    ) -> None:  # fmt: skip
        self._study, self._space, self._folder, self._runner = study, space, folder, runner
        self._listed, self._shop = listed, shop
        rule = space.search.pruning
        self._pruner = None if rule is None else Pruner(rule)
        self._names, self._keys = PointKeys(study.root), dict[int, list[str]]()
        self._choices: dict[int, Choice] = {}

    def judge(self, batch: Sequence[Proposal], first: int) -> list[Evaluated]:
        """Judge a batch, whose first point has a number; in its order."""
        points, done = list[Point](), dict[int, Evaluated]()
        self._choices = {index: proposal.choice for index, proposal in enumerate(batch, first)}
        for index, proposal in enumerate(batch, first):
            point = self._checked(index, proposal.choice)
            if isinstance(point, Evaluated):
                done[index] = point
            else:
                points.append(point)
        priced = self._price(points)
        verdicts = {p.index: self._by_hardware(p, priced[p.index]) for p in points}
        done.update((index, verdict) for index, verdict in verdicts.items() if verdict is not None)
        to_run = [p for p in points if verdicts[p.index] is None]
        costs = dict.fromkeys((p.index for p in to_run), 0.0)
        if self._pruner is not None and to_run:
            pruned, costs = self._briefly(to_run, self._pruner)
            done.update(pruned)
        self._keep([(p, priced[p.index], done[p.index]) for p in points if p.index in done])
        for number, ran in self._run([p for p in to_run if p.index not in done]).items():
            done[number] = replace(ran, cost=1.0 + costs[number])
        return [done[index] for index in range(first, first + len(batch))]

    def durations_s(self, point: int) -> list[float]:
        """What each run of a point took, as kept with it. [s]"""
        contents = (self._folder.result(key) for key in dict.fromkeys(self._keys.get(point, ())))
        return [sum((c or {}).get("durations_s", {}).values()) for c in contents]

    def _checked(self, index: int, choice: Choice) -> Point | Evaluated:
        axes, expander = labels_of(choice), self._space.expander
        try:
            skipped = expander.skipped(choice)
            if skipped is None:
                return Point(index, axes, expander.check(choice))
            reason = skipped.condition
        except SpecError as error:
            reason = str(error)
        return Evaluated(index, axes, "skipped", {}, [], _NEVER, reason, choice)

    def _price(self, points: Sequence[Point]) -> dict[int, Budget]:
        """By their numbers; what cannot be counted is told as an error of the point."""
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
            return self._verdict(point, "skipped", {}, [], _NEVER, budget.error)
        row = point.axes | budget.row
        constraints = [c for c in self._space.constraints if set(c.names) <= set(row)]
        if broken := broken_in(row, constraints):
            violation = violation_of(row, constraints)
            return self._verdict(point, "screened", row, [], violation, broken)
        if not self._space.columns <= set(row):
            return None
        return self._scored(point, row, [], 1.0)

    def _verdict(
        self,
        point: Point,
        state: str,
        row: dict[str, Any],
        values: list[float],
        violation: float,
        reason: str = "",
        cost: float = 0.0,
    ) -> Evaluated:
        choice = self._choices[point.index]
        return Evaluated(
            point.index, point.axes, state, row, values, violation, reason, choice, cost
        )

    def _scored(
        self, point: Point, row: dict[str, Any], statuses: Sequence[str], cost: float
    ) -> Evaluated:
        """The verdict on a point that was run in full."""
        aims = self._space.search.aims
        values = [] if statuses else objectives_of(row, aims)
        if not values:
            without = [name for name in aims if number_of(row.get(name)) is None]
            reason = ", ".join(statuses) or f"{' and '.join(without)} has no value here"
            return self._verdict(point, "failed", row, [], _NEVER, reason, cost)
        violation = violation_of(row, self._space.constraints)
        broken = broken_in(row, self._space.constraints)
        return self._verdict(
            point, "broken" if broken else "ok", row, values, violation, broken, cost
        )

    def _keep(self, decided: Sequence[tuple[Point, Budget, Evaluated]]) -> None:
        """Keep the rows of points that were priced and are not run in full."""
        entries = dict[str, tuple[Entry, Outcome]]()
        for point, budget, verdict in decided:
            key = _hardware_key(self._names.of(point.scenario, 0), verdict)
            entry = Entry(point.index, 0, key, point.axes)
            status = {"ok": "ok", "pruned": "pruned"}.get(verdict.state, "infeasible")
            row = _base(point.scenario) | budget.row | {"status": status}
            detail = {"error": verdict.reason} if verdict.reason else {}
            entries[key] = entry, Outcome(row, budget.energy, detail=detail)
            self._listed.append(entry)
        kept = self._folder.kept_rows(entries)
        missing = [pair for key, pair in entries.items() if key not in kept]
        if missing:
            self._folder.commit_rows(missing)

    def _briefly(
        self, points: Sequence[Point], pruner: Pruner
    ) -> tuple[dict[int, Evaluated], dict[int, float]]:
        """The hopeless ones; and of all what their short runs took beside their full ones."""
        rule, aims = pruner.rule, self._space.search.aims
        short = {p.index: short_of(p.scenario, rule, self._study.repeats) for p in points}
        stand_ins = [
            p if short[p.index].is_part else Point(-1 - p.index, p.axes, short[p.index].scenario)
            for p in points
        ]
        rows = self._rows(stand_ins, 1)
        pruned, known = dict[int, Evaluated](), list[tuple[int, list[float]]]()
        for point, stand_in in zip(points, stand_ins, strict=True):
            (row,) = rows[stand_in.index]
            self._keys.setdefault(point.index, []).extend(self._keys[stand_in.index])
            values = objectives_of(point.axes | row, aims) if row["status"] == "ok" else []
            if not values:  # the full run tells more
                continue
            known.append((point.index, values))
            if rivals := pruner.rivals(values):
                told = ", ".join(f"{name} {row.get(name):.4g}" for name in aims if name in row)
                reason = (
                    f"after {short[point.index].what}: {told}; better than it were "
                    f"{len(rivals)} of {pruner.n_known} points, the first is {rivals[0]}"
                )
                pruned[point.index] = self._verdict(
                    point, "pruned", {}, values, 0.0, reason, short[point.index].cost
                )
        pruner.learn(known)
        extra = {p: 0.0 if how.is_part else how.cost for p, how in short.items()}
        return pruned, extra

    def _run(self, points: Sequence[Point]) -> dict[int, Evaluated]:
        found = dict[int, Evaluated]()
        rows = self._rows(points, self._study.repeats)
        for point in points:
            self._listed.extend(self._entries(point, self._study.repeats))
            statuses = [str(row["status"]) for row in rows[point.index] if row["status"] != "ok"]
            row = point.axes | mean_row(rows[point.index])
            found[point.index] = self._scored(point, row, statuses, 1.0)
        return found

    def _entries(self, point: Point, repeats: int) -> list[Entry]:
        keys = [self._names.of(point.scenario, r) for r in range(repeats)]
        return [Entry(point.index, r, key, point.axes) for r, key in enumerate(keys)]

    def _rows(self, points: Sequence[Point], repeats: int) -> dict[int, list[dict[str, Any]]]:
        """Run what is missing of some repeats; their rows, by point."""
        entries = {p.index: self._entries(p, repeats) for p in points}
        unique = {entry.key: entry for mine in entries.values() for entry in mine}
        kept = self._folder.kept(unique)
        scenarios: Mapping[int, Scenario] = {p.index: p.scenario for p in points}
        self._runner.run(list(unique.values()), scenarios, kept)
        kept = self._folder.kept(unique)
        for index, mine in entries.items():
            self._keys.setdefault(index, []).extend(entry.key for entry in mine)
        return {i: [kept[entry.key].row for entry in mine] for i, mine in entries.items()}


def _hardware_key(key: str, verdict: Evaluated) -> str:
    """A name for the hardware's part of a result; it is never taken for the result itself."""
    what = f"pruned {verdict.reason}" if verdict.state == "pruned" else "hardware"
    return hashlib.sha256(f"{what} {key}".encode()).hexdigest()[:20]


def _base(scenario: Scenario) -> dict[str, Any]:
    return {
        "scenario": scenario.name,
        "implant": scenario.implant.name if scenario.implant else None,
        "decoder": scenario.decoder.kind,
        "schedule": scenario.schedule.kind,
        "seed": scenario.seed,
    }

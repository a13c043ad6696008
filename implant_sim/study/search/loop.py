"""The loop of a search: ask, price, train what is worth it, tell; the run folder keeps it all.

Nothing of the search itself is kept: proposals follow from the seed and from what came of the
points before, so an interrupted search asks the same again and finds the answers in the folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from implant_sim.study.budget import Shop
from implant_sim.study.load import Study
from implant_sim.study.runner import Runner
from implant_sim.study.search.judge import Evaluated, Judge
from implant_sim.study.search.propose import Proposer
from implant_sim.study.search.space import Space
from implant_sim.study.store import Entry, RunFolder

__all__ = ["Evaluated", "explore"]

_FREE = 20
"""Points that may be screened out for each one that the budget allows to be run."""


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
    judge = Judge(study, space, folder, runner, listed, shop)
    found: list[Evaluated] = []
    n_run, seconds = 0.0, 0.0
    most_s = None if search.budget.hours is None else 3600 * search.budget.hours
    while n_run < search.budget.points and len(found) < _FREE * search.budget.points:
        if most_s is not None and seconds >= most_s:
            break
        left = math.ceil(search.budget.points - n_run)
        batch = proposer.ask(min(space.batch, left))
        if not batch:
            break
        for proposal, new in zip(batch, judge.judge(batch, len(found)), strict=True):
            proposer.tell(proposal.number, new.values, new.violation)
            found.append(new)
            n_run += new.cost
            seconds += sum(judge.durations_s(new.point))
        on_batch(found)
    return proposer, found

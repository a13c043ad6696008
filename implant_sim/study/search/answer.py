"""The answer to a question asked by name: the design, what binds it, what would loosen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from implant_sim.study.axes import Choice
from implant_sim.study.budget import Shop
from implant_sim.study.expand import labels_of
from implant_sim.study.load import Study
from implant_sim.study.search.bisect import Bisection
from implant_sim.study.search.limiting import changes, rooms
from implant_sim.study.search.loop import Evaluated
from implant_sim.study.search.propose import Proposer
from implant_sim.study.search.space import Space

__all__ = ["answer", "best_of"]

_MORE = 0.1
"""How much further than an answer is asked what would have to change for it."""
_SHOWN = 12


def best_of(found: Sequence[Evaluated]) -> Evaluated | None:
    """The point that is best in the first objective; None if none keeps all conditions."""
    good = [e for e in found if e.state == "ok" and e.values]
    return min(good, key=lambda e: (e.values, e.point), default=None)


def answer(
    study: Study, space: Space, shop: Shop, proposer: Proposer, found: Sequence[Evaluated]
) -> dict[str, Any]:
    """Answer the question of a search.

    Parameters
    ----------
    study : Study
    space : Space
        With a question.
    shop : Shop
        What pricing has made so far.
    proposer : Proposer
        At the end of the search.
    found : sequence of Evaluated
        All points that were looked at; at least one.

    Returns
    -------
    dict
        Plain JSON. ``point`` and ``axes`` of the answer, or where nothing will do of the point
        nearest to it; ``rooms`` of the conditions there; ``changes``, what one number would have
        to become so that ``at`` begins, or ceases, to keep the conditions.
    """
    question = space.search.question
    best = best_of(found)
    shown = best or min(found, key=lambda e: (e.violation, e.point))
    at, told = _beyond(proposer, found, best)
    holds, numbers = changes(study, space, shop, shown.choice if at is None else at)
    return {
        "question": None if question is None else question.model_dump(),
        "conditions": [c.text for c in space.constraints],
        "found": best is not None,
        "point": shown.point,
        "axes": shown.axes,
        **{column: shown.row.get(column) for column in space.search.aims},
        **({} if best is not None else {"reason": shown.reason}),
        "looked_at": len(found),
        **told,
        "rooms": rooms(shown.row, space.constraints),
        "at": {} if at is None else labels_of(at),
        "holds_there": holds,
        "changes": [change.as_json() for change in numbers[:_SHOWN]],
    }


def _beyond(
    proposer: Proposer, found: Sequence[Evaluated], best: Evaluated | None
) -> tuple[Choice | None, dict[str, Any]]:
    """The choice beyond an end that was bisected, and what can be said of that end."""
    if not isinstance(proposer, Bisection) or best is None or not best.axes:
        return None, {}
    told: dict[str, Any] = {"monotone": proposer.monotone, "end_of_range": proposer.ends_here}
    next_one = proposer.beyond(0.0)
    if next_one is not None:
        beyond = found[proposer.number_of(next_one)]
        told["next"] = {"axes": beyond.axes, "reason": beyond.reason or beyond.state}
    further = proposer.beyond(_MORE)
    return (None if further is None else proposer.choice(further)), told

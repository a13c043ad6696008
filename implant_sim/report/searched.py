"""What a search found, for the report: in words, in tables; damaged parts are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from implant_sim.report.cells import Cell, Table, quantity
from implant_sim.report.load import Run, clean
from implant_sim.report.summary import METRICS, Metric

__all__ = ["answered", "label_of", "searched", "shown"]

_UNITS = {"_w": "W", "_k": "K", "_bps": "bit/s", "_s": "s", "_hz": "Hz", "_w_m2": "W/m²"}
_LABELS = {
    "power_w": "Power",
    "heat_k": "Heat",
    "battery_h": "Battery life (h)",
    "link_rate_bps": "Link",
    "n_channels": "Channels",
}
_STATES = {
    "ok": "run in full, within all conditions",
    "broken": "run in full, outside a condition",
    "pruned": "left after a short run, so not scored",
    "screened": "outside a condition on the hardware, so not run",
    "skipped": "impossible or skipped",
    "failed": "failed",
}
_LIMITS = "margin >= 0"


def searched(run: Run, measures: Sequence[Metric]) -> dict[str, Any]:
    """What the page shows of a search; empty without one.

    Parameters
    ----------
    run : Run
        With its search.
    measures : sequence of Metric
        What the run is judged by, called by what was decoded.

    Returns
    -------
    dict
        ``texts``: paragraphs; ``designs``: a table of designs for the targets, or None;
        ``answer``: what `answered` gives, or None.
    """
    told = run.search
    points = told.get("points")
    if not isinstance(points, list) or not points:
        return {}
    states = {k: n for k, n in _mapping(told.get("states")).items() if k in _STATES}
    parts = [f"{n} {_STATES[state]}" for state, n in states.items()]
    looked_at = "1 design was" if len(points) == 1 else f"{len(points)} designs were"
    texts = [f"{looked_at} looked at: {'; '.join(parts)}.", *_reused(told, run)]
    if "answer" not in told and (knee := _point(points, told.get("knee"))) is not None:
        limit = _mapping(told.get("limit"))
        near = f"; the limit nearest there is {clean(limit['limited_by'])}" if limit else ""
        texts.append(f"The front bends at point {knee['point']} ({_choice(knee)}){near}.")
    return {"texts": texts, "designs": _designs(told, measures), "answer": answered(told)}


def _reused(told: Mapping[str, Any], run: Run) -> list[str]:
    """What was made once for several points."""
    priced, counted = told.get("priced"), told.get("counted")
    texts = []
    if isinstance(priced, int) and isinstance(counted, int) and priced > 1:
        texts.append(
            f"{priced} designs were priced; what the implant does was counted {counted} times: "
            "designs that differ in prices alone share it. The recording was read once for them, "
            "and once by each worker."
        )
    shared = run.meta.get("decoders_shared")
    if isinstance(shared, int) and shared:
        texts.append(f"{shared} runs took over the decoder of another that got the same data.")
    return texts


def _designs(told: Mapping[str, Any], measures: Sequence[Metric]) -> Table | None:
    rows, objectives = [], list(_mapping(told.get("objectives")))
    for design in told.get("designs") or ():
        if not isinstance(design, dict) or "point" not in design:
            continue
        rows.append(
            [
                Cell(clean(design.get("target", ""))),
                Cell(str(design["point"]), _number(design["point"])),
                Cell(_choice(design)),
                *(_cell(design.get(column), column) for column in objectives),
                Cell(clean(design.get("file", ""))),
            ]
        )
    aims = [label_of(column, measures) for column in objectives]
    headings = ["Wanted", "Point", "Design", *aims, "Scenario"]
    return Table(headings, rows) if rows else None


def answered(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer to a question: ``heading``, ``texts``, ``rooms``, ``says``, ``changes``."""
    answer = told.get("answer")
    if not isinstance(answer, dict) or not isinstance(answer.get("question"), dict):
        return None
    kind = clean(answer["question"].get("kind", "")).replace("_", " ")
    where = " and ".join(_condition(text) for text in answer.get("conditions", ()))
    axes = _axes(answer.get("axes")) or "the scenario as it is"
    found = bool(answer.get("found"))
    texts = [axes if found else f"None will do; nearest: {axes} ({clean(answer.get('reason'))})."]
    beyond = _mapping(answer.get("next"))
    if beyond:
        texts.append(f"{_axes(beyond.get('axes'))} will not do: {clean(beyond.get('reason'))}.")
    if answer.get("end_of_range"):
        texts.append("This is the end of the range; further might do.")
    if answer.get("monotone") is False:
        texts.append("Some values short of it will not do: it is not the only end.")
    return {
        "heading": f"{kind[:1].upper()}{kind[1:]}, where {where}",
        "texts": texts,
        "rooms": _rooms(answer),
        "says": _says(answer),
        "changes": _changes(answer),
    }


def _rooms(answer: Mapping[str, Any]) -> Table | None:
    rows = []
    for told in answer.get("rooms") or ():
        room = _number(told.get("room"))
        if room is not None:
            by = clean(told.get("limited_by") or "")
            kind = "bad" if room < 0 else ""
            cells = [
                Cell(_condition(told.get("condition"))),
                Cell(f"{100 * room:.3g} %", room, kind),
            ]
            rows.append([*cells, Cell(by)])
    return Table(["Condition", "Room to its bound", "Nearest limit"], rows) if rows else None


def _changes(answer: Mapping[str, Any]) -> Table | None:
    rows = [
        [Cell(clean(told.get("key"))), *(_plain(told.get(name)) for name in ("now", "to"))]
        for told in answer.get("changes") or ()
    ]
    return Table(["Number", "Now", "To"], rows) if rows else None


def _says(answer: Mapping[str, Any]) -> str:
    at = _axes(answer.get("at"))
    if not answer.get("changes"):
        return "No number turns that by itself, within a factor of 100."
    if at:
        return f"{at} would do if one of these changed (SI where no unit is shown):"
    if answer.get("holds_there"):
        return "Alone, these numbers may change so far (SI where no unit is shown):"
    return "It would do if one of these changed (SI where no unit is shown):"


def label_of(column: str, measures: Sequence[Metric]) -> str:
    """A column, as an axis or a heading names it."""
    named = _LABELS | {m.column: m.label for m in (*METRICS, *measures)}
    return named.get(column, clean(column))


def shown(value: float, column: str) -> str:
    """A value of a column, with its unit."""
    base = next((unit for end, unit in _UNITS.items() if column.endswith(end)), "")
    return quantity(value, base)


def _cell(value: Any, column: str) -> Cell:
    number = _number(value)
    return _plain(value) if number is None else Cell(shown(number, column), number)


def _plain(value: Any) -> Cell:
    number = _number(value)
    return Cell(clean(value)) if number is None else Cell(f"{number:.4g}", number)


def _condition(text: Any) -> str:
    return "the implant's own limits hold" if text == _LIMITS else clean(text)


def _choice(point: Mapping[str, Any]) -> str:
    return _axes(point.get("axes"))


def _axes(axes: Any) -> str:
    return ", ".join(f"{clean(key)} = {clean(value)}" for key, value in _mapping(axes).items())


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else None


def _point(points: Sequence[Any], number: Any) -> dict[str, Any] | None:
    known = (p for p in points if isinstance(p, dict) and number is not None)
    return next((p for p in known if p.get("point") == number), None)

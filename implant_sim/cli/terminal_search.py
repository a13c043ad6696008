"""What the command prints of a search: its front, or the answer to its question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from implant_sim.cli.terminal import cell, print_table, say

__all__ = ["found", "print_answer", "print_found"]

_OWN = "margin >= 0"
_SHOWN = 5
"""Reasons that are told where a search finds nothing."""


def found(folder: Path) -> dict[str, Any]:
    """What a search has found in a run folder, under ``search``; empty if none ran there."""
    path = folder / "search.json"
    return {"search": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}


def print_found(folder: Path) -> None:
    """The answer; or the front, its knee, and where the design for the target is."""
    told = found(folder).get("search", {})
    say("")
    if "answer" in told:
        print_answer(told["answer"])
        return
    front = [
        {"point": p["point"], **p["axes"], **{c: p[c] for c in told["objectives"]}}
        | {"": "knee" if p["point"] == told["knee"] else ""}
        for p in told.get("front", [])
    ]
    say(f"front of {len(told.get('points', []))} points looked at ({_states(told)}):")
    if front:
        print_table(list(front[0]), front)
    else:
        _print_reasons(told.get("points", []))
    for best in told.get("designs", ()):
        say(f"best with {best['target']}: point {best['point']}, {folder / best['file']}")


def _print_reasons(points: Sequence[Mapping[str, Any]]) -> None:
    """Why no design will do."""
    say("  none keeps all conditions:")
    reasons = Counter(str(p.get("reason") or p["state"]).split("\n", 1)[0] for p in points)
    for reason, n in reasons.most_common(_SHOWN):
        say(f"  {n} x {reason}")


def print_answer(answer: Mapping[str, Any]) -> None:
    """What was asked, what is the case, what binds, and what would have to change."""
    question = answer["question"]["kind"]
    where = " and ".join(_condition(text) for text in answer["conditions"])
    say(f"{question} where {where}:")
    say(f"  {_verdict(answer)}")
    if "monotone" in answer and not answer["monotone"]:
        say("  not the only end: some values short of it will not do")
    if "next" in answer:
        say(f"  {_choice(answer['next']['axes'])} will not do: {answer['next']['reason']}")
    if answer.get("end_of_range"):
        say("  this is the end of the range; further might do")
    say("")
    rooms = [
        {"condition": _condition(r["condition"]), "room": f"{100 * r['room']:.3g} %"}
        | {"limited by": r.get("limited_by", "")}
        for r in answer["rooms"]
    ]
    print_table(["condition", "room", "limited by"], rows=rooms, indent="  ")
    say("")
    say(f"  {_heading(answer)}")
    if answer["changes"]:
        print_table(["key", "now", "to"], answer["changes"], indent="    ")
    else:
        say("    no number does by itself, within a factor of 100")


def _verdict(answer: Mapping[str, Any]) -> str:
    if not answer["found"]:
        return f"none; nearest: {_choice(answer['axes']) or 'the scenario'} ({answer['reason']})"
    columns = [name for name in answer if name.endswith(("_w", "_h", "margin", "n_channels"))]
    told = {name: answer[name] for name in columns if name not in answer["axes"]}
    values = ", ".join(f"{name} {cell(value)}" for name, value in told.items())
    axes = _choice(answer["axes"])
    return f"{axes} ({values})" if axes and values else axes or f"holds ({values})"


def _heading(answer: Mapping[str, Any]) -> str:
    where = _choice(answer["at"])
    if where:
        return f"{where} would do if one of these changed (SI where no unit is shown):"
    if answer["holds_there"]:
        return "alone, these numbers may change so far (SI where no unit is shown):"
    return "it would do if one of these changed (SI where no unit is shown):"


def _choice(axes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in axes.items())


def _condition(text: str) -> str:
    return "the implant's own limits hold" if text == _OWN else text


def _states(told: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {state}" for state, n in told.get("states", {}).items())

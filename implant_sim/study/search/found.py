"""What a search has found: front, hypervolume, knee, the design for the target, as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from implant_sim import files
from implant_sim.study.load import Study
from implant_sim.study.sealed import in_lines
from implant_sim.study.search.answer import best_of
from implant_sim.study.search.front import hypervolume, knee, non_dominated
from implant_sim.study.search.loop import Evaluated
from implant_sim.study.search.space import Space
from implant_sim.study.store import RunFolder

__all__ = ["DESIGN", "FOUND", "designs", "summary", "write_found"]

FOUND, DESIGN = "search.json", "design.yaml"


def summary(space: Space, found: Sequence[Evaluated]) -> dict[str, Any]:
    """All that can be said of the points so far; plain JSON."""
    objectives = space.search.aims
    good = [e for e in found if e.state == "ok" and e.values]
    told: dict[str, Any] = {
        "objectives": objectives,
        "constraints": [c.text for c in space.constraints],
        "states": dict(Counter(e.state for e in found)),
        "front": [],
        "points": [_told(e, objectives) for e in found],
    }
    if not good:
        return told
    values = np.array([e.values for e in good])
    kept = non_dominated(values)
    front = sorted((e for e, keep in zip(good, kept, strict=True) if keep), key=lambda e: e.values)
    bend = front[knee(np.array([e.values for e in front]))]
    told |= {"front": [_told(e, objectives) for e in front], "knee": bend.point}
    told |= {"hypervolume": _curve(values, [e.point for e in good])}
    told |= {"limit": {"limited_by": bend.row.get("limited_by"), "margin": bend.row.get("margin")}}
    told["designs"] = [
        {"name": name, "target": text, "file": _file_of(name)} | _told(best, objectives)
        for name, (text, best) in designs(space, found).items()
    ]
    return told


def designs(space: Space, found: Sequence[Evaluated]) -> dict[str, tuple[str, Evaluated]]:
    """For each target that is met its condition and the design best in the first objective.

    By the names of the targets; of a question the answer, under an empty name.
    """
    good = [e for e in found if e.state == "ok" and e.values]
    if space.search.question is not None:
        best = best_of(found)
        return {} if best is None else {"": (space.search.question.kind, best)}
    kept = {}
    for name, condition in space.targets.items():
        meeting = [e for e in good if condition.holds(e.row.get)]
        if meeting:
            kept[name] = condition.text, min(meeting, key=lambda e: e.values)
    return kept


def _file_of(name: str) -> str:
    return f"design_{name}.yaml" if name else DESIGN


def _curve(values: np.ndarray, points: Sequence[int]) -> dict[str, Any]:
    """Hypervolume after each good point, as a share of the last; by the worst of all of them."""
    reference = values.max(axis=0)
    front, volumes = values[:0], list[float]()
    for new in values:
        if not len(front) or not np.all(front <= new, axis=1).any():
            front = np.vstack([front[~np.all(new <= front, axis=1)], new])
            volumes.append(hypervolume(front, reference))
        else:  # covers nothing more
            volumes.append(volumes[-1])
    whole = volumes[-1] or 1.0
    return {"reference": reference.tolist(), "points": list(points),
            "share": [volume / whole for volume in volumes]}  # fmt: skip


def _told(e: Evaluated, objectives: Mapping[str, str]) -> dict[str, Any]:
    return {
        "point": e.point,
        "axes": e.axes,
        "state": e.state,
        **({"reason": e.reason} if e.reason else {}),
        **{column: e.row.get(column) for column in objectives},
    }


def write_found(
    study: Study,
    space: Space,
    folder: RunFolder,
    found: Sequence[Evaluated],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ``search.json``; and the cheapest design that meets the target as ``design.yaml``.

    Of several targets as ``design_NAME.yaml``. A design is a scenario of one point, which can be
    run as it is.

    Raises
    ------
    WriteError
        If the disk is full or may not be written.
    """
    told = summary(space, found) | dict(more)
    files.write_text(folder.path / FOUND, in_lines(told))
    for name, (_, best) in designs(space, found).items():
        tree = space.expander.tree({key: node for key, (_, node) in best.choice.items()}).plain()
        title = f"{study.name[:60]}_{_file_of(name).removesuffix('.yaml')}"[:80]
        folder.write_scenario(tree | {"name": title}, _file_of(name))
    return told

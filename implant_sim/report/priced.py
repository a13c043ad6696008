"""What the spread of the prices does to the power: from the counts and the implants of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.activity import Action
from implant_sim.hardware.energy import LOSSES, priced
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.parameters import parameter, scaled
from implant_sim.hardware.sensitivity import reaches
from implant_sim.hardware.uncertainty import draw_prices, drawn_energy
from implant_sim.report.load import Run
from implant_sim.report.naming import numeric
from implant_sim.report.summary import Point, Summary
from implant_sim.study.load import load
from sbtt_models.errors import SimError

__all__ = ["Counted", "Shared", "Swing", "counted", "shared", "swings"]

_MAX_POINTS = 200  # each is read, checked and priced anew
_AGREES = 1e-6  # relative; a table that was written by another version does not
_DRAWS = 2000
_TELLING = 0.01  # relative; a number that moves power less has no bar
_DIFFERENT = 0.01  # relative; points closer in power have no order to speak of


@dataclass(frozen=True, slots=True)
class Counted:
    """What a point's implant did in its first repeat, and what that cost."""

    point: Point
    implant: Implant
    seed: int
    """Of the scenario: the draws of all points begin there."""
    actions: tuple[Action, ...]
    energy_j: float

    def power(self, energy_j: float) -> float:
        """The mean power that another energy would have meant. [W]"""
        return self.point.mean("power_w") * energy_j / self.energy_j


def counted(run: Run, summary: Summary) -> dict[int, Counted]:
    """The points with a band whose energy table the implant in the run folder accounts for.

    Returns
    -------
    dict of int to Counted
        By index; without those that cannot be read, or whose prices have changed since.
    """
    banded = {p.index: p for p in summary.banded}
    if not 0 < len(banded) <= _MAX_POINTS or not {"count", "energy_j"} <= set(run.energy):
        return {}
    try:
        points = load(run.folder / "scenario.yaml").points
    except SimError:
        return {}
    found = {}
    for known in points:
        if (point := banded.get(known.index)) is None:
            continue
        actions, energy_j = _actions(run, known.index)
        implant = known.scenario.implant
        if implant is not None and actions and _agrees(actions, implant, energy_j):
            seed = known.scenario.seed
            found[known.index] = Counted(point, implant, seed, actions, energy_j)
    return found


def _actions(run: Run, index: int) -> tuple[tuple[Action, ...], float]:
    rows = run.energy[run.energy["point"] == index]
    if "repeat" in rows and len(rows):
        rows = rows[rows["repeat"] == rows["repeat"].min()]
    names = zip(rows["component"].astype(str), rows["action"].astype(str), strict=True)
    actions = tuple(
        Action(component, action, float(n))
        for (component, action), n in zip(names, numeric(rows["count"]), strict=True)
        if not (component == "delivery" and action in LOSSES)
    )
    return actions, float(numeric(rows["energy_j"]).sum())


def _agrees(actions: Sequence[Action], implant: Implant, energy_j: float) -> bool:
    try:
        again = _energy(actions, implant)
    except SimError:
        return False
    return energy_j > 0 and abs(again / energy_j - 1) <= _AGREES


def _energy(actions: Sequence[Action], implant: Implant) -> float:
    return sum(row.energy_j for row in priced(actions, implant))


@dataclass(frozen=True, slots=True)
class Swing:
    """One number of the implant at 10 and 90 % of its spread, all others at their values."""

    key: str
    low_w: float
    high_w: float

    @property
    def size_w(self) -> float:
        """Change of power from end to end. [W]"""
        return abs(self.high_w - self.low_w)


def swings(known: Counted) -> list[Swing]:
    """What each number with a spread moves, the most first; without those that hardly do."""
    out = []
    for key, reach in reaches(known.implant).items():
        found = parameter(known.implant, key)
        low, high = (
            known.power(_energy(known.actions, scaled(known.implant, found, f)))
            for f in (1 / reach, reach)
        )
        out.append(Swing(key, low, high))
    least = _TELLING * known.point.mean("power_w")
    return sorted((s for s in out if s.size_w >= least), key=lambda s: (-s.size_w, s.key))


@dataclass(frozen=True, slots=True)
class Shared:
    """How sure the order of points is that share an implant, so that they share its prices."""

    n_points: int
    least: Point
    most: Point
    ratio: tuple[float, float, float]
    """Power of the least over that of the most: 10 %, as priced, 90 %."""
    kept: float
    """Share of the draws that keep the order of the two neighbours that change it most often."""

    @property
    def width(self) -> float:
        """90 % over 10 % of the ratio."""
        return self.ratio[2] / self.ratio[0]


def shared(known: Mapping[int, Counted]) -> Shared | None:
    """Compare points on common draws; None without two of one implant that differ in power."""
    groups: dict[tuple[str, int], list[Counted]] = {}
    for one in known.values():
        groups.setdefault((one.implant.model_dump_json(by_alias=True), one.seed), []).append(one)
    largest = max(groups.values(), key=len, default=[])
    ranked = _apart(largest)
    if len(ranked) < 2:
        return None
    draws = draw_prices(ranked[0].implant, _DRAWS, np.random.default_rng(ranked[0].seed))
    watts = [
        one.power(1.0) * np.sum(list(drawn_energy(one.actions, draws).values()), axis=0)
        for one in ranked
    ]
    kept = min(float(np.mean(low < high)) for low, high in pairwise(watts))
    return Shared(
        len(ranked),
        ranked[0].point,
        ranked[-1].point,
        _ratio(watts[0] / watts[-1], ranked[0].point, ranked[-1].point),
        kept,
    )


def _apart(group: Sequence[Counted]) -> list[Counted]:
    """By power, without those that draw the same as the one before."""
    ranked: list[Counted] = []
    for one in sorted(group, key=lambda c: c.point.mean("power_w")):
        watts = one.point.mean("power_w")
        if not ranked or watts > ranked[-1].point.mean("power_w") * (1 + _DIFFERENT):
            ranked.append(one)
    return ranked


def _ratio(
    drawn: Float[np.ndarray, " draw"], least: Point, most: Point
) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, (0.1, 0.9))
    return float(low), least.mean("power_w") / most.mean("power_w"), float(high)

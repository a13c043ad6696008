"""Hardware only: what each point of a study costs, without a decoder."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from implant_sim.hardware.energy import Prices, price
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.sensitivity import Tornado, tornado
from implant_sim.hardware.uncertainty import Band
from implant_sim.hardware.verdict import judge
from implant_sim.study.acquisition import waited_for
from implant_sim.study.engines.base import default_jobs
from implant_sim.study.keys import DataKey, DataKeys
from implant_sim.study.load import Point, Study
from implant_sim.study.offers import Counted, Offers
from implant_sim.study.rows import energy_rows, hardware_row, power_band
from implant_sim.study.sweep import axes_text
from sbtt_models.errors import SpecError

__all__ = ["Budget", "Shop", "budgets"]


@dataclass(frozen=True, slots=True)
class Budget:
    """The power of one point."""

    point: int
    axes: dict[str, Any]
    title: str
    row: dict[str, Any]
    """Columns of the results table that need no decoder, and the status."""
    energy: list[dict[str, Any]]
    """Rows of the energy table."""
    error: str = ""
    band: Band | None = None
    """Where parameters of the implant have a spread."""
    tornado: Tornado | None = None
    """If asked for."""


class Shop:
    """What pricing has made so far; kept, it makes the next points of the same study cheaper."""

    def __init__(self, root: Path) -> None:
        self.keys, self.offers, self.prices = DataKeys(), Offers(root), _Prices()
        self.counts: dict[DataKey, Future[Counted]] = {}


def budgets(
    study: Study, with_tornado: bool = False, jobs: int | None = None, shop: Shop | None = None
) -> Iterator[Budget]:
    """Price each point once, with the first repeat's random draws.

    Points that differ in prices alone share what was counted, and no stream is made where the
    schedule can be told without one.

    Parameters
    ----------
    study : Study
        Its points.
    with_tornado : bool
        Also move each parameter of the implant by itself.
    jobs : int, optional
        Acquisitions at a time, on threads; one for each core if None. Without effect on the
        results.
    shop : Shop, optional
        Kept from a call before.

    Yields
    ------
    Budget
        In the order of the points; with status ``infeasible`` where schedule and implant do not
        fit together.

    Raises
    ------
    DataError
        If a recording cannot be read.
    LimitError
        If memory or time would not suffice for one of the points.
    """
    shop = shop or Shop(study.root)
    named = [shop.keys.of(p.scenario, shop.offers.step_s(p.scenario)) for p in study.points]
    first = dict(zip(reversed(named), reversed(study.points), strict=True))
    with ThreadPoolExecutor(jobs or default_jobs(1)) as pool:
        try:
            for key in dict.fromkeys(named):
                if key not in shop.counts:
                    shop.counts[key] = pool.submit(shop.offers.count, first[key].scenario, key)
            for point, key in zip(study.points, named, strict=True):
                yield _budget(point, study.name, shop.counts[key], shop.prices, with_tornado)
        finally:
            pool.shutdown(cancel_futures=True)


def _budget(
    point: Point, name: str, counting: Future[Counted], prices: _Prices, with_tornado: bool
) -> Budget:
    title = f"point {point.index}: {axes_text(point.axes) or name}"
    try:
        implant = point.scenario.implanted
        offer, activity = counting.result()
        activity = waited_for(activity, point.scenario.decoder)
        ledger = price(activity, implant, prices.of(implant))
        verdict = judge(ledger, activity, implant)
    except SpecError as error:
        row = {"status": "infeasible"}
        return Budget(point.index, point.axes, title, row, [], str(error))
    band = power_band(implant, activity, point.scenario.seed)
    row = {"status": "ok"} | hardware_row(offer, activity, ledger, verdict, band)
    moved = tornado(activity, implant) if with_tornado else None
    return Budget(point.index, point.axes, title, row, energy_rows(ledger), "", band, moved)


class _Prices:
    """Price lists, made once for each implant."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Implant, Prices]] = {}

    def of(self, implant: Implant) -> Prices:
        if id(implant) not in self._known:  # kept, so that its identity stays its own
            self._known[id(implant)] = implant, implant.price_list()
        return self._known[id(implant)][1]

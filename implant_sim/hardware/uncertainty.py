"""Power as a band: prices drawn from the spreads of the parameters, times what was counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.activity import Action, Activity, priced_as
from implant_sim.hardware.energy import LOSSES
from implant_sim.hardware.implant import COMPONENTS, Implant
from implant_sim.hardware.parameters import Parameter, parameter, scaled
from sbtt_models.errors import SpecError

__all__ = [
    "Band",
    "PriceDraws",
    "Quantiles",
    "band",
    "band_of",
    "draw_prices",
    "drawn_energy",
]

_POINTS = 65  # a price is a smooth function of a parameter's logarithm, most often a straight line
_REACH = 5.0  # standard deviations that the grid spans


@dataclass(frozen=True, slots=True)
class Quantiles:
    """10, 50 and 90 % of the draws. [W]"""

    p10_w: float
    p50_w: float
    p90_w: float


@dataclass(frozen=True, slots=True)
class Band:
    """Mean power of an acquisition, as far as the implant's numbers are known."""

    power: Quantiles
    components: Mapping[str, Quantiles]
    """By component, in the order of the report. Quantiles do not add up."""
    n_draws: int


@dataclass(frozen=True, slots=True, eq=False)
class PriceDraws:
    """Prices of an implant, drawn. One set serves all activities, on common random numbers."""

    prices: Mapping[tuple[str, str], float | Float[np.ndarray, " draw"]]
    """By component and action; a number where nothing behind it spreads. [J]"""
    n_draws: int


def draw_prices(implant: Implant, n_draws: int, rng: np.random.Generator) -> PriceDraws:
    """Draw the price list.

    Each parameter of `Implant.uncertainty` is log-normal about its value, independent of the
    others. Only prices that depend on one are computed anew. Floors of physics cut a draw off.

    Parameters
    ----------
    implant : Implant
        With spreads, or without: then all prices are fixed.
    n_draws : int
        Draws, at least 1.
    rng : numpy.random.Generator
        Source of the draws. One implant takes as many numbers whatever it did.

    Returns
    -------
    PriceDraws
        Prices of all actions.

    Raises
    ------
    SpecError
        For fewer than one draw, or a spread of something that is no price.
    """
    if n_draws < 1:
        raise SpecError(f"n_draws: {n_draws} must be at least 1")
    varied: list[tuple[Parameter, Float[np.ndarray, " draw"]]] = []
    for key, spread in implant.spreads.items():
        normal = np.clip(rng.standard_normal(n_draws), -_REACH, _REACH)
        found = parameter(implant, key)
        varied.append((found, np.maximum(normal * math.log(spread.factor), _log(found.least))))
    known = {key: priced.price_j for key, priced in implant.price_list().items()}
    drawn: dict[tuple[str, str], float | Float[np.ndarray, " draw"]] = dict(known)
    touched: dict[tuple[str, str], list[int]] = {}
    for i, (found, _) in enumerate(varied):
        other = scaled(implant, found, 2.0).price_list()
        for action, price in known.items():
            if other[action].price_j != price:
                touched.setdefault(action, []).append(i)
    for action, indices in touched.items():
        of_price = [varied[i] for i in indices]
        if len(of_price) == 1:
            drawn[action] = _along(implant, action, *of_price[0])
        else:
            drawn[action] = _each(implant, action, of_price)
    return PriceDraws(drawn, n_draws)


def _log(factor: float) -> float:
    return math.log(factor) if factor > 0 else -math.inf


def _price(implant: Implant, action: tuple[str, str]) -> float:
    return implant.price_list()[action].price_j


def _along(
    implant: Implant, action: tuple[str, str], found: Parameter, log: Float[np.ndarray, " draw"]
) -> Float[np.ndarray, " draw"]:
    """A price along one parameter: interpolated in logarithms, exact for a power law."""
    at = np.linspace(log.min(), log.max(), _POINTS) if log.min() < log.max() else log[:1]
    price = [_price(scaled(implant, found, math.exp(x)), action) for x in at]
    return np.exp(np.interp(log, at, np.log(price)))


def _each(
    implant: Implant,
    action: tuple[str, str],
    of_price: list[tuple[Parameter, Float[np.ndarray, " draw"]]],
) -> Float[np.ndarray, " draw"]:
    """A price that several parameters set together, draw by draw."""
    prices = []
    for draw in range(len(of_price[0][1])):
        changed = implant
        for found, log in of_price:
            changed = scaled(changed, found, math.exp(log[draw]))
        prices.append(_price(changed, action))
    return np.array(prices)


def band_of(activity: Activity, draws: PriceDraws) -> Band:
    """Price an activity with drawn prices.

    Parameters
    ----------
    activity : Activity
        Counted actions.
    draws : PriceDraws
        From `draw_prices`, for the implant that counted them.

    Returns
    -------
    Band
        Quantiles of the total and of each component.

    Raises
    ------
    SpecError
        For an action that has no price.
    """
    spent = drawn_energy(activity.actions, draws)
    power = {name: energy / activity.duration_s for name, energy in spent.items()}
    total = _quantiles(np.sum(list(power.values()), axis=0))
    return Band(total, {name: _quantiles(w) for name, w in power.items()}, draws.n_draws)


def drawn_energy(
    actions: Sequence[Action], draws: PriceDraws
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Energy of each component by the drawn prices, losses on delivery included. [J]

    Parameters
    ----------
    actions : sequence of Action
        Counted; without what is lost on delivery.
    draws : PriceDraws
        Of the implant that counted them.

    Returns
    -------
    dict of str to numpy.ndarray, shape (draw,)
        By component, in the order of the report.

    Raises
    ------
    SpecError
        For an action that has no price.
    """
    spent = {name: np.zeros(draws.n_draws) for name in COMPONENTS}
    for done in actions:
        known = draws.prices.get((done.component, priced_as(done.action)))
        if known is None:
            raise SpecError(
                f"{done.component} did {done.action!r} {done.n_actions:g} times, which has no "
                "price; the prices were drawn for another implant"
            )
        spent[done.component] = spent[done.component] + done.n_actions * known
    for stage in LOSSES:
        if (loss := draws.prices.get(("delivery", stage))) is not None:
            spent["delivery"] = spent["delivery"] + loss * np.sum(list(spent.values()), axis=0)
    return spent


def _quantiles(watts: Float[np.ndarray, " draw"]) -> Quantiles:
    low, middle, high = np.quantile(watts, (0.1, 0.5, 0.9))
    return Quantiles(float(low), float(middle), float(high))


def band(activity: Activity, implant: Implant, n_draws: int, rng: np.random.Generator) -> Band:
    """Draw the prices of an implant and price an activity with them.

    For many activities of one implant, `draw_prices` once and `band_of` each is quicker, and
    compares them on common random numbers.

    Parameters
    ----------
    activity : Activity
        Counted actions.
    implant : Implant
        With spreads.
    n_draws : int
        Draws; 2000 settle the ends of the band within a few per cent.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    Band
        Quantiles of the total and of each component.

    Raises
    ------
    SpecError
        For an action that has no price, or a spread of something that is no price.
    """
    return band_of(activity, draw_prices(implant, n_draws, rng))

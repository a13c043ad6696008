"""Fit an implant to a chip that was measured: powers in, calibrated parameters out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.components.spread import Spread
from implant_sim.hardware.energy import price
from implant_sim.hardware.implant import COMPONENTS, Implant
from implant_sim.hardware.parameters import Parameter, parameter, parameters, spread_of, with_value
from implant_sim.hardware.parameters import scaled as scaled_by
from sbtt_models.errors import SpecError

__all__ = ["TOTAL", "Calibrated", "Fitted", "calibrate"]

TOTAL = "total"
"""Stands among the measured powers for that of the whole implant."""

_BLOCKS = {
    "amplifier": ("amplifier",),
    "multiplexer": ("multiplexer",),
    "adc": ("adc",),
    "processing": ("processing", "compression"),
    "radio": ("radio",),
    "delivery": ("power",),
    "overhead": ("overhead",),
}
_USUAL_SPREAD = 3.0  # where neither the implant nor published silicon says more
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Fitted:
    """One measured power beside the model's. [W]"""

    component: str
    measured_w: float
    before_w: float
    after_w: float

    @property
    def residual(self) -> float:
        """Natural logarithm of the calibrated over the measured power."""
        return math.log(self.after_w / self.measured_w)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """An implant fitted to a chip."""

    implant: Implant
    factors: Mapping[str, float]
    """By dotted key: what each free parameter was multiplied by (an efficiency: its loss)."""
    values: Mapping[str, float]
    """The same parameters' new values, in SI."""
    fit: tuple[Fitted, ...]


def calibrate(
    implant: Implant,
    measured: Mapping[str, float],
    activity: Activity,
    accuracy: float = 0.02,
) -> Calibrated:
    """Fit the free parameters of the measured components.

    One factor for each parameter, on a logarithmic scale: the most probable, given measurements
    that err by `accuracy` and parameters that are log-normal with their spread. So a component
    with one free parameter is met; where several share it, the prior divides it among them.

    Free are the parameters of a measured component that have a spread, by the implant or by
    published silicon; if it has none of those, all that its price depends on.

    Parameters
    ----------
    implant : Implant
        To start from.
    measured : mapping of str to float
        Component, or ``total``, to its mean power. [W]
    activity : Activity
        What the chip did while it was measured, counted on this implant.
    accuracy : float
        Relative standard error of a measured power.

    Returns
    -------
    Calibrated
        Implant, factors, and residuals.

    Raises
    ------
    SpecError
        For an unknown component, a power that is not above 0, a component that did nothing, or a
        fit that no implant of this kind reaches.
    """
    if not 0 < accuracy < 1:
        raise SpecError(f"accuracy: {accuracy:g} must lie between 0 and 1")
    before = _powers(implant, activity)
    _check(measured, before)
    free = _free(implant, measured, before)

    def misfit(log: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " row"]:
        powers = _powers(_with(implant, free, log), activity)
        data = [math.log(powers[name] / watts) / accuracy for name, watts in measured.items()]
        prior = [x / math.log(spread.factor) for x, (_, spread) in zip(log, free, strict=True)]
        return np.array([*data, *prior])

    log = _least_squares(misfit, np.zeros(len(free)))
    return _told(implant, activity, measured, before, free, log)


def _powers(implant: Implant, activity: Activity) -> dict[str, float]:
    ledger = price(activity, implant)
    return {**ledger.component_w, TOTAL: ledger.power_w}


def _check(measured: Mapping[str, float], before: Mapping[str, float]) -> None:
    if not measured:
        raise SpecError(f"measured: empty; give the power of {', '.join(COMPONENTS)} or {TOTAL}")
    for name, watts in measured.items():
        if name not in before:
            raise SpecError(f"measured.{name}: no component; use {', '.join(COMPONENTS)}, {TOTAL}")
        if not (math.isfinite(watts) and watts > 0):
            raise SpecError(f"measured.{name}: {watts:g} W must be above 0")
        if before[name] <= 0:
            raise SpecError(
                f"measured.{name}: {watts:g} W, but the implant's {name} draws nothing here; give "
                "the block a price first, or count that power as overhead"
            )


def _free(
    implant: Implant, measured: Mapping[str, float], before: Mapping[str, float]
) -> list[tuple[Parameter, Spread]]:
    known = parameters(implant)
    own = {parameter(implant, key).key: spread for key, spread in implant.spreads.items()}
    usual = Spread(factor=_USUAL_SPREAD, source="no spread is known")
    chosen: dict[str, tuple[Parameter, Spread]] = {}
    for name in measured:
        if name == TOTAL:
            parts = [c for c in COMPONENTS if before[c] > 0 and c not in measured]
        else:
            parts = [name]
        blocks = [block for part in parts for block in _BLOCKS[part]]
        inside = [f for f in known if f.block in blocks and f.field != "noise_v"]
        spread = [(f, own.get(f.key) or spread_of(f)) for f in inside]
        with_spread = [(f, s) for f, s in spread if s is not None]
        chosen |= {f.key: (f, s) for f, s in with_spread or [(f, usual) for f in inside]}
    if not chosen:
        raise SpecError("measured: nothing is free to be fitted; measure a component as well")
    return list(chosen.values())


def _with(
    implant: Implant, free: list[tuple[Parameter, Spread]], log: Float[np.ndarray, " parameter"]
) -> Implant:
    for (found, _), x in zip(free, log, strict=True):
        implant = scaled_by(implant, found, math.exp(x))
    return implant


def _least_squares(
    residuals: Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " row"]],
    start: Float[np.ndarray, " parameter"],
) -> Float[np.ndarray, " parameter"]:
    """Levenberg and Marquardt: a handful of unknowns, a smooth misfit."""
    x, damping = start, 1e-3
    at = residuals(x)
    for _ in range(_ROUNDS):
        step = 1e-6
        slope = np.array([(residuals(x + step * e) - at) / step for e in np.eye(len(x))]).T
        normal = slope.T @ slope
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slope.T @ at)
        tried = residuals(x + np.clip(move, -2, 2))
        if tried @ tried < at @ at:
            gained = at @ at - tried @ tried
            x, at, damping = x + np.clip(move, -2, 2), tried, damping / 10
            if gained < 1e-12 * (1 + at @ at):
                break
        elif (damping := damping * 10) > 1e12:
            break
    return x


def _told(
    implant: Implant,
    activity: Activity,
    measured: Mapping[str, float],
    before: Mapping[str, float],
    free: list[tuple[Parameter, Spread]],
    log: Float[np.ndarray, " parameter"],
) -> Calibrated:
    changed = _with(implant, free, log)
    values = {f.key: parameter(changed, f.key).value for f, _ in free}
    why = "fitted to the measured power of " + ", ".join(measured)
    for found, _ in free:
        changed = with_value(changed, found, values[found.key], why)
    try:  # the ranges of the schema, the thermal floor, every source
        sound = Implant.model_validate(changed.model_dump(by_alias=True))
    except ValueError as error:
        raise SpecError(
            f"measured: no implant of this kind draws {dict(measured)} W: {error}; start from "
            "another kind of amplifier, ADC or radio"
        ) from None
    after = _powers(sound, activity)
    fit = tuple(Fitted(name, w, before[name], after[name]) for name, w in measured.items())
    factors = {f.key: math.exp(x) for (f, _), x in zip(free, log, strict=True)}
    return Calibrated(sound, factors, values, fit)

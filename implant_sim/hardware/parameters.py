"""The numbers of an implant that set prices: where they are, and an implant with one changed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from implant_sim.hardware.components.base import Block, Component, Source
from implant_sim.hardware.components.spread import SILICON, Spread
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics.converter import thermal_floor_j
from sbtt_models.errors import SpecError

__all__ = ["Parameter", "parameter", "parameters", "scaled", "spread_of", "with_value"]

COUNTS = {"band_hz", "bits", "enob", "sample_rate_hz", "percentile"}
"""They enter prices, but change also what is counted, or are no single number."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of an implant, by its key in YAML."""

    key: str
    """Dotted, for example ``amplifier.pef``."""
    block: str
    field: str
    value: float
    least: float = 0.0
    """Least factor on the value that physics allows."""


def parameters(implant: Implant) -> tuple[Parameter, ...]:
    """Find the numbers that set a price, and those of body and battery.

    Numbers that change what is counted (sampling rate, bits, data rates) are none of them: an
    implant with another one has to acquire anew.

    Parameters
    ----------
    implant : Implant
        Any.

    Returns
    -------
    tuple of Parameter
        In the order of the blocks; numbers that are 0 are left out.
    """
    return tuple(_found(implant))


def _found(implant: Implant) -> Iterator[Parameter]:
    for name in type(implant).model_fields:
        block = getattr(implant, name)
        if isinstance(block, Component):
            prices = block.prices(implant.physical).values()
            for field in dict.fromkeys(f for price in prices for f in price.fields):
                if field not in COUNTS:
                    yield from _one(implant, name, block, field)
    yield from _one(implant, "array", implant.array, "area_m2")
    if (battery := implant.power.battery) is not None:
        yield from _one(implant, "power.battery", battery, "capacity_c")


def _one(implant: Implant, name: str, block: Block, field: str) -> Iterator[Parameter]:
    value = getattr(block, field)
    if isinstance(value, float) and value > 0:
        alias = type(block).model_fields[field].alias or field
        least = _least(implant, name, field, value)
        yield Parameter(f"{name}.{alias}", name, field, float(value), least)


def _least(implant: Implant, name: str, field: str, value: float) -> float:
    """Where a floor of physics lies, as a factor on the value."""
    if name == "amplifier" and field in ("nef", "pef_v", "power_w", "supply_v"):
        amplifier, known = implant.amplifier, implant.physical
        share = amplifier.least_power_w(known) / amplifier.on_power_w(known)
        if field != "nef":
            return share
        return max(math.sqrt(share), 0.0 if getattr(amplifier, "stacked", False) else 1 / value)
    if name == "adc" and field in ("fom_j", "fom_db"):
        adc, constants = implant.adc, implant.physical
        return thermal_floor_j(adc.sndr_db(), constants) / adc.conversion(constants).value_j
    return 0.0


def parameter(implant: Implant, key: str) -> Parameter:
    """Find a number by its key.

    Parameters
    ----------
    implant : Implant
        Any.
    key : str
        Dotted, with or without unit: ``adc.fom`` or ``adc.fom_j``.

    Returns
    -------
    Parameter
        The number.

    Raises
    ------
    SpecError
        For a key that is no number of this implant, or sets no price.
    """
    known = parameters(implant)
    for found in known:
        if key in (found.key, f"{found.block}.{found.field}"):
            return found
    raise SpecError(
        f"uncertainty: {key} is no number of this implant that sets a price by itself; there are "
        f"{', '.join(found.key for found in known)}"
    )


def spread_of(found: Parameter) -> Spread | None:
    """The spread that published silicon gives to such a parameter, or None."""
    return SILICON.get(f"{found.block}.{found.field}")


def scaled(implant: Implant, found: Parameter, factor: float) -> Implant:
    """The implant with a parameter changed.

    An efficiency has its loss multiplied, a figure of merit in dB the energy behind it. Floors of
    physics hold: a factor below `Parameter.least` acts as that.

    Parameters
    ----------
    implant : Implant
        Any.
    found : Parameter
        What to change.
    factor : float
        Above 0.

    Returns
    -------
    Implant
        A copy, for pricing and judging; ranges of the schema are not checked again.
    """
    value, factor = found.value, max(factor, found.least)
    if found.field.endswith("_db"):
        new = value - 10 * math.log10(factor)
    elif found.field.endswith("efficiency"):
        new = 1 / (1 + (1 / value - 1) * factor)
    else:
        new = value * factor
    return with_value(implant, found, new, f"{value:g} changed by a factor of {factor:g}")


def with_value(implant: Implant, found: Parameter, value: float, why: str) -> Implant:
    """The implant with another value of a parameter, and where that comes from.

    Parameters
    ----------
    implant : Implant
        Any.
    found : Parameter
        What to change.
    value : float
        New value, in SI.
    why : str
        Its source; of kind derived.

    Returns
    -------
    Implant
        A copy; ranges of the schema are not checked again.
    """
    battery = implant.power.battery
    if found.block == "power.battery" and battery is not None:
        power = implant.power.model_copy(
            update={"battery": _changed(battery, implant, found.field, value, why)}
        )
        return implant.model_copy(update={"power": power})
    block = _changed(getattr(implant, found.block), implant, found.field, value, why)
    return implant.model_copy(update={found.block: block})


def _changed(block: Block, implant: Implant, field: str, value: float, why: str) -> Block:
    # each number keeps its own source: one of the whole block would now cover the new value, too
    fields = type(block).model_fields
    kept = {fields[f].alias or f: block.source_of(f, implant.sources) for f in block.numbers()}
    kept[fields[field].alias or field] = Source(text=why[:1000], kind="derived")
    known = {key: source for key, source in kept.items() if source is not None}
    return block.model_copy(update={field: value, "source": known})

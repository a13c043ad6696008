"""Physical quantities in SI, and the text that spells them, such as ``"5 pJ"``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "Amperes",
    "Bits",
    "BitsPerSecond",
    "Coulombs",
    "Farads",
    "Fraction",
    "Hertz",
    "Joules",
    "Kelvins",
    "KelvinsPerWatt",
    "KilogramsPerCubicMetre",
    "Metres",
    "Ohms",
    "Quantity",
    "Seconds",
    "SiemensPerMetre",
    "SquareMetres",
    "Volts",
    "VoltsPerMetre",
    "Watts",
    "WattsPerKilogram",
    "WattsPerSquareMetre",
    "measure",
    "to_si",
]

_PREFIX = {
    "": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3,
    "c": 1e-2, "k": 1e3, "M": 1e6, "G": 1e9,
}  # fmt: skip

# base unit -> (factor to SI, dimension as exponents of s, V, A, m, K, bit)
_Dim = tuple[int, int, int, int, int, int]
_UNIT: dict[str, tuple[float, _Dim]] = {
    "s": (1.0, (1, 0, 0, 0, 0, 0)),
    "min": (60.0, (1, 0, 0, 0, 0, 0)),
    "h": (3600.0, (1, 0, 0, 0, 0, 0)),
    "d": (86400.0, (1, 0, 0, 0, 0, 0)),
    "Hz": (1.0, (-1, 0, 0, 0, 0, 0)),
    "V": (1.0, (0, 1, 0, 0, 0, 0)),
    "Vrms": (1.0, (0, 1, 0, 0, 0, 0)),
    "A": (1.0, (0, 0, 1, 0, 0, 0)),
    "W": (1.0, (0, 1, 1, 0, 0, 0)),
    "J": (1.0, (1, 1, 1, 0, 0, 0)),
    "Wh": (3600.0, (1, 1, 1, 0, 0, 0)),
    "C": (1.0, (1, 0, 1, 0, 0, 0)),
    "Ah": (3600.0, (1, 0, 1, 0, 0, 0)),
    "F": (1.0, (1, -1, 1, 0, 0, 0)),
    "ohm": (1.0, (0, 1, -1, 0, 0, 0)),
    "Ohm": (1.0, (0, 1, -1, 0, 0, 0)),
    "Ω": (1.0, (0, 1, -1, 0, 0, 0)),
    "S": (1.0, (0, -1, 1, 0, 0, 0)),
    "m": (1.0, (0, 0, 0, 1, 0, 0)),
    "g": (1e-3, (3, 1, 1, -2, 0, 0)),
    "K": (1.0, (0, 0, 0, 0, 1, 0)),
    "bit": (1.0, (0, 0, 0, 0, 0, 1)),
    "b": (1.0, (0, 0, 0, 0, 0, 1)),
    "B": (8.0, (0, 0, 0, 0, 0, 1)),
    "bps": (1.0, (-1, 0, 0, 0, 0, 1)),
    "%": (1e-2, (0, 0, 0, 0, 0, 0)),
}
_NO_PREFIX = {"min", "h", "d", "%"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*([^\s\d].*?)?\s*$")
_FACTOR = re.compile(r"^([A-Za-zµμΩ%]+?)(?:\^?([1-3]))?$")
_RAISED = str.maketrans("¹²³", "123")
_MAX_TEXT = 40  # the longest honest quantity is a dozen characters; longer text is an attack


def _factor(text: str) -> tuple[float, _Dim] | None:
    match = _FACTOR.match(text)
    if match is None:
        return None
    name, power = match[1], int(match[2] or 1)
    for cut in range(len(name)):
        prefix, unit = name[:cut], name[cut:]
        if prefix in _PREFIX and unit in _UNIT and not (prefix and unit in _NO_PREFIX):
            scale, dim = _UNIT[unit]
            exponents = tuple(power * e for e in dim)
            return (_PREFIX[prefix] * scale) ** power, exponents  # type: ignore[return-value]
    return None


@lru_cache(maxsize=256)  # a study writes few units, many times
def _parse_unit(text: str) -> tuple[float, _Dim] | None:
    scale, dim = 1.0, (0, 0, 0, 0, 0, 0)
    for i, part in enumerate(text.split("/")):
        parsed = _factor(part.strip())
        if parsed is None:
            return None
        sign = -1 if i else 1
        scale *= parsed[0] ** sign
        dim = tuple(a + sign * b for a, b in zip(dim, parsed[1], strict=True))  # type: ignore[assignment]
    return scale, dim


def to_si(value: object, unit: str) -> float:
    """Turn a number, or text such as ``"5 pJ"``, into SI.

    Parameters
    ----------
    value : float or str
        A bare number counts as SI already.
    unit : str
        The SI unit wanted, for example ``"J"`` or ``"W/m2"``; ``""`` for a pure number, where
        ``"%"`` is allowed.

    Returns
    -------
    float
        The value in `unit`.

    Raises
    ------
    ValueError
        For text that is no quantity, for an unknown unit and for one of another dimension.

    Examples
    --------
    >>> to_si("5 pJ", "J"), to_si("40 mW/cm2", "W/m2"), to_si("25 %", "")
    (5e-12, 400.0, 0.25)
    """
    wanted = f"a quantity in {unit}" if unit else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {wanted}, got {value!r}")
    if not isinstance(value, str):
        return float(value)
    match = _QUANTITY.match(value) if len(value) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(f"expected {wanted}, written as '<number> <unit>', got {value[:40]!r}")
    number = float(match[1])
    if match[2] is None:
        return number
    given = match[2].translate(_RAISED)
    parsed, target = _parse_unit(given), _parse_unit(unit) if unit else (1.0, (0,) * 6)
    if parsed is None:
        hint = _advice(match[1], given, unit)
        raise ValueError(f"unknown unit {match[2]!r} in {value!r}; expected {wanted}{hint}")
    if target is None or parsed[1] != target[1]:
        hint = _advice(match[1], given, unit)
        raise ValueError(f"{value!r} has the wrong dimension; expected {wanted}{hint}")
    # round trip through decimal digits, so that "5 pJ" equals 5e-12 and not 5.000000000000001e-12
    result = number * (parsed[0] / target[0])
    return float(f"{result:.15g}") if math.isfinite(result) else result


def _advice(number: str, given: str, unit: str) -> str:
    """How to write what papers write otherwise; empty where that is not clear."""
    if given.startswith(","):
        return f": a decimal point, as in {number}.{given[1:]}"
    if unit == "Hz" and (samples := re.match(r"([kMG]?)S(?:/s|ps)", given)):
        return f": samples per second are {number} {samples[1]}Hz"
    if unit == "K" and given in ("C", "°C"):
        return f": a rise of temperature, {number} K"
    first, _, per = given.partition("/")
    parsed, target = _parse_unit(first), _parse_unit(unit) if unit else None
    if per and parsed is not None and target is not None and parsed[1] == target[1]:
        return f": {number} {first}, the key says per what"
    return ""


def measure(text: str) -> tuple[float, tuple[int, ...]] | None:
    """Read text such as ``"5 uV"`` whose dimension is not known beforehand.

    Parameters
    ----------
    text : str
        A number and perhaps a unit.

    Returns
    -------
    tuple of float and tuple of int, or None
        The value in SI and its dimension, as exponents of s, V, A, m, K and bit; None for text
        that is no quantity.

    Examples
    --------
    >>> measure("5 uV"), measure("uwb")
    ((5e-06, (0, 1, 0, 0, 0, 0)), None)
    """
    match = _QUANTITY.match(text) if len(text) <= _MAX_TEXT else None
    parsed = match and (_parse_unit(match[2]) if match[2] else (1.0, (0,) * 6))
    if match is None or not parsed:
        return None
    value = float(match[1]) * parsed[0]
    return (float(f"{value:.15g}") if math.isfinite(value) else value), parsed[1]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Annotation: a float in SI that YAML may write with a unit of the same dimension."""

    unit: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Parse text before pydantic's own check of the float and its bounds."""
        return core_schema.no_info_before_validator_function(
            lambda value: to_si(value, self.unit), handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say in the JSON Schema that text with a unit is welcome."""
        number = handler(schema)
        text = {"type": "string", "description": f"number and unit, dimension of {self.unit}"}
        return {"anyOf": [number, text]}


Seconds = Annotated[float, Quantity("s")]
Hertz = Annotated[float, Quantity("Hz")]
Volts = Annotated[float, Quantity("V")]
Amperes = Annotated[float, Quantity("A")]
Watts = Annotated[float, Quantity("W")]
Joules = Annotated[float, Quantity("J")]
Coulombs = Annotated[float, Quantity("C")]
Farads = Annotated[float, Quantity("F")]
Ohms = Annotated[float, Quantity("ohm")]
Metres = Annotated[float, Quantity("m")]
SquareMetres = Annotated[float, Quantity("m2")]
Kelvins = Annotated[float, Quantity("K")]
Bits = Annotated[float, Quantity("bit")]
BitsPerSecond = Annotated[float, Quantity("bit/s")]
WattsPerSquareMetre = Annotated[float, Quantity("W/m2")]
WattsPerKilogram = Annotated[float, Quantity("W/kg")]
KelvinsPerWatt = Annotated[float, Quantity("K/W")]
VoltsPerMetre = Annotated[float, Quantity("V/m")]
SiemensPerMetre = Annotated[float, Quantity("S/m")]
KilogramsPerCubicMetre = Annotated[float, Quantity("kg/m3")]
Fraction = Annotated[float, Quantity("")]

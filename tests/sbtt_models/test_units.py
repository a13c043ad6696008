"""Quantities with units: what is honest is read, everything else refused at once."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sbtt_models.spec import Spec
from sbtt_models.units import Joules, Seconds, Volts, to_si

READ = [
    ("5 pJ", "J", 5e-12), ("5pJ", "J", 5e-12), ("1e-12 J", "J", 1e-12), (".5 nJ", "J", 5e-10),
    ("20 ms", "s", 0.02), ("5 min", "s", 300.0), ("24 h", "s", 86400.0), ("1 d", "s", 86400.0),
    ("30 kHz", "Hz", 3e4), ("6.5 µV", "V", 6.5e-6), ("6.5 uVrms", "V", 6.5e-6),
    ("100 kohm", "ohm", 1e5), ("100 kΩ", "ohm", 1e5), ("200 mAh", "C", 720.0),
    ("2 pF", "F", 2e-12),
    ("1 Mb/s", "bit/s", 1e6), ("1 Mbps", "bit/s", 1e6), ("1 kB/s", "bit/s", 8e3),
    ("40 mW/cm2", "W/m2", 400.0), ("40 mW/cm^2", "W/m2", 400.0), ("16 mm2", "m2", 1.6e-5),
    ("16 mm²", "m2", 1.6e-5), ("740 mWh", "J", 2664.0),
    ("5 mm", "m", 5e-3), ("1 m", "m", 1.0), ("1 K", "K", 1.0), ("20 pJ/bit", "J/bit", 2e-11),
    ("25 %", "", 0.25), ("0.25", "", 0.25), ("3", "J", 3.0), (" 3  J ", "J", 3.0),
]  # fmt: skip

HOSTILE = [
    "10**10**10 J", "9**9**9**9 J", "m" * 100_000, "nan J", "inf W", "1e J", "J", "", "5 J J",
    "5 pp", "0x10 J", "1_000 J", "5 J/", "5 /J", "5 J//s", "1,5 J", "5 kmin", "__import__('os') J",
]  # fmt: skip


@pytest.mark.parametrize(("text", "unit", "value"), READ)
def test_units_are_read_exactly(text: str, unit: str, value: float) -> None:
    assert to_si(text, unit) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ValueError, match="expected a quantity in J"):
        to_si(text, "J")
    assert time.perf_counter() - start < 0.05


@pytest.mark.parametrize("text", ["5 V", "5 J/s", "5 m", "5 Hz", "5 J2", "5 bit"])
def test_a_wrong_dimension_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="wrong dimension; expected a quantity in J"):
        to_si(text, "J")


@pytest.mark.parametrize(
    ("text", "unit", "way"),
    [
        ("20 kS/s", "Hz", "20 kHz$"),
        ("1 MSps", "Hz", "1 MHz$"),
        ("39.4 fJ/step", "J", "39.4 fJ, the key says per what"),
        ("1 mW/channel", "W", "1 mW, the key"),
        ("1 °C", "K", "1 K$"),
        ("2,2 uV", "V", r"2\.2 uV$"),
        ("3 S/m", "V", "in V$"),
    ],
)
def test_what_papers_write_is_told_how_to_write(text: str, unit: str, way: str) -> None:
    with pytest.raises(ValueError, match=way):
        to_si(text, unit)


@given(st.floats(1e-3, 1e3), st.sampled_from(["f", "p", "n", "u", "m", "", "k", "M", "G"]))
def test_prefixes_scale(number: float, prefix: str) -> None:
    power = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}[prefix]
    assert to_si(f"{number!r} {prefix}V", "V") == pytest.approx(number * 10.0**power, rel=1e-14)


class Part(Spec):
    noise_v: Volts = Field(gt=0, alias="noise")
    """Input-referred noise."""
    energy_j: Joules | None = Field(None, alias="energy")
    wake_s: Seconds = Field(0.0, ge=0, alias="wake")


def test_a_record_takes_units_bounds_and_both_spellings() -> None:
    part = Part.model_validate({"noise": "5 uV", "energy": "2 nJ"})
    assert part == Part(noise_v=5e-6, energy_j=2e-9)
    assert part.model_dump() == {"noise": 5e-6, "energy": 2e-9, "wake": 0.0}
    for bad in ({"noise": "-5 uV"}, {"noise": "5 uJ"}, {"noise": float("inf")}, {"nois": 1}, {}):
        with pytest.raises(ValidationError):
            Part.model_validate(bad)


def test_the_json_schema_welcomes_text() -> None:
    noise = Part.model_json_schema()["properties"]["noise"]
    assert {option["type"] for option in noise["anyOf"]} == {"number", "string"}

"""Converters: the survey of published ones, regressions, and the floor that none crosses."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.silicon.adc_percentiles import percentiles
from implant_sim.hardware.physics import converter, sampling, survey
from implant_sim.hardware.physics.constants import BODY
from tests.hardware import hw

SURVEYED = {"adc": {"kind": "survey", "bits": 10, "sample_rate": "30 kHz", "source": "test"}}


def test_regression_of_accelergy():
    published = {
        180: [23.8, 27.4, 44.1, 85.1, 185], 65: [3.5, 4.04, 6.49, 12.5, 27.2],
        28: [0.719, 0.829, 1.33, 2.57, 5.58],
    }  # fmt: skip
    for node_nm, values in published.items():
        ours = [
            1e12 * survey.accelergy_energy_j(bits, 1e6, node_nm * 1e-9)
            for bits in (4, 6, 8, 10, 12)
        ]
        assert [float(f"{energy:.3g}") for energy in ours] == values


def test_energy_of_a_published_sar():
    # 0.23 uW at 3 bits, 0.90 uW at 8, 100 kS/s: 3.9 times, where Walden's law says 32
    sar = {"kind": "sar", "sample_rate": "100 kHz", "source": "test"}
    three, eight = (
        hw.implant({"adc": {**sar, "bits": bits}}).price_list()["adc", "convert"]
        for bits in (3, 8)
    )
    assert 100e3 * three.price_j == pytest.approx(0.23e-6, rel=0.01)
    assert 100e3 * eight.price_j == pytest.approx(0.90e-6, rel=0.01)
    assert eight.price_j / three.price_j == pytest.approx(3.9, abs=0.05)
    assert "O'Driscoll" in three.source
    assert converter.walden_energy_j(1.0, 8) / converter.walden_energy_j(1.0, 3) == 32


def test_table_of_the_survey():
    # published statistics: 6.4, 36.5, 335 fJ since 2015; placeholders are left out here
    n, *fom = survey.WALDEN_FJ["any", "2015-2025", "any"]
    assert n == 306
    assert fom == pytest.approx([6.4, 36.5, 335], rel=0.03)
    n, *fom = survey.WALDEN_FJ["any", "1997-2025", "any"]
    assert fom[:2] == pytest.approx([11.6, 203], rel=0.02)
    for cell, (n, low, middle, high) in survey.WALDEN_FJ.items():
        assert n >= 10, cell
        assert low <= middle <= high, cell


def test_percentiles_are_those_of_the_rows():
    rows = {
        "year": [2016] * 21 + [2001] * 4 + [2020] * 2,
        "architecture": ["Pipe, SAR, TI"] * 21 + ["SAR"] * 4 + ["Flash"] * 2,
        "power_W": [1e-6] * 25 + [math.nan, 1e-6],
        "sndr_dB": [60.0] * 26 + [1.0],
        "fsnyq_Hz": [1e5] * 21 + [1e5] * 4 + [1e5] * 2,
        "fomw_fJ": [*range(21), *[500.0] * 4, 1e10, 1e10],
    }
    found = percentiles(pd.DataFrame(rows))
    assert found["sar", "2015-2025", "to 100 kHz"] == (21, 2.0, 10.0, 18.0)
    assert found["sar", "1997-2025", "any"][0] == 25
    assert ("sar", "1997-2004", "to 100 kHz") not in found
    assert not any(speed == "to 1 MHz" for _, _, speed in found)


def test_survey_as_an_adc():
    def priced(changes):
        return hw.implant({**SURVEYED, **changes}).price_list()["adc", "convert"]

    low, middle, high = (priced({"adc.percentile": p}).price_j for p in ("p10", "p50", "p90"))
    assert low < middle < high
    assert middle == pytest.approx(
        1e-15 * survey.WALDEN_FJ["any", "2015-2025", "to 100 kHz"][2] * 1024
    )
    sar = priced({"adc.architecture": "sar", "adc.years": "2005-2014", "adc.percentile": "p10"})
    assert sar.price_j == pytest.approx(
        1e-15 * survey.WALDEN_FJ["sar", "2005-2014", "to 100 kHz"][1] * 1024
    )
    assert "Murmann" in sar.source
    assert "p10 of 2005-2014, sar, to 100 kHz" in sar.source
    # one ADC for four channels is four times as fast, of another class
    shared = priced({**hw.MUXED})
    assert shared.price_j == pytest.approx(
        1e-15 * survey.WALDEN_FJ["any", "2015-2025", "to 1 MHz"][2] * 1024
    )


@given(rate=st.floats(1, 1e11))
def test_every_rate_has_its_class(rate):
    low, high = survey.SPEEDS_HZ[survey.speed_class(rate)]
    assert low < rate <= high


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["walden", "schreier", "sar", "survey"]), bits=st.integers(1, 24),
    fom=st.floats(0, 1), rate=st.floats(2e3, 1e8),
)  # fmt: skip
def test_no_converter_lies_below_the_thermal_floor(kind, bits, fom, rate):
    given_ = {
        "walden": {"fom": 10 ** (-18 + 9 * fom)}, "schreier": {"fom": 101 + 99 * fom},
        "sar": {"per_bit": 1e-15 * fom}, "survey": {"percentile": "p10"},
    }[kind]  # fmt: skip
    block = {"kind": kind, "bits": bits, "sample_rate": rate, "source": "test", **given_}
    try:
        implant = hw.implant({"adc": block})
    except ValidationError:
        with pytest.raises(ValidationError, match="below the thermal floor"):
            hw.implant({"adc": block})
        return
    energy = implant.price_list()["adc", "convert"].price_j
    assert energy >= converter.thermal_floor_j(implant.adc.sndr_db())
    assert energy >= 8 * BODY.thermal_energy_j * 10 ** ((6.02 * bits + 1.76) / 10)


@given(bits=st.integers(1, 13), kind=st.sampled_from(["walden", "sar", "survey"]))
def test_energy_grows_with_bits(bits, kind):
    given_ = {"walden": {"fom": "1 pJ"}, "sar": {}, "survey": {"percentile": "p90"}}[kind]
    block = {"kind": kind, "sample_rate": "20 kHz", "source": "test", **given_}
    less, more = (
        hw.implant({"adc": {**block, "bits": b}}).price_list()["adc", "convert"].price_j
        for b in (bits, bits + 1)
    )
    assert less < more


@given(volts=st.floats(0.1, 5), bits=st.integers(1, 20))
def test_least_capacitor_has_as_much_noise_as_rounding(volts, bits):
    farads = sampling.least_sampling_capacitance_f(volts, bits)
    rounding = sampling.quantisation_noise_v(sampling.lsb_v(volts, 1.0, bits))
    assert math.sqrt(BODY.thermal_energy_j / farads) == pytest.approx(rounding)

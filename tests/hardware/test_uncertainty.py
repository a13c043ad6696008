"""Bands, tornado plots, fits: against plain re-pricing, floors of physics, hostile input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware import chip_fit, parameters, sensitivity, uncertainty
from implant_sim.hardware.components.spread import SILICON
from implant_sim.hardware.energy import price
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics.converter import thermal_floor_j
from sbtt_models.errors import SpecError
from tests.hardware import hw

TENTH = 1.2815515655446004  # of a standard normal
PEF = {"amplifier": {"kind": "pef", "pef": "20 V", "noise": "2 uV", "band": ["300 Hz", "1 kHz"],
                     "source": "test"}}  # fmt: skip


def spread(**factors: float) -> dict:
    """Spreads by key, with __ for the dot."""
    return {"uncertainty": {
        key.replace("__", "."): {"factor": f, "source": hw.SOURCE} for key, f in factors.items()
    }}  # fmt: skip


def activity_of(implant: Implant, **schedule):
    return hw.run(hw.recording(), implant, {"kind": "full", **schedule})[1]


def bands(implant: Implant, n: int = 4000, seed: int = 0) -> uncertainty.Band:
    return uncertainty.band(activity_of(implant), implant, n, np.random.default_rng(seed))


def test_without_spreads_the_band_is_the_ledger():
    implant = hw.implant({"power": {"regulator_efficiency": 0.8, "source": "test"}})
    activity = activity_of(implant)
    ledger = price(activity, implant)
    found = bands(implant, 3)
    for name, watts in ledger.component_w.items():
        got = found.components[name]
        assert (got.p10_w, got.p50_w, got.p90_w) == pytest.approx((watts,) * 3, rel=1e-12)
    assert found.power.p90_w == pytest.approx(ledger.power_w, rel=1e-12)


def test_a_power_law_spreads_as_its_parameter():
    implant = hw.implant(PEF | spread(amplifier__pef=3.0))
    got, w = bands(implant).components["amplifier"], price(activity_of(implant), implant)
    assert got.p50_w == pytest.approx(w.component_w["amplifier"], rel=0.06)
    assert math.log(got.p90_w / got.p10_w) == pytest.approx(2 * TENTH * math.log(3), rel=0.06)


@pytest.mark.parametrize(
    "factors",
    [
        {"amplifier__nef": 2.0},
        {"amplifier__nef": 1.5, "amplifier__supply": 1.3},  # two in one price
        {"adc__fom": 5.0, "radio__energy_per_bit": 3.0, "overhead__power": 2.0},
        {"power__regulator_efficiency": 2.0, "processing__per_sample": 4.0},
    ],
)
def test_drawn_prices_equal_the_implant_built_for_each_draw(factors):
    implant = hw.implant(
        {"power": {"regulator_efficiency": 0.7, "link_efficiency": 0.2, "source": "test"}}
        | spread(**factors)
    )
    activity, n = activity_of(implant), 40
    drawn = uncertainty.draw_prices(implant, n, np.random.default_rng(5))
    rng, totals = np.random.default_rng(5), []
    logs = {key: rng.standard_normal(n) * math.log(s.factor) for key, s in implant.spreads.items()}
    for i in range(n):
        changed = implant
        for key, log in logs.items():
            found = parameters.parameter(changed, key)
            changed = parameters.scaled(changed, found, math.exp(log[i]))
        totals.append(price(activity, changed).power_w)
    low, middle, high = np.quantile(totals, (0.1, 0.5, 0.9))
    got = uncertainty.band_of(activity, drawn).power
    assert (got.p10_w, got.p50_w, got.p90_w) == pytest.approx((low, middle, high), rel=1e-3)


def test_what_is_lost_on_delivery_follows_what_is_drawn():
    power = {"power": {"regulator_efficiency": 0.8, "source": "test"}}
    got = bands(hw.implant(PEF | power | spread(amplifier__pef=4.0)))
    assert got.components["delivery"].p90_w == pytest.approx(got.power.p90_w * 0.2, rel=1e-9)


def test_draws_stop_at_the_floors_of_physics():
    implant = hw.implant(
        {"amplifier.nef": 1.2, "adc.bits": 14, "adc.fom": "1 fJ"}
        | spread(amplifier__nef=10.0, adc__fom=50.0)
    )
    drawn = uncertainty.draw_prices(implant, 500, np.random.default_rng(0)).prices
    at_one = hw.implant({"amplifier.nef": 1.0}).amplifier.on_power_w(implant.physical)
    assert np.min(drawn["amplifier", "on"]) == pytest.approx(at_one, rel=1e-9)
    floor = thermal_floor_j(implant.adc.sndr_db(), implant.physical)
    assert np.min(drawn["adc", "convert"]) == pytest.approx(floor, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e3))
def test_an_efficiency_stays_one_whatever_the_factor(efficiency, factor):
    implant = hw.implant({"power": {"link_efficiency": efficiency, "source": "test"}})
    found = parameters.parameter(implant, "power.link_efficiency")
    new = parameters.scaled(implant, found, factor).power.link_efficiency
    assert 0 < new < 1
    assert (1 / new - 1) / (1 / efficiency - 1) == pytest.approx(factor, rel=1e-6)


def test_the_same_draws_serve_every_activity():
    implant = hw.implant(spread(amplifier__nef=2.0))
    assert bands(implant, seed=3) == bands(implant, seed=3)
    draws = uncertainty.draw_prices(implant, 200, np.random.default_rng(3))
    full = uncertainty.band_of(activity_of(implant), draws)
    some = uncertainty.band_of(activity_of(implant, kind="random_subset", bandwidth=2), draws)
    # amplifiers never sleep here, so their band must be the very same
    assert full.components["amplifier"] == some.components["amplifier"]


def test_silicon_spreads_what_is_known_of_silicon():
    implant = hw.implant({"uncertainty": "silicon"})
    assert set(implant.spreads) == {
        "amplifier.nef", "adc.fom", "processing.per_sample", "radio.energy_per_bit",
        "overhead.power",
    }  # fmt: skip
    assert all(s.factor > 1 and s.source.kind == "derived" for s in SILICON.values())
    again = Implant.model_validate(implant.model_dump(mode="json", by_alias=True))
    assert again == implant


@pytest.mark.parametrize(
    ("key", "factor", "message"),
    [
        ("amplifier.noise", 2, "sweep it instead"),
        ("amplifier.peff", 2, "amplifier.nef"),
        ("adc.bits", 2, "no number of this implant"),
        ("radio.rate", 2, "no number of this implant"),
        ("adc.fom", 1.0, "greater than 1"),
        ("adc.fom", 1e9, "less than or equal"),
        ("adc.fom", float("nan"), "finite"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(key, factor, message):
    given_spread = {"factor": factor, "source": hw.SOURCE}
    with pytest.raises(ValidationError, match=message):
        hw.implant({"uncertainty": {key: given_spread}})


def test_a_spread_needs_a_source_that_exists():
    with pytest.raises(ValidationError, match="unknown source 'nowhere'"):
        hw.implant({"uncertainty": {"adc.fom": {"factor": 2, "source": "nowhere"}}})
    with pytest.raises(ValidationError, match="source"):
        hw.implant({"uncertainty": {"adc.fom": {"factor": 2}}})


def test_no_draws_and_foreign_actions_are_refused():
    implant = hw.implant(spread(adc__fom=2.0))
    with pytest.raises(SpecError, match="n_draws: 0"):
        uncertainty.draw_prices(implant, 0, np.random.default_rng(0))
    gated = hw.implant(hw.GATED)
    activity = activity_of(gated, kind="random_subset", bandwidth=1)
    with pytest.raises(SpecError, match="no price"):
        uncertainty.band(activity, implant, 10, np.random.default_rng(0))


def test_a_tornado_is_sorted_and_its_ends_are_prices():
    implant = hw.implant(spread(adc__fom=10.0))
    activity = activity_of(implant)
    found = sensitivity.tornado(activity, implant)
    swings = [bar.swing_w for bar in found.bars]
    assert swings == sorted(swings, reverse=True)
    assert found.bars[0].key in ("amplifier.nef", "amplifier.noise")
    bars = {bar.key: bar for bar in found.bars}
    supply = bars["amplifier.supply"]
    doubled = price(activity, hw.implant({"amplifier.supply": "6.6 V"})).power_w
    assert supply.range == "half to double"
    assert supply.high.power_w == pytest.approx(doubled, rel=1e-12)
    fom = bars["adc.fom"]
    assert fom.range == "10 to 90 %"
    assert fom.high.value / fom.low.value == pytest.approx(10 ** (2 * TENTH), rel=1e-6)
    assert all(bar.low.power_w <= found.power_w * (1 + 1e-12) for bar in found.bars
               if bar.key != "amplifier.noise")  # fmt: skip


def test_a_tornado_knows_what_turns_the_verdict():
    area = {"array.area": "0.01 mm2", "limits": {"heat": "0.4 K", "source": "test"}}
    implant = hw.implant(area)
    found = sensitivity.tornado(activity_of(implant), implant)
    assert found.limiting is not None
    decided = {bar.key for bar in found.bars if bar.low.margin * bar.high.margin < 0}
    assert set(found.deciding) == decided
    assert "amplifier.nef" in decided
    assert "array.area" in {bar.key for bar in found.bars if bar.swing_k > 0 == bar.swing_w}


def test_a_tornado_of_chosen_keys():
    implant = hw.implant()
    activity = activity_of(implant)
    found = sensitivity.tornado(activity, implant, ["adc.fom", "overhead.power_w"])
    assert {bar.key for bar in found.bars} == {"adc.fom", "overhead.power"}
    with pytest.raises(SpecError, match=r"adc\.nonsense"):
        sensitivity.tornado(activity, implant, ["adc.nonsense"])


def test_a_battery_and_decibels_are_parameters_too():
    implant = hw.implant({
        "adc": {"kind": "schreier", "fom": 170, "bits": 10, "sample_rate": "2 kHz",
                "source": "test"},
        "power": {"battery": {"capacity": "10 mAh", "voltage": "3 V", "source": "test"}},
        "limits": {"battery": "1 h", "source": "test"},
    })  # fmt: skip
    bars = {bar.key: bar for bar in sensitivity.tornado(activity_of(implant), implant).bars}
    cell, fom = bars["power.battery.capacity"], bars["adc.fom"]
    assert (cell.low.value, cell.high.value) == pytest.approx((18.0, 72.0))
    assert cell.swing_w == 0 < cell.swing_margin
    assert fom.low.value - fom.high.value == pytest.approx(20 * math.log10(2))
    assert fom.high.power_w > fom.low.power_w  # more energy, worse figure


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 4), st.floats(0.2, 5), st.floats(0.2, 5))
def test_a_fit_finds_the_chip_that_was_measured(nef, fom, overhead):
    implant = hw.implant({"power": {"regulator_efficiency": 0.8, "source": "test"}})
    activity = activity_of(implant)
    truth = implant
    for key, factor in {"amplifier.nef": nef, "adc.fom": fom, "overhead.power": overhead}.items():
        truth = parameters.scaled(truth, parameters.parameter(truth, key), factor)
    watts = price(activity, truth).component_w
    measured = {name: watts[name] for name in ("amplifier", "adc", "overhead")}
    found = chip_fit.calibrate(implant, measured, activity, accuracy=1e-3)
    expected = {"amplifier.nef": nef, "adc.fom": fom, "overhead.power": overhead}
    assert dict(found.factors) == pytest.approx(expected, rel=1e-3)
    assert all(abs(row.residual) < 1e-3 for row in found.fit)
    after = price(activity, found.implant).component_w
    assert {name: after[name] for name in measured} == pytest.approx(measured, rel=1e-3)


def test_priors_divide_what_one_measurement_cannot():
    two = {"processing.per_channel": "1 nW", **spread(
        processing__per_channel=2.0, processing__per_sample=2.0)}  # fmt: skip
    implant = hw.implant(two)
    activity = activity_of(implant)
    watts = price(activity, implant).component_w["processing"]
    found = chip_fit.calibrate(implant, {"processing": 3 * watts}, activity)
    assert found.fit[0].after_w == pytest.approx(3 * watts, rel=0.02)
    # the larger part of the power takes the larger share, and both move the same way
    sample, channel = (found.factors[f"processing.{key}"] for key in ("per_sample", "per_channel"))
    assert min(sample, channel) > 1.2


def test_a_total_moves_what_is_known_least():
    implant = hw.implant(spread(adc__fom=1.01, amplifier__nef=4.0))
    activity = activity_of(implant)
    total = price(activity, implant).power_w
    found = chip_fit.calibrate(implant, {chip_fit.TOTAL: 2 * total}, activity)
    assert found.fit[0].after_w == pytest.approx(2 * total, rel=0.02)
    assert found.factors["amplifier.nef"] > 1.3
    assert found.factors["adc.fom"] == pytest.approx(1.0, abs=0.01)


def test_a_fitted_implant_says_where_its_numbers_come_from():
    implant = hw.implant()
    activity = activity_of(implant)
    found = chip_fit.calibrate(implant, {"adc": 1e-6}, activity)
    assert (
        "fitted to the measured power of adc"
        in found.implant.price_list()["adc", "convert"].source
    )
    again = Implant.model_validate(found.implant.model_dump(mode="json", by_alias=True))
    assert price(activity, again).power_w == price(activity, found.implant).power_w


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({}, "empty"),
        ({"adcs": 1e-6}, "measured.adcs: no component"),
        ({"adc": 0.0}, "must be above 0"),
        ({"adc": -1.0}, "must be above 0"),
        ({"adc": float("nan")}, "must be above 0"),
        ({"multiplexer": 1e-6}, "draws nothing here"),
        ({"adc": 1e-30}, "adc"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused(measured, message):
    implant = hw.implant()
    activity = activity_of(implant)
    if measured == {"adc": 1e-30}:  # below the thermal floor: met as far as physics lets it
        found = chip_fit.calibrate(implant, measured, activity)
        assert found.fit[0].residual > 10
        return
    with pytest.raises(SpecError, match=message):
        chip_fit.calibrate(implant, measured, activity)


def test_an_accuracy_that_cannot_be_is_refused():
    implant = hw.implant()
    with pytest.raises(SpecError, match="accuracy: 2"):
        chip_fit.calibrate(implant, {"adc": 1e-6}, activity_of(implant), accuracy=2.0)

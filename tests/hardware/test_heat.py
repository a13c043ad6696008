"""Heat and power: closed forms against a grid, published rises, and what a verdict makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware.components.array import Array
from implant_sim.hardware.components.supply import SAR_LIMITS, Exposure
from implant_sim.hardware.energy import price
from implant_sim.hardware.heat import conductance_w_k, warm
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics import exposure, heat, supply
from implant_sim.hardware.verdict import judge
from tests.hardware import hw
from tests.hardware.pennes_fv import disc_w_k, sphere_w_k

FULL = {"kind": "full"}
SOURCE = {"text": "made up for a test", "kind": "recalled"}


def disc(radius_m, faces=2, tissue=heat.BRAIN):
    return heat.disc_conductance_w_k(math.pi * radius_m**2, faces, tissue)


# ---- closed forms against finite volumes --------------------------------------------------


def test_the_grid_knows_the_disc_in_still_tissue():
    """Without perfusion an isothermal disc gives off 8 k a, whatever the grid says."""
    still = heat.Tissue(0.51, 1.0)  # decays over 0.7 m
    assert disc_w_k(1e-3, still, finest=5e-4) == pytest.approx(8 * 0.51e-3, rel=3e-3)


def test_the_grid_converges_and_balances():
    coarse, fine, finest = (disc_w_k(2e-3, heat.BRAIN, finest=f) for f in (8e-3, 4e-3, 2e-3))
    assert abs(finest - fine) < 0.7 * abs(fine - coarse)
    assert finest == pytest.approx(fine, rel=2e-3)


@pytest.mark.parametrize("radius_mm", [0.1, 1.0, 2.26, 4.0, 6.77, 11.5, 40.0])
def test_disc_against_finite_volumes(radius_mm):
    grid = disc_w_k(radius_mm * 1e-3, heat.BRAIN)
    assert disc(radius_mm * 1e-3) == pytest.approx(grid, rel=5e-3)
    assert disc_w_k(radius_mm * 1e-3, heat.BRAIN, faces=1) == pytest.approx(grid / 2)


@pytest.mark.parametrize("tissue", [heat.Tissue(0.3, 5000.0), heat.Tissue(0.6, 80_000.0)])
def test_disc_in_other_tissue(tissue):
    assert disc(3e-3, tissue=tissue) == pytest.approx(disc_w_k(3e-3, tissue), rel=5e-3)


@pytest.mark.parametrize("radius_mm", [0.1, 1.0, 5.0, 20.0])
def test_sphere_against_finite_volumes(radius_mm):
    grid = sphere_w_k(radius_mm * 1e-3, heat.BRAIN)
    assert heat.sphere_conductance_w_k(radius_mm * 1e-3) == pytest.approx(grid, rel=1e-4)


@given(st.floats(1e-5, 0.3), st.floats(1.01, 10))
def test_bodies_in_order(radius, factor):
    # a sphere holds the disc of its cross-section; an endless plane lacks the disc's edge
    plane = 2 * math.pi * radius**2 / heat.plane_rise_k(1.0)
    assert plane < disc(radius) < heat.sphere_conductance_w_k(radius)
    assert disc(radius) < disc(radius * factor)
    # flux for 1 K falls with size, towards the plane's
    flux = [disc(r) / (2 * math.pi * r**2) for r in (radius, radius * factor)]
    assert flux[0] > flux[1] > 1 / heat.plane_rise_k(1.0)


# ---- published numbers --------------------------------------------------------------------


def test_published_rises():
    # Utah array: 29 K/W measured (Kim et al. 2007); the disc says up to three times that
    assert 1 < 1 / disc(2.26e-3) / 29 < 3
    # the safe flux falls with size: 1 K at 75 mW/cm2 of wetted area for 1 mm, 19 for 11.5 mm
    for radius, published in ((1e-3, 750), (11.5e-3, 190)):
        assert disc(radius) / (2 * math.pi * radius**2) == pytest.approx(published, rel=0.04)
    # a mouse brain of 500 mg: about 40 mW for 2 K (Marblestone et al. 2013)
    assert 2 * heat.bulk_conductance_w_k(500e-6) == pytest.approx(40e-3, rel=0.06)
    # about a minute to warm up, two or three to a steady state
    assert 60 < heat.BRAIN.time_constant_s < 120
    assert heat.plane_rise_k(400.0) == pytest.approx(2.8, abs=0.05)
    assert heat.plane_rise_k(200.0) == pytest.approx(1.4, abs=0.03)


def test_measured_resistance_stands_for_the_body():
    utah = hw.implant({"array.thermal_resistance": "0.029 K/mW", "array.body": "sphere"})
    warmed = warm(utah, 10e-3)
    assert warmed.rise_k == pytest.approx(0.29)
    assert warmed.model == "measured"
    # the unit in the skull: 70 mW for 1 K (Serrano-Amenos et al. 2023)
    skull = hw.implant({"array.thermal_resistance": "14.3 K/W"})
    assert warm(skull, 70e-3).rise_k == pytest.approx(1.0, abs=0.01)
    with pytest.raises(ValidationError, match=r"array\.thermal_resistance: 29\.0 has no source"):
        hw.implant({"array.thermal_resistance": "29 K/W", "array.source": {"area": "test"}})


def test_bodies_of_an_array():
    def of(**fields):
        return conductance_w_k(Array(area_m2=4e-6, source=SOURCE, **fields))

    radius = math.sqrt(4e-6 / math.pi)
    assert of() == of(body="disc") == disc(radius)
    assert of(faces=1) == disc(radius) / 2
    assert of(body="sphere") == of(body="sphere", faces=1) == heat.sphere_conductance_w_k(radius)
    assert of(body="plane") == pytest.approx(2 * 4e-6 / heat.plane_rise_k(1.0))
    mote = hw.implant({"array.body": "sphere", "array.area": "4 mm2"})
    # all around: four cross-sections
    assert warm(mote, 1e-3).flux_w_m2 == pytest.approx(1e-3 / 16e-6)
    footprint = hw.implant(
        {"array.body": "sphere", "array.area": "4 mm2", "limits": {"flux_area": "footprint"}}
    )
    assert warm(footprint, 1e-3).flux_w_m2 == pytest.approx(1e-3 / 4e-6)


# ---- absorption ---------------------------------------------------------------------------


def test_absorption_by_hand():
    field = Exposure(field_v_m=50.0, conductivity_s_m=0.8, source=SOURCE)
    assert field.sar_w_kg == pytest.approx(0.8 * 2500 / 1040)
    wave = Exposure(power_density_w_m2=100.0, conductivity_s_m=0.8, source=SOURCE)
    assert wave.sar_w_kg == pytest.approx(0.8 * 100 * 376.73 / 1040, rel=1e-4)
    assert exposure.sar_rise_k(1.6) == pytest.approx(1.6 * 1040 / 39607)
    assert {name: limit for name, (limit, _) in SAR_LIMITS.items()} == {
        "fcc": 1.6, "ieee_public": 2.0, "ieee_controlled": 10.0,
    }  # fmt: skip


def test_a_default_of_the_field_has_a_source():
    block = Exposure(field_v_m=50.0, conductivity_s_m=0.8, source=SOURCE)
    assert block.source_of("density_kg_m3", {}).kind == "recalled"


def exposed(limit, field="40 V/m"):
    power = {"exposure": {"field": field, "conductivity": "0.8 S/m", "source": "test"}}
    return hw.implant({"power": power, "limits": {"sar": limit, "source": "test"}})


def test_absorption_is_a_margin_and_warms():
    _, activity, ledger, verdict = hw.run(hw.recording(), exposed("fcc"), FULL)
    assert verdict.sar_w_kg == pytest.approx(0.8 * 1600 / 1040)
    assert verdict.margins["sar"] == pytest.approx(1 - verdict.sar_w_kg / 1.6)
    plain = judge(ledger, activity, hw.implant())
    assert plain.sar_w_kg is None
    assert "sar" not in plain.margins
    rise = exposure.sar_rise_k(verdict.sar_w_kg)
    assert verdict.heat_k == pytest.approx(plain.heat_k + rise)
    own = exposed("2 W/kg")
    assert judge(ledger, activity, own).margins["sar"] == pytest.approx(1 - verdict.sar_w_kg / 2.0)
    strong = judge(ledger, activity, exposed("ieee_public", "1 kV/m"))
    assert strong.limited_by in ("sar", "heat")
    assert not strong.within_limits
    for implant in (own, exposed("fcc")):
        assert Implant.model_validate(implant.model_dump(mode="json")) == implant


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limits": {"sar": "fcc"}}, r"no power\.exposure that could be absorbed"),
        ({"limits": {"sar": "1.6 W/kg"}}, r"limits\.sar: 1\.6 has no source"),
        ({"limits": {"sar": "0 W/kg", "source": "test"}}, "must be above 0"),
        ({"limits": {"sar": "ansi"}}, "expected a quantity in W/kg"),
        (
            {"power": {"exposure": {"conductivity": "1 S/m", "source": "test"}}},
            "give one of field",
        ),
        (
            {"power": {"exposure": {"field": "1 V/m", "conductivity": "1 S/m"}}},
            r"power\.exposure\.field: 1\.0 has no source",
        ),
        ({"power": {"exposure": {"field": "1 V", "source": "test"}}}, "wrong dimension"),
        ({"power": {"rectifier_efficiency": 0.8}}, "rectifier_efficiency: 0.8 has no source"),
        ({"power": {"rectifier_efficiency": 1.2, "source": "test"}}, "less than or equal to 1"),
        ({"array.body": "cube"}, "'disc', 'sphere' or 'plane'"),
        ({"array.thermal_resistance": "29 W/K"}, "wrong dimension"),
        ({"limits": {"buffer": "0 bit", "source": "test"}}, "greater than 0"),
    ],
)
def test_refusals(changes, says):
    with pytest.raises(ValidationError, match=says):
        hw.implant(changes)


# ---- delivery -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    regulator=st.floats(0.1, 1), rectifier=st.floats(0.1, 1), link=st.floats(0.01, 1),
)  # fmt: skip
def test_each_stage_passes_on_what_those_behind_it_draw(regulator, rectifier, link):
    power = {
        "regulator_efficiency": regulator, "rectifier_efficiency": rectifier,
        "link_efficiency": link, "source": "test",
        "battery": {"capacity": "10 mAh", "voltage": "3 V", "source": "test"},
    }  # fmt: skip
    _, activity, plain, _ = hw.run(hw.recording(n_trials=8), hw.implant(), FULL)
    implant = hw.implant({"power": power})
    ledger = price(activity, implant)
    verdict = judge(ledger, activity, implant)
    load = plain.power_w
    assert ledger.power_w == pytest.approx(supply.drawn_w(load, link, rectifier, regulator))
    # losses in the implant heat it, the link's heat what is outside
    assert verdict.heat_w == pytest.approx(supply.drawn_w(load, rectifier, regulator))
    # the battery is charged through the rectifier and drained through the regulator
    drained = supply.drawn_w(load, regulator)
    assert verdict.battery_h == pytest.approx(10e-3 * 3 * 0.86 / drained)
    lost = [r.energy_j for r in ledger.rows if r.component == "delivery"]
    assert math.fsum(lost) == pytest.approx(ledger.energy_of("delivery"))
    assert ledger.energy_j == pytest.approx(plain.energy_j + math.fsum(lost), rel=1e-12)


def test_published_battery_life():
    """Borton et al. 2013: 200 mAh at 3.7 V last 7 h at 90.6 mW, so 86 % of them are usable."""
    whole_h = supply.battery_s(720, 3.7, 1.0, 90.6e-3) / 3600
    assert 7 / whole_h == pytest.approx(0.86, abs=0.005)
    battery = {"capacity": "200 mAh", "voltage": "3.7 V", "source": "test"}
    implant = hw.implant({"power": {"battery": battery}, "overhead.power": "90.6 mW"})
    assert hw.run(hw.recording(), implant, FULL)[3].battery_h == pytest.approx(7.0, abs=0.05)


# ---- a budget of heat decides how many channels there can be ------------------------------


def multi_unit_activity(n_channels):
    """Counts of 0, 1 and 2 in bins of 50 ms, whose Huffman code takes 1.36 bits: 27.2 b/s."""
    rec = hw.recording(n_trials=20, n_bins=60, n_channels=n_channels)
    shares = (0.64, 0.25, 0.11)
    counts = np.random.default_rng(0).choice(3, rec.counts.shape, p=shares).astype(np.int32)
    return replace(rec, counts=counts, bin_s=0.05)


def test_channels_under_a_heat_budget_with_compression():
    """Savolainen et al. 2022: 2.5 x 2.5 mm at 10 mW/cm2, 20 nJ a bit, about 300 channels.

    161.8 uW and 0.96 uW for each channel leave 22 channels of raw 1 kb/s (tested elsewhere).
    """
    changes = {
        "overhead.power": "161.8 uW", "amplifier.kind": "measured", "amplifier.power": "20 nW",
        "amplifier.nef": None, "amplifier.supply": None, "adc.fom": "1 fJ", "adc.bits": 1,
        "processing.per_channel": "0.96 uW", "processing.per_sample": None,
        "array.area": "6.25 mm2", "array.faces": 1, "compression": {"kind": "huffman"},
        "limits": {"heat": None, "flux": "10 mW/cm2", "flux_area": "footprint", "source": "test"},
        "radio": {"kind": "fsk", "energy_per_bit": "20 nJ", "header_bit": 0, "rate": "24 Mbps",
                  "payload_byte": 250, "source": "test"},
    }  # fmt: skip
    implant = hw.implant(changes)
    runs = {n: hw.run(multi_unit_activity(n), implant, FULL) for n in (300, 308, 317)}
    for n, (_, activity, _, _) in runs.items():
        assert activity.link_rate_bps / n == pytest.approx(27.2, rel=0.01)
    assert runs[300][3].within_limits
    assert runs[308][2].power_w == pytest.approx(0.625e-3, rel=0.01)
    assert not runs[317][3].within_limits
    assert runs[317][3].limited_by == "flux"

"""The commands that fit an implant to a chip, and that say which number matters."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from implant_sim.cli import app
from implant_sim.hardware.implant import Implant
from implant_sim.study.fit_chip import read_measured
from sbtt_models.errors import SpecError

ONE = ["quickstart", "--set", "sweep=null"]


def run(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def energy(*more: str) -> dict:
    done = run("energy", *ONE, *more, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["points"][0]


def test_a_band_and_a_tornado_are_in_the_json():
    point = energy("--set", "implant.uncertainty=silicon", "--tornado")
    row, band = point["row"], point["band"]
    assert row["power_p10_w"] < row["power_w"] < row["power_p90_w"]
    assert band["power"]["p10_w"] == row["power_p10_w"]
    assert set(band["components"]) == {
        key.removeprefix("power_").removesuffix("_w")
        for key in row
        if key.startswith("power_") and key not in ("power_w", "power_p10_w", "power_p90_w")
    }
    bars = point["tornado"]["bars"]
    assert bars[0]["key"] == "amplifier.pef"
    assert point["tornado"]["power_w"] == row["power_w"]


def test_without_spreads_there_is_no_band():
    point = energy()
    assert point["band"] is None
    assert point["tornado"] is None
    assert point["row"]["power_p10_w"] is None


def test_the_tornado_is_printed():
    done = run("energy", *ONE, "--tornado")
    assert done.exit_code == 0
    assert "moves the verdict's margin most: " in done.stdout


def test_a_fitted_chip_is_written_and_draws_what_was_measured(tmp_path):
    measured, out = tmp_path / "measured.yaml", tmp_path / "chip.yaml"
    measured.write_text("amplifier: 300 uW\nadc: 5 uW\noverhead: 0.2 mW\n", encoding="utf-8")
    done = run("calibrate", *ONE, "--measured", str(measured), "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {row["component"] for row in found["fit"]} == {"amplifier", "adc", "overhead"}
    assert all(abs(row["log10_ratio"]) < 1e-3 for row in found["fit"])
    Implant.model_validate(yaml.safe_load(out.read_text("utf-8")))
    again = energy("--set", f"implant={out}")["row"]
    assert again["power_amplifier_w"] == pytest.approx(300e-6, rel=1e-3)
    assert again["power_adc_w"] == pytest.approx(5e-6, rel=1e-3)
    assert again["power_overhead_w"] == pytest.approx(0.2e-3, rel=1e-3)
    done = run("calibrate", *ONE, "--measured", str(measured), "--out", str(out))
    assert "written: " in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "a block of keys"),
        ("{}", "a block of keys"),
        ("adc: 5 V", "wrong dimension"),
        ("adc: much", "expected a quantity"),
        ("adc: [1]", "expected a quantity"),
    ],
)
def test_powers_that_are_none_are_refused(text, message, tmp_path):
    path = tmp_path / "measured.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_measured(path)


def test_a_sweep_and_an_unknown_component_are_refused(tmp_path):
    measured, out = tmp_path / "measured.yaml", tmp_path / "chip.yaml"
    measured.write_text("adc: 5 uW\n", encoding="utf-8")
    done = run("calibrate", "quickstart", "--measured", str(measured), "--out", str(out))
    assert done.exit_code == 2
    assert "4 points" in done.stderr
    measured.write_text("adcs: 5 uW\n", encoding="utf-8")
    done = run("calibrate", *ONE, "--measured", str(measured), "--out", str(out))
    assert done.exit_code == 2
    assert "measured.adcs: no component" in done.stderr
    assert not out.exists()

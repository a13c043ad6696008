"""Power of published chips: the score that is promised, nothing leaks, gaps and hostile files."""

from __future__ import annotations

import csv
import io
import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.silicon.checks import Check, near, physics_checks
from benchmarks.silicon.chips import PRESETS, preset, shipped_w, system_rows
from implant_sim.cli import app
from implant_sim.hardware.physics.amplifier import nef_power_w
from implant_sim.study.find import shipped
from implant_sim.study.silicon import Chip, packaged, read, score
from implant_sim.study.silicon.predict import predict, priors_for
from sbtt_models.errors import DataError, LimitError

TEXT = files("implant_sim.study.silicon").joinpath("devices.csv").read_text("utf-8")
ROWS = list(csv.DictReader(io.StringIO(TEXT)))
FIRST = {row["id"] for row in ROWS if row["batch"] == "first"}
COLUMNS = list(ROWS[0])


def table(path: Path, rows: list[dict[str, str]], columns: list[str] = COLUMNS) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def everything():
    return score(packaged())


def row(name: str, **changes: str) -> dict[str, str]:
    return {**next(r for r in ROWS if r["id"] == name), **changes}


def only(path: Path, changed: dict[str, str]):
    return score(read(table(path, [changed]))).devices[0]


# What is promised


def test_the_score_on_published_silicon():
    found = score([chip for chip in packaged() if chip.id in FIRST]).summary
    assert found["rows"] == 43
    assert found["predicted"] == 35
    assert found["median_abs_log10"] <= 0.3
    assert found["with_upper_bounds"]["median_abs_log10"] <= 0.3
    assert 0.7 <= found["band_holds"] <= 0.9
    assert found["median_abs_log10"] <= found["constant_median_abs_log10"] / 2
    assert found["mean_abs_log10"] <= found["constant_mean_abs_log10"] * 0.6


def test_the_score_with_the_later_chips(everything):
    found = everything.summary
    assert found["median_abs_log10"] <= 0.4
    assert 0.7 <= found["band_holds"] <= 0.9


def test_chips_unseen_by_every_choice_are_predicted_from_the_first_table():
    first = [chip for chip in packaged() if chip.id in FIRST]
    later = [chip for chip in packaged() if chip.id not in FIRST]
    found = score(later, first).summary
    assert len(later) == 10
    assert found["median_abs_log10"] <= 0.4
    assert 0.7 <= found["band_holds"] <= 0.9


def test_an_amplifier_with_nef_is_an_identity_and_told_apart(everything):
    found = everything
    chopper = next(r for r in found.devices if r.id == "chopper")
    assert abs(chopper.log10_ratio) < math.log10(1.15)
    assert set(found.summary["identities"]) == {"chopper", "songuwb"}
    body = nef_power_w(3.3, 1.6e-6, 999.0, 0.8)
    assert chopper.predicted_w == pytest.approx(body, rel=0.08)  # 300 K, not 310


# Nothing leaks


@pytest.mark.parametrize("name", ["hermese", "bisc", "lim21", "fsrec", "wimagine", "chopper"])
def test_a_row_is_predicted_without_its_own_power(name, tmp_path):
    changed = row(name)
    for key in ("p_ch_uW", "p_total_mW"):
        if changed[key]:
            changed[key] = str(float(changed[key]) * 37)
    before, after = only(tmp_path / "a.csv", row(name)), only(tmp_path / "b.csv", changed)
    assert after.predicted_w == before.predicted_w
    assert after.published_w == pytest.approx(37 * before.published_w)


@pytest.mark.parametrize("name", ["hermese", "bisc", "lim21", "halo", "antoniadis"])
def test_another_id_does_not_hide_a_chip_from_being_left_out(name, tmp_path):
    plain = only(tmp_path / "a.csv", row(name))
    renamed = only(tmp_path / "b.csv", row(name, id="x", device="", family=""))
    assert renamed.predicted_w == pytest.approx(plain.predicted_w, rel=1e-12)


def test_families_are_left_out_together(everything):
    chips = {chip.id: chip for chip in packaged()}
    ids = {c.id for c in priors_for(chips["neuralink19"], packaged())}
    assert not ids & {"neuralink19", "neuralink_isscc", "neuralinkN1"}
    assert "bisc" in ids
    assert not any(chips[name].upper_bound for name in ids)
    made = everything.summary["priors"]
    assert set(made["families_left_out_together"]["brown"]) == {"borton13", "yin14"}


def test_other_rows_of_the_file_do_not_change_a_prediction(tmp_path):
    alone = only(tmp_path / "a.csv", row("np1", id="new", device="", p_total_mW="5"))
    wild = [row("np1", id="new", device="", p_total_mW="5"),
            row("maxone", id="wild", device="", p_total_mW="1e9")]  # fmt: skip
    assert score(read(table(tmp_path / "b.csv", wild))).devices[0] == alone


def test_upper_bounds_are_told_apart(everything):
    found = everything
    bounds = found.summary["upper_bounds"]
    assert set(bounds) == {"han13", "sinaps", "neuralinkN1", "spikesensor17"}
    by_id = {r.id: r for r in found.devices}
    for name, told in bounds.items():
        assert told["consistent"] == (by_id[name].low_w <= by_id[name].published_w)


# The model itself


def test_what_the_model_says_of_physics():
    def watts(**numbers: float) -> float:
        usual = {"channels_simultaneous": 100.0, "bw_hi_Hz": 5e3, "tech_nm": 130.0}
        scope = str(numbers.pop("scope", "asic"))
        chip = Chip("new", scope, usual | numbers)
        return predict(chip, priors_for(chip, packaged())).predicted_w

    assert watts(bw_hi_Hz=1e4) > watts() > watts(bw_hi_Hz=500.0)
    assert watts(tech_nm=350.0) > watts() > watts(tech_nm=28.0)
    assert watts(scope="implant") > watts(scope="soc") > watts(scope="afe_adc")
    assert watts(channels_simultaneous=200.0) == pytest.approx(2 * watts())


def test_a_cell_that_is_missing_widens_the_band():
    known = {"channels_simultaneous": 64.0, "bw_hi_Hz": 5e3, "tech_nm": 160.0}
    priors = priors_for(Chip("a", "soc", known), packaged())
    whole = predict(Chip("a", "soc", known), priors)
    gaps = predict(Chip("a", "soc", {"channels_simultaneous": 64.0}), priors)
    assert gaps.high_w / gaps.low_w > 1.5 * whole.high_w / whole.low_w


def test_the_regression_equals_its_naive_twin():
    """Weights with their covariance, instead of the kernel among the chips."""
    import numpy as np
    from scipy import stats

    chips = {chip.id: chip for chip in packaged()}
    new, priors = chips["np1"], priors_for(chips["np1"], packaged())
    names = ("afe", "afe_adc", "asic", "soc", "implant")

    def design(chip: Chip):
        level = names.index(chip.scope)
        cells = [(chip.band_hz, math.log10(5e3), 0.5),
                 (chip.get("tech_nm"), math.log10(160.0), 0.35)]  # fmt: skip
        x = [0.0 if v is None else (math.log10(v) - c) / s for v, c, s in cells]
        row_ = [1.0, (level - 2) / math.sqrt(2), *(float(level == i) for i in range(5)), *x]
        return row_, 1.0 + sum(v is None for v, _, _ in cells)

    x, noise = (np.array(a, float) for a in zip(*(design(c) for c in priors), strict=True))
    y = np.array([math.log10(c.published_w / c.channels) + 5 for c in priors])
    prior = np.diag([1 / 25.0, *[1.0] * 8])
    precision = prior + (x.T / noise) @ x
    mean = np.linalg.solve(precision, (x.T / noise) @ y)
    degrees = 4.0 + len(y)
    scatter = (4.0 * 0.45**2 + y @ (y / noise) - mean @ precision @ mean) / degrees
    x_new, noise_new = design(new)
    scale = math.sqrt(scatter * (noise_new + x_new @ np.linalg.solve(precision, x_new)))
    half = stats.t.ppf(0.9, degrees) * scale
    centre = x_new @ mean - 5
    got = predict(new, priors)
    expected = [new.channels * 10 ** (centre + d) for d in (-half, 0, half)]
    assert (got.low_w, got.predicted_w, got.high_w) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["amp", "afe", "afe_adc", "asic", "soc", "implant", "tx"]),
    st.dictionaries(
        st.sampled_from(["channels_simultaneous", "bw_hi_Hz", "fs_kSps", "tech_nm", "p_ch_uW",
                         "p_total_mW", "data_rate_Mbps", "e_bit_pJ", "irn_uVrms", "nef", "vdd_V"]),
        st.floats(1e-9, 1e12),
    ),
)  # fmt: skip
def test_any_gaps_give_a_number_or_a_reason(scope, numbers):
    found = score([Chip("new", scope, numbers)]).devices[0]
    if found.reason is None:
        assert 0 < found.low_w <= found.predicted_w <= found.high_w < math.inf
    else:
        assert (found.predicted_w, found.low_w, found.high_w) == (None, None, None)
        assert found.log10_ratio is None


# Files


def test_the_packaged_table_says_where_each_row_is_from():
    assert all(r["ref"] and r["source"] and r["status"] for r in ROWS)
    assert {r["status"] for r in ROWS} == {"measured", "quoted", "recalled"}


def test_powers_of_a_row(everything):
    chips = {chip.id: chip for chip in packaged()}
    assert chips["hermese"].published_w == pytest.approx(6.5e-3)  # the total where there is one
    assert chips["neuroseeker"].published_w == pytest.approx(678 * 45e-6)
    assert chips["fsrec"].published_w == pytest.approx(15e-6)  # of one channel
    assert chips["fsrec"].channels == 1.0
    assert chips["rhd2132"].published_w is None
    assert chips["neuralink19"].band_hz == pytest.approx(9650)  # no more than samples can hold
    assert chips["bisc"].band_hz == pytest.approx(3200)
    assert everything.summary["taken_as_one_channel"] == ["he24", "fsrec"]


@pytest.mark.parametrize("encode", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_byte_order_mark_and_line_ends(encode, end, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.replace("\n", end).encode(encode))
    assert read(path) == packaged()


def test_columns_in_any_order_and_more_of_them(tmp_path):
    columns = [*reversed(COLUMNS), "further"]
    assert read(table(tmp_path / "t.csv", ROWS, columns)) == packaged()


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"tech_nm": "about 130"}, "tech_nm: 'about 130' is no number"),
        ({"p_total_mW": "-6"}, "p_total_mW: -6 must be above 0"),
        ({"channels_simultaneous": "0"}, "channels_simultaneous: 0 must be above 0"),
        ({"bw_hi_Hz": "inf"}, "bw_hi_Hz: 'inf' is no finite number"),
        ({"fs_kSps": "nan"}, "no finite number"),
        ({"adc_bits": "ten"}, None),  # not used for a prediction, so not read
        ({"vdd_V": "1_2"}, "no finite number"),
        ({"p_ch_uW": "1e300"}, "beyond any chip"),
        ({"scope": "whole thing"}, "scope: 'whole thing' is none of amp"),
        ({"scope": ""}, "scope is empty"),
        ({"p_is_upper_bound": "maybe"}, "neither 0 nor 1"),
        ({"bw_lo_Hz": "9000", "bw_hi_Hz": "300"}, "bw_lo_Hz: 9000 is not below"),
        ({"channels_simultaneous": ""}, "channels_simultaneous is empty"),
        ({"scope": "tx", "data_rate_Mbps": ""}, "data_rate_Mbps is empty"),
        ({"tech_nm": "x" * 5000}, "is no number"),
        ({"tech_nm": "=1+1"}, "is no number"),
    ],
)
def test_a_bad_cell_is_a_reason_of_its_row_alone(cells, reason, tmp_path):
    path = table(tmp_path / "t.csv", [row("hermese", **cells), row("bisc")])
    bad, good = score(read(path)).devices
    assert good.predicted_w is not None
    if reason is None:
        assert bad.predicted_w is not None
    else:
        assert bad.predicted_w is None
        assert reason in bad.reason
        assert len(bad.reason) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing columns id, scope"),
        (TEXT.split("\n")[0] + "\n", "no row of a chip"),
        (TEXT.replace("tech_nm", "process", 1), "missing column tech_nm"),
        (TEXT.replace(",", ";"), "parted by ';'"),
        (TEXT.replace("vdd_V,tech_nm", "tech_nm,tech_nm", 1), "is there twice"),
        (TEXT + TEXT.split("\n")[1] + "\n", "'hermese' is given twice (first in line 2)"),
        (TEXT.replace("hermese,", " ,", 1), "id is empty"),
        (TEXT + "x" + "," * 60 + "\n", "cells below"),
        (TEXT + "\0", "NUL"),
        (TEXT + 'x,"' + "y" * 200_000 + '"\n', "field larger"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_error(text, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_huge_and_binary_files_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(DataError, match="not UTF-8"):
        read(path)
    with path.open("wb") as file:
        file.truncate(11_000_000)
    with pytest.raises(LimitError, match="11 MB"):
        read(path)
    head, line = TEXT.split("\n")[0], "r{}" + "," * (len(COLUMNS) - 1)
    path.write_text("\n".join([head, *(line.format(i) for i in range(10_002))]), "utf-8")
    with pytest.raises(LimitError, match="10000 rows"):
        read(path)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


# The command


def test_the_command_prints_the_shape_that_scripts_rely_on(tmp_path):
    path = table(tmp_path / "t.csv", [row("hermese"), row("argo"), row("bisc", bw_hi_Hz="x")])
    done = CliRunner().invoke(app, ["silicon", str(path), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert set(found) == {"devices", "summary"}
    keys = ["id", "scope", "predicted_w", "low_w", "high_w", "published_w", "log10_ratio",
            "reason"]  # fmt: skip
    assert [list(device) for device in found["devices"]] == [keys] * 3
    hermese, argo, bisc = found["devices"]
    assert hermese["log10_ratio"] == pytest.approx(
        math.log10(hermese["predicted_w"] / hermese["published_w"])
    )
    assert argo["reason"].startswith("scope is empty")
    assert bisc["published_w"] is None
    assert found["summary"]["not_predicted"] == {"argo": argo["reason"], "bisc": bisc["reason"]}


def test_the_command_without_a_file_scores_the_packaged_table():
    done = CliRunner().invoke(app, ["silicon"])
    assert done.exit_code == 0
    assert "median_abs_log10" in done.stdout
    assert "priors: hermese" in done.stdout


def test_the_command_refuses_a_file_that_is_none(tmp_path):
    done = CliRunner().invoke(app, ["silicon", str(tmp_path / "nowhere.csv")])
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.output


# Shipped chips and published values


@pytest.mark.parametrize("name", PRESETS)
def test_a_shipped_chip_draws_what_was_published(name):
    _, ours, published, fixed = shipped_w(name)
    assert ours == pytest.approx(published, rel=0.01)
    assert 0 <= fixed < 0.95


def test_there_are_ten_published_chips_and_each_number_has_a_source():
    assert len(PRESETS) >= 10
    assert set(PRESETS) <= set(shipped("implants"))
    for name in shipped("implants"):
        for priced in preset(name).price_list().values():
            assert priced.source, name


def checked() -> list[Check]:
    return [*physics_checks(), *near("System", system_rows())]


@pytest.mark.parametrize("check", checked(), ids=lambda check: f"{check.topic}: {check.what}")
def test_a_published_value_is_reproduced(check):
    assert check.holds

"""A study of a recording that a microscope has read: scores without power."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import implant_sim
from implant_sim.cli import app
from implant_sim.report import build
from implant_sim.study.acquisition import acquisition
from implant_sim.study.arrays import read
from implant_sim.study.load import load
from sbtt_models.errors import DataError, SpecError

TREE = {
    "name": "imaged",
    "recording": {
        "kind": "calcium", "channels": 8, "duration": "30 s", "window": "0.6 s",
    },
    "schedule": {"kind": "full"},
    "decoder": {"kind": "smoothing"},
    "score": {"max_lag": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imaged") / "run"
    sweep = {
        "zip": [{
            "recording.bins_per_frame": [3, 1], "recording.states_per_bin": [1, 3],
        }],
    }  # fmt: skip
    return implant_sim.run(TREE | {"sweep": sweep}, folder, jobs=1), folder


def test_states_are_scored_and_nothing_is_priced(ran):
    rows, folder = ran
    assert (rows["status"] == "ok").all()
    assert rows["behaviour"].unique().tolist() == ["Lorenz state"]
    lines = rows.iloc[0]
    per_dim = [lines[f"velocity_r2_{i}"] for i in range(3)]
    assert lines["velocity_r2"] == pytest.approx(np.mean(per_dim))
    assert lines["velocity_r2"] > 0.1
    assert rows.iloc[1][[f"velocity_r2_{i}" for i in range(9)]].notna().all()
    empty = ("power_w", "heat_k", "link_rate_bps", "implant", "nll", "bits_per_spike", "rate_r2")
    for name in empty:
        assert rows[name].isna().all(), name
    assert pd.read_csv(folder / "energy.csv").empty
    kept = json.loads(next(folder.glob("points/*/result.json")).read_text())["content"]
    assert "microscope" in kept["notes"][0]


def test_its_report_speaks_of_no_implant(ran):
    _, folder = ran
    page = html.unescape(build(folder).read_text())
    assert "Best Lorenz state R²" in page
    assert "calcium event" in page
    assert "nan W" not in page
    text = re.sub(r"<(style|script|pre|img)[^>]*>([^<]*</(style|script|pre)>)?", "", page)
    for word in ("elocity", "spike", "the implant", "hannel", "power", "schedule"):
        found = [m.group() for m in re.finditer(f".{{0,40}}{word}.{{0,40}}", text)]
        assert not found, found
    assert {p.name for p in (folder / "figures").iterdir()} == {
        "fidelity.csv", "raster.csv", "rates.csv", "behaviour.csv",
    }  # fmt: skip


def test_events_are_kept_as_real_values(ran):
    _, folder = ran
    arrays, _ = read(next(folder.glob("points/*/arrays.h5")))
    assert arrays["counts"].dtype == np.float32
    assert arrays["counts"][arrays["observed"]].max() > 1
    assert not arrays["counts"][~arrays["observed"]].any()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"implant": "implants/gated_uwb.yaml"}, "no implant to price"),
        ({"recording": {"kind": "lorenz"}}, "'implant' is missing"),
    ],
)
def test_an_implant_goes_with_spikes_and_only_with_them(changes, match):
    with pytest.raises(SpecError, match=match):
        load(TREE | changes)


def test_held_out_channels_are_for_counts(tmp_path):
    point = load(TREE | {"score": {"held_out": 0.25}}).points[0].scenario
    with pytest.raises(DataError, match="co_bps is a score of spike counts"):
        acquisition(point, 0, tmp_path)


def test_energy_says_that_there_is_none(tmp_path):
    path = tmp_path / "imaged.yaml"
    path.write_text(json.dumps(TREE))
    out = CliRunner().invoke(app, ["energy", str(path)])
    assert out.exit_code != 0
    assert "microscope" in out.output

"""What the page says of a search: counts, designs, the answer; damaged parts are left out."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from implant_sim.report import build
from implant_sim.report.figures import figures
from implant_sim.report.gathered import gather
from implant_sim.report.search_figure import search_figure
from tests.report.made_up import STUDY, write_study

POINT = {"state": "ok", "power_w": 1e-3, "velocity_r2": 0.5}
FOUND = {
    "objectives": {"power_w": "min", "velocity_r2": "max"},
    "states": {"ok": 2, "pruned": 1, "screened": 4},
    "points": [
        {"point": 0, "axes": {"schedule.bandwidth": 2}, **POINT},
        {"point": 1, "axes": {"schedule.bandwidth": 5}, **POINT, "power_w": 2e-3,
         "velocity_r2": 0.7},
        {"point": 2, "axes": {"schedule.bandwidth": 3}, "state": "pruned", "power_w": None,
         "velocity_r2": None},
    ],
    "knee": 1,
    "limit": {"limited_by": "heat", "margin": 0.4},
    "hypervolume": {"reference": [2e-3, -0.5], "points": [0, 1], "share": [0.0, 1.0]},
    "priced": 7, "counted": 3,
    "designs": [{"name": "", "target": "velocity_r2 >= 0.6", "file": "design.yaml", "point": 1,
                 "axes": {"schedule.bandwidth": 5}, "power_w": 2e-3, "velocity_r2": 0.7}],
}  # fmt: skip
FOUND["front"] = FOUND["points"][:2]
ANSWER = {
    "question": {"kind": "most_channels", "up_to": 100}, "conditions": ["heat_k < 1"],
    "found": True, "point": 1, "axes": {"recording.channels": 205}, "n_channels": 205,
    "monotone": False, "end_of_range": False,
    "next": {"axes": {"recording.channels": 206}, "reason": "not heat_k < 1"},
    "rooms": [{"condition": "heat_k < 1", "room": -0.0513}], "at": {"recording.channels": 226},
    "holds_there": False, "changes": [{"key": "implant.adc.fom", "now": 2.0, "to": 1.0,
                                       "factor": 0.5}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    path = write_study(tmp_path / "o", STUDY, repeats=1)
    table = pd.read_csv(path / "results.csv")
    pruned = table.tail(1).assign(point=99, status="pruned", velocity_r2=None)
    pd.concat([table, pruned]).to_csv(path / "results.csv", index=False)
    return path


def page_of(folder, told):
    (folder / "search.json").write_text(json.dumps(told))
    return build(folder).read_text()


def test_a_search_calls_a_measure_by_what_was_decoded(folder):
    table = pd.read_csv(folder / "results.csv")
    table.assign(behaviour="intended direction").to_csv(folder / "results.csv", index=False)
    page = page_of(folder, FOUND)
    assert "Velocity R²" not in page
    assert "Intended direction R²" in page[page.index("Wanted") : page.index("velocity_r2 &gt;=")]
    drawn = search_figure(FOUND, gather(folder).summary.measures)
    assert drawn.axes[0].get_ylabel() == "Intended direction R²"


def test_the_search_has_a_section(folder):
    page = page_of(folder, FOUND)
    assert "3 designs were looked at: 2 run in full, within all conditions; 1 left after" in page
    assert "4 outside a condition on the hardware" in page
    assert "counted 3 times" in page
    assert "The front bends at point 1 (schedule.bandwidth = 5); the limit nearest" in page
    assert "velocity_r2 &gt;= 0.6" in page
    assert "2 mW" in page
    assert "runs did not finish" not in page
    assert "search" in figures(folder)


def test_an_answer_leads_the_section(folder):
    page = page_of(folder, FOUND | {"answer": ANSWER})
    for text in ("Most channels, where heat_k &lt; 1", "recording.channels = 205",
                 "recording.channels = 206 will not do: not heat_k &lt; 1.", "-5.13 %",
                 "it is not the only end", "recording.channels = 226 would do if one of these",
                 "implant.adc.fom"):  # fmt: skip
        assert text in page, text


@pytest.mark.parametrize(
    "told",
    [[], {"points": 3}, {"points": []}, FOUND | {"states": 7, "designs": [3, {}], "knee": None},
     FOUND | {"answer": 5}, FOUND | {"answer": {"question": {}}}, FOUND | {"limit": None}],
)  # fmt: skip
def test_damaged_parts_are_left_out(folder, told):
    assert "Results" in page_of(folder, told)


def test_markup_in_a_search_is_text(folder):
    told = FOUND | {"designs": [FOUND["designs"][0] | {"target": "<script>alert(1)</script>"}]}
    assert "<script>alert(1)" not in page_of(folder, told)

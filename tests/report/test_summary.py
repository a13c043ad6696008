from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from implant_sim.report.cells import quantity
from implant_sim.report.load import clean, load_run
from implant_sim.report.naming import name_points, read_axis
from implant_sim.report.rows import in_rows, point_rows
from implant_sim.report.summary import summarise
from implant_sim.report.tables import comparison, limits
from sbtt_models.errors import DataError
from tests.report.made_up import STUDY, write_study


def names(rows, axes):
    return [(n.method, n.label) for n in name_points(pd.DataFrame(rows), axes)[0]]


def test_lines_are_what_varies_in_words():
    rows = [{"schedule": s, "decoder": "lfads", "bandwidth": b} for s in ("full", "random_subset")
            for b in (2, 4)]  # fmt: skip
    assert names(rows, ("schedule.bandwidth",)) == [
        ("full", "full · 2 ch"), ("full", "full · 4 ch"),
        ("random subset", "random subset · 2 ch"), ("random subset", "random subset · 4 ch"),
    ]  # fmt: skip


def test_labels_lose_their_number_only_if_points_stay_apart():
    labels = ["random 50 %", "random 25 %", "always on 50 %", "full"]
    rows = [
        {"schedule": s, "bandwidth": b} for s, b in zip(labels, (50, 25, 50, 100), strict=True)
    ]
    assert [m for m, _ in names(rows, ("schedule",))] == ["random", "random", "always on", "full"]
    same = [{"schedule": s, "bandwidth": 8} for s in ("lag 1", "lag 2")]
    assert [m for m, _ in names(same, ("schedule",))] == ["lag 1", "lag 2"]


def test_numbers_make_lines_when_bandwidth_varies_too():
    rows = [{"schedule": "full", "bandwidth": b, "implant.adc.bits": n} for n in (8, 10)
            for b in (1, 2)]  # fmt: skip
    axes = ("implant.adc.bits", "schedule.bandwidth")
    assert [m for m, _ in names(rows, axes)] == ["bits 8", "bits 8", "bits 10", "bits 10"]
    alone = [{"schedule": "full", "bandwidth": 4, "implant.adc.bits": n} for n in (8, 10)]
    assert names(alone, axes) == [("", "bits 8"), ("", "bits 10")]


def test_a_swept_number_places_points_where_bandwidth_was_not_swept():
    """Also where the bandwidth follows from it, or from what the line is called."""
    rows = [
        {"schedule": s, "bandwidth": b, "implant.amplifier.noise": n}
        for n in ("2.2 uV", "30 uV", "10 uV")
        for s, b in (("all", 96), ("random 25 %", 24))
    ]
    found, axis = name_points(pd.DataFrame(rows), ("implant.amplifier.noise", "schedule"))
    assert [n.method for n in found] == ["all", "random 25 %"] * 3
    assert found[1].label == "random 25 % · noise 2.2 uV"
    assert (axis.label, axis.base) == ("Amplifier noise", "V")
    assert axis.values == pytest.approx([2.2e-6, 2.2e-6, 30e-6, 30e-6, 10e-6, 10e-6])
    follows = [{"schedule": "full", "bandwidth": b, "schedule.dwell": d}
               for b, d in ((90.0, "5 ms"), (43.0, "50 ms"), (43.0, "0.5 s"))]  # fmt: skip
    found, axis = name_points(pd.DataFrame(follows), ("schedule.dwell",))
    assert [n.method for n in found] == ["", "", ""]
    assert axis.values.tolist() == [0.005, 0.05, 0.5]


def test_of_two_swept_numbers_the_longer_is_the_place():
    rows = [{"schedule": "full", "schedule.dwell": d, "implant.adc.bits": b}
            for d in ("5 ms", "50 ms", "200 ms") for b in (8, 10)]  # fmt: skip
    found, axis = name_points(pd.DataFrame(rows), ("schedule.dwell", "implant.adc.bits"))
    assert axis.column == "schedule.dwell"
    assert [n.method for n in found[:2]] == ["bits 8", "bits 10"]
    assert found[0].label == "dwell 5 ms, bits 8"


def test_what_a_zipped_label_tells_is_not_said_again():
    rows = [
        {"decoder": d, "recording.rate": r, "recording.lines": s, "recording.row_times": t}
        for r in (7.0, 15.0)
        for d, s, t in (("on lines", 3.0, True), ("on frames", 1.0, False))
    ]
    axes = ("recording.rate", "recording.lines", "recording.row_times", "decoder")
    found, axis = name_points(pd.DataFrame(rows), axes)
    assert axis is not None
    assert axis.column == "recording.rate"
    assert [n.label for n in found] == [
        "on lines · rate 7", "on frames · rate 7", "on lines · rate 15", "on frames · rate 15",
    ]  # fmt: skip


def test_points_that_nothing_joins_are_shown_in_rows(study_folder):
    summary = summarise(load_run(study_folder))
    assert not in_rows(summary)
    alone = [replace(p, method=f"{p.index}", rows=tuple(r | {"bandwidth": 3} for r in p.rows))
             for p in summary.points]  # fmt: skip
    shown = replace(summary, points=alone, methods=[p.method for p in alone])
    assert in_rows(shown)
    axes = point_rows(shown).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    best = sorted(alone, key=lambda p: -p.mean("velocity_r2"))
    assert names == [p.label for p in best]
    np.testing.assert_allclose(axes.lines[-1].get_xdata(), [p.mean("velocity_r2") for p in best])


def test_what_is_no_quantity_is_a_word():
    rows = pd.DataFrame({"a": ["5 ms", "auto"], "b": ["5 ms", "3 V"], "c": [None, 5], "d": [1, 2]})
    assert [read_axis(rows, c) is None for c in rows] == [True, True, True, False]


def test_a_single_point_has_a_name():
    assert names([{"schedule": "random_subset"}], ()) == [("", "random subset")]
    assert names([{"schedule": None}], ()) == [("", "this point")]


def test_summary_of_a_study(study_folder):
    run = load_run(study_folder)
    summary = summarise(run)
    assert len(summary.points) == len(STUDY)
    assert summary.methods == ["full", "random subset", "static subset"]
    assert summary.metric.column == "velocity_r2"
    assert [m.column for m in summary.others][:2] == ["rate_r2_expected", "bits_per_spike_all"]
    assert summary.n_repeats == 3
    assert summary.points[0].within_limits is False
    assert summary.points[0].standing is None  # beyond its limits: no part in the front
    assert summary.best.label == "static subset · 12 ch"
    standing = {p.label: p.standing for p in summary.points}
    assert standing["static subset · 3 ch"] == "front"
    assert standing["random subset · 3 ch"] == "dominated"
    first = run.results[run.results["point"] == 1]["velocity_r2"]
    assert summary.points[1].mean("velocity_r2") == pytest.approx(first.mean())
    assert summary.points[1].sd("velocity_r2") == pytest.approx(first.std())


def test_comparison_pairs_repeats(study_folder):
    run = load_run(study_folder)
    table = comparison(summarise(run))
    r = run.results.set_index(["point", "repeat"])["velocity_r2"]
    gaps = r.loc[1].to_numpy() - r.loc[4].to_numpy()  # random and static, 12 channels
    row = next(row for row in table.rows if row[0].text == "12")
    assert row[3].value == pytest.approx(gaps.mean())
    assert row[3].text.endswith(f"± {2 * gaps.std(ddof=1) / np.sqrt(3):.3f}")
    assert row[5].text == "static subset is better"


def test_limits_name_the_guilty(study_folder):
    table = limits(summarise(load_run(study_folder)))
    assert table.rows[0][-1].text == "beyond: heat"
    assert table.rows[1][-1].text.startswith("within limits")


def test_hardware_only_has_no_metric(hardware_folder):
    summary = summarise(load_run(hardware_folder))
    assert summary.metric is None
    assert summary.best is None
    assert comparison(summary) is None


def test_bits_per_spike_where_there_is_no_truth(tmp_path):
    folder = write_study(tmp_path, [("full", 24), ("full", 12)])
    table = pd.read_csv(folder / "results.csv")
    gone = ["velocity_r2", "rate_r2_expected", "rate_r2"]
    table[gone] = np.nan
    table.to_csv(folder / "results.csv", index=False)
    assert summarise(load_run(folder)).metric.column == "bits_per_spike_all"


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no results\.csv"):
        load_run(tmp_path)
    (tmp_path / "results.csv").write_text("point,repeat,status\n")
    with pytest.raises(DataError, match="no points"):
        load_run(tmp_path)
    (tmp_path / "results.csv").write_bytes(b"point,repeat,status\n\xff\xfe,0,ok\n")
    with pytest.raises(DataError, match="cannot be read"):
        load_run(tmp_path)


def test_text_is_cleaned():
    assert clean("a\x1b]0;owned\x07b") == "a]0;ownedb"
    assert clean("'=cmd|' /C calc'!A0") == "=cmd|' /C calc'!A0"
    assert clean("it's") == "it's"
    assert clean("\u202egnp.exe") == "gnp.exe"


def test_quantities():
    assert quantity(7.8e-4, "W") == "780 µW"
    assert quantity(1.5e6, "bit/s") == "1.5 Mbit/s"
    assert quantity(5e-12, "J") == "5 pJ"
    assert quantity(0.25, "bit/s") == "0.25 bit/s"  # no millibits
    assert quantity(7200.0, "s") == "2 h"
    assert quantity(0.012, "per s") == "0.012 per s"
    assert quantity(0.0, "W") == "0 W"
    assert quantity(float("nan"), "W") == "–"

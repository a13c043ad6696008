"""Numbers that a sweep varied, columns of the schedule, and how long a page may get."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from implant_sim import report
from implant_sim.report import activity, curves, style
from implant_sim.report.load import load_run
from implant_sim.report.sampling import sampling
from implant_sim.report.summary import summarise
from implant_sim.report.tables import comparison
from tests.report import made_up
from tests.report.made_up import hardware, write_study

DWELL = ("100 ms", "5 ms", "0.5 s", "25 ms")


@pytest.fixture
def dwell(tmp_path):
    """Two decoders at four dwell times, one bandwidth."""
    rows = [
        {"scenario": "dwell", "point": 2 * i + j, "repeat": r, "status": "ok", "decoder": d,
         "schedule": "random_subset", "schedule.dwell": t, "velocity_r2": 0.5 - i / 20 + r / 100,
         "revisit_gap_max_s": 0.3 * (i + 1), "revisit_gap_mean_s": 0.1 * (i + 1), "coverage": 1.0,
         "coverage_gini": 0.0, "switch_hz": 640.0 / (i + 1), "valid_fraction": 0.97,
         "side_info_bps": 0.0}
        | hardware(6)
        for i, t in enumerate(DWELL) for j, d in enumerate(("kalman", "smoothing"))
        for r in range(2)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "results.csv", index=False)
    return tmp_path


def drawn(make):
    kept = []

    def keep():
        kept.append(make())
        return kept[0]

    style.draw(keep)
    return kept[0]


def test_curves_run_along_the_number_in_its_unit(dwell):
    summary = summarise(load_run(dwell))
    assert [p.place for p in summary.of("kalman")] == [0.005, 0.025, 0.1, 0.5]
    power, along = drawn(lambda: curves.fidelity_curves(summary)).axes[:2]
    assert along.get_xlabel() == "Dwell (ms)"
    assert along.get_xscale() == "log"
    joined = [line.get_xdata().tolist() for line in along.lines if line.get_linestyle() == "-"]
    assert joined == [pytest.approx([5, 25, 100, 500])] * 2
    assert power.get_title(loc="left") == "Fidelity against power"
    page = report.build(dwell).read_text()
    assert "Fidelity against power and dwell" in page
    assert "Same dwell, line against line" in page


def test_lines_are_compared_at_the_same_place(dwell):
    table = comparison(summarise(load_run(dwell)))
    assert table.headings[0] == "Dwell"
    assert [row[0].text for row in table.rows] == ["500 ms", "100 ms", "25 ms", "5 ms"]
    assert all(row[5].text == "tie" for row in table.rows)


def test_schedule_columns_are_shown_where_they_differ(dwell):
    table, common = sampling(summarise(load_run(dwell)))
    assert list(table.headings) == [
        "Point", "Mean time to the next visit", "Longest time to the next visit",
        "Changes of channel",
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[0][1:]] == ["100 ms", "300 ms", "640 Hz"]
    assert common == (
        "Equal for all points: channels ever seen 100 %; samples valid after settling 97 %."
    )
    page = report.build(dwell).read_text()
    assert "How the schedule covers the array" in page
    assert "Spikes found" not in page


def test_detection_is_shown_with_its_units(dwell):
    results = pd.read_csv(dwell / "results.csv")
    results["detection_probability"] = np.linspace(0.9, 0.5, len(results))
    results["false_hz"] = np.linspace(0.0, 0.7, len(results))
    results["side_info_bps"] = 1500.0
    results.to_csv(dwell / "results.csv", index=False)
    table, common = sampling(summarise(load_run(dwell)))
    assert list(table.headings[-2:]) == ["Spikes found", "False spikes per channel"]
    assert table.rows[-1][-1].text.endswith(" per s")
    assert "side information 1.5 kbit/s" in common
    assert "What schedule and detector let through" in report.build(dwell).read_text()


def test_no_schedule_columns_no_section(study_page, study_folder):
    assert sampling(summarise(load_run(study_folder))) == (None, "")
    assert "covers the array" not in study_page.read_text()


def test_a_page_of_sixty_long_runs_is_bounded(tmp_path, monkeypatch):
    for name, value in (("N_BINS", 140), ("N_CHANNELS", 110)):
        monkeypatch.setattr(made_up, name, value)
    short = made_up.arrays

    def long(bandwidth, seed):
        if bandwidth not in (5, 50, 55, 100):  # the others cost time, and are not looked at
            return {"counts": np.zeros(1)}
        return short(bandwidth, seed) | {"lengths": np.full(12, 140, np.int32)}

    monkeypatch.setattr(made_up, "arrays", long)
    designs = [(s, b) for s in ("random_subset", "static_subset", "full")
               for b in range(5, 105, 5)]  # fmt: skip
    page = report.build(write_study(tmp_path, designs, repeats=1))
    assert page.stat().st_size < 700_000
    assert page.read_text().count("data:image/svg+xml") == 6


def test_raster_cells_say_what_happened(study_folder):
    """One pixel for each bin and channel: sampled or not, spike or not, seen or not."""
    run = load_run(study_folder)
    shown = activity.examples(run, summarise(run))
    figure = drawn(lambda: activity.raster(shown))
    order = activity.busiest(shown[0])
    for axes, example in zip(figure.axes, shown, strict=True):
        image = np.asarray(axes.images[0].get_array())
        full = example.cut("true_counts").astype(int)[:, order].T
        counts = example.cut("counts").astype(int)[:, order].T
        observed = example.cut("observed")[:, order].T
        assert image.shape == (*counts.shape, 3)
        white = (image == 255).all(axis=2)
        assert (white == (~observed & (full == 0))).all()
        dark = image.sum(axis=2) < 300
        assert (dark == (counts > 0)).all()


def test_busiest_channel_comes_first_and_silent_last(study_folder):
    run = load_run(study_folder)
    example = activity.examples(run, summarise(run))[0]
    example.arrays["true_counts"][:, :, 3] = 0
    order = activity.busiest(example)
    spikes = example.cut("true_counts").astype(int).sum(axis=0)[order]
    assert (np.diff(spikes) <= 0).all()
    assert order[-1] == 3

"""The band of the power: read from the tables, explained from the counts of the run folder."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from implant_sim import report
from implant_sim.hardware.activity import Activity
from implant_sim.hardware.energy import LOSSES
from implant_sim.hardware.uncertainty import band_of, draw_prices
from implant_sim.report import bars, curves, style
from implant_sim.report.load import load_run
from implant_sim.report.priced import counted, shared, swings
from implant_sim.report.summary import summarise
from implant_sim.study.budget import budgets
from implant_sim.study.load import load
from implant_sim.study.store import Entry, Outcome, RunFolder
from implant_sim.study.tables import write_tables

OVERRIDES = {
    "implant.uncertainty": "silicon",
    "implant.power.rectifier_efficiency": 0.8,
    "repeats": 1,
    "sweep": {"schedule.bandwidth": [29, 10, 2]},
}


def write(folder, overrides):
    """The hardware of a study, with made-up scores, as a run folder."""
    study = load("quickstart", overrides)
    run = RunFolder(folder)
    run.points.mkdir()
    found = list(budgets(study, with_tornado=True))
    entries = []
    for b in found:
        row = {"scenario": "bands", "schedule": "random_subset", "repeat": 0} | b.row
        row["rate_r2_expected"] = 0.1 + 0.01 * row["bandwidth"]
        entries.append(Entry(b.point, 0, f"{b.point:020x}", dict(b.axes)))
        run.commit(entries[-1], Outcome(row, b.energy))
    write_tables(run, entries)
    run.write_scenario(study.tree)
    points = [{"point": e.point, "repeat": 0, "key": e.key, "axes": e.axes} for e in entries]
    run.write_run({"points": points})
    return found


@pytest.fixture(scope="module")
def banded(tmp_path_factory):
    """The folder, and what the hardware model itself says of its points."""
    folder = tmp_path_factory.mktemp("banded")
    return folder, write(folder, OVERRIDES)


@pytest.fixture
def read(banded):
    """The run and its summary."""
    run = load_run(banded[0])
    return run, summarise(run)


def test_swings_are_those_of_the_hardware_model(banded, read):
    """From the tables alone, each number moves the power as `energy --tornado` says it does."""
    known = counted(*read)
    assert sorted(known) == [0, 1, 2]
    for budget in banded[1]:
        truth = {bar.key: bar for bar in budget.tornado.bars}
        found = swings(known[budget.point])
        assert found[0].key == budget.tornado.bars[0].key
        assert [s.size_w for s in found] == sorted((s.size_w for s in found), reverse=True)
        for s in found:
            assert (s.low_w, s.high_w) == pytest.approx(
                (truth[s.key].low.power_w, truth[s.key].high.power_w), rel=1e-9
            )
        assert all(truth[s.key].range == "10 to 90 %" for s in found)
        assert all(s.size_w >= 0.01 * budget.row["power_w"] for s in found)


def test_common_draws_compare_better_than_bands(read):
    run, summary = read
    found = shared(counted(run, summary))
    low, high = (p.band for p in (found.least, found.most))
    assert found.n_points == 3
    assert found.ratio[1] == pytest.approx(
        summary.points[2].mean("power_w") / summary.points[0].mean("power_w")
    )
    assert found.ratio[0] < found.ratio[1] < found.ratio[2]
    assert found.width < high[1] / high[0]  # one number of each: independent, they would add up
    assert found.width < low[1] / low[0]
    assert found.kept == 1.0  # the same actions, only more of them


def test_points_of_different_implants_share_nothing(tmp_path):
    sweep = {"implant.adc.bits": [9, 10]}
    write(tmp_path, OVERRIDES | {"sweep": sweep})
    run = load_run(tmp_path)
    assert shared(counted(run, summarise(run))) is None


@pytest.mark.parametrize("damage", ["scenario", "prices", "counts", "names"])
def test_what_does_not_add_up_is_not_explained(tmp_path, damage):
    """A folder of another version, or one that somebody wrote: a band, but no reasons for it."""
    write(tmp_path, OVERRIDES)
    energy = pd.read_csv(tmp_path / "energy.csv")
    text = (tmp_path / "scenario.yaml").read_text()
    if damage == "scenario":
        (tmp_path / "scenario.yaml").write_text("name: [")
    elif damage == "prices":
        (tmp_path / "scenario.yaml").write_text(text.replace("12.6 V", "12.7 V"))
    elif damage == "counts":
        energy["count"] *= 1.001
    else:
        energy["action"] = "dance"
    energy.to_csv(tmp_path / "energy.csv", index=False)
    run = load_run(tmp_path)
    assert counted(run, summarise(run)) == {}
    if damage == "prices":  # one page stands for all
        page = report.build(tmp_path).read_text()
        assert "How sure the power is" in page
        assert "--tornado” prints which number" in page
        assert page.count("data:image/svg+xml") == 2  # no tornado


def test_page_tells_the_band(banded, read):
    page = html.unescape(report.build(banded[0]).read_text())
    point = read[1].points[2]
    low, high = (watts / 1e-6 for watts in point.band)
    assert f"{low:.3g} µW to {high:.3g} µW" in page
    assert page.count("80 % band") == 3  # both tables and the tile
    assert "3 points of different power share one implant" in page
    assert page.count("data:image/svg+xml") == 3  # fidelity, energy, tornado


def test_no_band_no_words(study_page):
    page = study_page.read_text()
    assert "How sure the power is" not in page
    assert "80 % band" not in page


def _lines(make):
    """What a figure draws, in the house style."""
    drawn = []

    def keep():
        drawn.append(make())
        return drawn[0]

    style.draw(keep)
    return drawn[0]


def test_whiskers_end_at_the_band(read):
    _, summary = read
    axes = _lines(lambda: curves.fidelity_curves(summary)).axes[0]
    spans = {tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"}
    factor, _ = style.unit([p.mean("power_w") for p in summary.points], "W")
    assert spans == {tuple(watts / factor for watts in p.band) for p in summary.points}


def test_bars_cut_long_bands_off(read):
    _, summary = read
    axes = _lines(lambda: bars.energy_bars(summary)).axes[0]
    end = axes.get_xlim()[1]
    widths = [p.get_x() + p.get_width() for p in axes.patches]
    assert max(widths) > 0.3 * end  # bars stay readable however long the bands
    assert max(np.max(line.get_xdata()) for line in axes.lines if len(line.get_xdata())) <= end


def test_a_crowd_shows_bands_on_the_front_only(read):
    _, summary = read
    many = [replace(p, index=3 * i + p.index, standing="dominated" if i else "front")
            for i in range(12) for p in summary.points]  # fmt: skip
    crowd = replace(summary, points=many)
    axes = _lines(lambda: curves.fidelity_curves(crowd)).axes[0]
    assert sum(line.get_marker() == "|" for line in axes.lines) == 3


def test_band_includes_all_losses_on_delivery(read):
    """A regression: draws left the rectifier out, which the ledger pays for."""
    known = counted(*read)[0]
    assert "rectify" in {a for c, a in known.implant.price_list() if c == "delivery"}
    exact = known.implant.model_copy(update={"uncertainty": {}})
    draws = draw_prices(exact, 1, np.random.default_rng(0))
    row = read[1].points[0].rows[0]
    fields = dict.fromkeys(Activity.__annotations__, 0.0) | {
        "actions": known.actions, "duration_s": known.energy_j / row["power_w"], "code": "",
        "n_channels": 1, "n_electrodes": 1, "notes": (), "coverage": None,
    }  # fmt: skip
    spread = band_of(Activity(**fields), draws)
    assert spread.power.p50_w == pytest.approx(row["power_w"], rel=1e-9)
    assert all(a.action not in LOSSES for a in known.actions)


def test_hostile_names(tmp_path):
    """Names from the tables appear in the new words as text only."""
    write(tmp_path, OVERRIDES)
    table = pd.read_csv(tmp_path / "results.csv")
    table["decoder"] = [f"<script>{i}</script>" for i in range(3)]
    table.to_csv(tmp_path / "results.csv", index=False)
    assert report.build(tmp_path).read_text().count("<script") == 1

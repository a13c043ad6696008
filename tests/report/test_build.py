from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from implant_sim import report
from implant_sim.report import bars, style
from implant_sim.report.load import load_run
from implant_sim.report.summary import summarise
from implant_sim.study.store import Entry, Outcome, RunFolder
from implant_sim.study.tables import write_tables
from tests.report.made_up import COMPONENTS, STUDY, hardware, write_study

PAYLOAD = '<img src=x onerror="window.PWNED=1"></script><script>window.PWNED=1</script>$\\frac{'


def page(folder) -> str:
    return report.build(folder).read_text(encoding="utf-8")


def test_report_of_a_study(study_page):
    text = study_page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    for heading in (
        "Fidelity against power and bandwidth",
        "Where the power goes",
        "Heat, battery and link",
        "What was sampled, and what was inferred",
        "Results",
        "Energy, action by action",
        "Provenance",
    ):
        assert heading in text
    assert text.count("data:image/svg+xml") == 6
    assert "static subset · 12 ch" in text
    assert "Murmann" in text
    assert text.count('class="source recalled"') == 6 * len(STUDY)
    assert "2.13.0" in text
    assert "abababab" in text
    assert "1 channel never fires" in text


def test_equal_folders_give_equal_pages(hardware_folder):
    assert page(hardware_folder) == page(hardware_folder)


def test_single_point(single_folder):
    text = page(single_folder)
    assert "Fidelity against power and bandwidth" not in text  # nothing to compare
    assert "What was sampled" in text
    assert "random subset" in text


def test_hardware_only(hardware_folder):
    text = page(hardware_folder)
    assert "Where the power goes" in text
    assert "What was sampled" not in text
    assert "How to read the scores" not in text
    assert set(report.figures(hardware_folder)) == {"energy"}


def test_tables_alone_are_enough(study_folder, tmp_path):
    shutil.copy(study_folder / "results.csv", tmp_path)
    text = page(tmp_path)
    assert "Fidelity against power" in text
    assert "What was sampled" not in text


@pytest.mark.parametrize("damage", ["arrays.h5", "result.json"])
def test_damaged_points_are_left_out(tmp_path, damage):
    folder = write_study(tmp_path, [("full", 12), ("full", 6)], repeats=1)
    for file in folder.rglob(damage):
        file.write_bytes(file.read_bytes()[:100])
    for name in ("run.json", "scenario.yaml", "energy.csv"):
        (folder / name).write_text("" if name != "energy.csv" else "point\n")
    assert "Results" in page(folder)


def test_failed_points_are_told(tmp_path):
    folder = write_study(tmp_path, [("full", 12), ("full", 6)], repeats=2, scored=False)
    run = RunFolder(folder)
    entries = [*run.entries(), Entry(2, 0, "f" * 20, {"schedule.bandwidth": 3})]
    row = {"scenario": "m1", "status": "diverged", "schedule": "full"}
    error = "DivergedError: the KL term became NaN in epoch 3 <b>"
    run.commit(entries[-1], Outcome(row, detail={"error": error}))
    write_tables(run, entries)
    meta = json.loads((folder / "run.json").read_text())
    meta["points"].append({"point": 2, "repeat": 0, "key": "f" * 20, "axes": {}})
    (folder / "run.json").write_text(json.dumps(meta))
    text = page(folder)
    assert "1 of 5 runs did not finish" in text
    assert "the KL term became NaN in epoch 3 &lt;b&gt;" in text
    assert "1 diverged" in text


def test_all_points_failed(tmp_path):
    run = RunFolder(tmp_path)
    run.points.mkdir()
    entry = Entry(0, 0, "0" * 20, {})
    run.commit(entry, Outcome({"scenario": "bad", "status": "failed"}, detail={"error": "why"}))
    write_tables(run, [entry])
    assert "why" in page(tmp_path)


def test_hostile_names_are_only_text(tmp_path):
    folder = write_study(tmp_path, [("full", 12), ("random_subset", 6)], repeats=1, text=PAYLOAD)
    text = page(folder)
    assert PAYLOAD not in text
    assert "<img src=x" not in text
    assert text.count("<script") == 1
    assert text.count("</script>") == 1
    for svg in report.figures(folder).values():
        assert "<script" not in svg
        assert "<img" not in svg


def test_names_no_font_has(tmp_path):
    designs = [("full", 12), ("random_subset", 6)]  # two lines: their names are drawn
    text = "麻雀\u0007\U0001f9e0"
    folder = write_study(tmp_path, designs, repeats=1, scored=False, text=text)
    assert "麻雀" in page(folder)


def test_policy_matches_the_page(study_page):
    """The hashes in the policy are those of what stands in the page."""
    import base64
    import hashlib

    text = study_page.read_text(encoding="utf-8")
    for tag in ("style", "script"):
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in text
    assert "http://" not in re.sub(r'src="data:[^"]*"', "", text)
    assert "default-src 'none'" in text


def test_every_figure_has_its_numbers_beside_it(study_folder):
    report.build(study_folder)
    drawn = set(report.figures(study_folder)) - {"further"}  # of the same numbers as fidelity
    beside = {path.stem: pd.read_csv(path) for path in (study_folder / "figures").glob("*.csv")}
    assert drawn == set(beside) == {"fidelity", "energy", "raster", "rates", "behaviour"}
    raster, rates = beside["raster"], beside["rates"]
    sampled = raster[raster["exposure"] > 0]
    assert (sampled["delivered"] == sampled["fired"]).all()
    assert (raster.loc[raster["exposure"] == 0, "delivered"] == 0).all()
    assert (raster.loc[raster["exposure"] == 0, "fired"] > 0).all()
    run = load_run(study_folder)
    for (point, trial, channel), rows in rates.groupby(["point", "trial", "channel"]):
        inferred = run.arrays(point, 0)["rates"][trial, : len(rows), channel] / 0.05
        np.testing.assert_allclose(rows["inferred_per_s"], inferred, rtol=1e-6)


def test_figures_are_deterministic_and_small(study_folder):
    first, again = report.figures(study_folder), report.figures(study_folder)
    assert first == again
    assert set(first) == {"fidelity", "further", "energy", "raster", "rates", "behaviour"}
    assert all(svg.lstrip().startswith("<?xml") for svg in first.values())
    assert sum(len(svg) for svg in first.values()) < 700_000


def test_bars_close(study_folder):
    summary = summarise(load_run(study_folder))
    assert max(bars.closes(p) for p in summary.points) < 1e-12
    with_bars = []

    def make():
        with_bars.append(bars.energy_bars(summary))
        return with_bars[0]

    style.draw(make)
    axes = with_bars[0].axes[0]
    ends = {}
    for patch in axes.patches:
        row = round(patch.get_y() + patch.get_height() / 2)
        ends[row] = max(ends.get(row, 0.0), patch.get_x() + patch.get_width())
    shown = [p.mean("power_w") / 1e-3 for p in bars.chosen(summary)]
    assert [ends[i] for i in range(len(shown))] == pytest.approx(shown, rel=1e-12)
    assert len(axes.patches) == len(STUDY) * len(COMPONENTS)


def test_a_power_that_does_not_close_is_told(study_folder, tmp_path):
    table = pd.read_csv(study_folder / "results.csv")
    table["power_adc_w"] *= 1.5
    table.to_csv(tmp_path / "results.csv", index=False)
    assert "miss its total" in page(tmp_path)


def test_many_points_stay_small_and_quick(tmp_path):
    rows = [
        {"scenario": "many", "point": p, "repeat": 0, "status": "ok", "schedule": "full",
         "velocity_r2": float(np.sqrt(1 + p % 24) / 6), "implant.adc.bits": p // 24}
        | hardware(1 + p % 24)
        for p in range(600)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "results.csv", index=False)
    assert len(page(tmp_path).encode()) < 1_200_000


def test_documents(study_folder, tmp_path):
    written = report.export_docs(study_folder, tmp_path / "docs")
    assert {p.name for p in written} == {
        "fidelity.png", "further.png", "energy.png", "raster.png", "rates.png", "behaviour.png",
        "results.md",
    }  # fmt: skip
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in written if p.suffix == ".png")
    text = (tmp_path / "docs" / "results.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| static subset · 12 ch")]
    assert len(lines) == 1
    widths = {line.replace("\\|", "").count("|") for line in text.split("\n\n")[3].splitlines()}
    assert len(widths) == 1


def test_documents_cannot_be_broken_by_names(tmp_path):
    folder = write_study(tmp_path / "run", [("full", 12)], repeats=1, text=PAYLOAD + "|`*")
    report.export_docs(folder, tmp_path / "docs")
    text = (tmp_path / "docs" / "results.md").read_text()
    assert "<script" not in text
    assert "<img" not in text

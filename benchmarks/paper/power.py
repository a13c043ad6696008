"""Tables and figures of docs/paper/power.md, from the run folders of its scenarios.

export IMPLANT_SIM_DATA=FOLDER
for name in power gating side_information drift; do
    implant-sim run paper/$name --out runs/$name
done
python benchmarks/paper/power.py docs/paper/power runs

Power comes from the scenarios, without a decoder (first repeat); fidelity from the run folders,
or, where one is not there, from its means and spreads in `scores_NAME.csv` beside the tables.
Fidelity does not depend on implant or radio where each sample arrives whole, so `power` may be run
with one of them: --set 'sweep.implant=[implants/gated_uwb.yaml]'.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from implant_sim.study.budget import budgets
from implant_sim.study.load import load

sys.path.insert(0, str(Path(__file__).parent))
from power_figures import draw_drift, draw_parts, draw_power

RECORDINGS = {
    "Lorenz": ("rate_r2_expected", "R² of rates, expected counts"),
    "macaque M1": ("velocity_r2", "Velocity R²"),
}
AFTER_DRIFT = RECORDINGS | {"Lorenz": ("bits_per_spike_all", "Bits per spike, all withheld")}
"""R² of rates would leave channels out that always-on schedules never sample."""
GATING = tuple(f"implant.amplifier.{key}" for key in ("gating", "wake", "wake_time"))
RUNS = {
    "power": ("recording", "schedule", "schedule.fraction"),
    "gating": (*GATING, "recording"),
    "side_information": ("schedule", "implant.radio"),
    "drift": ("recording", "schedule", "drift"),
}
"""Scenarios with a decoder, and what tells their scores apart."""


def read(folder: Path, measures: dict[str, tuple[str, str]] = RECORDINGS) -> pd.DataFrame:
    """Rows of a run that ended well, with one score a recording."""
    frame = pd.read_csv(folder / "results.csv")
    frame = frame[frame["status"] == "ok"].copy()
    if "recording" in frame and set(frame["recording"]) & set(RECORDINGS):
        scores = frame["recording"].map(lambda name: measures[name][0])
        frame["score"] = [
            frame.at[i, column] if column in frame else np.nan for i, column in scores.items()
        ]
    else:
        frame["score"] = frame["velocity_r2"]
    return frame


def scores_of(runs: Path, out: Path, name: str) -> pd.DataFrame | None:
    """Mean and standard deviation over repeats by what was swept: of a run, or as it was kept."""
    kept, keys = out / f"scores_{name}.csv", list(RUNS[name])
    if (runs / name / "results.csv").is_file():
        frame = read(runs / name, AFTER_DRIFT if name == "drift" else RECORDINGS)
        # one for each repeat, whatever implant and radio it was run with
        each = frame.groupby([*keys, "repeat"], sort=False)["score"].first()
        found = each.groupby(level=keys, sort=False).agg(["mean", "std"])
        found.rename(columns={"std": "sd"}).reset_index().to_csv(kept, index=False)
    return pd.read_csv(kept) if kept.is_file() else None


def said(row: pd.Series) -> str:
    spread = "" if np.isnan(row["sd"]) else f" ± {row['sd']:.3f}"
    return f"{row['mean']:.3f}{spread}"


def by_key(scores: pd.DataFrame | None, keys: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    """Scores as they are printed, by the words of their keys."""
    if scores is None:
        return {}
    return {tuple(str(row[k]) for k in keys): said(row) for _, row in scores.iterrows()}


def markdown(headings: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def priced(name: str) -> pd.DataFrame:
    """What each point of a scenario draws."""
    found = budgets(load(f"paper/{name}"))
    return pd.DataFrame([{**b.row, **b.axes, "error": b.error} for b in found])


def savings(hardware: pd.DataFrame) -> str:
    """What a quarter of the samples saves, on each implant with each radio."""
    rows = []
    random = hardware[hardware["schedule"] == "random"].set_index("schedule.fraction")
    keys = ["recording", "implant", "implant.radio"]
    for (recording, implant, radio), group in random.groupby(keys, sort=False):
        a, b = group.loc[1], group.loc[0.25]
        shown = [recording, implant, radio, *(f"{1e3 * p['power_w']:.3g}" for p in (a, b))]
        shown.append(f"{1 - b['power_w'] / a['power_w']:.0%}")
        shown += [f"{p['power_amplifier_w'] / p['power_w']:.0%}" for p in (a, b)]
        shown += [f"{1e6 * p['power_radio_w']:.3g}" for p in (a, b)]
        rows.append([*shown, *(f"{p['heat_k']:.3f}" for p in (a, b))])
    pairs = ["power [mW]", "amplifiers", "radio [uW]", "heat [K]"]
    names = [f"{p}, {share}" for p in pairs for share in ("all", "25 %")]
    names.insert(2, "saved")
    return markdown(["recording", "implant", "radio", *names], rows)


def fidelity(scores: pd.DataFrame) -> str:
    """Fidelity by share and schedule; the same on every implant and radio."""
    shares, rows = (0.5, 0.25, 0.125), []
    for recording, here in scores.groupby("recording", sort=False):
        full = here[here["schedule.fraction"] == 1].iloc[0]
        for schedule, group in here.groupby("schedule", sort=False):
            found = group.set_index("schedule.fraction")
            cells = [said(full), *(said(found.loc[share]) for share in shares)]
            rows.append([str(recording), str(schedule), *cells])
    return markdown(["recording", "schedule", "100 %", "50 %", "25 %", "12.5 %"], rows)


def priced_scores(hardware: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """What each point of `power` draws, and what it is worth."""
    points = hardware.merge(scores, on=list(RUNS["power"]))
    names = {"implant.radio": "radio", "schedule.fraction": "fraction", "mean": "fidelity"}
    columns = ["recording", "implant", "radio", "schedule", "fraction", "power_w", "fidelity"]
    return points.rename(columns=names)[[*columns, "sd"]]


def gating(scores: pd.DataFrame | None) -> str:
    worth = by_key(scores, RUNS["gating"])
    rows: dict[tuple[str, ...], list[str]] = {}
    for _, r in priced("gating").iterrows():
        at = tuple(str(r[k]) for k in RUNS["gating"])
        rows.setdefault(at[:3], list(at[:3])).extend(
            [f"{1e3 * r['power_w']:.3g}", f"{r['sampled_fraction']:.3f}", worth.get(at, "")]
        )
    names = [f"{r}: {what}" for r in RECORDINGS for what in ("power [mW]", "exposure", "fidelity")]
    return markdown(["gating", "wakes", "settles in", *names], list(rows.values()))


def side_information(scores: pd.DataFrame | None) -> str:
    keys = RUNS["side_information"]
    worth, rows = by_key(scores, keys), []
    for _, r in priced("side_information").iterrows():
        schedule, radio = (str(r[k]) for k in keys)
        if r["error"]:
            rows.append([schedule, radio, "refused: it cannot receive", "", "", "", ""])
            continue
        rows.append(
            [
                schedule,
                radio,
                f"{r['side_info_bps']:.4g}",
                f"{r['link_rate_bps']:.4g}",
                f"{1e6 * r['power_radio_w']:.3g}",
                f"{1e3 * r['power_w']:.3g}",
                worth.get((schedule, radio), ""),
            ]
        )
    return markdown(
        ["schedule", "radio", "side information [bit/s]", "link [bit/s]", "radio [uW]",
         "power [mW]", "velocity R²"],
        rows,
    )  # fmt: skip


def heat() -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for _, r in priced("heat").iterrows():
        at = r["implant"], r["implant.radio"]
        verdict = "" if r["within_limits"] else f", beyond: {r['limited_by']}"
        rows.setdefault(at, list(at)).append(
            f"{1e3 * r['power_w']:.3g} mW, {r['heat_k']:.2f} K{verdict}"
        )
    headings = ["implant", "radio", "1,024 channels", "a quarter of them in each bin"]
    return markdown(headings, list(rows.values()))


def frames() -> str:
    rows = []
    for interval, group in priced("frames").groupby("implant.radio", sort=False):
        a, b = (r for _, r in group.iterrows())
        drawn = (f"{1e3 * r['power_w']:.3g}" for r in (a, b))
        saved = f"{1 - b['power_w'] / a['power_w']:.0%}"
        rows.append([interval, *drawn, saved, f"{a['latency_s']:.2g}"])
    headings = ["bins of a frame", "power, all [mW]", "power, 25 % [mW]", "saved", "latency [s]"]
    return markdown(headings, rows)


def drift(scores: pd.DataFrame) -> str:
    rows = []
    for (recording, schedule), group in scores.groupby(["recording", "schedule"], sort=False):
        rows.append([recording, schedule, *(said(row) for _, row in group.iterrows())])
    return markdown(["recording", "schedule", *scores["drift"].unique()], rows)


def main() -> None:
    out, runs = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    scores = {name: scores_of(runs, out, name) for name in RUNS}
    hardware = priced("power")
    tables = {"power": savings(hardware), "frames": frames(), "heat": heat()}
    draw_parts(hardware, out / "parts.png")
    tables["gating"] = gating(scores["gating"])
    tables["side_information"] = side_information(scores["side_information"])
    if (found := scores["power"]) is not None:
        tables["fidelity"] = fidelity(found)
        labels = {recording: label for recording, (_, label) in RECORDINGS.items()}
        draw_power(priced_scores(hardware, found), labels, out / "fidelity.png")
    if (found := scores["drift"]) is not None:
        tables["drift"] = drift(found)
        labels = {recording: label for recording, (_, label) in AFTER_DRIFT.items()}
        draw_drift(found, labels, out / "drift.png")
    text = "\n".join(f"## {name.replace('_', ' ')}\n\n{table}" for name, table in tables.items())
    (out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

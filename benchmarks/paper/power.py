"""Tables and figures of docs/paper/power.md, from the run folders of its scenarios.

export IMPLANT_SIM_DATA=FOLDER
for name in power gating side_information drift; do
    implant-sim run paper/$name --out runs/$name
done
python benchmarks/paper/power.py docs/paper/power runs

Power comes from the scenarios, without a decoder (first repeat); fidelity from the run folders. It
does not depend on implant or radio where each sample arrives whole, so `power` may be run with one
of them: --set 'sweep.implant=[implants/gated_uwb.yaml]'.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from implant_sim.report.style import COMPONENTS, LINES, MARKERS
from implant_sim.study.budget import budgets
from implant_sim.study.load import load

RECORDINGS = {
    "Lorenz": ("rate_r2_expected", "R² of rates, expected counts"),
    "macaque M1": ("velocity_r2", "Velocity R²"),
}
AFTER_DRIFT = RECORDINGS | {"Lorenz": ("bits_per_spike_all", "Bits per spike, all withheld")}
"""R² of rates would leave channels out that always-on schedules never sample."""
IMPLANTS = {
    "gated_uwb": "amplifiers sleep",
    "cmos_uwb": "small, always on",
    "utah_ble": "large, always on",
}
RADIOS = ("UWB", "BLE", "MedRadio")


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


def said(values: pd.Series) -> str:
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


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


def fidelity(frame: pd.DataFrame) -> str:
    """Fidelity by share and schedule; the same on every implant and radio."""
    rows = []
    for (recording, schedule), group in frame.groupby(["recording", "schedule"], sort=False):
        full = frame[(frame["recording"] == recording) & (frame["schedule.fraction"] == 1)]
        cells = [said(scores_of(full))]
        cells += [
            said(scores_of(group[group["schedule.fraction"] == s])) for s in (0.5, 0.25, 0.125)
        ]
        rows.append([recording, schedule, *cells])
    return markdown(["recording", "schedule", "100 %", "50 %", "25 %", "12.5 %"], rows)


def scores_of(frame: pd.DataFrame) -> pd.Series:
    """One for each repeat, whatever implant and radio it was run with."""
    return frame.groupby("repeat")["score"].first()


def draw_power(hardware: pd.DataFrame, frame: pd.DataFrame, path: Path) -> None:
    figure, panels = plt.subplots(2, 3, figsize=(10.5, 6.2), sharey="row", constrained_layout=True)
    points = []
    keys = ["recording", "schedule", "schedule.fraction"]
    scores = {key: scores_of(group) for key, group in frame.groupby(keys)}
    for row, (recording, (_, label)) in zip(panels, RECORDINGS.items(), strict=True):
        for axes, (implant, what) in zip(row, IMPLANTS.items(), strict=True):
            on = hardware[(hardware["recording"] == recording) & (hardware["implant"] == implant)]
            for radio, colour in zip(RADIOS, LINES, strict=False):
                for schedule, line in (("random", "-"), ("best always-on", "--")):
                    mine = (on["schedule"] == schedule) | (on["schedule.fraction"] == 1)
                    found = on[mine & (on["implant.radio"] == radio)].sort_values("power_w")
                    shares = found["schedule.fraction"]
                    named = zip(found["schedule"], shares, strict=True)
                    own = [scores[recording, s, f] for s, f in named]
                    axes.errorbar(
                        1e3 * found["power_w"], [v.mean() for v in own], [v.std() for v in own],
                        color=colour, ls=line, marker="o", ms=4, lw=1.3, capsize=2,
                        label=f"{radio}, {schedule}",
                    )  # fmt: skip
                    points += [
                        [recording, implant, radio, schedule, f, w, v.mean(), v.std()]
                        for f, w, v in zip(shares, found["power_w"], own, strict=True)
                    ]
            axes.set_xlim(left=0)
            axes.set_title(f"{recording}: {implant} ({what})", fontsize=9)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlabel("Power of the implant (mW)")
        row[0].set_ylabel(label)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    names = ["recording", "implant", "radio", "schedule", "fraction", "power_w", "fidelity", "sd"]
    pd.DataFrame(points, columns=names).to_csv(path.with_suffix(".csv"), index=False)


def draw_parts(frame: pd.DataFrame, path: Path) -> None:
    """Where the power goes at all and at a quarter of the samples, macaque M1."""
    here = frame[(frame["recording"] == "macaque M1") & (frame["schedule"] == "random")]
    figure, panels = plt.subplots(1, 3, figsize=(10.5, 3.4), constrained_layout=True)
    for axes, (implant, what) in zip(panels, IMPLANTS.items(), strict=True):
        names = []
        for i, (radio, share) in enumerate((r, s) for r in RADIOS for s in (1, 0.25)):
            found = here[
                (here["implant"] == implant) & (here["implant.radio"] == radio)
                & (here["schedule.fraction"] == share)
            ].mean(numeric_only=True)  # fmt: skip
            left = 0.0
            for component, colour in COMPONENTS.items():
                width = 1e3 * found[f"power_{component}_w"]
                axes.barh(i, width, left=left, color=colour, label=component if i == 0 else None)
                left += width
            names.append(f"{radio}, {share:.0%}")
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.invert_yaxis()
        axes.set_title(f"{implant} ({what})", fontsize=9)
        axes.set_xlabel("Power (mW)")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def fidelity_of(runs: Path, name: str, keys: list[str]) -> dict[tuple[str, ...], str]:
    """Score by what was swept, as far as a run has it."""
    if not (runs / name / "results.csv").is_file():
        return {}
    groups = read(runs / name).groupby(keys)
    return {tuple(map(str, key)): said(scores_of(group)) for key, group in groups}


def gating(runs: Path) -> str:
    swept = ("gating", "wake", "wake_time")
    keys = [*(f"implant.amplifier.{key}" for key in swept), "recording"]
    scores = fidelity_of(runs, "gating", keys)
    rows: dict[tuple[str, ...], list[str]] = {}
    for _, r in priced("gating").iterrows():
        rule, at = tuple(str(r[k]) for k in keys[:3]), tuple(str(r[k]) for k in keys)
        rows.setdefault(rule, list(rule)).extend(
            [f"{1e3 * r['power_w']:.3g}", f"{r['sampled_fraction']:.3f}", scores.get(at, "")]
        )
    names = [f"{r}: {what}" for r in RECORDINGS for what in ("power [mW]", "exposure", "fidelity")]
    return markdown(["gating", "wakes", "settles in", *names], list(rows.values()))


def side_information(runs: Path) -> str:
    keys = ["schedule", "implant.radio"]
    scores, rows = fidelity_of(runs, "side_information", keys), []
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
                scores.get((schedule, radio), ""),
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


def drift(frame: pd.DataFrame) -> str:
    rows = []
    for (recording, schedule), group in frame.groupby(["recording", "schedule"], sort=False):
        cells = [said(g["score"]) for _, g in group.groupby("drift", sort=False)]
        rows.append([recording, schedule, *cells])
    return markdown(["recording", "schedule", *frame["drift"].unique()], rows)


def draw_drift(frame: pd.DataFrame, path: Path) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.4), constrained_layout=True)
    states = {
        "-": {"none": 0, "25 % silent": 25, "50 % silent": 50},
        "--": {"none": 0, "25 % silent, noticed": 25, "50 % silent, noticed": 50},
    }
    for axes, (recording, (_, label)) in zip(panels, AFTER_DRIFT.items(), strict=True):
        here = frame[frame["recording"] == recording]
        arms = zip(here["schedule"].unique(), LINES, MARKERS, strict=False)
        for schedule, colour, marker in arms:
            arm = here[here["schedule"] == schedule]
            for line, shares in states.items():
                found = [arm[arm["drift"] == state]["score"] for state in shares]
                axes.errorbar(
                    list(shares.values()), [f.mean() for f in found], [f.std() for f in found],
                    color=colour, ls=line, marker=marker, ms=5, lw=1.4, capsize=2,
                    label=f"{schedule}{', noticed' if line == '--' else ''}",
                )  # fmt: skip
        axes.set_ylabel(label)
        axes.set_title(recording, fontsize=9)
        axes.set_xlabel("Electrodes silent in the test trials (%)")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    out, runs = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    hardware = priced("power")
    tables = {"power": savings(hardware), "frames": frames(), "heat": heat()}
    draw_parts(hardware, out / "parts.png")
    tables |= {"gating": gating(runs), "side_information": side_information(runs)}
    if (runs / "power" / "results.csv").is_file():
        frame = read(runs / "power")
        tables["fidelity"] = fidelity(frame)
        draw_power(hardware, frame, out / "fidelity.png")
    if (runs / "drift" / "results.csv").is_file():
        frame = read(runs / "drift", AFTER_DRIFT)
        tables["drift"] = drift(frame)
        draw_drift(frame, out / "drift.png")
    text = "\n".join(f"## {name.replace('_', ' ')}\n\n{table}" for name, table in tables.items())
    (out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

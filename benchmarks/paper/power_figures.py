"""Figures of docs/paper/power.md, each with the table of what is drawn beside it."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from implant_sim.report.style import COMPONENTS, LINES, MARKERS

IMPLANTS = {
    "gated_uwb": "amplifiers sleep",
    "cmos_uwb": "small, always on",
    "utah_ble": "large, always on",
}
RADIOS = ("UWB", "BLE", "MedRadio")


def draw_power(points: pd.DataFrame, labels: dict[str, str], path: Path) -> None:
    """Fidelity against power; `points` as :func:`power.priced_scores` gives them."""
    figure, panels = plt.subplots(2, 3, figsize=(10.5, 6.2), sharey="row", constrained_layout=True)
    for row, (recording, label) in zip(panels, labels.items(), strict=True):
        for axes, (implant, what) in zip(row, IMPLANTS.items(), strict=True):
            on = points[(points["recording"] == recording) & (points["implant"] == implant)]
            for radio, colour in zip(RADIOS, LINES, strict=False):
                for schedule, line in (("random", "-"), ("best always-on", "--")):
                    mine = (on["schedule"] == schedule) | (on["fraction"] == 1)
                    found = on[mine & (on["radio"] == radio)].sort_values("power_w")
                    axes.errorbar(
                        1e3 * found["power_w"], found["fidelity"], found["sd"],
                        color=colour, ls=line, marker="o", ms=4, lw=1.3, capsize=2,
                        label=f"{radio}, {schedule}",
                    )  # fmt: skip
            axes.set_xlim(left=0)
            axes.set_title(f"{recording}: {implant} ({what})", fontsize=9)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlabel("Power of the implant (mW)")
        row[0].set_ylabel(label)
    handles, named = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, named, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    points.to_csv(path.with_suffix(".csv"), index=False)


def draw_parts(hardware: pd.DataFrame, path: Path) -> None:
    """Where the power goes at all and at a quarter of the samples, macaque M1."""
    here = hardware[(hardware["recording"] == "macaque M1") & (hardware["schedule"] == "random")]
    columns = [f"power_{component}_w" for component in COMPONENTS]
    parts = here[here["schedule.fraction"].isin((1, 0.25))]
    parts = parts[["implant", "implant.radio", "schedule.fraction", *columns]]
    figure, panels = plt.subplots(1, 3, figsize=(10.5, 3.4), constrained_layout=True)
    for axes, (implant, what) in zip(panels, IMPLANTS.items(), strict=True):
        bars = parts[parts["implant"] == implant].set_index(["implant.radio", "schedule.fraction"])
        names = []
        for i, (radio, share) in enumerate((r, s) for r in RADIOS for s in (1, 0.25)):
            left = 0.0
            for (component, colour), column in zip(COMPONENTS.items(), columns, strict=True):
                width = 1e3 * bars.loc[(radio, share), column]
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
    parts.to_csv(path.with_suffix(".csv"), index=False)


def draw_drift(scores: pd.DataFrame, labels: dict[str, str], path: Path) -> None:
    """Fidelity against the share of electrodes that fall silent."""
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.4), constrained_layout=True)
    states = {
        "-": {"none": 0, "25 % silent": 25, "50 % silent": 50},
        "--": {"none": 0, "25 % silent, noticed": 25, "50 % silent, noticed": 50},
    }
    for axes, (recording, label) in zip(panels, labels.items(), strict=True):
        here = scores[scores["recording"] == recording]
        arms = zip(here["schedule"].unique(), LINES, MARKERS, strict=False)
        for schedule, colour, marker in arms:
            arm = here[here["schedule"] == schedule].set_index("drift")
            for line, shares in states.items():
                found = arm.loc[list(shares)]
                axes.errorbar(
                    list(shares.values()), found["mean"], found["sd"],
                    color=colour, ls=line, marker=marker, ms=5, lw=1.4, capsize=2,
                    label=f"{schedule}{', noticed' if line == '--' else ''}",
                )  # fmt: skip
        axes.set_ylabel(label)
        axes.set_title(recording, fontsize=9)
        axes.set_xlabel("Electrodes silent in the test trials (%)")
        axes.spines[["top", "right"]].set_visible(False)
    handles, named = panels[0].get_legend_handles_labels()
    figure.legend(handles, named, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)

"""The cheapest designs of a search for two radios and two targets: table and figure.

    implant-sim run m1_codesign --set recording.path=m1_reach_public.h5
    python -m benchmarks.search.case runs/m1_codesign docs/m1_codesign

Every design that the search ran in full is priced with either radio. The cheapest for each target
are run with both in a copy of the search's folder: where no packet is lost both get the same data,
bit for bit, and share the decoder; else one is trained.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

import implant_sim
from implant_sim import files
from implant_sim.report import style
from implant_sim.study.budget import budgets
from implant_sim.study.load import load
from implant_sim.study.yaml_loader import parse_file

TARGETS = (0.6, 0.75)
RADIOS = (
    {"label": "UWB", "kind": "uwb"},
    {"label": "BLE", "kind": "ble", "part": "nrf54l15"},
)
PARTS = ("amplifier", "adc", "processing", "radio", "overhead", "delivery")
AXES = ("schedule", "schedule.fraction", "implant.amplifier.noise", "implant.amplifier.gating")
LOOKS = {"UWB": (style.LINES[0], "o"), "BLE": (style.LINES[1], "s")}


def main(folder: Path, out: Path) -> None:
    """Print the table of designs; write it, all points, and the figure."""
    told = json.loads((folder / "search.json").read_text("utf-8"))
    tree = parse_file(folder / "scenario.yaml").plain()
    search = tree.pop("search")
    blocks = {block["label"]: block for block in search["space"]["schedule"]}
    full = [p for p in told["points"] if p["state"] == "ok"]
    scores = {p["point"]: p["velocity_r2"] for p in full}
    priced = _priced(tree, full, blocks)
    best = [
        min(meeting, key=lambda row: row["power_w"])
        for radio in LOOKS
        for target in TARGETS
        if (meeting := [r for r in priced if r["radio"] == radio and scores[r["point"]] >= target])
    ]
    wanted = [p for p in full if p["point"] in {row["point"] for row in best}]
    both = folder.with_name(f"{folder.name}_radios")
    shutil.copytree(folder, both, dirs_exist_ok=True)
    table = implant_sim.run(_both(tree, wanted, blocks), out=both, jobs=1)
    out.mkdir(parents=True, exist_ok=True)
    rows = [row | {"velocity_r2": scores[row["point"]]} for row in priced]
    files.write_text(out / "points.csv", pd.DataFrame(rows).to_csv(index=False))
    files.write_bytes(out / "front.png", style.draw(lambda: _figure(rows, best), "png") or b"")
    designs = _designs(best, table)
    lines = [list(designs), ["---"] * designs.shape[1], *designs.astype(str).to_numpy().tolist()]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    files.write_text(out / "designs.md", text + "\n")
    print(text)
    shared = int(table["decoded_by"].notna().sum())
    print(f"{told['states']}; {shared} of {len(table)} runs with the decoder of another")


def _both(
    tree: dict[str, Any], points: list[dict[str, Any]], blocks: dict[str, Any]
) -> dict[str, Any]:
    """The scenario of some designs, each with either radio."""
    walking = {axis: [p["axes"][axis] for p in points] for axis in AXES}
    walking["schedule"] = [blocks[label] for label in walking["schedule"]]
    sweep = {"zip": [walking], "implant.radio": list(RADIOS)}
    return tree | {"name": f"{tree['name']}_radios", "sweep": sweep}


def _priced(
    tree: dict[str, Any], points: list[dict[str, Any]], blocks: dict[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    for number, budget in enumerate(budgets(load(_both(tree, points, blocks)))):
        known = ("power_w", "link_rate_bps", "packet_loss", *(f"power_{p}_w" for p in PARTS))
        point = points[number // len(RADIOS)]
        rows.append(
            {"radio": budget.axes["implant.radio"], "point": point["point"], **point["axes"]}
            | {name: budget.row[name] for name in known}
        )
    return rows


def _designs(best: list[dict[str, Any]], table: pd.DataFrame) -> pd.DataFrame:
    """From the runs of the designs, not from what the search said of them."""
    rows = []
    for number, row in enumerate(best):
        same = (table["implant.radio"] == row["radio"]) & (
            table[list(AXES)] == [row[axis] for axis in AXES]
        ).all(axis=1)
        mine = table[same]
        score, target = mine["velocity_r2"], TARGETS[number % len(TARGETS)]
        rows.append(
            {"radio": row["radio"], "wanted R²": target}
            | {axis.rpartition(".")[2]: row[axis] for axis in AXES}
            | {"velocity R²": f"{score.mean():.3f} ± {score.std():.3f}"}
            | {"power (mW)": f"{1e3 * mine['power_w'].mean():.3f}"}
            | {f"{p} (mW)": f"{1e3 * mine[f'power_{p}_w'].mean():.3f}" for p in PARTS}
        )
    return pd.DataFrame(rows)


def _figure(rows: list[dict[str, Any]], best: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    known = {(row["radio"], row["point"]): row for row in rows}
    for name, (colour, marker) in LOOKS.items():
        mine = sorted((r["power_w"], r["velocity_r2"]) for r in rows if r["radio"] == name)
        axes.scatter([1e3 * w for w, _ in mine], [r for _, r in mine], s=18, color=colour,
                     marker=marker, alpha=0.5)  # fmt: skip
        front = [(w, r) for w, r in mine if r > max((s for v, s in mine if v < w), default=-9.0)]
        axes.step([1e3 * w for w, _ in front], [r for _, r in front], where="post", color=colour,
                  label=f"{name}: front")  # fmt: skip
        found = [known[name, b["point"]] for b in best if b["radio"] == name]
        axes.scatter([1e3 * f["power_w"] for f in found], [f["velocity_r2"] for f in found], s=130,
                     marker="*", color=colour, edgecolor=style.INK, lw=0.8, zorder=3,
                     label=f"{name}: cheapest for a target")  # fmt: skip
    for target in TARGETS:
        axes.axhline(target, color=style.PALE, lw=0.9, zorder=0)
    axes.set_xlabel("Power of the implant (mW)")
    axes.set_ylabel("Velocity R²")
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

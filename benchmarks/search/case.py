"""The cheapest designs for two radios and two targets, each radio with a search of its own.

    implant-sim run m1_codesign --out runs/uwb --set recording.path=m1_reach_public.h5
    implant-sim run m1_codesign --out runs/ble --set recording.path=m1_reach_public.h5 \\
        --set 'implant.radio={kind: ble, part: nrf54l15, source: {interval: frames}}'
    python -m benchmarks.search.case runs/uwb runs/ble docs/m1_codesign

Every design that either search ran in full is priced with both radios and every length of their
frames: neither changes the data where no packet is lost. The cheapest for each target are run in a
copy of the search's folder, where what has the same data, bit for bit, shares a decoder.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
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
FRAMES = ("50 ms", "200 ms")
RADIOS = {
    "UWB": {"kind": "uwb"},
    "BLE": {"kind": "ble", "part": "nrf54l15"},
}
BLOCKS = [
    {"label": f"{name}, {frame}", **radio, "interval": frame, "source": {"interval": "frames"}}
    for name, radio in RADIOS.items()
    for frame in FRAMES
]
PARTS = ("amplifier", "adc", "processing", "radio", "overhead", "delivery")
AXES = ("schedule", "schedule.fraction", "implant.amplifier.noise", "implant.amplifier.gating")
LOOKS = {
    "UWB, 50 ms": (style.LINES[0], "o"),
    "BLE, 50 ms": (style.LINES[1], "s"),
    "BLE, 200 ms": (style.LINES[2], "D"),
}


def main(folders: Mapping[str, Path], out: Path) -> None:
    """Print the table of designs; write it, all points, and the figure."""
    designs = list[dict[str, Any]]()
    for name, folder in folders.items():
        told = json.loads((folder / "search.json").read_text("utf-8"))
        found = [p | {"found by": name} for p in told["points"] if p["state"] == "ok"]
        known = [[d["axes"][a] for a in AXES] for d in designs]
        designs += [p for p in found if [p["axes"][a] for a in AXES] not in known]
        print(name, told["states"])
    folder = next(iter(folders.values()))
    tree = parse_file(folder / "scenario.yaml").plain()
    search = tree.pop("search")
    blocks = {block["label"]: block for block in search["space"]["schedule"]}
    priced = _priced(tree, designs, blocks)
    best = [
        min((r for r in priced if r["radio"] == radio and r["velocity_r2"] >= target),
            key=lambda row: row["power_w"])
        for target in TARGETS
        for radio in LOOKS
    ]  # fmt: skip
    wanted = [designs[number] for number in dict.fromkeys(row["design"] for row in best)]
    copy = folder.with_name(f"{folder.name}_radios")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    table = implant_sim.run(_both(tree, wanted, blocks), out=copy, jobs=1)
    out.mkdir(parents=True, exist_ok=True)
    files.write_text(out / "points.csv", pd.DataFrame(priced).to_csv(index=False))
    files.write_bytes(out / "front.png", style.draw(lambda: _figure(priced, best), "png") or b"")
    made = _designs(best, table)
    lines = [list(made), ["---"] * made.shape[1], *made.astype(str).to_numpy().tolist()]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    files.write_text(out / "designs.md", text + "\n")
    print(text)
    print(f"{table['decoded_by'].notna().sum()} of {len(table)} runs with the decoder of another")


def _both(
    tree: dict[str, Any], points: list[dict[str, Any]], blocks: dict[str, Any]
) -> dict[str, Any]:
    """The scenario of some designs, each with either radio."""
    walking = {axis: [p["axes"][axis] for p in points] for axis in AXES}
    walking["schedule"] = [blocks[label] for label in walking["schedule"]]
    sweep = {"zip": [walking], "implant.radio": BLOCKS}
    return tree | {"name": f"{tree['name']}_radios", "sweep": sweep}


def _priced(
    tree: dict[str, Any], points: list[dict[str, Any]], blocks: dict[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    for number, budget in enumerate(budgets(load(_both(tree, points, blocks)))):
        known = ("power_w", "link_rate_bps", "packet_loss", *(f"power_{p}_w" for p in PARTS))
        which = number // len(BLOCKS)
        point = points[which]
        rows.append(
            {"radio": budget.axes["implant.radio"], "design": which, "found by": point["found by"]}
            | {axis: point["axes"][axis] for axis in AXES}
            | {name: budget.row[name] for name in known}
            | {"velocity_r2": point["velocity_r2"]}
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
        score, target = mine["velocity_r2"], TARGETS[number // len(LOOKS)]
        rows.append(
            {"wanted R²": target, "radio": row["radio"]}
            | {axis.rpartition(".")[2]: row[axis] for axis in AXES}
            | {"velocity R²": f"{score.mean():.3f} ± {score.std():.3f}"}
            | {"power (mW)": f"{1e3 * mine['power_w'].mean():.3f}"}
            | {f"{p} (mW)": f"{1e3 * mine[f'power_{p}_w'].mean():.3f}" for p in PARTS}
        )
    return pd.DataFrame(rows)


def _figure(rows: list[dict[str, Any]], best: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    for name, (colour, marker) in LOOKS.items():
        mine = sorted((r["power_w"], r["velocity_r2"]) for r in rows if r["radio"] == name)
        axes.scatter([1e3 * w for w, _ in mine], [r for _, r in mine], s=18, color=colour,
                     marker=marker, alpha=0.5)  # fmt: skip
        front = [(w, r) for w, r in mine if r > max((s for v, s in mine if v < w), default=-9.0)]
        axes.step([1e3 * w for w, _ in front], [r for _, r in front], where="post", color=colour,
                  label=f"{name}: front")  # fmt: skip
        found = [row for row in best if row["radio"] == name]
        axes.scatter([1e3 * f["power_w"] for f in found], [f["velocity_r2"] for f in found], s=130,
                     marker="*", color=colour, edgecolor=style.INK, lw=0.8, zorder=3,
                     label=f"{name}: cheapest for a target")  # fmt: skip
    for target in TARGETS:
        axes.axhline(target, color=style.PALE, lw=0.9, zorder=0)
    axes.set_xlabel("Power of the implant (mW)")
    axes.set_ylabel("Velocity R²")
    figure.legend(loc="outside lower center", ncols=len(LOOKS))
    return figure


if __name__ == "__main__":
    uwb, ble, out = (Path(argument) for argument in sys.argv[1:])
    main({"UWB": uwb, "BLE": ble}, out)

"""Cheapest designs of two searches, side by side: table, points and figure for docs/codesign.md.

    implant-sim run m1_codesign --set recording.path=m1_reach_public.h5 --out runs/uwb
    implant-sim run m1_codesign --set recording.path=m1_reach_public.h5 \
        --set 'implant.radio={kind: ble, part: nrf54l15}' --out runs/ble
    python -m benchmarks.search.case runs/uwb runs/ble docs/m1_codesign
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from implant_sim import files
from implant_sim.report import style

PARTS = ("amplifier", "adc", "processing", "radio", "overhead", "delivery")
AXES = ("schedule", "schedule.fraction", "implant.amplifier.noise", "implant.amplifier.gating")
LOOKS = (("UWB", style.LINES[0], "o"), ("BLE", style.LINES[1], "s"))


def main(folders: list[Path], out: Path) -> None:
    """Print the table of designs; write it, all points, and the figure."""
    found = [json.loads((folder / "search.json").read_text("utf-8")) for folder in folders]
    tables = [pd.read_csv(folder / "results.csv") for folder in folders]
    rows = [
        row
        for (name, *_), told, table in zip(LOOKS, found, tables, strict=True)
        for row in _designs(name, told, table)
    ]
    designs = pd.DataFrame(rows)
    out.mkdir(parents=True, exist_ok=True)
    files.write_text(out / "designs.csv", designs.to_csv(index=False))
    for folder, table in zip(folders, tables, strict=True):
        kept = ["point", "repeat", "status", *AXES, "power_w", "velocity_r2", "link_rate_bps"]
        files.write_text(out / f"{folder.name}.csv", table[kept].to_csv(index=False))
    files.write_bytes(out / "front.png", style.draw(lambda: _figure(found), "png") or b"")
    lines = [list(designs), ["---"] * designs.shape[1], *designs.astype(str).to_numpy().tolist()]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))
    for (name, *_), told, table in zip(LOOKS, found, tables, strict=True):
        shared = int(table["decoded_by"].notna().sum())
        print(f"{name}: {told['states']}; {shared} runs with the decoder of another; "
              f"front of {len(told['front'])}")  # fmt: skip


def _designs(radio: str, told: dict[str, Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for design in told.get("designs", ()):
        mine = table[table["point"] == design["point"]]
        score = mine["velocity_r2"]
        rows.append(
            {"radio": radio, "wanted": design["target"]}
            | {axis.rpartition(".")[2]: design["axes"][axis] for axis in AXES}
            | {"velocity R²": f"{score.mean():.3f} ± {score.std():.3f}"}
            | {"power (mW)": round(1e3 * mine["power_w"].mean(), 3)}
            | {f"{part} (mW)": round(1e3 * mine[f"power_{part}_w"].mean(), 3) for part in PARTS}
        )
    return rows


def _figure(found: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for (name, colour, marker), told in zip(LOOKS, found, strict=True):
        full = [p for p in told["points"] if p["state"] == "ok"]
        x, y = ([p[c] for p in full] for c in ("power_w", "velocity_r2"))
        axes.scatter([1e3 * w for w in x], y, s=16, color=colour, marker=marker, alpha=0.45)
        front = sorted((p["power_w"], p["velocity_r2"]) for p in told["front"])
        axes.step([1e3 * w for w, _ in front], [r for _, r in front], where="post", color=colour,
                  label=f"{name}: front")  # fmt: skip
        best = told.get("designs", ())
        axes.scatter([1e3 * d["power_w"] for d in best], [d["velocity_r2"] for d in best], s=130,
                     marker="*", color=colour, edgecolor=style.INK, lw=0.8, zorder=3,
                     label=f"{name}: cheapest for a target")  # fmt: skip
    for target in (0.6, 0.75):
        axes.axhline(target, color=style.PALE, lw=0.9, zorder=0)
    axes.set_xlabel("Power of the implant (mW)")
    axes.set_ylabel("Velocity R²")
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:3]], Path(sys.argv[3]))

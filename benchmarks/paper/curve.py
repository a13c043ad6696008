"""The bandwidth curve of the SBTT demonstration beside the published recipe: picture and table.

implant-sim run sbtt_curve --out runs/sbtt_curve
python benchmarks/paper/curve.py docs/sbtt_curve runs/sbtt_curve
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

REFERENCE = Path(__file__).with_name("published_recipe.json")


def main() -> None:
    out, folder = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    rows = pd.read_csv(folder / "results.csv")
    ours = rows.groupby("schedule.bandwidth").mean(numeric_only=True)
    recipe = pd.DataFrame(reference["points"]).set_index("bandwidth")
    authors = {int(k): v for k, v in reference["authors_own_rate_r2"].items()}
    lines = [
        "| channels of 29 | R², published truth: recipe | ours | R², expected: recipe | ours "
        "| bits per spike, withheld | authors' R², their data |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    short = []
    for bandwidth in sorted(recipe.index, reverse=True):
        got, was = ours.loc[bandwidth], recipe.loc[bandwidth]
        lines.append(
            f"| {bandwidth} | {was['rate_r2']:.3f} | **{got['rate_r2']:.3f}** | "
            f"{was['rate_r2_expected']:.3f} | **{got['rate_r2_expected']:.3f}** | "
            f"{got['bits_per_spike_all']:.3f} | {authors[bandwidth]:.3f} |"
        )
        short += [
            f"{name} at {bandwidth}"
            for name in ("rate_r2", "rate_r2_expected")
            if got[name] < was[name] - 0.02
        ]
    lines += ["", f"Below the recipe by more than 0.02: {', '.join(short) or 'nowhere'}."]
    (out / "curve.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    figure, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    series = [
        ("ours", ours["rate_r2_expected"], "#0072B2", "o-"),
        ("published recipe, same data", recipe["rate_r2_expected"], "#D55E00", "s--"),
        ("authors, their data, published truth", pd.Series(authors), "#7F7F7F", "^:"),
    ]
    for name, values, colour, style in series:
        values = values.sort_index()
        axis.plot(values.index, values, style, color=colour, label=name, ms=5)
    axis.set_xscale("log")
    axis.set_xticks(sorted(recipe.index), [str(b) for b in sorted(recipe.index)])
    axis.minorticks_off()
    axis.set_xlabel("Channels sampled in each 20 ms bin, of 29")
    axis.set_ylabel("R² of inferred rates")
    axis.set_ylim(0, 1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(out / "curve.png", dpi=130)


if __name__ == "__main__":
    main()

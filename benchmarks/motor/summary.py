"""Fidelity against samples taken on the motor recordings: a picture and a table from run folders.

implant-sim run m1_reach --set recording.path=FILE --out runs/m1_reach
implant-sim run m1_reach_lfads --set recording.path=FILE --out runs/m1_reach_lfads
python benchmarks/motor/summary.py docs/m1_reach runs/m1_reach runs/m1_reach_lfads
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

SHARES = [1.0, 0.5, 0.25, 0.125]
DECODERS = {"lfads": "LFADS, SBTT", "kalman": "Kalman smoother", "smoothing": "Gaussian smoothing"}
SCHEDULES = {
    "random": "random subset in each bin",
    "always-on": "always-on, random channels",
    "best always-on": "always-on, best channels",
}
COLOURS = {"lfads": "#0072B2", "kalman": "#D55E00", "smoothing": "#7F7F7F"}
LINES = {"random": "-", "always-on": "--", "best always-on": ":"}
MEASURES = {
    "velocity_r2": "Velocity R²",
    "bits_per_spike": "Bits per spike, withheld and sampled",
    "bits_per_spike_all": "Bits per spike, all withheld",
}


def read(folders: list[Path]) -> pd.DataFrame:
    """Rows of all runs, with schedule family and nominal share of samples."""
    frame = pd.concat([pd.read_csv(folder / "results.csv") for folder in folders])
    frame = frame[frame["status"] == "ok"].copy()
    labels = frame["schedule"]
    frame["family"] = labels.str.replace(r" [\d.]+ %$", "", regex=True)
    share = labels.str.extract(r"([\d.]+) %$")[0].astype(float) / 100
    frame["share"] = share.fillna(1.0)
    return frame


def curve(frame: pd.DataFrame, decoder: str, family: str, measure: str) -> pd.DataFrame:
    """Mean and spread over repeats; sampling everything is the common first point."""
    rows = frame[(frame["decoder"] == decoder) & frame["family"].isin([family, "all"])]
    return rows.groupby("share")[measure].agg(["mean", "std", "count"]).sort_index(ascending=False)


def draw(frame: pd.DataFrame, path: Path, title: str) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    for axis, measure in zip(axes, ("velocity_r2", "bits_per_spike_all"), strict=True):
        for decoder in DECODERS:
            for family in SCHEDULES:
                line = curve(frame, decoder, family, measure)
                if len(line) < 2:
                    continue
                axis.errorbar(
                    line.index * 100, line["mean"], line["std"], color=COLOURS[decoder],
                    ls=LINES[family], marker="o", ms=4, lw=1.5, capsize=2,
                    label=f"{DECODERS[decoder]}; {SCHEDULES[family]}",
                )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_xticks([100 * s for s in SHARES], [f"{100 * s:g}" for s in SHARES])
        axis.set_xlabel("Samples taken (% of all)")
        axis.set_ylabel(MEASURES[measure] + (" (bit/spike)" if "bits" in measure else ""))
        axis.spines[["top", "right"]].set_visible(False)
    if axes[1].get_ylim()[0] < -0.1:
        axes[1].set_ylim(-0.05, 1.1 * axes[1].get_ylim()[1])
        axes[1].set_title("random always-on channels lie below the axis", fontsize=8)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        fontsize=7,
        handlelength=4,
        frameon=False,
    )
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=130)


def table(frame: pd.DataFrame) -> str:
    lines = []
    for measure, name in MEASURES.items():
        lines += [f"**{name}**", "", "| decoder | schedule | 100 % | 50 % | 25 % | 12.5 % |"]
        lines += ["|---|---|---:|---:|---:|---:|"]
        for decoder, called in DECODERS.items():
            for family, schedule in SCHEDULES.items():
                line = curve(frame, decoder, family, measure)
                if len(line) < 2:
                    continue
                cells = [
                    f"{line.loc[s, 'mean']:.3f} ± {line.loc[s, 'std']:.3f}"
                    if s in line.index
                    else ""
                    for s in SHARES
                ]
                lines.append(f"| {called} | {schedule} | " + " | ".join(cells) + " |")
        lines.append("")
    power = frame.groupby(["family", "share"])["power_w"].mean() * 1e3
    lines += ["**Power of the implant [mW]**", "", "| schedule | 100 % | 50 % | 25 % | 12.5 % |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for family, schedule in SCHEDULES.items():
        values = [power.get((family if s < 1 else "all", s)) for s in SHARES]
        lines.append(
            f"| {schedule} | " + " | ".join(f"{v:.3f}" if v else "" for v in values) + " |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    out, *folders = [Path(argument) for argument in sys.argv[1:]]
    out.mkdir(parents=True, exist_ok=True)
    frame = read(folders)
    repeats = frame.groupby(["decoder", "family", "share"]).size().max()
    draw(frame, out / "summary.png", f"{out.name}: mean ± sd over {repeats} repeats")
    (out / "summary.md").write_text(table(frame), encoding="utf-8")
    print(table(frame))


if __name__ == "__main__":
    main()

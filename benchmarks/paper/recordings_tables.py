"""Tables and pictures of `recordings.py`, from its run folders.

python benchmarks/paper/recordings_tables.py runs/recordings docs/paper/recordings

What `NAME.csv` there holds already stays, unless a run folder has the same point and repeat anew:
the parts need not be run on one machine, nor at one time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from recordings import SHARES
from recordings_figure import draw, draw_by_behaviour
from recordings_overview import by_behaviour, overview
from recordings_page import MEASURES, page

from implant_sim.report.load import Run, load_run
from implant_sim.study.ridge import fit_ridge
from sbtt_models import metrics

ONE_LAG_S = 0.08
KEYS = ["decoder", "schedule", "share", "repeat"]
KEPT = ["part", *KEYS, *MEASURES, "bits_per_spike", "power_w"]


def read(folder: Path) -> pd.DataFrame:
    """One row for each point and repeat of all parts."""
    frames = []
    for part in sorted(folder.iterdir()):
        if not (part / "results.csv").is_file():
            continue
        run = load_run(part)
        rows = run.results[run.results["status"] == "ok"].copy()
        rows["part"], rows["share"] = part.name, rows["schedule.fraction"].astype(float)
        for name in ("decoder", "schedule"):
            rows[name] = rows[name].replace({"random_subset": "random"})
        rows["velocity_r2_one_lag"] = [
            one_lag(run, int(point), int(repeat))
            for point, repeat in zip(rows["point"], rows["repeat"], strict=True)
        ]
        frames.append(rows)
    return pd.concat(frames)[KEPT]


def joined(found: pd.DataFrame, kept: Path) -> pd.DataFrame:
    """Points found in run folders, and those of the table that are not among them."""
    known = [pd.read_csv(kept)] if kept.exists() else []
    rows = pd.concat([found, *known]).round({"share": 6}).drop_duplicates(KEYS)
    return rows.sort_values(["part", *KEYS])


def one_lag(run: Run, point: int, repeat: int) -> float:
    """R² of behaviour read out of the rates of one earlier bin, as the SBTT paper's code does."""
    arrays = run.arrays(point, repeat)
    if arrays is None:
        return float("nan")
    bin_s = float(run.results["bin_s"].iloc[0])
    rates, test = arrays["rates"], arrays["split/test"]
    judged = arrays["behaviour_valid"].copy()
    fitted = judged.copy()
    fitted[test], judged[np.setdiff1d(np.arange(len(judged)), test)] = False, False
    target = np.where(arrays["behaviour_valid"][..., None], arrays["behaviour"], 0.0)
    read_out = fit_ridge(rates, target, fitted, (round(ONE_LAG_S / bin_s),), n_folds=5)
    where = np.broadcast_to(judged[test][..., None], target[test].shape)
    found = metrics.r2(target[test], read_out.predict(rates[test]).astype(float), where=where)
    return float("nan") if found.mean is None else float(found.mean)


def main() -> None:
    runs, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
        kept = out / f"{folder.name}.csv"
        rows = joined(read(folder), kept)
        rows.to_csv(kept, index=False, float_format="%.6g")
        (out / f"{folder.name}.md").write_text(page(rows), encoding="utf-8")
        draw(rows[rows["share"].isin(SHARES)], out / f"{folder.name}.png", folder.name)
    tables = {path.stem: pd.read_csv(path) for path in sorted(out.glob("*.csv"))}
    (out / "overview.md").write_text(overview(tables), encoding="utf-8")
    known = {name: t for name, t in tables.items() if (t["schedule"] == "by behaviour").any()}
    (out / "by_behaviour.md").write_text(by_behaviour(known), encoding="utf-8")
    draw_by_behaviour(known, out / "by_behaviour.png")


if __name__ == "__main__":
    main()

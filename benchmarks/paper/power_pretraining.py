"""What dense trials first save at equal fidelity, on three implants with three radios.

python benchmarks/paper/power_pretraining.py docs/paper docs/paper/power

Power comes from `scenarios/paper/pretraining.yaml`, without a decoder; fidelity from `points.csv`
of the pages of pretraining and of the bandwidth curve in the first folder: networks alone, means
over the data seeds that both have. Sparse alone is taken where its R² is that of the pretrained
design, linearly between the bandwidths of the curve.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from implant_sim.study.budget import budgets
from implant_sim.study.load import load

sys.path.insert(0, str(Path(__file__).parent))
from power import markdown
from power_figures import IMPLANTS, RADIOS

SCENARIO = Path(__file__).parents[2] / "scenarios" / "paper" / "pretraining.yaml"
R2, K, TRIALS = "rate_r2_expected", "schedule.bandwidth", 150
ON = ["implant", "implant.radio"]


def priced(bandwidths: list[int], dense: bool, every: str = "26 min") -> pd.Series:
    """Power by implant, radio and channels in a bin. [W]"""
    rule: dict[str, Any] = {"pretraining": None}
    if dense:
        rule = {"pretraining.trials": TRIALS, "pretraining.every": every}
    sweep = {
        K: bandwidths,
        "implant": [f"implants/{implant}.yaml" for implant in IMPLANTS],
        "implant.radio": [{"label": radio, "kind": radio.lower()} for radio in RADIOS],
    }
    rows = [b.axes | b.row for b in budgets(load(SCENARIO, rule | {"sweep": sweep}))]
    return pd.DataFrame(rows).set_index([*ON, K])["power_w"].sort_index()


def main() -> None:
    given, out = Path(sys.argv[1]), Path(sys.argv[2])
    taught = pd.read_csv(given / "pretraining" / "points.csv")
    taught = taught[
        (taught["pretraining.trials"] == TRIALS) & (taught["pretraining.adapt"] == "all")
    ]
    curve = pd.read_csv(given / "lorenz" / "points.csv")
    curve = curve[(curve["method"] == "network alone") & (curve["repeat"] == 0)]
    curve = curve[curve["seed"].isin(taught["recording.seed"])]
    alone = curve.groupby("bandwidth")[R2].mean()
    gained = taught.groupby(K)[R2].mean()
    sparse_w = priced([int(k) for k in alone.index], dense=False)
    each_w, daily_w = (
        priced([int(k) for k in gained.index], dense=True, every=t) for t in ("26 min", "24 h")
    )
    rows, table = [], []
    for implant, radio in product(IMPLANTS, RADIOS):
        for k, r2 in gained.items():
            watts = sparse_w[implant, radio].reindex(alone.index)
            equal = float(np.interp(r2, alone, watts))
            found = [equal, daily_w[implant, radio, k], each_w[implant, radio, k]]
            table.append([implant, radio, k, r2, float(np.interp(r2, alone, alone.index)), *found])
            saved = (f"{1 - w / equal:.1%}" for w in found[1:])
            rows.append([implant, radio, str(k), f"{r2:.3f}", f"{table[-1][4]:.1f}",
                         *(f"{1e3 * w:.4g}" for w in found), *saved])  # fmt: skip
    names = ["implant", "radio", "bandwidth", "r2", "equal_bandwidth", "equal_w", "daily_w"]
    pd.DataFrame(table, columns=[*names, "each_recording_w"]).to_csv(
        out / "pretraining.csv", index=False, float_format="%.6g"
    )
    heads = ["implant", "radio", "channels", "R²", "sparse alone needs", "it draws [mW]"]
    heads += ["dense once a day [mW]", "dense in each recording [mW]"]
    text = markdown([*heads, "saved, once a day", "saved, in each recording"], rows)
    (out / "pretraining.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

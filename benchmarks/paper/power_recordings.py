"""What sparse sampling of the real recordings saves on three implants with three radios each.

export IMPLANT_SIM_DATA=FOLDER
python benchmarks/paper/power_recordings.py docs/paper/recordings docs/paper/power

Power comes from the scenarios, without a decoder (first repeat); fidelity from the tables of
single runs in the first folder, as `recordings_tables.py` writes them. It does not depend on
implant or radio, as each sample arrives whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from implant_sim.study.budget import budgets
from implant_sim.study.load import load

sys.path.insert(0, str(Path(__file__).parent))
from power import markdown
from power_figures import IMPLANTS, RADIOS
from recordings import BEHAVIOUR, BEST, HYBRIDS, RANDOM, SCENARIOS, SHARES, WEIGHTED

RECORDINGS = {
    "m1_reach": "m1_reach_public.h5",
    "m1pmd_chewie": "m1pmd_chewie_public.h5",
    "s1_reach": "s1_reach_public.h5",
    "bci_m1": "bci_m1_degenhart_public.h5",
    "reach_trials20ms": "reach_trials20ms_public.h5",
}
SCHEDULES = [RANDOM | {"label": "random"}, BEST, WEIGHTED, BEHAVIOUR, *HYBRIDS]
DECODERS = {"augmented_lds": "augmented", "kalman": "kalman"}
LEARNED = {"by behaviour": "augmented, learned prior"}
"""Schedules that were decoded with a learned prior of the loadings instead of the fixed one."""
KEPT = (0.95, 0.9)
"""Shares of the R² of full sampling, with the decoder best there, that a design is to keep."""
AT = ["schedule", "share"]
PAIRS = [(implant, radio) for implant in IMPLANTS for radio in RADIOS]


def priced(name: str) -> pd.DataFrame:
    """What each schedule and share draws on each implant with each radio."""
    sweep: dict[str, Any] = {
        "schedule.fraction": SHARES,
        "schedule": SCHEDULES,
        "implant": [f"implants/{implant}.yaml" for implant in IMPLANTS],
        "implant.radio": [{"label": radio, "kind": radio.lower()} for radio in RADIOS],
        "skip": ["schedule.fraction == 1.0 and schedule.kind != 'random_subset'"],
    }
    changes = {"recording.path": RECORDINGS[name], "decoder": {"kind": "smoothing"}}
    found = budgets(load(SCENARIOS / f"{name}.yaml", changes | {"sweep": sweep}))
    table = pd.DataFrame([{**b.axes, **b.row} for b in found])
    names = {"implant.radio": "radio", "schedule.fraction": "share"}
    return table.rename(columns=names)[[*AT, "implant", "radio", "n_channels", "power_w"]]


def full(table: pd.DataFrame) -> tuple[str, pd.Series]:
    """The decoder that is best with all samples, and its R² by repeat."""
    all_seen = table[table["share"] == 1]
    best = str(all_seen.groupby("decoder")["velocity_r2"].mean().idxmax())
    return best, all_seen[all_seen["decoder"] == best].groupby("repeat")["velocity_r2"].first()


def scores(table: pd.DataFrame, reference: pd.Series) -> pd.DataFrame:
    """Mean and spread of each schedule and share by decoder, and what it keeps of a reference."""
    learned = table["schedule"].map(LEARNED) == table["decoder"]
    table = table.assign(decoder=table["decoder"].mask(learned, "augmented_lds"))
    table = table[table["decoder"].isin(DECODERS)]
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for decoder, name in DECODERS.items():
        for at, group in table[table["decoder"] == decoder].groupby(AT, sort=False):
            r2 = group.set_index("repeat")["velocity_r2"]
            rows.setdefault(at, dict(zip(AT, at, strict=True))).update(
                {
                    f"{name}_r2": r2.mean(),
                    f"{name}_sd": r2.std(),
                    f"{name}_co_bps": group["co_bps"].mean(),
                    # of the same repeats: some schedules have fewer
                    f"{name}_kept": r2.mean() / reference.reindex(r2.index).mean(),
                    f"{name}_repeats": len(r2),
                }
            )
    return pd.DataFrame(list(rows.values()))


def least(measured: pd.DataFrame, kept: float) -> pd.Series | None:
    """The smallest share below 1 at which a schedule keeps so much; of several, the best."""
    enough = measured[(measured["augmented_kept"] >= kept) & (measured["share"] < 1)]
    order = enough.sort_values(["share", "augmented_r2"], ascending=[True, False])
    return None if order.empty else order.iloc[0]


def fidelity_rows(name: str, measured: pd.DataFrame) -> list[list[str]]:
    """Velocity R² by share of the best schedule, and of random rotation."""
    rows = []
    for which in ("random", "best"):
        cells = []
        for share in SHARES:
            here = measured[(measured["share"] == share) & measured["augmented_r2"].notna()]
            here = here[here["schedule"] == "random"] if which == "random" else here
            if here.empty:
                cells.append("")
                continue
            top = here.loc[here["augmented_r2"].idxmax()]
            named = f" ({top['schedule']})" if which == "best" and share < 1 else ""
            cells.append(f"{top['augmented_r2']:.3f}{named}")
        rows.append([name, which, *cells])
    return rows


def saving_rows(name: str, drawn: pd.DataFrame, measured: pd.DataFrame) -> list[list[str]]:
    """Power of full sampling, and of the smallest share that keeps enough, on all implants."""
    rows = []
    for kept in KEPT:
        chosen = least(measured, kept)
        design = "none of those measured" if chosen is None else str(chosen["schedule"])
        cells = ["" if chosen is None else f"{100 * chosen['share']:.4g} %", design]
        cells.append("" if chosen is None else f"{chosen['augmented_r2']:.3f}")
        for implant, radio in PAIRS:
            here = drawn[(drawn["implant"] == implant) & (drawn["radio"] == radio)]
            at = here.set_index(AT)["power_w"]
            whole = at["random", 1.0]
            if chosen is None:
                cells.append(f"{1e3 * whole:.3g}")
                continue
            less = at[chosen["schedule"], chosen["share"]]
            cells.append(f"{1e3 * whole:.3g} → {1e3 * less:.3g} ({1 - less / whole:.0%})")
        rows.append([f"{kept:.0%}", name, *cells])
    return rows


def main() -> None:
    given, out = Path(sys.argv[1]), Path(sys.argv[2])
    tables, shares, savings = [], [], []
    for name in RECORDINGS:
        table, drawn = pd.read_csv(given / f"{name}.csv"), priced(name)
        table = table[table["share"].isin(SHARES)]
        decoder, reference = full(table)
        measured = scores(table, reference)
        measured = measured[measured["schedule"].isin(drawn["schedule"])]
        tables.append(drawn.merge(measured, on=AT, how="left").assign(recording=name))
        first, *others = fidelity_rows(name, measured)
        shares += [[*first, f"{reference.mean():.3f} ({decoder})"], *([*r, ""] for r in others)]
        savings += saving_rows(name, drawn, measured)
    whole = pd.concat(tables)
    whole = whole[["recording", *(c for c in whole if c != "recording")]]
    whole.to_csv(out / "recordings.csv", index=False, float_format="%.6g")
    heads = ["recording", "schedule", *(f"{100 * s:.4g} %" for s in SHARES), "100 %, best decoder"]
    pairs = [f"{implant}, {radio} [mW]" for implant, radio in PAIRS]
    text = "\n".join(
        [
            "Velocity R² of augmented_lds by share of the samples, with random rotation and with",
            "the best schedule measured; with all samples also of the decoder best there.\n",
            markdown(heads, shares),
            "Power with all samples, and (saved) at the smallest share measured at which",
            "augmented_lds keeps so much of the R² that the best decoder has with all samples.\n",
            markdown(
                ["R² kept", "recording", "share", "schedule", "R²", *pairs],
                sorted(savings, key=lambda row: row[0], reverse=True),
            ),
        ]
    )
    (out / "recordings.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

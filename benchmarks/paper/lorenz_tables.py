"""Tables of docs/paper/lorenz.md, from one row a method, data seed, bandwidth and repeat."""

from __future__ import annotations

import pandas as pd

R2, BITS, PUBLISHED = "rate_r2_expected", "bits_per_spike_all", "rate_r2"
SUBSET = "always-on channels"
UNTRAINED = ("smoothing", "Kalman smoother", "Poisson linear dynamics", "GPFA", "factor analysis")
ZERO = ("zero-filled LFADS", "zero-filled LFADS, raw")
TRAINED = ("ours", "network alone")


def tables(rows: pd.DataFrame) -> str:
    parts = [
        ("### Five data seeds", curve(rows)),
        ("### How much of the distance from recipe to oracle is closed", distance(rows)),
        ("### Baselines, R² of expected counts", baselines(rows, R2)),
        ("### Baselines, bits per spike", baselines(rows, BITS)),
        ("### Trained models below an untrained baseline", [exceptions(rows)]),
    ]
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in parts) + "\n"


def spread(values: pd.Series) -> str:
    """Mean and standard deviation over data seeds and repeats."""
    values = values.dropna()
    if values.empty:
        return "-"
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def curve(rows: pd.DataFrame) -> list[str]:
    names = {
        ("oracle", R2): "R², expected: oracle",
        ("ours", R2): "ours",
        ("network alone", R2): "network alone",
        ("ours", PUBLISHED): "R², published truth: ours",
        ("ours", BITS): "bits per spike: ours",
        ("oracle", BITS): "oracle",
    }
    lines = [f"| channels of 29 | runs | {' | '.join(names.values())} |"]
    lines.append("|---:|" + "---:|" * (len(names) + 1))
    for k in sorted(rows["bandwidth"].unique(), reverse=True):
        here = rows[rows["bandwidth"] == k].groupby("method")
        known = dict(iter(here))
        if "ours" not in known:
            continue
        cells = [spread(known[method][score]) for method, score in names]
        lines.append(f"| {k} | {len(known['ours'])} | {' | '.join(cells)} |")
    return lines


def distance(rows: pd.DataFrame) -> list[str]:
    lines = [
        "| data seed | channels of 29 | R², expected: recipe | network alone | ours | oracle "
        "| share closed by ours | by the network alone | bits per spike: recipe | ours |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    means, bits = (
        rows.groupby(["seed", "bandwidth", "method"])[score].mean().unstack()
        for score in (R2, BITS)
    )
    if "recipe" not in means or "ours" not in means:
        return lines
    for (seed, k), row in means.dropna(subset=["recipe", "ours"]).iterrows():
        gap = row["oracle"] - row["recipe"]
        shares = [f"{(row[name] - row['recipe']) / gap:.0%}" for name in TRAINED]
        values = [f"{row[name]:.3f}" for name in ("recipe", "network alone", "ours", "oracle")]
        told = bits.loc[(seed, k), ["recipe", "ours"]]
        values += shares + ["-" if pd.isna(value) else f"{value:.3f}" for value in told]
        lines.append(f"| {seed} | {k} | {' | '.join(values)} |")
    return lines


def compared(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Mean of each method at each bandwidth, over the data seeds that have baselines, repeat 0."""
    seeds = rows.loc[rows["method"].isin(UNTRAINED), "seed"].unique()
    same = rows[rows["seed"].isin(seeds) & (rows["repeat"] == 0)]
    return same.groupby(["bandwidth", "method"])[score].mean().unstack()


def baselines(rows: pd.DataFrame, score: str) -> list[str]:
    means = compared(rows, score)
    if score == R2:  # a channel that is never sampled counts, too
        means[SUBSET] = compared(rows, "r2_all_channels").get(SUBSET)
    order = ("ours", "network alone", SUBSET, *ZERO, *UNTRAINED)
    names = [name for name in order if name in means]
    lines = [f"| channels of 29 | {' | '.join(names)} |", "|---:|" + "---:|" * len(names)]
    for k in sorted(means.index, reverse=True):
        cells = ["-" if pd.isna(v) else f"{v:.3f}" for v in means.loc[k, names]]
        lines.append(f"| {k} | {' | '.join(cells)} |")
    return lines


def exceptions(rows: pd.DataFrame) -> str:
    """Where an untrained baseline is above a trained model, pair by pair of data seed."""
    found = []
    for score, label in ((R2, "R²"), (BITS, "bits per spike")):
        same = rows[rows["repeat"] == 0]
        by = same.groupby(["seed", "bandwidth", "method"])[score].mean().unstack()
        for trained in (*TRAINED, "recipe", *ZERO):
            for baseline in UNTRAINED:
                if trained not in by or baseline not in by:
                    continue
                worse = by[by[trained] < by[baseline]].index
                if len(worse):
                    where = ", ".join(f"{k} (seed {seed})" for seed, k in worse)
                    found.append(f"- {label}: {trained} below {baseline} at {where}")
    return "\n".join(found) or "Nowhere that both were run on the same data."

"""Tables of docs/paper/lorenz.md, from one row a method, data seed, bandwidth and repeat."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

REFERENCE = Path(__file__).with_name("published_recipe.json")
R2, BITS, PUBLISHED = "rate_r2_expected", "bits_per_spike_all", "rate_r2"
SUBSET = "always-on channels"
CALIBRATED = "always-on channels, calibrated"
LINEAR = ("Kalman smoother", "Poisson linear dynamics", "GPFA", "factor analysis")
UNTRAINED = ("smoothing", "interpolation", *LINEAR)
OURS = ("ours", "network alone")
NETWORKS = ("LFADS", "transformer", "autoencoder")
ZERO = ("zero-filled LFADS", "zero-filled LFADS, raw")
TRAINED = (*OURS, *NETWORKS, *ZERO, SUBSET, CALIBRATED)


def tables(rows: pd.DataFrame) -> str:
    parts = [
        ("### Five data seeds", curve(rows)),
        ("### How much of the distance from recipe to oracle is closed", distance(rows)),
        ("### R² to the published truth", published(rows)),
        ("### Trained models, R² of expected counts", compared(rows, R2, TRAINED)),
        ("### Trained models, bits per spike", compared(rows, BITS, TRAINED)),
        ("### Untrained baselines, R² of expected counts", compared(rows, R2, UNTRAINED)),
        ("### Untrained baselines, bits per spike", compared(rows, BITS, UNTRAINED)),
        ("### Trained models below an untrained baseline", [exceptions(rows)]),
    ]
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in parts) + "\n"


def authors() -> pd.Series:
    """R² to the published truth that the authors' own event files tell, on their data."""
    known = json.loads(REFERENCE.read_text(encoding="utf-8"))["authors_own_rate_r2"]
    return pd.Series({int(k): v for k, v in known.items()}).sort_index()


def alike(rows: pd.DataFrame) -> pd.DataFrame:
    """Data seeds that have baselines, repeat 0; a channel that is never sampled counts, too."""
    seeds = rows.loc[rows["method"].isin(UNTRAINED), "seed"].unique()
    same = rows[rows["seed"].isin(seeds) & (rows["repeat"] == 0)].copy()
    subset = same["method"] == SUBSET
    same.loc[subset, R2] = same.loc[subset, "r2_all_channels"]
    return same


def spread(values: pd.Series) -> str:
    """Mean and standard deviation over data seeds and repeats."""
    values = values.dropna()
    if values.empty:
        return "-"
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """Lines of markdown; all columns hold numbers."""
    first, *rest = [f"| {' | '.join(row)} |" for row in (head, *body)]
    return [first, "|" + "---:|" * len(head), *rest]


def curve(rows: pd.DataFrame) -> list[str]:
    names = {
        ("oracle", R2): "R², expected: oracle",
        ("ours", R2): "ours",
        ("network alone", R2): "network alone",
        ("ours", PUBLISHED): "R², published truth: ours",
        ("ours", BITS): "bits per spike: ours",
        ("oracle", BITS): "oracle",
    }
    body = []
    for k in sorted(rows["bandwidth"].unique(), reverse=True):
        here = rows[rows["bandwidth"] == k].groupby("method")
        known = dict(iter(here))
        if "ours" not in known:
            continue
        cells = [spread(known[method][score]) for method, score in names]
        body.append([str(k), str(len(known["ours"])), *cells])
    return table(["channels of 29", "runs", *names.values()], body)


def distance(rows: pd.DataFrame) -> list[str]:
    """The recipe was run on the masks and withheld entries of repeat 0: so are the others here."""
    head = [
        *("data seed", "channels of 29"),
        *("R², expected: recipe", "network alone", "ours", "oracle"),
        *("share closed by ours", "by the network alone", "bits per spike: recipe", "ours"),
    ]
    means, bits = (
        rows[rows["repeat"] == 0].pivot_table(
            index=["seed", "bandwidth"], columns="method", values=score
        )
        for score in (R2, BITS)
    )
    body = []
    if "recipe" not in means or "ours" not in means:
        return table(head, body)
    for (seed, k), row in means.dropna(subset=["recipe", "ours"]).iterrows():
        gap = row["oracle"] - row["recipe"]
        shares = [f"{(row[name] - row['recipe']) / gap:.0%}" for name in ("ours", "network alone")]
        values = [number(row[name]) for name in ("recipe", "network alone", "ours", "oracle")]
        told = [number(v) for v in bits.loc[(seed, k)].reindex(["recipe", "ours"])]
        body.append([str(seed), str(k), *values, *shares, *told])
    return table(head, body)


def published(rows: pd.DataFrame) -> list[str]:
    """The other truth, on the same samples as the recipe; beside it what its authors reached."""
    methods = ("recipe", "network alone", "ours", "oracle")
    same = alike(rows)
    means = same[same["method"].isin(methods)].pivot_table(
        index="bandwidth", columns=["seed", "method"], values=PUBLISHED
    )
    seeds = sorted(same["seed"].unique())
    wanted = pd.MultiIndex.from_product([seeds, methods])
    means = means.reindex(columns=wanted).sort_index(ascending=False)
    named = [f"seed {s}: {m}" if m == methods[0] else m for s, m in wanted]
    known = authors()
    body = [
        [str(k), *map(number, row), number(known.get(k, float("nan")))]
        for k, row in means.iterrows()
    ]
    return table(["channels of 29", *named, "authors, their data"], body)


def compared(rows: pd.DataFrame, score: str, methods: tuple[str, ...]) -> list[str]:
    """Means over the same data seeds; where one is missing, none."""
    same = alike(rows)
    each = same.groupby(["bandwidth", "method"])[score]
    means = each.mean().unstack().where(each.count().unstack() == same["seed"].nunique())
    names = [name for name in dict.fromkeys((*OURS, *methods)) if name in means]
    body = [[str(k), *map(number, means.loc[k, names])] for k in sorted(means.index)[::-1]]
    return table(["channels of 29", *names], body)


def exceptions(rows: pd.DataFrame) -> str:
    """Where an untrained baseline is above a trained model, pair by pair of data seed."""
    found = []
    for score, label in ((R2, "R²"), (BITS, "bits per spike")):
        by = alike(rows).pivot_table(index=["bandwidth", "seed"], columns="method", values=score)
        for trained in (*TRAINED, "recipe"):
            for baseline in UNTRAINED:
                if trained not in by or baseline not in by:
                    continue
                pairs = by[[trained, baseline]].dropna()
                worse = pairs[trained] < pairs[baseline]
                if worse.any():
                    found.append(f"- {label}: {trained} below {baseline} at {places(worse)}")
    return "\n".join(found) or "Nowhere that both were run on the same data."


def places(worse: pd.Series) -> str:
    """Bandwidths; with the data seed where it is not so on each that has both."""
    if worse.all():
        return "every bandwidth"
    told = []
    for k, here in worse.groupby("bandwidth"):
        seeds = [str(seed) for (_, seed), is_so in here.items() if is_so]
        if here.all():
            told.append(f"{k}")
        elif seeds:
            told.append(f"{k} (seed {', '.join(seeds)})")
    return ", ".join(told)

"""The tables of one recording, as text."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
RATIOS = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2)
"""Shares of the input channels in the recipe of the SBTT paper's code."""
MEASURES = {
    "velocity_r2": "Behaviour R², lags of 0 to 0.5 s",
    "velocity_r2_one_lag": "Behaviour R², one lag of about 80 ms",
    "co_bps": "Bits per spike, neurons never sampled",
    "bits_per_spike_all": "Bits per spike, withheld entries",
}
DECODERS = {
    "augmented_lds": "augmented Poisson dynamics",
    "state_space": "state space",
    "augmented, learned prior": "augmented Poisson dynamics, learned prior",
    "poisson_lds": "Poisson linear dynamics",
    "learned prior": "Poisson linear dynamics, learned prior",
    "kalman": "Kalman smoother",
    "smoothing": "Gaussian smoothing",
    "counts as they are": "counts as they are",
}
SCHEDULES = {
    "random": "random rotation",
    "always-on": "always-on, random channels",
    "best always-on": "always-on, best channels",
    "weighted": "rotation weighted by variance",
    "most telling always-on": "always-on, most telling channels",
    "hybrid, half, random": "half on the best channels, random rotation of the others",
    "hybrid, half, weighted": "half on the best channels, weighted rotation of the others",
    "hybrid, three quarters, random": "three quarters on the best channels, random rotation",
    "hybrid, three quarters, weighted": "three quarters on the best channels, weighted rotation",
    "hybrid, half, weighted, most telling": "half on the most telling, weighted rotation",
    "hybrid, three quarters, weighted, most telling": "three quarters on the most telling",
}


def cell(values: pd.Series) -> str:
    """Mean and standard deviation."""
    if not len(values):
        return ""
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def table(rows: pd.DataFrame, by: str, names: dict[str, str], measure: str) -> list[str]:
    """One line for each decoder or schedule, one column for each share."""
    shares = sorted(rows["share"].unique(), reverse=True)
    lines = [
        f"| {MEASURES[measure]} | " + " | ".join(f"{100 * s:g} %" for s in shares) + " |",
        "|---|" + "---:|" * len(shares),
    ]
    for key, name in names.items():
        own = rows[rows[by] == key]
        if len(own):
            cells = [cell(own.loc[own["share"] == s, measure].dropna()) for s in shares]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def verdicts(rows: pd.DataFrame) -> list[str]:
    """Paired differences of the augmented model to each rival, with their standard error."""
    rotated = rows[rows["schedule"] == "random"]
    ours = rotated[rotated["decoder"] == "augmented_lds"].set_index(["share", "repeat"])
    shares = sorted(ours.index.levels[0], reverse=True)
    head = " | ".join(f"{100 * s:g} %" for s in shares)
    lines = []
    for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
        lines += [f"| {MEASURES[measure]}: above | {head} |", "|---|" + "---:|" * len(shares)]
        for key, name in list(DECODERS.items())[1:]:
            theirs = rotated[rotated["decoder"] == key].set_index(["share", "repeat"])
            if not len(theirs):
                continue
            gain = (ours[measure] - theirs[measure]).dropna().groupby("share")
            lines.append(f"| {name} | " + " | ".join(signed(gain, s) for s in shares) + " |")
        lines.append("")
    return lines


def above_best(own: pd.DataFrame) -> list[str]:
    """Paired differences of each schedule to the best always-on channels, of one decoder."""
    best = own[own["schedule"] == "best always-on"].set_index(["share", "repeat"])
    shares = sorted(best.index.unique("share"), reverse=True)
    head = " | ".join(f"{100 * s:g} %" for s in shares)
    lines = []
    for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
        title = f"{MEASURES[measure]}: above the best always-on channels"
        lines += [f"| {title} | {head} |", "|---|" + "---:|" * len(shares)]
        for key, name in SCHEDULES.items():
            other = own[own["schedule"] == key].set_index(["share", "repeat"])
            gain = (other[measure] - best[measure]).dropna().groupby("share")
            if key not in ("best always-on", "always-on") and len(gain):
                lines.append(f"| {name} | " + " | ".join(signed(gain, s) for s in shares) + " |")
        lines.append("")
    return lines


def above_random(rows: pd.DataFrame) -> list[str]:
    """Rotation above the mean of random always-on subsets; both spreads are in the error."""
    fixed = rows[(rows["schedule"] == "always-on") & (rows["decoder"] == "kalman")]
    if not len(fixed):
        return []
    shares = sorted(fixed["share"].unique(), reverse=True)
    n = fixed.groupby("share").size().max()
    head = f"above {n} random always-on subsets, Kalman smoother"
    lines = []
    for measure in ("velocity_r2", "co_bps"):
        lines.append(f"| {MEASURES[measure]}: {head} | ")
        lines[-1] += " | ".join(f"{100 * s:g} %" for s in shares) + " |"
        lines.append("|---|" + "---:|" * len(shares))
        for decoder in ("augmented_lds", "kalman"):
            rotated = rows[(rows["schedule"] == "random") & (rows["decoder"] == decoder)]
            cells = [
                difference(*(part.loc[part["share"] == s, measure] for part in (rotated, fixed)))
                for s in shares
            ]
            lines.append(f"| random rotation, {DECODERS[decoder]} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def above_fixed_prior(rows: pd.DataFrame) -> list[str]:
    """Paired differences of a learned prior of the loadings to the fixed one."""
    pairs = {"learned prior": "poisson_lds", "augmented, learned prior": "augmented_lds"}
    learned = rows[rows["decoder"].isin(pairs)]
    shares = sorted(learned["share"].unique(), reverse=True)
    if not shares:
        return []
    lines = ["**A learned prior of the loadings minus the fixed one**, paired by repeat.", ""]
    for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
        lines.append(f"| {MEASURES[measure]} | " + " | ".join(f"{100 * s:g} %" for s in shares))
        lines[-1] += " |"
        lines.append("|---|" + "---:|" * len(shares))
        for key, fixed in pairs.items():
            for schedule, name in SCHEDULES.items():
                two = [
                    rows[(rows["decoder"] == each) & (rows["schedule"] == schedule)]
                    for each in (key, fixed)
                ]
                ours, theirs = (each.set_index(["share", "repeat"])[measure] for each in two)
                gain = (ours - theirs).dropna().groupby("share")
                if len(gain):
                    cells = " | ".join(signed(gain, s) for s in shares)
                    lines.append(f"| {DECODERS[fixed]}; {name} | {cells} |")
        lines.append("")
    return lines


def signed(gain: pd.core.groupby.SeriesGroupBy, share: float) -> str:
    """Mean of paired differences with its standard error; see :func:`told`."""
    values = gain.get_group(share).dropna() if share in gain.groups else ()
    if len(values) < 2:
        return f"{values.mean():+.3f}" if len(values) else ""
    return told(values.mean(), values.std() / np.sqrt(len(values)), len(values) - 1)


def difference(ours: pd.Series, theirs: pd.Series) -> str:
    """Difference of two means with the standard error of Welch; see :func:`told`."""
    ours, theirs = ours.dropna(), theirs.dropna()
    if not len(ours) or not len(theirs):
        return ""
    gain = ours.mean() - theirs.mean()
    if min(len(ours), len(theirs)) < 2:
        return f"{gain:+.3f}"
    parts = np.array([values.var() / len(values) for values in (ours, theirs)])
    freedom = parts.sum() ** 2 / (parts**2 / [len(ours) - 1, len(theirs) - 1]).sum()
    return told(gain, np.sqrt(parts.sum()), freedom)


def told(gain: float, error: float, freedom: float) -> str:
    """A difference and its standard error; bold where it is beyond a t-test at 5 %."""
    text = f"{gain:+.3f} ({error:.3f})"
    return f"**{text}**" if abs(gain) > stats.t.ppf(0.975, freedom) * error else text


def ratios(rows: pd.DataFrame) -> list[str]:
    """The shares of the SBTT paper's code; nothing where they were not run."""
    rows = rows[rows["share"].isin(RATIOS) & (rows["schedule"] == "random")]
    compared = rows.loc[~rows["share"].isin(SHARES), "decoder"].unique()
    if not len(compared):
        return []
    names = {key: name for key, name in DECODERS.items() if key in compared}
    lines = ["**The shares of the SBTT paper's code**, random rotation.", ""]
    for measure in ("velocity_r2_one_lag", "velocity_r2", "co_bps"):
        lines += table(rows, "decoder", names, measure)
    return lines


def page(rows: pd.DataFrame) -> str:
    """All tables of one recording."""
    of_paper, rows = ratios(rows), rows[rows["share"].isin(SHARES)]
    rotated = rows[rows["schedule"] == "random"]
    lines = ["**Random rotation**, mean ± standard deviation over repeats.", ""]
    for measure in MEASURES:
        lines += table(rotated, "decoder", DECODERS, measure)
    lines += [
        "**Augmented model minus its rivals**, paired by repeat, with the standard error; bold:",
        "beyond a t-test at 5 %, here and below.",
        "",
    ]
    lines += verdicts(rows) + above_random(rows)
    for decoder in DECODERS:
        own = rows[rows["decoder"] == decoder]
        if own["schedule"].nunique() < 2:
            continue
        lines += [f"**Schedules, {DECODERS[decoder]}**", ""]
        for measure in ("velocity_r2", "co_bps", "bits_per_spike_all"):
            lines += table(own, "schedule", SCHEDULES, measure)
        if (own["schedule"] == "best always-on").any():
            lines += above_best(own)
    lines += above_fixed_prior(rows)
    power = rows.assign(power_mw=1e3 * rows["power_w"])
    shares = sorted(rows["share"].unique(), reverse=True)
    lines += ["| power of the implant [mW] | " + " | ".join(f"{100 * s:g} %" for s in shares)]
    lines[-1] += " |"
    lines.append("|---|" + "---:|" * len(shares))
    for key, name in SCHEDULES.items():
        mean = power[power["schedule"] == key].groupby("share")["power_mw"].mean()
        if len(mean):
            cells = [f"{mean[s]:.3f}" if s in mean.index else "" for s in shares]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *of_paper]).rstrip() + "\n"

"""The tables of one recording, as text."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from recordings import RATIOS, SHARES
from recordings_cells import cell, laid_out, paired, unpaired

MEASURES = {
    "velocity_r2": "Behaviour R², lags of 0 to 0.5 s",
    "velocity_r2_one_lag": "Behaviour R², one lag of about 80 ms",
    "co_bps": "Bits per spike, neurons never sampled",
    "bits_per_spike_all": "Bits per spike, withheld entries",
}
JUDGED = ("velocity_r2", "co_bps", "bits_per_spike_all")
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
    "by behaviour": "rotation by behaviour",
    "always-on, by behaviour": "always-on, channels weighed by behaviour",
    "most telling always-on": "always-on, most telling channels",
    "hybrid, half, random": "half on the best channels, random rotation of the others",
    "hybrid, half, weighted": "half on the best channels, weighted rotation of the others",
    "hybrid, three quarters, random": "three quarters on the best channels, random rotation",
    "hybrid, three quarters, weighted": "three quarters on the best channels, weighted rotation",
    "hybrid, half, weighted, most telling": "half on the most telling, weighted rotation",
    "hybrid, three quarters, weighted, most telling": "three quarters on the most telling",
}
RIVALS = {
    "best always-on": "the best always-on channels",
    "always-on, by behaviour": "always-on channels weighed by behaviour",
}
RIVALLED = {
    "best always-on": tuple(k for k in SCHEDULES if k not in ("always-on", "best always-on")),
    "always-on, by behaviour": ("by behaviour",),
}
"""The schedules that are compared with each rival."""


def table(rows: pd.DataFrame, by: str, names: dict[str, str], measure: str) -> list[str]:
    """One line for each decoder or schedule that was run."""
    shares = sorted(rows["share"].unique(), reverse=True)
    cells = {}
    for key, name in names.items():
        own = rows[rows[by] == key]
        if len(own):
            cells[name] = [cell(own.loc[own["share"] == s, measure].dropna()) for s in shares]
    return laid_out(MEASURES[measure], shares, cells)


def above_rivals(rows: pd.DataFrame) -> list[str]:
    """Paired differences of the augmented model to each other decoder."""
    lines = []
    for measure in JUDGED:
        cells = {
            name: found
            for rival, name in DECODERS.items()
            if rival != "augmented_lds" and (found := above_rival(rows, rival, measure))
        }
        lines += laid_out(f"{MEASURES[measure]}: above", rotated_shares(rows), cells)
    return lines


def rotated_shares(rows: pd.DataFrame) -> list[float]:
    """Shares at which the augmented model was run on uniform rotation."""
    ours = rows[(rows["schedule"] == "random") & (rows["decoder"] == "augmented_lds")]
    return sorted(ours["share"].unique(), reverse=True)


def above_rival(rows: pd.DataFrame, rival: str, measure: str) -> list[str]:
    """The augmented model above another decoder on uniform rotation; empty if that was not run."""
    rotated = rows[rows["schedule"] == "random"].set_index(["share", "repeat"])
    ours, theirs = (
        rotated.loc[rotated["decoder"] == decoder, measure] for decoder in ("augmented_lds", rival)
    )
    return paired(ours - theirs, rotated_shares(rows)) if len(theirs) else []


def above_always_on(own: pd.DataFrame, rival: str, schedules: Mapping[str, str]) -> list[str]:
    """Paired differences of schedules to always-on channels, of one decoder."""
    shares = sorted(own.loc[own["schedule"] == rival, "share"].unique(), reverse=True)
    lines = []
    for measure in JUDGED:
        gains = {name: above_schedule(own, key, rival, measure) for key, name in schedules.items()}
        cells = {name: paired(gain, shares) for name, gain in gains.items() if len(gain)}
        lines += laid_out(f"{MEASURES[measure]}: above {RIVALS[rival]}", shares, cells)
    return lines


def above_schedule(own: pd.DataFrame, schedule: str, rival: str, measure: str) -> pd.Series:
    """What each repeat of a schedule has more than that of another, of one decoder."""
    ours, theirs = (
        own[own["schedule"] == each].set_index(["share", "repeat"])[measure]
        for each in (schedule, rival)
    )
    return (ours - theirs).dropna()


def above_random(rows: pd.DataFrame) -> list[str]:
    """Rotation above the mean of random always-on subsets; both spreads are in the error."""
    fixed = random_always_on(rows)
    if not len(fixed):
        return []
    shares = sorted(fixed["share"].unique(), reverse=True)
    n = fixed.groupby("share").size().max()
    lines = []
    for measure in ("velocity_r2", "co_bps"):
        cells = {
            f"random rotation, {DECODERS[decoder]}": rotation_above(fixed, rows, decoder, measure)
            for decoder in ("augmented_lds", "kalman")
        }
        cells = {name: [found[s] for s in shares] for name, found in cells.items()}
        title = f"{MEASURES[measure]}: above {n} random always-on subsets, Kalman smoother"
        lines += laid_out(title, shares, cells)
    return lines


def random_always_on(rows: pd.DataFrame) -> pd.DataFrame:
    """Random channels that stay on, decoded by the Kalman smoother."""
    return rows[(rows["schedule"] == "always-on") & (rows["decoder"] == "kalman")]


def rotation_above(
    fixed: pd.DataFrame, rows: pd.DataFrame, decoder: str, measure: str
) -> dict[float, str]:
    """Uniform rotation above always-on subsets, at each share of these."""
    rotated = rows[(rows["schedule"] == "random") & (rows["decoder"] == decoder)]
    return {
        share: unpaired(*(part.loc[part["share"] == share, measure] for part in (rotated, fixed)))
        for share in fixed["share"].unique()
    }


def above_fixed_prior(rows: pd.DataFrame) -> list[str]:
    """Paired differences of a learned prior of the loadings to the fixed one."""
    pairs = {"learned prior": "poisson_lds", "augmented, learned prior": "augmented_lds"}
    lines = ["**A learned prior of the loadings minus the fixed one**, paired by repeat.", ""]
    for measure in JUDGED:
        gains = dict[str, pd.Series]()
        for pair in pairs.items():
            for schedule, name in SCHEDULES.items():
                here = rows[rows["schedule"] == schedule].set_index(["share", "repeat"])
                ours, theirs = (here[here["decoder"] == each][measure] for each in pair)
                gain = (ours - theirs).dropna()
                if len(gain):
                    gains[f"{DECODERS[pair[1]]}; {name}"] = gain
        if not gains:
            return []
        shares = sorted({s for gain in gains.values() for s, _ in gain.index}, reverse=True)
        cells = {name: paired(gain, shares) for name, gain in gains.items()}
        lines += laid_out(MEASURES[measure], shares, cells)
    return lines


def power(rows: pd.DataFrame) -> list[str]:
    """What the implant draws, in mW."""
    shares, cells = sorted(rows["share"].unique(), reverse=True), {}
    for key, name in SCHEDULES.items():
        mean = 1e3 * rows[rows["schedule"] == key].groupby("share")["power_w"].mean()
        if len(mean):
            cells[name] = [f"{mean[s]:.3f}" if s in mean.index else "" for s in shares]
    return laid_out("power of the implant [mW]", shares, cells)


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
    lines += above_rivals(rows) + above_random(rows)
    for decoder in DECODERS:
        own = rows[rows["decoder"] == decoder]
        if own["schedule"].nunique() < 2:
            continue
        lines += [f"**Schedules, {DECODERS[decoder]}**", ""]
        for measure in JUDGED:
            lines += table(own, "schedule", SCHEDULES, measure)
        for rival, compared in RIVALLED.items():
            if (own["schedule"] == rival).any():
                lines += above_always_on(own, rival, {key: SCHEDULES[key] for key in compared})
    lines += above_fixed_prior(rows) + power(rows)
    return "\n".join([*lines, *of_paper]).rstrip() + "\n"

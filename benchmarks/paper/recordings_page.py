"""The tables of one recording, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from recordings import RATIOS, SHARES
from scipy import stats

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


def laid_out(title: str, shares: Sequence[float], cells: Mapping[str, list[str]]) -> list[str]:
    """Lines of markdown: a column for each share, a line for each name."""
    head = [title, *(f"{100 * s:g} %" for s in shares)]
    lines = [
        f"| {' | '.join(row)} |" for row in (head, *([name, *c] for name, c in cells.items()))
    ]
    return [lines[0], "|---|" + "---:|" * len(shares), *lines[1:], ""]


def cell(values: pd.Series) -> str:
    """Mean and standard deviation."""
    if not len(values):
        return ""
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


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


def paired(gain: pd.Series, shares: Sequence[float]) -> list[str]:
    """Mean difference of paired repeats at each share, with its standard error."""
    cells = []
    for share in shares:
        values = gain[gain.index.get_level_values("share") == share].dropna()
        if len(values) > 1:
            error = values.std() / np.sqrt(len(values))
            cells.append(with_error(values.mean(), error, len(values) - 1))
        else:
            cells.append(f"{values.mean():+.3f}" if len(values) else "")
    return cells


def unpaired(ours: pd.Series, theirs: pd.Series) -> str:
    """Difference of two means with the standard error of Welch."""
    ours, theirs = ours.dropna(), theirs.dropna()
    if not len(ours) or not len(theirs):
        return ""
    gain = ours.mean() - theirs.mean()
    if min(len(ours), len(theirs)) < 2:
        return f"{gain:+.3f}"
    parts = np.array([values.var() / len(values) for values in (ours, theirs)])
    freedom = parts.sum() ** 2 / (parts**2 / [len(ours) - 1, len(theirs) - 1]).sum()
    return with_error(gain, np.sqrt(parts.sum()), freedom)


def with_error(gain: float, error: float, freedom: float) -> str:
    """A difference and its standard error; bold where it is beyond a t-test at 5 %."""
    text = f"{gain:+.3f} ({error:.3f})"
    return f"**{text}**" if abs(gain) > stats.t.ppf(0.975, freedom) * error else text


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


def overview(recordings: Mapping[str, pd.DataFrame]) -> str:
    """The augmented model: uniform rotation and its rivals, other schedules; all recordings."""
    lines = list[str]()
    for measure in ("velocity_r2", "co_bps"):
        values, gains, chosen = (dict[str, list[str]]() for _ in range(3))
        for name, rows in recordings.items():
            at = rows[rows["share"].isin(SHARES)]
            rotated = at[(at["schedule"] == "random") & (at["decoder"] == "augmented_lds")]
            values[name] = [cell(rotated.loc[rotated["share"] == s, measure]) for s in SHARES]
            for rival in ("poisson_lds", "kalman", "smoothing", "counts as they are"):
                gains[f"{name}: {DECODERS[rival]}"] = above_rival(at, rival, measure)
            fixed = rotation_above(random_always_on(at), at, "augmented_lds", measure)
            gains[f"{name}: ten random always-on subsets"] = [fixed.get(s, "") for s in SHARES]
            augmented = at[at["decoder"] == "augmented_lds"]
            for key in ("weighted", "hybrid, half, weighted", "hybrid, three quarters, weighted"):
                gain = above_schedule(augmented, key, "best always-on", measure)
                if len(gain):
                    chosen[f"{name}: {SCHEDULES[key]}"] = paired(gain, SHARES[1:])
        title = f"Uniform rotation. {MEASURES[measure]}"
        lines += laid_out(title, SHARES, values) + laid_out(f"{title}: above", SHARES, gains)
        title = f"Other schedules. {MEASURES[measure]}: above {RIVALS['best always-on']}"
        lines += laid_out(title, SHARES[1:], chosen)
    return "\n".join(lines).rstrip() + "\n"


def by_behaviour(recordings: Mapping[str, pd.DataFrame]) -> str:
    """Rotation by behaviour beside always-on channels, of all recordings."""
    ours, shares = "by behaviour", SHARES[1:]
    lines = list[str]()
    for decoder in ("learned prior", "augmented, learned prior"):
        own = {name: rows[rows["decoder"] == decoder] for name, rows in recordings.items()}
        own = {name: rows for name, rows in own.items() if (rows["schedule"] == ours).any()}
        lines += [f"**{DECODERS[decoder]}**", ""]
        for measure in JUDGED:
            values = dict[str, list[str]]()
            gains = {rival: dict[str, list[str]]() for rival in RIVALS}
            for name, rows in own.items():
                at = rows.set_index(["schedule", "share", "repeat"])[measure].sort_index()
                for key in (*RIVALS, ours):
                    if key in at.index.levels[0]:
                        found = at[key]
                        values[f"{name}: {SCHEDULES[key]}"] = [
                            cell(found[found.index.get_level_values("share") == s]) for s in shares
                        ]
                for rival in RIVALS:
                    if rival in at.index.levels[0]:
                        gains[rival][name] = paired(
                            above_schedule(rows, ours, rival, measure), shares
                        )
            lines += laid_out(MEASURES[measure], shares, values)
            for rival, cells in gains.items():
                title = f"{MEASURES[measure]}: rotation by behaviour above {RIVALS[rival]}"
                lines += laid_out(title, shares, cells)
    return "\n".join(lines).rstrip() + "\n"

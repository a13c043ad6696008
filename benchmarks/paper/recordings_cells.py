"""What stands in one cell of the tables of recordings, and how they are laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats


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

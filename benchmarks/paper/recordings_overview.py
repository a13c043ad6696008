"""The tables of all recordings together, as text."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from recordings import SHARES
from recordings_cells import cell, laid_out, paired
from recordings_page import (
    DECODERS,
    JUDGED,
    MEASURES,
    RIVALS,
    SCHEDULES,
    above_rival,
    above_schedule,
    random_always_on,
    rotation_above,
)


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
                for key in (*RIVALS, ours):
                    found = rows[rows["schedule"] == key].set_index("share")[measure]
                    if len(found):
                        cells = [cell(found[found.index == share]) for share in shares]
                        values[f"{name}: {SCHEDULES[key]}"] = cells
                for rival in RIVALS:
                    if (rows["schedule"] == rival).any():
                        gain = above_schedule(rows, ours, rival, measure)
                        gains[rival][name] = paired(gain, shares)
            lines += laid_out(MEASURES[measure], shares, values)
            for rival, above in gains.items():
                title = f"{MEASURES[measure]}: rotation by behaviour above {RIVALS[rival]}"
                lines += laid_out(title, shares, above)
    return "\n".join(lines).rstrip() + "\n"

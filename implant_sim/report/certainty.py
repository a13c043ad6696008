"""How sure the power is, in words."""

from __future__ import annotations

import math

from implant_sim.report.priced import Counted, Shared
from implant_sim.report.summary import Summary

__all__ = ["certainty"]


def certainty(
    summary: Summary, shared: Shared | None, looked_at: Counted | None
) -> dict[str, list[str] | str]:
    """How far the power may lie from its value, and how far the order of points is safe."""
    said = _width(summary)
    if shared is not None:
        said.append(_order(shared))
    command = "The command “implant-sim energy SCENARIO --tornado”"
    if said and looked_at is None:
        said.append(f"{command} prints which number moves it most.")
    caption = (
        "Each number with a spread goes from 10 to 90 % of it, all others stay at their values; "
        "what moves less than 1 % of the power is left out. "
        f"{command} prints this with heat and verdict, and moves numbers without a spread from "
        "half to double."
    )
    return {"certainty": said, "tornado_caption": caption}


def _width(summary: Summary) -> list[str]:
    factors = [
        (high / low, low / p.mean("power_w"), high / p.mean("power_w"))
        for p in summary.banded
        for low, high in [p.band or (math.nan, math.nan)]
        if low > 0
    ]
    if not factors:
        return []
    widest, narrowest = max(factors), min(factors)
    text = (
        "Prices come with a spread, so power comes with a band: in 80 % of the draws it lies "
        f"between {widest[1]:.2g} and {widest[2]:.2g} times the value shown"
    )
    if narrowest[0] < 0.8 * widest[0]:
        text += f" at worst, and {narrowest[1]:.2g} and {narrowest[2]:.2g} times at best"
    return [
        f"{text}. Counts of actions, heat and verdict are those of the values; numbers without a "
        "spread are taken as exact."
    ]


def _order(found: Shared) -> str:
    low, now, high = (f"{100 * r:.3g}" for r in found.ratio)
    kept = "Neighbours in power never change their order."
    if found.kept < 1:
        kept = (
            f"Neighbours in power keep their order in at least {100 * found.kept:.3g} % of them."
        )
    return (
        f"{found.n_points} points of different power share one implant. A draw of its prices "
        "moves them together, so that they compare better than their bands suggest: "
        f"“{found.least.label}” takes {now} % of the power of “{found.most.label}”, {low} to "
        f"{high} % in 80 % of the draws, a factor of {found.width:.2g} from end to end. {kept}"
    )

"""What a reader must know to read the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from implant_sim.report.activity import Example
from implant_sim.report.bars import MAX_BARS
from implant_sim.report.designs import designs
from implant_sim.report.summary import Summary

__all__ = ["captions", "of_pairs"]


def captions(summary: Summary, shown: Sequence[Example]) -> dict[str, str]:
    """The text below each figure, by name."""
    return {
        "fidelity_caption": _of_fidelity(summary),
        "further_caption": _of_further(summary),
        "compared_caption": of_pairs(summary),
        "energy_caption": _of_energy(summary),
        "raster_caption": _of_raster(any(e.real for e in shown)),
        "rates_caption": _of_rates(summary, any(e.real for e in shown)),
    }


def _of_fidelity(summary: Summary) -> str:
    metric = summary.metric
    fidelity = ""
    if metric is not None:
        fidelity = f"{metric.label}: {metric.says}. "
        if summary.n_repeats > 1:
            fidelity += (
                "Large markers are means over repeats, dots the repeats, bands and bars one "
                "standard deviation. "
            )
        if summary.n_repeats > 1 and summary.powered:
            fidelity += (
                "A point ties with the front if no cheaper point is better by more than two "
                "standard errors of the paired difference. "
            )
        if any(p.within_limits is False for p in summary.points):
            fidelity += "Points beyond a limit take no part in the front. "
        if summary.banded:
            fidelity += "Thin lines: 80 % of the power by the spreads of the prices. "
    return fidelity.strip()


def _of_further(summary: Summary) -> str:
    text = "The other measures of the same points; ↓ marks where less is better."
    return text + (" Band: one standard deviation over repeats." if summary.n_repeats > 1 else "")


def of_pairs(summary: Summary) -> str:
    """What the table of paired differences shows."""
    if summary.n_repeats == 1:
        return "Differences of a single repeat: how far chance alone goes is not known."
    return (
        "Mean of the paired differences over repeats, ± two standard errors. A difference within "
        "its error is a tie."
    )


def _of_energy(summary: Summary) -> str:
    drawn = designs(summary)
    n = sum(math.isfinite(p.mean("power_w")) for p in drawn)
    energy = "Mean over repeats. Each bar ends at the point's total power, the sum of its parts."
    if summary.banded:
        energy += (
            " The thin line below a bar goes from 10 to 90 % of its power by the spreads of the "
            "prices; an arrow leaves the figure."
        )
    if len(drawn) < len(summary.points):
        energy += " Points that differ only in what follows the implant share a bar."
    if n > MAX_BARS:
        energy += f" {MAX_BARS} of {n} points are shown; all are in the table below."
    return energy


def _of_raster(imaged: bool) -> str:
    if imaged:
        return (
            "One test trial; each row is a neuron, each column a bin. Blue: the neuron's line was "
            "scanned. Black: a calcium event of any size. Brown-grey: events that nobody saw."
        )
    return (
        "One test trial; a cell is one bin of one channel. Blue: sampled, paler where only for "
        "part of the bin. Black: spikes that reached the decoder, dark grey for a single one. "
        "Brown-grey: spikes that nobody saw."
    )


def _of_rates(summary: Summary, imaged: bool) -> str:
    if imaged:
        return (
            "Neurons whose events vary most, in the same test trial. The size of an event is in "
            "units of the least that counts as one."
        )
    ceiling = [p.mean("ceiling_rate_r2") for p in summary.points]
    best = max((c for c in ceiling if math.isfinite(c)), default=math.nan)
    rates = "Channels whose rate varies most, in the same test trial."
    if math.isfinite(best) and best < 1:
        rates += (
            f" Even the expected counts reach only R² {best:.3f} against the published rates: "
            "their counts saturate, the published rates do not."
        )
    return rates

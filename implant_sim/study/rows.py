"""The hardware's part of both tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.activity import CALIBRATE, Activity
from implant_sim.hardware.coverage import Coverage
from implant_sim.hardware.energy import Ledger
from implant_sim.hardware.implant import COMPONENTS, Implant
from implant_sim.hardware.uncertainty import Band, PriceDraws, band_of, draw_prices
from implant_sim.hardware.verdict import Verdict
from sbtt_models import metrics
from sbtt_models.signals import Recording
from sbtt_models.undrawn import Population

__all__ = ["HARDWARE", "Offer", "calibration_mean", "energy_rows", "hardware_row", "power_band"]

HARDWARE = frozenset((
    "recording", "n_channels", "bandwidth", "sampled_fraction", "bin_s", "sample_rate_hz",
    "link_rate_bps", "side_info_bps", "packet_loss", "latency_s", "energy_per_bin_j", "power_w",
    *(f"power_{name}_w" for name in COMPONENTS), "power_p10_w", "power_p90_w", "heat_k",
    "flux_w_m2", "battery_h", "within_limits", "limited_by", "margin", "detection_probability",
    "false_hz", "revisit_gap_max_s", "revisit_gap_mean_s", "coverage", "coverage_gini",
    "switch_hz", "valid_fraction", "status",
))  # fmt: skip
"""Columns of the results table that are known without a decoder."""
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Offer:
    """A recording as far as a row names it: many of these may be kept."""

    name: str
    n_channels: int
    bin_s: float

    @classmethod
    def of(cls, recording: Recording | Population) -> Offer:
        """What is told of a recording."""
        return cls(recording.name, recording.n_channels, recording.bin_s)


def hardware_row(
    recording: Offer,
    activity: Activity,
    ledger: Ledger | None,
    verdict: Verdict | None,
    spread: Band | None = None,
) -> dict[str, Any]:
    """The columns of the results table that need no decoder."""
    return {
        **_sampled_columns(recording, activity),
        **_priced_columns(recording.bin_s, ledger, verdict, spread),
        "detection_probability": activity.detection_probability,
        "false_hz": activity.false_hz,
        **_schedule_columns(activity.coverage),
    }


def _sampled_columns(recording: Offer, activity: Activity) -> dict[str, Any]:
    return {
        "recording": recording.name,
        "n_channels": recording.n_channels,
        "bandwidth": activity.bandwidth,
        "sampled_fraction": activity.sampled_fraction,
        "bin_s": recording.bin_s,
        "sample_rate_hz": activity.sample_rate_hz,
    }


def _priced_columns(
    bin_s: float, ledger: Ledger | None, verdict: Verdict | None, spread: Band | None
) -> dict[str, Any]:
    """Empty where there is no implant."""
    if ledger is None or verdict is None:
        return {}
    return {
        "link_rate_bps": verdict.link_rate_bps,
        "side_info_bps": verdict.side_info_bps,
        "packet_loss": verdict.packet_loss,
        "latency_s": verdict.latency_s,
        "energy_per_bin_j": ledger.power_w * bin_s,
        "power_w": ledger.power_w,
        **ledger.columns,
        "power_p10_w": None if spread is None else spread.power.p10_w,
        "power_p90_w": None if spread is None else spread.power.p90_w,
        "heat_k": verdict.heat_k,
        "flux_w_m2": verdict.flux_w_m2,
        "battery_h": verdict.battery_h,
        "within_limits": verdict.within_limits,
        "limited_by": verdict.limited_by,
        "margin": verdict.margin,
    }


def _schedule_columns(found: Coverage | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "revisit_gap_max_s": found.revisit_gap_max_s,
        "revisit_gap_mean_s": found.revisit_gap_mean_s,
        "coverage": found.covered,
        "coverage_gini": found.gini,
        "switch_hz": found.switch_hz,
        "valid_fraction": found.valid_fraction,
    }


def power_band(implant: Implant, activity: Activity, seed: int) -> Band | None:
    """How far the power may lie from its value; None where no parameter has a spread.

    By the scenario's seed alone, so that all schedules and repeats are compared on the same draws.
    """
    if not implant.spreads:
        return None
    return band_of(activity, _drawn(implant.model_dump_json(by_alias=True), seed))


@lru_cache(maxsize=16)
def _drawn(implant: str, seed: int) -> PriceDraws:
    """Prices of an implant, drawn once for all points of a sweep that share it."""
    rng = np.random.default_rng(seed)
    return draw_prices(Implant.model_validate_json(implant), _DRAWS, rng)


def energy_rows(ledger: Ledger | None) -> list[dict[str, Any]]:
    """The ledger, as rows of the energy table; none where there is no implant."""
    if ledger is None:
        return []
    return [
        {
            "component": row.component,
            "action": row.action,
            "count": row.n_actions,
            "price_j": row.price_j,
            "energy_j": row.energy_j,
            "source": row.source,
            "source_kind": row.source_kind,
        }
        for row in ledger.rows
    ]


def calibration_mean(
    recording: Recording, activity: Activity
) -> Float[np.ndarray, " channel"] | None:
    """Each channel's mean count where the ledger paid for calibration data, else None. [1/bin]"""
    if not any(done.action.startswith(CALIBRATE) for done in activity.actions):
        return None
    trials = recording.split.fitted
    return metrics.channel_means(recording.counts[trials], where=recording.available[trials])

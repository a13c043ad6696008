"""The hardware's part of both tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.activity import CALIBRATE, Activity
from implant_sim.hardware.energy import Ledger
from implant_sim.hardware.verdict import Verdict
from sbtt_models import metrics
from sbtt_models.signals import Recording

__all__ = ["calibration_mean", "energy_rows", "hardware_row"]


def hardware_row(
    recording: Recording, activity: Activity, ledger: Ledger, verdict: Verdict
) -> dict[str, Any]:
    """The columns of the results table that need no decoder."""
    return {
        "recording": recording.name,
        "n_channels": recording.n_channels,
        "bandwidth": activity.bandwidth,
        "sampled_fraction": activity.sampled_fraction,
        "bin_s": recording.bin_s,
        "sample_rate_hz": activity.sample_rate_hz,
        "link_rate_bps": verdict.link_rate_bps,
        "side_info_bps": verdict.side_info_bps,
        "packet_loss": verdict.packet_loss,
        "latency_s": verdict.latency_s,
        "energy_per_bin_j": ledger.power_w * recording.bin_s,
        "power_w": ledger.power_w,
        **ledger.columns,
        "heat_k": verdict.heat_k,
        "flux_w_m2": verdict.flux_w_m2,
        "battery_h": verdict.battery_h,
        "within_limits": verdict.within_limits,
        "limited_by": verdict.limited_by,
        "margin": verdict.margin,
    }


def energy_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """The ledger, as rows of the energy table."""
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

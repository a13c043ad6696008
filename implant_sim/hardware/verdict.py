"""Judge an acquisition against the limits of tissue, battery and link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.energy import Ledger
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics.heat import disc_conductance_w_k
from implant_sim.hardware.physics.supply import battery_s

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an acquisition does to tissue, battery and link, and whether it may."""

    heat_w: float
    """Power turned into heat inside the implant."""
    heat_k: float
    """Rise of the implant's surface, as of a flat disc of its area."""
    flux_w_m2: float
    flux_area: str
    """What the flux refers to: wetted (all faces that touch tissue) or footprint (one face)."""
    battery_h: float | None
    """Time between charges; None without a battery."""
    link_rate_bps: float
    """Mean payload and side information."""
    peak_link_rate_bps: float
    side_info_bps: float
    latency_s: float
    packet_loss: float
    input_noise_v: float
    margins: Mapping[str, float]
    """For each limit tested: 1 - value/limit. 1 is untouched, 0 at the limit, below 0 beyond."""

    @property
    def within_limits(self) -> bool:
        """True where no limit is exceeded."""
        return self.margin >= 0

    @property
    def margin(self) -> float:
        """The smallest of the margins."""
        return min(self.margins.values())

    @property
    def limited_by(self) -> str:
        """The limit with the smallest margin."""
        return min(self.margins, key=lambda name: self.margins[name])


def judge(ledger: Ledger, activity: Activity, implant: Implant) -> Verdict:
    """Judge an acquisition.

    The radio's own capacity is always a limit: `radio` is the share of the time that it is not on
    air, over the latency window at its busiest.

    Parameters
    ----------
    ledger : Ledger
        Priced actions.
    activity : Activity
        What was done.
    implant : Implant
        Its body, battery, limits.

    Returns
    -------
    Verdict
        Values, and margins against each limit that is set.
    """
    array, limits = implant.array, implant.limits
    outside_w = ledger.energy_of("delivery", "link") / ledger.duration_s
    drawn_w = ledger.power_w - outside_w
    radiated_w = implant.radio.radiated * ledger.component_w["radio"]
    heat_w = drawn_w - radiated_w
    heat_k = heat_w / disc_conductance_w_k(array.area_m2, array.faces)
    faces = array.faces if limits.flux_area == "wetted" else 1
    flux = heat_w / (faces * array.area_m2)
    lasting_s = _battery_s(implant, drawn_w)
    used = {"radio": activity.peak_load}
    if limits.heat_k is not None:
        used["heat"] = heat_k / limits.heat_k
    if limits.flux_w_m2 is not None:
        used["flux"] = flux / limits.flux_w_m2
    if limits.link_rate_bps is not None:
        peak = activity.peak_link_rate_bps + activity.side_info_bps
        used["link_rate"] = peak / limits.link_rate_bps
    if limits.latency_s is not None:
        used["latency"] = activity.latency_s / limits.latency_s
    if limits.battery_s is not None and lasting_s is not None:
        used["battery"] = limits.battery_s / lasting_s
    return Verdict(
        heat_w=heat_w,
        heat_k=heat_k,
        flux_w_m2=flux,
        flux_area=limits.flux_area,
        battery_h=None if lasting_s is None else lasting_s / 3600,
        link_rate_bps=activity.link_rate_bps,
        peak_link_rate_bps=activity.peak_link_rate_bps + activity.side_info_bps,
        side_info_bps=activity.side_info_bps,
        latency_s=activity.latency_s,
        packet_loss=activity.packet_loss,
        input_noise_v=implant.input_noise_v,
        margins={name: 1 - share for name, share in used.items()},
    )


def _battery_s(implant: Implant, drawn_w: float) -> float | None:
    battery = implant.power.battery
    if battery is None:
        return None
    return battery_s(battery.capacity_c, battery.voltage_v, battery.usable, drawn_w)

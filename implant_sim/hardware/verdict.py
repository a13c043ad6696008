"""Judge an acquisition against the limits of tissue, battery and link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.components.path import LinkBudget
from implant_sim.hardware.components.supply import Limits
from implant_sim.hardware.energy import Ledger, price
from implant_sim.hardware.heat import Heat, warm
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics.link_budget import ratio
from implant_sim.hardware.physics.supply import battery_s
from sbtt_models.errors import SpecError

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an acquisition does to tissue, battery and link, and whether it may."""

    heat_w: float
    """Power turned into heat inside the implant."""
    heat_k: float
    """Rise of the implant's surface, with what tissue absorbs of the field that powers it."""
    heat_model: str
    """What the rise was computed from: disc, sphere, plane, or a measured resistance."""
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
    buffer_bit: float
    """The most that waits in the implant."""
    sar_w_kg: float | None
    """Absorption of the field that powers the implant; None without one."""
    link_budget: LinkBudget | None
    """What the radio's path leaves of a bit; None without a path."""
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
    air, over the latency window at its busiest. Limits of the tissue are tested while dense trials
    last, as if they lasted until it is as warm as it gets.

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

    Raises
    ------
    SpecError
        For a limit on changes of channel, where the activity has none counted.
    """
    spent = {stage: ledger.energy_of("delivery", stage) for stage in ("link", "rectify")}
    drawn_w = ledger.power_w - spent["link"] / ledger.duration_s
    heat_w = _heat_w(ledger, implant)
    heat = warm(implant, heat_w)
    # a battery lies behind the rectifier that charges it
    lasting_s = _battery_s(implant, drawn_w - spent["rectify"] / ledger.duration_s)
    used = {"radio": activity.peak_load, **_of_tissue(heat, implant.limits)}
    if activity.densest is not None:
        most = warm(implant, _heat_w(price(activity.densest, implant), implant))
        dense = _of_tissue(most, implant.limits)
        used |= {name: max(share, used[name]) for name, share in dense.items()}
    used |= _of_link(activity, implant) | _of_schedule(activity, implant.limits)
    if implant.limits.battery_s is not None and lasting_s is not None:
        used["battery"] = implant.limits.battery_s / lasting_s
    return Verdict(
        heat_w=heat_w,
        heat_k=heat.rise_k,
        heat_model=heat.model,
        flux_w_m2=heat.flux_w_m2,
        flux_area=implant.limits.flux_area,
        battery_h=None if lasting_s is None else lasting_s / 3600,
        link_rate_bps=activity.link_rate_bps,
        peak_link_rate_bps=activity.peak_link_rate_bps,
        side_info_bps=activity.side_info_bps,
        latency_s=activity.latency_s,
        packet_loss=activity.packet_loss,
        buffer_bit=activity.buffer_bit,
        sar_w_kg=heat.sar_w_kg,
        link_budget=implant.radio.link_budget,
        input_noise_v=implant.input_noise_v,
        margins={name: 1 - share for name, share in used.items()},
    )


def _heat_w(ledger: Ledger, implant: Implant) -> float:
    """What the implant draws and does not radiate: all of it warms the tissue. [W]"""
    link_w = ledger.energy_of("delivery", "link") / ledger.duration_s
    return ledger.power_w - link_w - implant.radio.radiated * ledger.component_w["radio"]


def _of_tissue(heat: Heat, limits: Limits) -> dict[str, float]:
    """Share of each limit of the tissue that is used."""
    used = {}
    if limits.heat_k is not None:
        used["heat"] = heat.rise_k / limits.heat_k
    if limits.flux_w_m2 is not None:
        used["flux"] = heat.flux_w_m2 / limits.flux_w_m2
    if limits.sar_limit_w_kg is not None and heat.sar_w_kg is not None:
        used["sar"] = heat.sar_w_kg / limits.sar_limit_w_kg
    return used


def _of_schedule(activity: Activity, limits: Limits) -> dict[str, float]:
    """Share of the budget of channel changes that is used."""
    if limits.switch_rate_hz is None:
        return {}
    if activity.coverage is None:
        raise SpecError(
            "implant.limits.switch_rate: this activity has no mask to count changes of channel "
            "in; acquire it, or leave the limit out"
        )
    return {"switch_rate": activity.coverage.switch_hz / limits.switch_rate_hz}


def _of_link(activity: Activity, implant: Implant) -> dict[str, float]:
    """Share of each limit of the link that is used."""
    limits, budget, used = implant.limits, implant.radio.link_budget, {}
    if limits.link_rate_bps is not None:
        used["link_rate"] = activity.peak_link_rate_bps / limits.link_rate_bps
    if limits.latency_s is not None:
        used["latency"] = activity.latency_s / limits.latency_s
    if limits.buffer_bit is not None:
        used["buffer"] = activity.buffer_bit / limits.buffer_bit
    if limits.link_margin_db is not None and budget is not None:
        used["link_margin"] = ratio(limits.link_margin_db - budget.margin_db)
    return used


def _battery_s(implant: Implant, drawn_w: float) -> float | None:
    battery = implant.power.battery
    if battery is None:
        return None
    return battery_s(battery.capacity_c, battery.voltage_v, battery.usable, drawn_w)

"""What an acquisition did, in counted actions: all that pricing and judging need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from implant_sim.hardware.coverage import Coverage

__all__ = ["CALIBRATE", "COMMAND", "PRETRAIN", "Action", "Activity", "actions_of", "priced_as"]

CALIBRATE = "calibrate "
"""Starts the name of an action that was done for calibration; it costs what the action costs."""
COMMAND = "command "
"""Likewise, of what the radio does to hear which channels to sample."""

PRETRAIN = "pretrain "
"""Likewise, of what is sampled densely for a decoder to learn from."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a component did so many times, or for so many seconds."""

    component: str
    action: str
    n_actions: float


def priced_as(action: str) -> str:
    """The name under which an action has its price: what it was done for does not matter.

    Examples
    --------
    >>> priced_as("calibrate convert"), priced_as("command receive"), priced_as("convert")
    ('convert', 'receive', 'convert')
    """
    return action.removeprefix(PRETRAIN).removeprefix(CALIBRATE).removeprefix(COMMAND)


def actions_of(component: str, counted: Mapping[str, float]) -> tuple[Action, ...]:
    """Rows of one component; what was never done leaves no row."""
    return tuple(Action(component, name, float(n)) for name, n in counted.items() if n != 0)


@dataclass(frozen=True, slots=True)
class Activity:
    """One acquisition: its actions, and the stream that it put on the link."""

    actions: tuple[Action, ...]
    duration_s: float
    """On the recording's clock: all bins of all trials."""
    bin_s: float
    n_channels: int
    n_electrodes: int
    bandwidth: float
    """Channels sampled in one bin, on average."""
    sampled_fraction: float
    """Share of the entries that exist which reached the decoder."""
    sample_rate_hz: float
    code: str
    """Code of the payload: as asked for, or the cheapest."""
    payload_bit: float
    """Payload sent in all, headers and repeats not counted."""
    side_info_bps: float
    peak_link_rate_bps: float
    """Payload and side information, over the latency window at its busiest."""
    link_capacity_bps: float
    """The most payload that the radio carries."""
    peak_load: float
    """Share of the time on air, over the busiest latency window, and of that in which a packet
    radio hears commands. Above 1: too slow a link."""
    packet_loss: float
    """Share of the packets that never arrived."""
    latency_s: float
    """Longest time from the start of a bin to its arrival, queueing included."""
    buffer_bit: float
    """The most that waits in the implant: bins of the frame being filled, frames not yet sent."""
    detection_probability: float | None = None
    """Share of the spikes that are found, mean over channels; None without a threshold."""
    false_hz: float | None = None
    """False alarms of one channel while it is sampled, mean over channels."""
    notes: tuple[str, ...] = ()
    """What is emulated or assumed; the report says so."""
    coverage: Coverage | None = None
    """How the schedule covered the array; None where there was no mask to measure."""

    densest: Activity | None = None
    """What is done while trials are dense, where some are; tissue must bear that, too."""

    @property
    def link_rate_bps(self) -> float:
        """Mean payload plus side information. [bit/s]"""
        return self.payload_bit / self.duration_s + self.side_info_bps

"""Send: bins gathered into frames, frames cut into packets, packets lost or late."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.components.radio_base import Airtime, Radio
from implant_sim.hardware.implant import Implant

__all__ = ["Sent", "send"]


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What the link did, and which bins arrived."""

    arrived: Bool[np.ndarray, " row"]
    peak_rate_bps: float
    peak_load: float
    packet_loss: float
    latency_s: float
    buffer_bit: float
    """The most that waits: bins of the frame being filled, frames whose last packet is not out."""
    actions: tuple[Action, ...]


def send(
    bits: Int[np.ndarray, " row"], bin_s: float, implant: Implant, rng: np.random.Generator | None
) -> Sent:
    """Put the payload on the air.

    Parameters
    ----------
    bits : numpy.ndarray, shape (row,)
        Payload of each bin. [bit]
    bin_s : float
        Width of a bin. [s]
    implant : Implant
        Its radio, and the latency that it may take.
    rng : numpy.random.Generator or None
        Decides which packets are lost; None where that does not matter.

    Returns
    -------
    Sent
        Arrivals, rates, latency, counted actions.
    """
    radio = implant.radio
    # a frame holds whole bins and spans the radio's interval
    per_frame = max(1, math.ceil(radio.interval_s / bin_s - 1e-9))
    first = np.arange(0, len(bits), per_frame)
    frame_bit = np.add.reduceat(bits, first)
    air = radio.send(frame_bit)
    arrived, loss = _losses(bits, first, air, radio, rng)
    frame_s = per_frame * bin_s
    wait_s = _waiting_s(air.service_s, frame_s)
    window = max(1, math.floor((implant.limits.latency_s or 0.0) / frame_s + 1e-9))
    actions = {**air.actions, "idle": len(bits) * bin_s if radio.idle_power_w > 0 else 0.0}
    return Sent(
        arrived,
        _peak(frame_bit.astype(float), window) / frame_s,
        _peak(air.service_s, window) / frame_s,
        loss,
        float(frame_s + (wait_s + air.service_s).max()),
        _buffer_bit(bits, first, wait_s + air.service_s, bin_s, per_frame),
        actions_of("radio", actions),
    )


def _peak(values: Float[np.ndarray, " frame"], window: int) -> float:
    """The largest mean over so many frames in a row."""
    window = min(window, len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    return float((total[window:] - total[:-window]).max() / window)


def _waiting_s(
    service_s: Float[np.ndarray, " frame"], frame_s: float
) -> Float[np.ndarray, " frame"]:
    """Time that each full frame waits for those before it.

    With work w(n) left when frame n is ready, Lindley's w(n+1) = max(0, w(n) + service(n) -
    frame), which is the walk above its running minimum.
    """
    steps = np.concatenate([[0.0], np.cumsum(service_s[:-1] - frame_s)])
    waiting: Float[np.ndarray, " frame"] = steps - np.minimum.accumulate(steps)
    return waiting


def _buffer_bit(
    bits: Int[np.ndarray, " row"],
    first: Int[np.ndarray, " frame"],
    after_s: Float[np.ndarray, " frame"],
    bin_s: float,
    per_frame: int,
) -> float:
    """The most bits held back, just before one of the frames is out.

    `after_s` is the time from the end of a frame until its last packet is out; meanwhile bins of
    later frames come in, each at its end.
    """
    total = np.concatenate([[0], np.cumsum(bits)])
    passed = np.minimum(after_s / bin_s, len(bits))  # bins, at most all of them
    come = np.minimum(first + per_frame + np.ceil(passed - 1e-9).astype(np.int64) - 1, len(bits))
    come = np.maximum(come, np.minimum(first + per_frame, len(bits)))
    return float((total[come] - total[first]).max())


def _losses(
    bits: Int[np.ndarray, " row"],
    first: Int[np.ndarray, " frame"],
    air: Airtime,
    radio: Radio,
    rng: np.random.Generator | None,
) -> tuple[Bool[np.ndarray, " row"], float]:
    """Lose packets, and with each of them every bin of which it held a bit."""
    everything = np.ones(len(bits), dtype=np.bool_)
    packets = air.packets
    if rng is None or not air.lost.any():
        return everything, 0.0
    lost = rng.random(int(packets.sum())) < np.repeat(air.lost, packets)
    lost_before = np.concatenate([[0], np.cumsum(lost)])
    frame = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(bits))))
    total = np.concatenate([[0], np.cumsum(bits)])
    start = total[:-1] - total[first][frame]
    stop = np.maximum(start + bits - 1, start)
    size, last_packet = 8 * radio.payload_byte, packets[frame] - 1
    offset = (np.cumsum(packets) - packets)[frame]
    head = offset + np.minimum(start // size, last_packet)
    tail = offset + np.minimum(stop // size, last_packet)
    return lost_before[tail + 1] == lost_before[head], float(lost.mean())

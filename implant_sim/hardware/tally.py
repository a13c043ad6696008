"""Put together what an acquisition did."""

from __future__ import annotations

from implant_sim.hardware.activity import Action, Activity, actions_of
from implant_sim.hardware.encode import Encoded
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.link import Sent
from sbtt_models.detector import Detector

__all__ = ["summarise"]


def summarise(
    spans_s: tuple[float, float],
    n_channels: int,
    implant: Implant,
    found: Detector | None,
    front_end: tuple[Action, ...],
    encoded: Encoded,
    sent: Sent,
) -> Activity:
    """Put together what was done and what went over the link.

    Parameters
    ----------
    spans_s : tuple of float
        Length of the whole acquisition, and of a bin. [s]
    n_channels : int
        Of the recording.
    implant : Implant
        What did it.
    found : Detector or None
        What its threshold finds.
    front_end : tuple of Action
        What was done before encoding.
    encoded, sent
        Payload, and its way.

    Returns
    -------
    Activity
        What was sampled is left at 0, side information, too; the peak is that of the payload.
    """
    duration_s, bin_s = spans_s
    notes = []
    if implant.processing.feature == "spiking_band_power":
        notes.append("spiking band power is emulated by spike counts")
    if encoded.code == "entropy":
        notes.append(
            "payload is the entropy of each channel's own counts, which no code of single counts "
            "beats"
        )
    return Activity(
        actions=(
            *front_end,
            *encoded.actions,
            *sent.actions,
            *actions_of("overhead", {"run": duration_s}),
        ),
        duration_s=duration_s,
        bin_s=bin_s,
        n_channels=n_channels,
        n_electrodes=implant.n_electrodes(n_channels),
        bandwidth=0.0,
        sampled_fraction=0.0,
        sample_rate_hz=implant.adc.sample_rate_hz,
        code=encoded.code,
        payload_bit=float(encoded.bits.sum()),
        side_info_bps=0.0,
        peak_link_rate_bps=sent.peak_rate_bps,
        link_capacity_bps=implant.radio.throughput_bps,
        peak_load=sent.peak_load,
        packet_loss=sent.packet_loss,
        latency_s=sent.latency_s,
        buffer_bit=sent.buffer_bit,
        detection_probability=None if found is None else float(found.probability.mean()),
        false_hz=None if found is None else float(found.false_per_bin.mean()) / bin_s,
        notes=tuple(notes),
    )

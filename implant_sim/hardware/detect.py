"""What a threshold makes of a recording: spikes missed in noise, and noise taken for spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from implant_sim.hardware.implant import Implant
from sbtt_models.detector import Detector
from sbtt_models.signals import Recording

__all__ = ["detect"]


def detect(
    recording: Recording, implant: Implant, rng: np.random.Generator
) -> tuple[Recording, Detector | None]:
    """Pass the spikes of a recording through the implant's detector.

    Every channel is detected in full, sampled or not, so that schedules are compared on the same
    misses and false alarms.

    Parameters
    ----------
    recording : Recording
        Its counts are the spikes that there are.
    implant : Implant
        Its noise, its threshold, the amplitudes of its units.
    rng : numpy.random.Generator
        Draws amplitudes, misses and false alarms.

    Returns
    -------
    Recording
        With the counts that the detector would give.
    Detector or None
        What the receiver knows of it; None where the implant has no threshold of its own.
    """
    if implant.processing.threshold_sigma is None:
        return recording, None
    # only where it is needed: it brings scipy, which takes longer to import than all this
    from implant_sim.hardware.detection import amplitudes_v, detection

    for_amplitudes, for_misses, for_alarms = rng.spawn(3)
    found = detection(implant, amplitudes_v(implant, recording.n_channels, for_amplitudes))
    false_per_bin = np.full(recording.n_channels, found.false_hz * recording.bin_s)
    counts = for_misses.binomial(recording.counts, found.probability)
    counts += for_alarms.poisson(false_per_bin, recording.counts.shape)
    counts = np.where(recording.available, counts, 0).astype(np.int32)
    return replace(recording, counts=counts), Detector(found.probability, false_per_bin)

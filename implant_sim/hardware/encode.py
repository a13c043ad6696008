"""Encode: the bits of each bin, in the code asked for or the cheapest that loses nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import counting
from implant_sim.hardware.physics.information import poisson_entropy_bit
from sbtt_models.spec import SpecError

__all__ = ["Encoded", "encode"]

_LARGEST_SHIFT = 8  # of the Rice code: fits counts with a mean of 256 in a bin


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Payload of each bin."""

    bits: Int[np.ndarray, " row"]
    code: str
    actions: tuple[Action, ...]


def encode(
    counts: Int32[np.ndarray, "row channel"],
    sampled: Bool[np.ndarray, "row channel"],
    warm_up_bins: Float[np.ndarray, " row"],
    bin_s: float,
    implant: Implant,
) -> Encoded:
    """Count the bits of each bin.

    The receiver knows which channels were sampled, so no code spends bits on that. The few
    parameters of a code (width, shift) are fixed beforehand, for the counts at hand.

    Parameters
    ----------
    counts : numpy.ndarray, shape (row, channel)
        Spikes to send.
    sampled : numpy.ndarray, shape (row, channel)
        Which of them are sent.
    warm_up_bins : numpy.ndarray, shape (row,)
        Bins' worth of samples taken before each bin; raw samples are sent too.
    bin_s : float
        Width of a bin. [s]
    implant : Implant
        Its feature, its code, the width of its samples.

    Returns
    -------
    Encoded
        Bits and the name of the code.

    Raises
    ------
    SpecError
        For a bitmap where a bin holds two spikes of a channel.
    """
    values, spikes, largest = counting.tally(counts, sampled)
    feature = implant.processing.feature
    compress = actions_of("processing", {"compress": float(values.sum())})
    if feature == "raw":
        samples = (values + warm_up_bins) * (bin_s * implant.adc.sample_rate_hz)
        bits = np.ceil(samples * implant.adc.bits - 1e-6).astype(np.int64)
        return Encoded(bits, "raw", ())
    if feature == "spiking_band_power":
        return Encoded(values * implant.processing.feature_bits, "raw", ())
    kind: str = implant.compression.kind
    if kind == "entropy":
        return Encoded(_entropy_bits(counts, sampled), kind, compress)
    codes = {
        "counts": values * max(1, int(largest).bit_length()),
        "aer": _aer_bits(values, spikes),
        "rice": _rice_bits(counts, sampled, kind in ("auto", "rice")),
    }
    if largest <= 1:
        codes["bitmap"] = values
    if kind == "auto":
        kind = min(codes, key=lambda name: (int(codes[name].sum()), name))
    if kind not in codes:
        raise SpecError(
            f"implant.compression.kind: {kind} holds one bit for each channel, but a bin holds up "
            f"to {largest} spikes of one; use auto, counts, aer or rice, or shorter bins"
        )
    return Encoded(codes[kind], kind, compress)


def _aer_bits(
    values: Int[np.ndarray, " row"], spikes: Int[np.ndarray, " row"]
) -> Int[np.ndarray, " row"]:
    """The number of spikes, then the place of each among the channels sampled."""
    address = np.ceil(np.log2(np.maximum(values, 1))).astype(np.int64)
    width = int(spikes.max(initial=0)).bit_length()
    return np.where(values > 0, width + spikes * address, 0)


def _rice_bits(
    counts: Int32[np.ndarray, "row channel"],
    sampled: Bool[np.ndarray, "row channel"],
    wanted: bool,
) -> Int[np.ndarray, " row"]:
    """The cheapest shift; the total is convex in it, so the search stops at the first rise."""
    best: Int[np.ndarray, " row"] = counting.rice_bits(counts, sampled, 0)
    for shift in range(1, _LARGEST_SHIFT + 1 if wanted else 1):
        bits = counting.rice_bits(counts, sampled, shift)
        if bits.sum() >= best.sum():
            break
        best = bits
    return best


def _entropy_bits(
    counts: Int32[np.ndarray, "row channel"], sampled: Bool[np.ndarray, "row channel"]
) -> Int[np.ndarray, " row"]:
    """The bound of independent Poisson counts, each channel with its own mean."""
    n = np.maximum(1, sampled.sum(axis=0))
    mean = np.where(sampled, counts, 0).sum(axis=0) / n
    each = np.array([poisson_entropy_bit(float(m)) for m in mean])
    return np.array([math.ceil(b - 1e-9) for b in sampled @ each], dtype=np.int64)

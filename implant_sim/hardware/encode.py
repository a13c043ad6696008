"""Encode: the bits of each bin, in the code asked for or the cheapest that loses nothing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32
from typing_extensions import override

from implant_sim.hardware.activity import Action, actions_of
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.kernels import coding
from implant_sim.hardware.physics.coding import huffman_lengths, rice_lengths, table_bits
from implant_sim.hardware.physics.information import binary_entropy_bit
from sbtt_models.errors import SpecError

__all__ = ["Encoded", "Values", "encode", "encode_values"]

_LARGEST_SHIFT = 8  # of the Rice code: fits counts with a mean of 256 in a bin


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Payload of each bin."""

    bits: Int[np.ndarray, " row"]
    code: str
    """How values are written; with `aer+` or `bitmap+`, which says whose values they are."""
    actions: tuple[Action, ...]
    table_bit: int = 0
    """Size of the Huffman table, which the receiver has beforehand: not part of `bits`."""


class Values(ABC):
    """Counts to send, bin by bin, however they are kept."""

    n_channels: int
    size: Int[np.ndarray, " row"]
    """How many there are of each bin."""
    spikes: Int[np.ndarray, " row"]
    largest: int

    @abstractmethod
    def histogram(self) -> Int[np.ndarray, " value"]:
        """How often each value from 0 to the largest is sent."""

    @abstractmethod
    def bits(self, lengths: Int[np.ndarray, " value"]) -> Int[np.ndarray, " row"]:
        """Length of each bin in a code that gives the value v ``lengths[v]`` bits."""

    @abstractmethod
    def entropy_bits(self, announced: bool) -> Int[np.ndarray, " row"]:
        """The bound of independent counts, each channel with a histogram of its own."""


class _Table(Values):
    """Values out of a table of all counts."""

    def __init__(
        self, counts: Int32[np.ndarray, "row channel"], sampled: Bool[np.ndarray, "row channel"]
    ) -> None:
        self._counts, self._sampled = counts, sampled
        self.n_channels = counts.shape[1]
        self.size, self.spikes, largest = coding.tally(counts, sampled)
        self.largest = int(largest)

    @override
    def histogram(self) -> Int[np.ndarray, " value"]:
        times: Int[np.ndarray, " value"] = coding.histogram(
            self._counts, self._sampled, self.largest
        )
        return times

    @override
    def bits(self, lengths: Int[np.ndarray, " value"]) -> Int[np.ndarray, " row"]:
        bits: Int[np.ndarray, " row"] = coding.code_bits(self._counts, self._sampled, lengths)
        return bits

    @override
    def entropy_bits(self, announced: bool) -> Int[np.ndarray, " row"]:
        return _entropy_bits(self._counts, self._sampled, announced)


@dataclass(frozen=True, slots=True)
class _Code:
    """A way to write the values, of which only the chosen one is written out bin by bin."""

    total_bit: int
    rows: Callable[[], np.ndarray]

    def behind(self, where: Int[np.ndarray, " row"]) -> _Code:
        """The same with other bits before each bin."""
        return _Code(self.total_bit + int(where.sum()), lambda: where + self.rows())


def _given(rows: Int[np.ndarray, " row"]) -> _Code:
    return _Code(int(rows.sum()), lambda: rows)


def encode(
    counts: Int32[np.ndarray, "row channel"],
    sampled: Bool[np.ndarray, "row channel"],
    n_samples: Float[np.ndarray, " row"],
    implant: Implant,
    *,
    announced: bool = True,
) -> Encoded:
    """Count the bits of each bin.

    Parameters
    ----------
    counts : numpy.ndarray, shape (row, channel)
        Spikes to send.
    sampled : numpy.ndarray, shape (row, channel)
        Which of them are sent.
    n_samples, implant, announced
        As for :func:`encode_values`.

    Returns
    -------
    Encoded
        Bits and the name of the code.

    Raises
    ------
    SpecError
        For a bitmap where a bin holds two spikes of a channel.
    """
    return encode_values(_Table(counts, sampled), n_samples, implant, announced=announced)


def encode_values(
    values: Values, n_samples: Float[np.ndarray, " row"], implant: Implant, *, announced: bool
) -> Encoded:
    """Count the bits of each bin.

    The few parameters of a code (width, shift, Huffman table) are fixed beforehand, for the counts
    at hand, and known to the receiver.

    Parameters
    ----------
    values : Values
        What to send.
    n_samples : numpy.ndarray, shape (row,)
        Conversions of each bin, warm-up included: what raw samples are sent.
    implant : Implant
        Its feature, its code, the width of its samples.
    announced : bool
        True where the receiver knows beforehand which channels are sent, so that no code spends
        bits on that. False for event-driven sampling: each bin then also holds the addresses of
        its channels among all electrodes, or a bit for each electrode, and its values may be
        zeros.

    Returns
    -------
    Encoded
        Bits and the name of the code.

    Raises
    ------
    SpecError
        For a bitmap where a bin holds two spikes of a channel.
    """
    feature, kind = implant.processing.feature, implant.compression.kind
    compress = actions_of("processing", {"compress": float(values.size.sum())})
    codes, table_bit = {}, 0
    if feature == "raw":
        compress = ()
        codes["raw"] = _given(np.ceil(n_samples * implant.adc.bits - 1e-6).astype(np.int64))
    elif feature == "spiking_band_power":
        compress = ()
        codes["raw"] = _given(values.size * implant.processing.feature_bits)
    elif kind == "entropy":
        return Encoded(values.entropy_bits(announced), kind, compress)
    else:
        codes, table_bit = _of_values(values, kind)
        if announced:
            codes["aer"] = _given(_aer_bits(values.size, values.spikes))
            if values.largest <= 1:
                codes["bitmap"] = _given(values.size)
    if not announced:
        codes = _with_place(codes, values.size, implant.n_electrodes(values.n_channels))
    name = _cheapest(codes, kind, table_bit, values.largest)
    return Encoded(codes[name].rows(), name, compress, table_bit * name.endswith("huffman"))


def _cheapest(codes: dict[str, _Code], kind: str, table_bit: int, largest: int) -> str:
    """The cheapest of the codes that have the part asked for; the first by name among equals.

    A Huffman code has to save the size of its table.
    """
    fitting = [name for name in codes if kind in ("auto", "raw", *name.split("+"))]
    if not fitting:
        raise SpecError(
            f"implant.compression.kind: {kind} holds one bit for each channel, but a bin holds up "
            f"to {largest} spikes of one; use auto, counts, aer, rice or huffman, or shorter bins"
        )

    def cost(name: str) -> tuple[int, str]:
        return codes[name].total_bit + table_bit * name.endswith("huffman"), name

    return min(fitting, key=cost)


def _of_values(values: Values, kind: str) -> tuple[dict[str, _Code], int]:
    """Codes that write each value by itself; and the size of the Huffman table."""
    times, largest = values.histogram(), values.largest
    rice = (rice_lengths(largest, shift) for shift in range(_LARGEST_SHIFT + 1))
    tables = {
        "counts": np.full(largest + 1, max(1, largest.bit_length())),
        "rice": min(rice, key=lambda lengths: int(times @ lengths)),
        "huffman": huffman_lengths(times),
    }
    wanted = [name for name in tables if kind == name] or tables
    codes = {name: _of_table(values, times, tables[name]) for name in wanted}
    return codes, table_bits(tables["huffman"])


def _of_table(
    values: Values, times: Int[np.ndarray, " value"], lengths: Int[np.ndarray, " value"]
) -> _Code:
    return _Code(int(times @ lengths), lambda: values.bits(lengths))


def _width(largest: int) -> int:
    """Bits that address one of so many places; none for a single place."""
    return max(0, largest - 1).bit_length()


def _aer_bits(
    size: Int[np.ndarray, " row"], spikes: Int[np.ndarray, " row"]
) -> Int[np.ndarray, " row"]:
    """The number of spikes, then the place of each among the channels sampled."""
    address = np.ceil(np.log2(np.maximum(size, 1))).astype(np.int64)
    width = int(spikes.max(initial=0)).bit_length()
    return np.where(size > 0, width + spikes * address, 0)


def _with_place(
    codes: dict[str, _Code], size: Int[np.ndarray, " row"], n_electrodes: int
) -> dict[str, _Code]:
    """Say beside the values whose they are: a list of addresses, or a map of all electrodes."""
    places = {
        "aer": int(size.max(initial=0)).bit_length() + size * _width(n_electrodes),
        "bitmap": np.full_like(size, n_electrodes),
    }
    return {
        f"{place}+{name}": code.behind(where)
        for place, where in places.items()
        for name, code in codes.items()
    }


def _entropy_bits(
    counts: Int32[np.ndarray, "row channel"],
    sampled: Bool[np.ndarray, "row channel"],
    announced: bool,
) -> Int[np.ndarray, " row"]:
    """The bound of independent counts, each channel with a histogram of its own."""
    n_rows, n_channels = sampled.shape
    channel, n = np.nonzero(sampled)[1], np.maximum(1, sampled.sum(axis=0))
    span = int(counts.max(initial=0)) + 1
    kinds, times = np.unique(channel * span + counts[sampled], return_counts=True)
    of = kinds // span
    each = np.bincount(of, -times / n[of] * np.log2(times / n[of]), minlength=n_channels)
    who = 0.0
    if not announced:
        share = sampled.sum(axis=0) / max(1, n_rows)
        who = math.fsum(binary_entropy_bit(float(p)) for p in share)
    return np.array([math.ceil(who + b - 1e-9) for b in sampled @ each], dtype=np.int64)

"""Codes: what is counted can be written and read back; no code beats its bounds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from implant_sim.hardware.encode import encode
from implant_sim.hardware.physics.coding import (
    aer_break_even_hz,
    huffman_lengths,
    rice_lengths,
    table_bits,
)
from sbtt_models.errors import SpecError
from tests import naive
from tests.hardware import hw

ROWS = 6
MASKS = arrays(bool, st.tuples(st.just(ROWS), st.integers(1, 9)))
HISTOGRAMS = arrays(np.int64, st.integers(1, 7), elements=st.integers(0, 50))


def coded(kind, counts, mask, announced=True, **changes):
    imp = hw.implant({"compression": {"kind": kind}, **changes})
    return encode(counts, mask, np.zeros(len(counts)), imp, announced=announced)


def some(mean, shape, seed=0):
    return np.random.default_rng(seed).poisson(mean, shape).astype(np.int32)


def table_of(kind, sent):
    times = np.bincount(sent, minlength=1)
    return naive.words(kind, sent, huffman_lengths(times))


@settings(deadline=None, max_examples=30)
@given(mask=MASKS, data=st.data(), kind=st.sampled_from(["counts", "rice", "huffman", "aer"]))
def test_every_code_is_read_back_from_as_many_bits_as_were_counted(mask, data, kind):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 12)))
    bits = coded(kind, counts, mask).bits
    sent = counts[mask].tolist()
    table = None if kind == "aer" else table_of(kind, sent)
    width = max(int(r[m].sum()) for r, m in zip(counts, mask, strict=True)).bit_length()
    for row, where, n_bits in zip(counts, mask, bits, strict=True):
        values = row[where].tolist()
        if kind == "aer":
            text = naive.write_aer(values, width)
            back = naive.read_aer(text, width, len(values))
        else:
            text = "".join(table[v] for v in values)
            back, rest = naive.read_values(text, table, len(values))
            assert rest == ""
        assert len(text) == n_bits
        assert back == values


@settings(deadline=None, max_examples=30)
@given(
    mask=MASKS,
    data=st.data(),
    place=st.sampled_from(["aer", "bitmap"]),
    code=st.sampled_from(["counts", "rice", "huffman"]),
    spare=st.integers(0, 30),
)
def test_an_unannounced_bin_tells_whose_values_it_holds(mask, data, place, code, spare):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 12)))
    n = mask.shape[1] + spare
    changes = {"array.electrodes": n, "array.source": "test"}
    given_place = coded(place, counts, mask, announced=False, **changes)
    given_code = coded(code, counts, mask, announced=False, **changes)
    assert given_place.code.startswith(f"{place}+")
    assert given_code.code.endswith(f"+{code}")
    place, code = given_place.code.split("+")
    sent = counts[mask].tolist()
    table = table_of(code, sent)
    width = int(mask.sum(axis=1).max()).bit_length()
    for row, where, n_bits in zip(counts, mask, given_place.bits, strict=True):
        channels = np.flatnonzero(where).tolist()
        text = naive.write_places(place, channels, n, width)
        text += "".join(table[int(v)] for v in row[where])
        assert len(text) == n_bits
        back, rest = naive.read_places(place, text, n, width)
        values, rest = naive.read_values(rest, table, len(back))
        assert (back, values, rest) == (channels, row[where].tolist(), "")


@pytest.mark.parametrize("feature", ["raw", "spiking_band_power"])
def test_other_features_say_whose_they_are_too(feature):
    mask = np.zeros((5, 100), dtype=bool)
    mask[:, :3] = True
    counts = some(1.0, mask.shape)
    imp = hw.implant({"processing.feature": feature})
    n_samples = np.full(5, 120.0)
    known = encode(counts, mask, n_samples, imp)
    told = encode(counts, mask, n_samples, imp, announced=False)
    assert (known.code, told.code) == ("raw", "aer+raw")
    assert known.actions == told.actions == ()
    # two bits for the number, three addresses of seven
    assert (told.bits - known.bits == 2 + 3 * 7).all()
    mask[:] = True
    assert encode(counts, mask, n_samples, imp, announced=False).code == "bitmap+raw"


@given(times=HISTOGRAMS)
def test_a_huffman_table_is_a_prefix_code_within_a_bit_of_the_entropy(times):
    lengths = huffman_lengths(times)
    used = times > 0
    assert ((lengths > 0) == used).all()
    if used.sum() > 1:
        assert sum(2.0 ** -int(n) for n in lengths[used]) == 1
        p = times[used] / times.sum()
        entropy = -(p * np.log2(p)).sum()
        assert entropy - 1e-9 <= (p * lengths[used]).sum() < entropy + 1
    words = list(naive.canonical(lengths).values())
    assert not any(a != b and b.startswith(a) for a in words for b in words)
    assert len(set(words)) == used.sum()


@settings(deadline=None, max_examples=20)
@given(times=arrays(np.int64, 5, elements=st.integers(1, 30)))
def test_no_prefix_code_is_shorter_than_huffman(times):
    every = itertools.product(range(1, 5), repeat=5)
    best = min(times @ np.array(n) for n in every if sum(2.0**-b for b in n) <= 1)
    assert times @ huffman_lengths(times) == best


@given(st.integers(0, 200), st.integers(0, 8))
def test_rice_lengths_are_those_of_the_written_code(largest, shift):
    lengths = rice_lengths(largest, shift)
    assert lengths.shape == (largest + 1,)
    assert lengths[-1] == len("1" * (largest >> shift) + "0") + shift


def test_the_table_is_known_beforehand_and_its_size_told():
    counts = some(3.0, (300, 8))
    mask = np.ones(counts.shape, dtype=bool)
    huffman = coded("huffman", counts, mask)
    lengths = huffman_lengths(np.bincount(counts.ravel()))
    assert huffman.table_bit == table_bits(lengths)
    assert huffman.bits.sum() == lengths[counts].sum()
    assert coded("rice", counts, mask).table_bit == 0
    # chosen where it saves more than its table, and only there
    assert coded("auto", counts, mask).code == "huffman"
    few = coded("auto", counts[:2], mask[:2])
    assert few.code != "huffman"
    assert few.table_bit == 0


@settings(deadline=None, max_examples=15)
@given(mask=MASKS, data=st.data())
def test_auto_is_never_dearer_than_any_other_and_its_table(mask, data):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 9)))
    for announced in (True, False):
        auto = coded("auto", counts, mask, announced)
        for kind in ("counts", "rice", "aer", "huffman"):
            other = coded(kind, counts, mask, announced)
            assert auto.bits.sum() <= other.bits.sum() + other.table_bit
        assert (auto.bits >= 0).all()


@pytest.mark.parametrize("mean", [0.01, 0.3, 4.0])
def test_no_code_of_independent_counts_beats_the_entropy(mean):
    rng = np.random.default_rng(1)
    counts = rng.poisson(mean * rng.uniform(0.2, 2, 40), (2000, 40)).astype(np.int32)
    mask = rng.random(counts.shape) < 0.5
    for announced in (True, False):
        bound = coded("entropy", counts, mask, announced).bits.sum()
        for kind in ("counts", "rice", "aer", "huffman"):
            assert coded(kind, counts, mask, announced).bits.sum() > bound
    # of Poisson counts of one mean, to the bias of a histogram of a thousand
    even = some(1.0, (4000, 10))
    bits = coded("entropy", even, np.ones(even.shape, bool)).bits
    assert bits[0] == math.ceil(10 * 1.8825 - 0.1)


@pytest.mark.parametrize(
    ("n", "bin_s", "rate"),
    [(1024, 1e-3, 100), (1024, 5e-3, 20), (1024, 1e-2, 10), (96, 1e-3, 143), (96, 5e-3, 29),
     (96, 1e-2, 14)],
)  # fmt: skip
def test_where_addresses_and_maps_break_even(n, bin_s, rate):
    assert round(aer_break_even_hz(n, bin_s)) == rate


@pytest.mark.parametrize("n", [96, 1024])
def test_the_encoder_breaks_even_there_too(n):
    p = aer_break_even_hz(n, 1e-3) * 1e-3
    mask = np.ones((400, n), dtype=bool)
    draw = np.random.default_rng(0).random(mask.shape)
    for share, cheaper in ((0.8, "aer"), (1.2, "bitmap")):
        counts = (draw < share * p).astype(np.int32)
        sizes = {kind: coded(kind, counts, mask).bits.sum() for kind in ("aer", "bitmap")}
        assert min(sizes, key=sizes.get) == cheaper


def test_silence_costs_an_unannounced_implant_a_header_or_a_map():
    counts = np.zeros((10, 64), dtype=np.int32)
    mask = np.zeros(counts.shape, dtype=bool)
    mask[3, 5] = True  # a count that fell back to zero is news
    told = coded("auto", counts, mask, announced=False)
    assert told.code.startswith("aer+")
    assert told.bits[0] == 1
    assert told.bits[3] == 1 + 6 + 1


def test_a_bitmap_of_two_spikes_is_refused_only_where_it_holds_the_values():
    counts = np.full((3, 4), 2, dtype=np.int32)
    mask = np.ones(counts.shape, dtype=bool)
    with pytest.raises(SpecError, match="use auto, counts, aer, rice or huffman"):
        coded("bitmap", counts, mask)
    assert coded("bitmap", counts, mask, announced=False).code.startswith("bitmap+")


@settings(deadline=None, max_examples=25)
@given(mask=MASKS, data=st.data(), announced=st.booleans())
def test_sending_more_channels_takes_more_bits(mask, data, announced):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 9)))
    wider = mask | data.draw(arrays(bool, mask.shape))
    # behind addresses a Huffman code is chosen only where it saves its table: bits may then fall
    for kind in ("counts", "huffman", "aer") if announced else ("counts", "huffman"):
        less, more = (coded(kind, counts, m, announced).bits.sum() for m in (mask, wider))
        assert less <= more

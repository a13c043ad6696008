"""Counting on lists of channels gives what laying out the mask gives, whatever the chunks."""

from __future__ import annotations

import dataclasses
import inspect
import resource
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.kernels import list_counts, list_units, lists, masks
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.hardware.schedules.base import Groups
from implant_sim.hardware.schedules.lists import Cycle, lists_of
from implant_sim.hardware.schedules.random_subset import _take
from implant_sim.hardware.streaming import Need, count
from implant_sim.recordings.poisson import PoissonSource
from implant_sim.study.names import members
from sbtt_models.errors import LimitError, SpecError
from tests import naive
from tests.hardware import hw

SEEDS = st.integers(0, 2**64 - 1)
KERNELS = lists, list_units, list_counts
SOURCE = PoissonSource(
    channels=24, rate="25 Hz", spread=0.8, duration="0.5 s", bin="20 ms", trials=12
)
LATE = {**hw.GATED, "amplifier.wake": "late", "amplifier.wake_time": "1.5 ms",
        "processing.warm_up": "3 ms"}  # fmt: skip
IMPLANTS = {
    "never gated": {},
    "gated": {**hw.GATED, "adc.idle_power": "1 uW"},
    "gated when unused": {**hw.GATED, "amplifier.gating": "static"},
    "slow filter": {**hw.GATED, "processing.warm_up": "30 ms"},
    "settling inside": LATE,
    "shared wires": hw.MUXED,
    "held wires": {**hw.HELD, **LATE, "adc.shared_by": 4, "amplifier.shared_by": 4},
    "wires before amplifiers": {**hw.HELD, **hw.GATED, "multiplexer.cycle": "sample"},
    "fixed order": {**hw.MUXED, "multiplexer.any_order": False},
    "raw": {**hw.GATED, "processing.feature": "raw", "processing.warm_up": "30 ms"},
    "band power": {"processing.feature": "spiking_band_power"},
    "lossy": {"radio": {"kind": "ble", "packet_loss": 0.2, "retransmit": False, "source": "test"}},
    "huffman": {**hw.GATED, "compression.kind": "huffman"},
    "rice": {"compression.kind": "rice"},
}
KINDS = ("round_robin", "low_discrepancy", "blocks", "random_subset")
SCHEDULES = [
    {"kind": "full"},
    {"kind": "static_subset", "bandwidth": 5},
    {"kind": "random_subset", "bandwidth": 3, "per": "trial"},
    *({"kind": kind, "bandwidth": 5} for kind in KINDS),
    *({"kind": kind, "bandwidth": 5, "dwell": "10 ms"} for kind in KINDS),
    *({"kind": kind, "bandwidth": 5, "dwell": "60 ms"} for kind in KINDS),
]


@cache
def offered():
    return SOURCE.load(Path()), SOURCE.population()


def differences(one, other) -> list[str]:
    """Fields of two activities that differ by more than rounding."""
    names = [(a.component, a.action) for a in one.actions]
    if names != [(a.component, a.action) for a in other.actions]:
        return ["actions"]
    pairs = [
        (a.action, a.n_actions, b.n_actions)
        for a, b in zip(one.actions, other.actions, strict=True)
    ]
    for record, twin in ((one, other), (one.coverage, other.coverage)):
        pairs += [
            (f.name, getattr(record, f.name), getattr(twin, f.name))
            for f in dataclasses.fields(record)
            if f.name not in ("actions", "coverage")
        ]
    close = [
        a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-12 * abs(a))
        for _, a, b in pairs
    ]
    return [name for (name, _, _), same in zip(pairs, close, strict=True) if not same]


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except SpecError as error:
        return str(error)


@pytest.mark.parametrize("changes", IMPLANTS.values(), ids=IMPLANTS)
def test_activity_equals_that_of_the_mask(changes):
    recording, population = offered()
    implant = hw.implant(changes)
    for tree in SCHEDULES:
        schedule = hw.SCHEDULE.validate_python(tree)
        whole = outcome(acquire, recording, implant, schedule, np.random.default_rng(3))
        for offer, at_once in ((recording, 40), (population, 2**16)):
            rng = np.random.default_rng(3)
            found = outcome(count, offer, implant, schedule, rng, None, at_once)
            if isinstance(whole, str) or isinstance(found, str):
                assert found == whole, tree
            else:
                assert differences(whole[1], found) == [], tree


@pytest.mark.parametrize("tree", SCHEDULES, ids=str)
def test_chunks_of_any_size_give_the_same(tree):
    recording, population = offered()
    schedule = hw.SCHEDULE.validate_python(tree)
    for changes in (IMPLANTS["held wires"], IMPLANTS["raw"], IMPLANTS["huffman"]):
        try:
            found = [
                count(
                    offer, hw.implant(changes), schedule, np.random.default_rng(1), None, at_once
                )
                for offer, at_once in ((recording, 1), (population, 100), (population, 10**6))
            ]
        except SpecError:
            continue
        assert found[0] == found[1] == found[2]


def test_calibration_is_charged_alike():
    recording, population = offered()
    schedule = hw.SCHEDULE.validate_python({"kind": "static_subset", "fraction": 0.5,
                                            "order": "rate"})  # fmt: skip
    implant = hw.implant(
        {**hw.GATED, "radio.receive_energy_per_bit": "1 pJ", "radio.source": "test"}
    )
    _, whole = acquire(recording, implant, schedule, np.random.default_rng(0))
    found = count(recording, implant, schedule, np.random.default_rng(0))
    assert differences(whole, found) == []
    assert any(a.action.startswith("calibrate ") for a in found.actions)
    assert count(population, implant, schedule, np.random.default_rng(0)) is None


def test_what_only_a_mask_can_tell_is_left_to_it():
    recording, _ = offered()
    fraction = {"fraction": 0.5}
    for tree in ({"kind": "bernoulli", **fraction}, {"kind": "bandit", **fraction}):
        schedule = hw.SCHEDULE.validate_python(tree)
        assert count(recording, hw.implant(), schedule, np.random.default_rng(0)) is None
    full = hw.SCHEDULE.validate_python({"kind": "full"})
    bound = hw.implant({"compression.kind": "entropy"})
    assert count(recording, bound, full, np.random.default_rng(0)) is None
    gaps = dataclasses.replace(recording, recorded=np.ones(recording.counts.shape, bool))
    assert count(gaps, hw.implant(), full, np.random.default_rng(0)) is None


def test_detection_of_a_population_agrees_with_that_of_its_counts():
    recording, population = offered()
    implant = hw.implant(DETECTING)
    schedule = hw.SCHEDULE.validate_python({"kind": "round_robin", "bandwidth": 8})
    _, whole = acquire(recording, implant, schedule, np.random.default_rng(0))
    found = count(population, implant, schedule, np.random.default_rng(0))
    assert differences(whole, count(recording, implant, schedule, np.random.default_rng(0))) == []
    assert found.payload_bit == pytest.approx(whole.payload_bit, rel=0.1)
    assert found.payload_bit != whole.payload_bit


DETECTING = {
    "processing.threshold_sigma": 4.0,
    "array.spike_amplitude": "60 uV",
    "array.spike_spread": 0.4,
    "array.background_noise": "5 uV",
    "adc.sample_rate": "20 kHz",
    "amplifier.band": ["300 Hz", "5 kHz"],
}


@pytest.mark.parametrize("member", members(AnySchedule), ids=lambda m: m.__name__)
def test_lists_are_those_of_the_plan(member):
    """Any schedule that gives lists gives those of its own mask, step by step."""
    tree = {"kind": member.model_fields["kind"].default}
    if "bandwidth" in member.model_fields:
        tree["bandwidth"] = 5
    try:
        schedule = hw.SCHEDULE.validate_python(tree)
    except ValueError:
        pytest.skip("needs more than a bandwidth")
    recording, _ = offered()
    from implant_sim.hardware.feedback import view_of
    from implant_sim.hardware.grid import Grid

    implant = hw.implant(hw.MUXED)
    grid = Grid.of(recording, schedule, implant)
    view = view_of(recording, implant, grid, recording.counts.reshape(-1, 24), np.uint64(1))
    found = lists_of(schedule, view, np.random.default_rng(5))
    if found is None:
        return
    mask = schedule.plan(view, np.random.default_rng(5)).sampled
    lists, _ = found
    for first, n in ((0, 1), (0, grid.n_steps), (7, 30), (grid.n_steps - 1, 1)):
        channels, size = lists.take(first, n)
        laid = np.zeros((n, 24), bool)
        laid[np.repeat(np.arange(n), size), channels] = True
        assert (laid == mask[first : first + n]).all()
        assert laid.sum() == len(channels)
    if lists.period is not None and lists.period < grid.n_steps:
        assert (mask[lists.period :] == mask[: -lists.period]).all()


def test_cost_does_not_follow_the_size_of_the_array():
    implant = hw.implant(hw.GATED)
    schedule = hw.SCHEDULE.validate_python({"kind": "random_subset", "bandwidth": 64})
    source = PoissonSource(channels=65_536, rate="10 Hz", spread=0.5, duration="20 s", bin="1 ms")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = count(source.population(), implant, schedule, np.random.default_rng(0))
    grown_b = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert found.bandwidth == 64
    assert found.coverage.covered == 1
    assert grown_b < 100e6  # the mask alone would be a gigabyte


def test_what_is_needed_is_told_beforehand():
    def refuse(need: Need) -> None:
        asked.append(need)
        if need.n_samples > 1e6:
            raise LimitError("too much")

    asked: list[Need] = []
    source = PoissonSource(channels=1000, rate="1 Hz", duration="1000 s", bin="1 ms")
    schedule = hw.SCHEDULE.validate_python({"kind": "full"})
    with pytest.raises(LimitError, match="too much"):
        count(source.population(), hw.implant(), schedule, np.random.default_rng(0), refuse)
    n_bins = int(source.population().lengths.sum())
    assert asked[-1] == Need(n_bins, n_bins * 1000.0, 1000)


@given(
    order=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    size=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    first=st.integers(0, 40),
    n=st.integers(1, 40),
)
def test_a_cycle_is_its_order_again_and_again(order, size, first, n):
    cycle = Cycle(np.array(order), np.array(size))
    steps = [size[i % len(size)] for i in range(first + n)]
    places = [order[i % len(order)] for i in range(sum(steps))]
    channels, sizes = cycle.take(first, n)
    assert channels.tolist() == places[sum(steps[:first]) :]
    assert sizes.tolist() == steps[first:]
    again, _ = cycle.take(first + cycle.period, n)
    assert (again == channels).all()


# kernels


def test_every_kernel_has_a_twin():
    for module in KERNELS:
        for name in module.__all__:
            assert inspect.isfunction(getattr(naive, name)), name


def by_row(channels, k):
    return np.sort(np.asarray(channels).reshape(-1, k), axis=1)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 90), share=st.floats(0, 1), first=st.integers(0, 9))
def test_lists_of_subsets_are_those_of_the_masks(seed, n, share, first):
    k, drawn = max(1, round(share * n)), np.zeros(n, bool)
    fast = lists.subset_lists(np.uint64(seed), first, 6, n, k, drawn)
    mask = masks.random_subsets(np.uint64(seed), first + 6, n, k)[first:]
    assert (by_row(fast, k) == np.nonzero(mask)[1].reshape(-1, k)).all()
    assert (by_row(fast, k) == by_row(naive.subset_lists(seed, first, 6, n, k, drawn), k)).all()
    assert not drawn.any()


def test_a_draw_that_has_to_be_repeated_is_that_of_the_mask():
    n, k = 4_000_000, 2000  # one draw in a thousand is rejected
    fast = lists.subset_lists(np.uint64(5), 0, 4, n, k, np.zeros(n, bool))
    mask = masks.random_subsets(np.uint64(5), 4, n, k)
    assert (by_row(fast, k) == np.nonzero(mask)[1].reshape(-1, k)).all()


@settings(deadline=None, max_examples=60)
@given(
    seed=SEEDS,
    wires=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    share=st.floats(0, 1),
    first=st.integers(0, 9),
)
def test_lists_of_wires_are_those_of_the_masks(seed, wires, share, first):
    g = Groups.by_wire(np.array(wires))
    k = max(1, round(share * g.n))
    take = _take(np.diff(g.start).astype(float), k)
    arguments = (g.start, g.members, take, k)
    fast = lists.grouped_lists(np.uint64(seed), first, 6, *arguments)
    slow = naive.grouped_lists(seed, first, 6, *arguments)
    mask = masks.random_grouped(np.uint64(seed), first + 6, *arguments)[first:]
    assert (by_row(fast, k) == by_row(slow, k)).all()
    assert (by_row(fast, k) == np.nonzero(mask)[1].reshape(-1, k)).all()


@st.composite
def listed(draw, n_channels=7, distinct=True):
    """Some rows: channels one row after the other, and how many each has."""
    one = st.lists(st.integers(0, n_channels - 1), min_size=1, max_size=5, unique=distinct)
    rows = draw(st.lists(one, min_size=1, max_size=12))
    size = np.array([len(row) for row in rows])
    return np.array([*chain(*rows)], dtype=np.int32), size


def both(name, *arguments):
    """Kernel and twin, each on arrays of its own, with all that they left in them."""
    results = []
    for module in (next(m for m in KERNELS if name in m.__all__), naive):
        own = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        found = getattr(module, name)(*own)
        results.append([*(found if isinstance(found, tuple) else [found]), *own])
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(fast, float), np.asarray(slow, float), atol=1e-9)
    return results[0]


@settings(deadline=None, max_examples=60)
@given(
    rows=listed(distinct=False),
    first=st.integers(0, 5),
    span=st.integers(1, 4),
    least=st.integers(1, 30),
    limit=st.floats(0, 30),
)
def test_pauses_equal_their_twin(rows, first, span, least, limit):
    seen = np.stack([np.full(7, -1), np.zeros(7)], axis=1).astype(np.int32)
    both("pauses", *rows, first, seen, span, least, limit)


@settings(deadline=None, max_examples=60)
@given(
    rows=listed(),
    units=st.lists(st.integers(0, 2), min_size=7, max_size=7),
    least=st.integers(1, 6),
    warm=st.floats(0, 3),
    wake=st.floats(0, 3),
)
def test_wires_and_settling_equal_their_twins(rows, units, least, warm, wake):
    group = np.array(units)
    both("changes_in", rows[0], group, np.full(3, -1, np.int32))[0]
    both("shared_in", *rows, group, np.zeros(3, np.int64))
    last = np.full(7, -1), np.full(3, -1), np.zeros(7)
    own = [array.copy() for array in last]
    fast = list_units.settled(*rows, 0, group, *own, least, warm, wake)
    slow = naive.settled(*rows, 0, group, *last, least, warm, wake)
    np.testing.assert_allclose(fast, slow, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(rows=listed(), seed=SEEDS, first=st.integers(0, 9), of_bin=st.integers(1, 3),
       data=st.data())  # fmt: skip
def test_counts_equal_their_twins(rows, seed, first, of_bin, data):
    channels, size = rows
    mean = np.array(data.draw(st.lists(st.floats(0, 30), min_size=7, max_size=7)))
    times, seed = np.zeros(200, np.int64), np.uint64(seed)
    counts = list_counts.drawn_counts(
        seed, first, of_bin, *rows, mean, np.exp(-mean), times.copy()
    )[0]
    slow = naive.drawn_counts(int(seed), first, of_bin, *rows, mean, np.exp(-mean), times.copy())
    assert (counts == slow[0]).all()
    table = np.arange(25 * 7).reshape(25, 7).astype(np.int32)
    both("picked_counts", table, first, of_bin, channels, size, times)
    valid = np.array(data.draw(st.lists(
        st.sampled_from([0.0, 0.25, 0.7, 1.0]), min_size=len(channels), max_size=len(channels)
    )), dtype=np.float32)  # fmt: skip
    kept = list_counts.thinned(seed, first, of_bin, *rows, counts, valid)
    assert (kept == naive.thinned(int(seed), first, of_bin, *rows, counts, valid)).all()
    whole = len(size) // of_bin * of_bin
    if whole:
        n = size[:whole].sum()
        both("merge_steps", channels[:n], size[:whole], counts[:n], valid[:n], of_bin,
             np.full(7, -1))  # fmt: skip
    both("tally_lists", counts, size, times)
    both("lengths_of", counts, size, np.arange(200) // 3 + 1)

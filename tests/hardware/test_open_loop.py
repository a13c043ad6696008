"""What is special about each schedule that follows no data."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.hardware.calibration import calibration_data
from implant_sim.hardware.kernels import patterns
from implant_sim.hardware.schedules.base import Groups
from implant_sim.hardware.schedules.blocks import banks
from implant_sim.hardware.schedules.low_discrepancy import spread_order
from implant_sim.hardware.schedules.sharing import calibrated_weights, visit_rates
from sbtt_models.errors import DataError, SpecError
from tests import naive
from tests.hardware import hw
from tests.hardware.test_kernels import MASKS, SEEDS, wires
from tests.hardware.test_schedules import sampled, steps

ORDERS = st.sampled_from(["golden_ratio", "bit_reversal"])


def held(ways, layout="contiguous"):
    mux = {"placement": "after_amplifier", "ways": ways, "cycle": "bin", "groups": layout}
    return {"multiplexer": {**mux, "source": "test"}, "adc.shared_by": ways}


@st.composite
def shares(draw):
    """Groups, a budget and rates that add up to it."""
    groups = draw(wires())
    k = draw(st.integers(1, groups.n))
    n = len(groups.members)
    weights = draw(st.lists(st.floats(0, 100), min_size=n, max_size=n).filter(any))
    least = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return groups, k, np.array(weights), least


# kernels


@settings(deadline=None)
@given(seed=SEEDS, groups=wires(), p=st.floats(0, 1))
def test_bernoulli_equals_its_twin(seed, groups, p):
    fast, dropped = patterns.bernoulli(np.uint64(seed), 9, groups.start, groups.members, p)
    slow, also = naive.bernoulli(seed, 9, groups.start, groups.members, p)
    assert (fast == slow).all()
    assert dropped == also


@settings(deadline=None)
@given(mask=MASKS)
def test_revisits_equal_their_twin(mask):
    for a, b in zip(patterns.revisits(mask), naive.revisits(mask), strict=True):
        assert np.array_equal(a, b)


@settings(deadline=None)
@given(mask=MASKS, data=st.data())
def test_first_shared_wire_equals_its_twin(mask, data):
    n = mask.shape[1]
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    assert patterns.first_shared(mask, group, 3) == naive.first_shared(mask, group, 3)


@settings(deadline=None)
@given(given_=shares())
def test_weighted_equals_its_twin(given_):
    groups, k, weights, least = given_
    rates = visit_rates(weights, groups, k, least)[groups.members]
    fast = patterns.weighted(40, groups.start, groups.members, rates, k)
    assert (fast == naive.weighted(40, groups.start, groups.members, rates, k)).all()


# rates


@settings(deadline=None, max_examples=200)
@given(given_=shares())
def test_rates_add_up_and_fit(given_):
    groups, k, weights, least = given_
    rates = visit_rates(weights, groups, k, least)
    assert rates.sum() == pytest.approx(k, rel=1e-9)
    on_wire = np.bincount(groups.of, rates)
    assert on_wire.max() <= 1 + 1e-9
    size = np.bincount(groups.of)[groups.of]
    floor = np.minimum(least * k / len(weights), 1 / size)
    assert (rates >= floor * (1 - 1e-6)).all()
    for a in range(len(weights)):  # a heavier channel never gets less, on wires alike
        for b in range(len(weights)):
            if groups.of[a] == groups.of[b] and weights[a] >= weights[b]:
                assert rates[a] >= rates[b] - 1e-9


def test_rates_by_hand():
    alone = Groups.by_wire(np.arange(4))
    assert visit_rates(np.array([1.0, 1, 1, 1]), alone, 2, 0.0) == pytest.approx([0.5] * 4)
    # the first is capped; the rest share what it leaves
    assert visit_rates(np.array([9.0, 1, 1, 2]), alone, 2, 0.0) == pytest.approx(
        [1, 0.25, 0.25, 0.5]
    )
    # places that no channel with a weight can use go to the others; else those get none
    for least in (0.0, 0.5):
        assert visit_rates(np.array([1.0, 0, 0, 0]), alone, 2, least) == pytest.approx(
            [1, 1 / 3, 1 / 3, 1 / 3]
        )
    assert visit_rates(np.array([1.0, 0, 2, 0]), alone, 1, 0.0).tolist()[1::2] == [0, 0]
    pairs = Groups.by_wire(np.array([0, 0, 1, 1]))
    assert visit_rates(np.array([3.0, 1, 0, 5]), pairs, 2, 0.0) == pytest.approx(
        [0.75, 0.25, 0, 1]
    )


@settings(deadline=None, max_examples=60)
@given(given_=shares())
def test_visits_stay_within_one_of_their_rate(given_):
    """Within one on wires of one's own, at every moment; within two where wires are shared."""
    groups, k, weights, least = given_
    rates = visit_rates(weights, groups, k, least)
    mask = patterns.weighted(500, groups.start, groups.members, rates[groups.members], k)
    assert (mask.sum(axis=1) == k).all()
    late = mask.cumsum(axis=0) - rates * np.arange(1, 501)[:, None]
    assert np.abs(late).max() < (1 if groups.free else 2)
    loads = np.stack([mask[:, groups.of == g].sum(axis=1) for g in range(groups.n)])
    assert loads.max() <= 1
    turns = loads.T.cumsum(axis=0) - np.bincount(groups.of, rates) * np.arange(1, 501)[:, None]
    assert np.abs(turns).max() < 1


def test_heavy_channels_crowd_the_budget():
    """The case that plain earliest-deadline-first fails: many rates just below 1."""
    rates = np.array([8 / 11] * 3 + [2 / 3] * 3 + [9 / 11, 1.0] + [0.0] * 2)
    rates[8] = 7 - rates.sum()
    start = np.arange(11)
    mask = patterns.weighted(3300, start, np.arange(10), rates, 7)
    assert (mask.sum(axis=1) == 7).all()
    late = mask.cumsum(axis=0) - rates * np.arange(1, 3301)[:, None]
    assert np.abs(late).max() < 1


def test_weights_from_data():
    rec = hw.recording()
    counts = rec.counts.copy()
    counts[:, :, 0] = 4  # always the same: much activity, nothing to follow
    from dataclasses import replace

    data = calibration_data(replace(rec, counts=counts))
    assert calibrated_weights(data, "rate")[0] == 4
    assert calibrated_weights(data, "variance")[0] == 0
    window = data.counts[:, :, 1].reshape(len(data.counts), -1, 5).sum(axis=2)
    assert calibrated_weights(data, "variance")[1] == pytest.approx(window.var())
    recorded = np.ones(data.recorded.shape, dtype=bool)
    recorded[::2, :, 1] = False
    window = data.counts[1::2, :, 1].reshape(len(data.counts) // 2, -1, 5).sum(axis=2)
    found = calibrated_weights(replace(data, recorded=recorded), "variance")
    assert found[1] == pytest.approx(window.var())


def test_weights_from_data_are_charged():
    tree = {"kind": "weighted", "bandwidth": 2, "by": "rate", "least_share": 0.2}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(), tree)
    assert activity.side_info_bps == pytest.approx(8 * 8 / 86400)
    assert any(a.action.startswith("calibrate") for a in activity.actions)


# orders and banks


@given(n=st.integers(1, 300), order=ORDERS)
def test_orders_are_permutations(n, order):
    assert sorted(spread_order(n, order)) == list(range(n))


@settings(deadline=None)
@given(n=st.integers(1, 20), share=st.floats(0, 1), order=ORDERS)
def test_gaps_are_bounded(n, share, order):
    k = max(1, round(share * n))
    tree = {"kind": "low_discrepancy", "bandwidth": k, "order": order}
    mask = steps(tree, hw.recording(n_channels=n))
    visits, first, _, longest, _ = patterns.revisits(mask)
    bound = math.ceil(n / k)
    assert longest.max() <= bound
    assert first.max() < bound
    assert np.ptp(visits) <= 1


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 20),
    ways=st.integers(2, 5),
    layout=st.sampled_from(["contiguous", "interleaved"]),
    share=st.floats(0, 1),
    order=ORDERS,
)
def test_gaps_are_bounded_on_wires(n, ways, layout, share, order):
    changes = held(ways, layout)
    groups = Groups.by_wire(hw.implant(changes).groups(n))
    k = max(1, round(share * groups.n))
    mask = steps(
        {"kind": "low_discrepancy", "bandwidth": k, "order": order},
        hw.recording(n_channels=n),
        changes,
    )
    size = np.diff(groups.start)[groups.of]
    assert (patterns.revisits(mask)[3] <= np.ceil(size * groups.n / k)).all()


@pytest.mark.parametrize("order", ["golden_ratio", "bit_reversal"])
def test_each_step_is_spread_over_the_array(order):
    """64 channels, 8 a step: each eighth of the array has about one; a plain turn has eight."""
    rec = hw.recording(n_channels=64)
    mask = steps({"kind": "low_discrepancy", "bandwidth": 8, "order": order}, rec)
    eighths = mask.reshape(len(mask), 8, 8).sum(axis=2)
    assert eighths.max() <= 2
    turn = steps({"kind": "round_robin", "bandwidth": 8}, rec)
    assert turn.reshape(len(turn), 8, 8).sum(axis=2).max() == 8


@given(groups=wires(), layout=st.sampled_from(["contiguous", "strided"]), data=st.data())
def test_banks_partition_the_array(groups, layout, data):
    k = data.draw(st.integers(1, groups.n))
    bank = banks(groups, k, layout)
    assert (bank.sum(axis=0) == 1).all()
    assert bank.sum(axis=1).max() <= k
    assert bank.sum(axis=1).min() >= 1
    for row in bank:
        assert len(np.unique(groups.of[row])) == row.sum()


def test_banks_by_hand():
    alone = Groups.by_wire(np.arange(7))

    def lists(*arguments):
        return [np.flatnonzero(row).tolist() for row in banks(*arguments)]

    assert lists(alone, 3, "contiguous") == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(alone, 3, "strided") == [[0, 3, 6], [1, 4], [2, 5]]
    # the probe of Neuropixels, much reduced: site c and c + 4 share a wire
    assert lists(Groups.by_wire(np.arange(10) % 4), 4, "contiguous") == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9],
    ]  # fmt: skip


# coins


def test_coins_are_fair_and_independent():
    mask = steps({"kind": "bernoulli", "fraction": 0.3}, hw.recording(n_trials=300, n_bins=20))
    n = len(mask)
    error = math.sqrt(0.3 * 0.7 / n)
    assert np.abs(mask.mean(axis=0) - 0.3).max() < 5 * error
    assert mask.sum(axis=1).var() == pytest.approx(8 * 0.3 * 0.7, rel=0.1)
    together = mask.T.astype(float) @ mask / n
    off = together[~np.eye(8, dtype=bool)]
    assert np.abs(off - 0.09).max() < 5 * math.sqrt(0.09 * 0.91 / n)


def test_coins_that_find_their_wire_taken_are_dropped_at_random():
    rec = hw.recording(n_trials=300)
    mask = steps({"kind": "bernoulli", "fraction": 0.5}, rec, hw.HELD)
    # a wire of 4 channels is used unless none of them is drawn; each channel as often
    expected = (1 - 0.5**4) / 4
    n = len(mask)
    assert np.abs(mask.mean(axis=0) - expected).max() < 5 * math.sqrt(expected / n)
    activity = hw.run(rec, hw.implant(hw.HELD), {"kind": "bernoulli", "fraction": 0.5})[1]
    share = 1 - (1 - 0.5**4) / 2
    assert any(f"bernoulli: {share:.0%}"[:13] in note for note in activity.notes)


# hybrid


@pytest.mark.parametrize("rest", ["round_robin", "random_subset"])
@pytest.mark.parametrize("order", ["random", "rate", "greedy", "behaviour", "information"])
def test_some_are_always_on_and_the_rest_take_turns(rest, order):
    tree = {"kind": "hybrid", "bandwidth": 4, "n_always": 2, "order": order, "rest": rest}
    mask = steps(tree)
    always = mask.all(axis=0)
    assert always.sum() == 2
    assert (mask[:, ~always].sum(axis=1) == 2).all()
    assert mask[:, ~always].mean(axis=0) == pytest.approx([1 / 3] * 6, abs=0.1)
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(), tree)
    charged = any(a.action.startswith("calibrate") for a in activity.actions)
    assert charged == (order != "random")
    assert activity.side_info_bps == pytest.approx(math.log2(28) / 86400 if charged else 0)


@pytest.mark.parametrize(
    ("bandwidth", "share", "n_always"), [(4, 0.5, 2), (4, 0.01, 1), (4, 0.99, 3), (2, 0.5, 1)]
)
def test_a_share_of_the_budget_is_always_on(bandwidth, share, n_always):
    tree = {"kind": "hybrid", "bandwidth": bandwidth, "order": "rate"}
    of_share, of_number = (
        steps(tree | {"always_share": share}),
        steps(tree | {"n_always": n_always}),
    )
    np.testing.assert_array_equal(of_share, of_number)


def test_the_rest_by_weight_is_weighted_rotation_of_the_others():
    tree = {"kind": "hybrid", "bandwidth": 4, "n_always": 1, "order": "rate", "rest": "weighted"}
    recording = hw.recording()
    mask = steps(tree)
    others = np.flatnonzero(~mask.all(axis=0))
    data = calibration_data(recording)
    weights = calibrated_weights(data, "variance")
    share = mask[:, others].mean(axis=0)
    assert share.sum() == pytest.approx(3)
    heavy, light = np.argmax(weights[others]), np.argmin(weights[others])
    assert share[heavy] > share[light]
    assert share.min() > 0.2 * 3 / len(others)
    _, activity, _, _ = hw.run(recording, hw.implant(), tree)
    told_bit = math.log2(8) + 8 * len(others)  # which channel, and the weights of the others
    assert activity.side_info_bps == pytest.approx(told_bit / 86400)


def test_a_budget_of_one_channel_has_no_share_for_others():
    with pytest.raises(SpecError, match="leaves nothing of 1 for the others"):
        steps({"kind": "hybrid", "bandwidth": 1, "always_share": 0.5})


def test_a_wire_that_holds_a_fixed_channel_has_no_place_for_others():
    mask = steps({"kind": "hybrid", "bandwidth": 2, "always": [1]}, changes=hw.HELD)
    assert mask[:, 1].all()
    assert not mask[:, [0, 2, 3]].any()
    assert (mask[:, 4:].sum(axis=0) == 60).all()


# windows and lines


@settings(deadline=None, max_examples=40)
@given(on=st.integers(1, 11), off=st.integers(1, 11), staggered=st.booleans())
def test_duty_of_windows_is_exact(on, off, staggered):
    period = on + off
    tree = {
        "kind": "windows", "window": on * 0.02, "period": period * 0.02, "staggered": staggered,
    }  # fmt: skip
    rec = hw.recording(n_bins=period)
    mask = steps(tree, rec)
    assert (mask.sum(axis=0) == on * 12).all()
    duty = Fraction(int(mask.sum()), mask.size)
    assert duty == Fraction(on, period)
    if not staggered:
        assert (mask == mask[:, :1]).all()


def test_a_sliding_window_keeps_12_of_32_amplifiers_on():
    """WINeR: 32 amplifiers on one converter, 12 of them powered at any time."""
    tree = {"kind": "windows", "window": "240 ms", "period": "640 ms", "staggered": True}
    rec = hw.recording(n_trials=16, n_bins=32, n_channels=32)
    mask = steps(tree, rec)
    assert (mask.sum(axis=1) == 12).all()
    gated, free = (hw.run(rec, hw.implant(c), tree)[2] for c in (hw.GATED, {}))
    ratio = gated.component_w["amplifier"] / free.component_w["amplifier"]
    assert ratio == pytest.approx(12 / 32, rel=0.01)


def test_windows_finer_than_a_bin_set_their_dwell():
    tree = {"kind": "windows", "window": "5 ms", "period": "10 ms", "dwell": "5 ms"}
    stream, activity, _, _ = hw.run(hw.recording(), hw.implant(), tree)
    assert np.unique(stream.exposure) == pytest.approx([0.5])
    assert activity.coverage.duty == 0.5


def test_staggered_windows_can_share_a_wire():
    tree = {"kind": "windows", "window": "40 ms", "period": "320 ms", "staggered": True}
    mask = steps(tree, changes=hw.HELD)
    assert (mask.sum(axis=1) == 1).all()


def test_a_line_is_seen_when_it_passes():
    """Frames of 60 ms, 3 bins: cells at 0, a third less a little, a third, the end."""
    tree = {"kind": "raster", "frame": "60 ms", "rows": [0, 0.33, 0.334, 0.99]}
    mask = steps(tree, hw.recording(n_channels=4))
    assert np.flatnonzero(mask[:9, 0]).tolist() == [0, 3, 6]
    assert np.flatnonzero(mask[:9, 1]).tolist() == [0, 3, 6]
    assert np.flatnonzero(mask[:9, 2]).tolist() == [1, 4, 7]
    assert np.flatnonzero(mask[:9, 3]).tolist() == [2, 5, 8]
    schedule = hw.SCHEDULE.validate_python(tree)
    assert schedule.line_times_s(4) == pytest.approx([0, 0.0198, 0.02004, 0.0594])


@settings(deadline=None, max_examples=30)
@given(frame=st.floats(0.02, 0.3), seed=st.integers(0, 9))
def test_every_frame_sees_every_cell_once(frame, seed):
    tree = {"kind": "raster", "frame": frame, "seed": seed}
    mask = steps(tree)
    schedule = hw.SCHEDULE.validate_python(tree)
    seconds = len(mask) * 0.02
    for c, late in enumerate(schedule.line_times_s(8)):
        expected = len(np.arange(late, seconds - 1e-6, frame))
        assert abs(mask[:, c].sum() - expected) <= 1
        at = np.flatnonzero(mask[:, c]) * 0.02
        assert np.abs(np.diff(at) - frame).max() < 0.02 + 1e-9


def test_cells_lie_where_they_lie_in_every_repeat():
    tree = {"kind": "raster", "frame": "100 ms"}
    assert (steps(tree, seed=1) == steps(tree, seed=2)).all()
    assert (steps(tree) != steps(tree | {"seed": 1})).any()


# events


def test_silence_is_observed():
    rec = hw.recording()
    stream, activity, _, _ = hw.run(rec, hw.implant(), {"kind": "event_driven", "delta": 2})
    assert (stream.exposure == 1).all()
    assert np.abs(stream.counts - rec.counts).max() <= 1
    full = hw.run(rec, hw.implant(), {"kind": "full"})[1]
    exact = hw.run(rec, hw.implant(), {"kind": "event_driven", "delta": 1})
    assert np.array_equal(exact[0].counts, rec.counts)
    # the front end works as hard; a larger delta sends less
    assert activity.coverage.duty == full.coverage.duty == 1
    assert activity.payload_bit < exact[1].payload_bit


def test_a_change_that_is_lost_is_not_known():
    rec = hw.recording(n_trials=40)
    radio = {"kind": "uwb", "packet_loss": 0.3, "retransmit": False, "source": "test"}
    schedule = {"kind": "event_driven", "delta": 1}
    stream, _, _, _ = hw.run(rec, hw.implant({"radio": radio}), schedule)
    arrived = stream.observed[:, :, 0].reshape(-1)
    assert 0.6 < arrived.mean() < 0.8
    true, got = rec.counts.reshape(-1, 8), stream.counts.reshape(-1, 8)
    known, before = np.zeros(8, int), np.zeros(8, int)
    for b in range(len(true)):  # each bin's packet holds what has changed since the bin before
        if arrived[b]:
            known = np.where(true[b] != before, true[b], known)
            assert (got[b] == known).all()
        before = true[b]
    assert (got != true)[arrived].any()


# files


@pytest.fixture
def written(tmp_path):
    def write(content, name="table.csv", **extra):
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return {"kind": "file", "path": str(path), **extra}

    return write


MATRIX = np.eye(8, dtype=bool)[:5]


def test_the_same_table_in_three_forms(written):
    pairs = "# by hand\nstep, channel\n" + "\n".join(f"{i},{i}" for i in range(5))
    rows = "\n".join(",".join(str(int(v)) for v in row) for row in MATRIX)
    expected = np.tile(MATRIX, (48, 1))
    for tree in (
        written(pairs),
        written(rows, "m.csv"),
        written(MATRIX, "m.npy"),
        written(MATRIX.astype(np.int8), "i.npy"),
        written(MATRIX.astype(float), "f.npy"),
        written("\ufeff" + pairs.replace("\n", "\r\n"), "windows.csv"),
    ):
        assert (steps(tree) == expected).all()


def test_steps_at_the_end_that_sample_nothing(written):
    mask = steps(written("# steps: 4\nstep,channel\n0,0\n1,1\n"))
    assert mask[4, 0]
    assert not mask[[2, 3]].any()


def test_a_table_that_does_not_repeat(written):
    with pytest.raises(SpecError, match=r"ends after 5 steps, the recording takes 240; .*repeat"):
        steps(written(MATRIX, "m.npy", repeat=False))
    whole = np.random.default_rng(0).random((300, 8)) < 0.3
    assert (steps(written(whole, "w.npy", repeat=False)) == whole[:240]).all()


def test_a_table_on_wires(written):
    apart = np.zeros((3, 8), dtype=bool)
    apart[[0, 1, 1, 2], [0, 3, 4, 7]] = True
    assert steps(written(apart, "a.npy"), changes=hw.HELD).any()
    apart[2, 5] = True
    with pytest.raises(SpecError, match="channels 5 and 7 in step 2"):
        steps(written(apart, "a.npy"), changes=hw.HELD)


NAN = MATRIX.astype(float)
NAN[3, 4] = np.nan
HOSTILE = {
    "nothing": ("", "table.csv", "0 bytes"),
    "only comments": ("# nothing\n", "table.csv", "holds no sample"),
    "only a heading": ("step,channel\n", "table.csv", "holds no sample"),
    "words": ("hello\nworld\n", "table.csv", "could not convert string 'hello'"),
    "nan": ("step,channel\n0,nan\n", "table.csv", "sample 1: channel nan is no whole"),
    "half": ("step,channel\n0,1\n1,1.5\n", "table.csv", "sample 2: channel 1.5 is no whole"),
    "negative": ("step,channel\n-1,0\n", "table.csv", "step -1 is no whole number"),
    "huge step": ("step,channel\n1e300,0\n", "table.csv", "is no whole number"),
    "large channel": ("step,channel\n0,0\n0,8\n", "table.csv", "sample 2: channel 8 of a"),
    "three columns": ("step,channel\n0,1,2\n", "table.csv", "3 columns"),
    "ragged": ("step,channel\n0,1\n0\n", "table.csv", "number of columns changed"),
    "twice": ("step,channel\n0,1\n0,1\n", "table.csv", "names a sample twice"),
    "few steps": ("# steps: 1\nstep,channel\n0,1\n1,1\n", "table.csv", "says steps: 1"),
    "narrow": ("0,1\n1,0\n", "table.csv", "2 steps of 2 channels"),
    "two": ("0,0,0,0,0,0,0,2\n", "table.csv", "step 0, channel 7: 2.0 is neither"),
    "latin": (b"step,channel\n\xff,1\n", "table.csv", "is no UTF-8 text"),
    "npy nan": (NAN, "m.npy", "step 3, channel 4: nan is neither"),
    "npy narrow": (MATRIX[:, :3], "m.npy", "5 steps of 3 channels"),
    "npy flat": (MATRIX[0], "m.npy", "must hold a matrix"),
    "npy complex": (MATRIX.astype(complex), "m.npy", "holds complex128"),
    "npy text": (MATRIX.astype(str), "m.npy", "must hold a matrix"),
    "npy object": (np.array([[{}]], dtype=object), "m.npy", "is no .npy file of numbers"),
    "npy no rows": (np.zeros((0, 8)), "m.npy", "m.npy: "),
    "npy garbage": (b"\x93NUMPY\x01\x00\x20\x00{'descr': __import__('os')}\n", "m.npy", "is no"),
    "npy short": (
        b"\x93NUMPY\x01\x00\x4f\x00"
        + b"{'descr': '|b1', 'fortran_order': False, 'shape': (99999999999, 8), }".ljust(78)
        + b"\n\x01",
        "m.npy",
        "is no .npy file of numbers",
    ),
    "pickle": (b"\x80\x04\x95\x00", "m.npy", "is no .npy file of numbers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tables(written, name):
    content, file, says = HOSTILE[name]
    with pytest.raises(DataError) as caught:
        steps(written(content, file))
    assert says in str(caught.value)
    assert str(caught.value).count(file) == 1


def test_a_huge_table_is_refused_and_a_far_step_costs_nothing(written, tmp_path):
    path = tmp_path / "huge.npy"
    with path.open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(DataError, match="at most"):
        steps({"kind": "file", "path": str(path)})
    mask = steps(written("step,channel\n0,0\n999999999999,1\n"))  # a terabyte, if laid out
    assert mask.sum() == 1


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_no_table_there(tmp_path, kind):
    path = tmp_path / "table.csv"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(DataError, match=r"table\.csv: (cannot be read|is no file)"):
        steps({"kind": "file", "path": str(path)})


def test_random_members_draw_anew_with_another_seed():
    for tree in (
        {"kind": "bernoulli", "fraction": 0.3},
        {"kind": "hybrid", "bandwidth": 3, "n_always": 1},
        {"kind": "hybrid", "bandwidth": 3, "always": [1], "rest": "random_subset"},
    ):
        assert (sampled(tree, seed=0) != sampled(tree, seed=1)).any()

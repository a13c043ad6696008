"""The contract that every schedule keeps, and what is special about each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware.acquire import plan
from implant_sim.hardware.schedules import AnySchedule, Plan, Schedule
from sbtt_models.errors import SpecError
from sbtt_models.signals import within
from tests.hardware import hw

MEMBERS = {
    "full": {"kind": "full"},
    "static random": {"kind": "static_subset", "bandwidth": 3},
    "static rate": {"kind": "static_subset", "bandwidth": 3, "order": "rate"},
    "static greedy": {"kind": "static_subset", "bandwidth": 3, "order": "greedy"},
    "static behaviour": {"kind": "static_subset", "bandwidth": 3, "order": "behaviour"},
    "static information": {"kind": "static_subset", "bandwidth": 3, "order": "information"},
    "static list": {"kind": "static_subset", "channels": [6, 1, 0]},
    "round robin": {"kind": "round_robin", "bandwidth": 3},
    "random": {"kind": "random_subset", "bandwidth": 3},
    "random by trial": {"kind": "random_subset", "bandwidth": 3, "per": "trial"},
    "blocks": {"kind": "blocks", "bandwidth": 3},
    "strided blocks": {"kind": "blocks", "bandwidth": 3, "layout": "strided"},
    "golden ratio": {"kind": "low_discrepancy", "bandwidth": 3},
    "bit reversal": {"kind": "low_discrepancy", "bandwidth": 3, "order": "bit_reversal"},
    "bernoulli": {"kind": "bernoulli", "bandwidth": 3},
    "weighted by rate": {"kind": "weighted", "bandwidth": 3, "by": "rate", "least_share": 0.5},
    "weighted by variance": {"kind": "weighted", "bandwidth": 3, "by": "variance"},
    "weighted by behaviour": {"kind": "weighted", "bandwidth": 3, "by": "behaviour"},
    "hybrid list": {"kind": "hybrid", "bandwidth": 3, "always": [5]},
    "hybrid greedy": {"kind": "hybrid", "bandwidth": 3, "n_always": 1, "order": "greedy"},
    "windows": {"kind": "windows", "window": "100 ms", "period": "200 ms"},
    "staggered": {"kind": "windows", "window": "100 ms", "period": "300 ms", "staggered": True},
    "raster": {"kind": "raster", "frame": "170 ms"},
    "activity": {"kind": "activity", "bandwidth": 3},
    "activity calibrated": {
        "kind": "activity",
        "bandwidth": 3,
        "by": "variance",
        "calibrated": True,
    },
    "information": {"kind": "information", "bandwidth": 3},
    "bandit": {"kind": "bandit", "bandwidth": 3},
    "thompson": {"kind": "bandit", "bandwidth": 3, "rule": "thompson"},
    "event driven": {"kind": "event_driven", "delta": 2},
    "file": {"kind": "file", "path": str(Path(__file__).parent / "files" / "pattern.csv")},
}
VARIES = {"blocks", "strided blocks", "bernoulli", "windows", "staggered", "raster"}
"""Whose number of channels is not the same in each step."""
FOLLOWS = {"activity", "activity calibrated", "information", "bandit", "thompson"}
"""What learns from the samples that it takes."""
ALL_AT_ONCE = {"full", "event driven"}
WIDE = {*ALL_AT_ONCE, "windows", "staggered", "raster", "file"}
"""What takes channels of one wire together."""


def steps(tree, rec=None, changes=None, seed=0):
    """The mask on the schedule's own clock."""
    schedule = hw.SCHEDULE.validate_python(tree)
    rec = rec or hw.recording()
    return plan(rec, hw.implant(changes), schedule, np.random.default_rng(seed)).sampled


def sampled(tree, rec=None, changes=None, seed=0):
    """The mask laid out by trial and bin, of a schedule without a dwell of its own."""
    rec = rec or hw.recording()
    inside = within(rec.lengths, rec.counts.shape[1])
    mask = np.zeros(rec.counts.shape, dtype=bool)
    mask[inside] = steps(tree, rec, changes, seed)
    return mask


def test_no_member_is_forgotten_here():
    kinds = {member.model_fields["kind"].default for member in get_args(get_args(AnySchedule)[0])}
    assert kinds == {tree["kind"] for tree in MEMBERS.values()}


@pytest.mark.parametrize("name", MEMBERS)
def test_contract(name):
    tree = MEMBERS[name]
    lengths = np.array([20, 7, 1, 20, 13, 20, 20, 2, 20, 20, 20, 20])
    rec = hw.recording(lengths=lengths)
    mask = sampled(tree, rec)
    assert mask.shape == rec.counts.shape
    inside = np.arange(20)[None, :] < lengths[:, None]
    assert not mask[~inside].any()
    if name not in VARIES:
        assert (mask[inside].sum(axis=1) == (8 if name in ALL_AT_ONCE else 3)).all()
    assert mask.any()
    assert (mask == sampled(tree, rec)).all()
    assert hw.SCHEDULE.validate_python(hw.SCHEDULE.validate_python(tree).model_dump()).plan


@pytest.mark.parametrize("name", MEMBERS)
def test_the_test_trials_are_never_looked_at(name):
    """What learns as it goes sees the samples of earlier test trials, and nothing before them."""
    tree, rec = MEMBERS[name], hw.moving()
    other = rec.counts.copy()
    other[rec.split.test] = np.random.default_rng(5).integers(0, 60, other[rec.split.test].shape)
    turned = rec.behaviour.values.copy()
    turned[rec.split.test] *= -7
    changed = replace(rec, counts=other, behaviour=replace(rec.behaviour, values=turned))
    before = slice(0, rec.split.test.min() if name in FOLLOWS else None)
    assert (sampled(tree, rec)[before] == sampled(tree, changed)[before]).all()


@pytest.mark.parametrize("name", ["static rate", "static greedy"])
def test_ranking_does_look_at_the_others(name):
    rec = hw.recording()
    other = rec.counts.copy()
    other[:9, :, :5] = 0
    other[:9, :, 5:] += np.random.default_rng(1).poisson(3, other[:9, :, 5:].shape)
    mask = sampled(MEMBERS[name], replace(rec, counts=other))
    assert set(np.flatnonzero(mask.any(axis=(0, 1)))) == {5, 6, 7}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("layout", ["contiguous", "interleaved"])
def test_wires_hold_one_channel_each(name, layout):
    tree = MEMBERS[name] | ({"bandwidth": 2} if "bandwidth" in MEMBERS[name] else {})
    tree |= {"channels": [7, 0]} if "channels" in tree else {}
    changes = {**hw.HELD, "multiplexer.groups": layout}
    wire = hw.implant(changes).groups(8)
    assert len(np.unique(wire)) == 2
    if name in WIDE:
        with pytest.raises(SpecError, match="wire"):
            sampled(tree, changes=changes)
        return
    mask = sampled(tree, changes=changes)
    for g in np.unique(wire):
        load = mask[:, :, wire == g].sum(axis=2)
        assert load.max() == 1
        assert name in VARIES or load.min() == 1


@pytest.mark.parametrize("name", MEMBERS)
def test_a_multiplexer_with_an_order_of_its_own(name):
    """Each wire then gives its channels in order, or the schedule says that it cannot."""
    tree = MEMBERS[name] | ({"bandwidth": 2} if "bandwidth" in MEMBERS[name] else {})
    tree |= {"channels": [7, 0]} if "channels" in tree else {}
    changes = {**hw.HELD, "multiplexer.any_order": False}
    if tree["kind"] not in ("round_robin", "blocks", "low_discrepancy"):
        with pytest.raises(SpecError, match=r"any_order: false|leaves 2 wires"):
            sampled(tree, changes=changes)
        return
    mask = steps(tree, changes=changes)
    for wire in (slice(0, 4), slice(4, 8)):
        turns = np.nonzero(mask[:, wire])[1]
        assert (turns == np.arange(len(turns)) % 4).all()


@pytest.mark.parametrize(
    ("tree", "changes", "says"),
    [
        (MEMBERS["full"], hw.HELD, "leaves 2 wires"),
        (MEMBERS["random"], hw.HELD, "leaves 2 wires"),
        ({"kind": "round_robin", "bandwidth": 9}, {}, "has 8; lower it"),
        ({"kind": "bernoulli", "bandwidth": 9}, {}, "has 8; lower it"),
        ({"kind": "weighted", "bandwidth": 3, "weights": [1, 2]}, {}, "2 weights for 8 channels"),
        ({"kind": "hybrid", "bandwidth": 3, "always": [1, 8]}, {}, "channel 8 of a recording"),
        ({"kind": "hybrid", "bandwidth": 2, "always": [1, 7]}, {}, "leaves nothing of 2"),
        ({"kind": "hybrid", "bandwidth": 2, "always": [1]}, hw.HELD, None),
        ({"kind": "windows", "window": "30 ms", "period": "1 s"}, {}, "schedule.window: 0.03 s"),
        ({"kind": "windows", "window": "20 ms", "period": "90 ms"}, {}, "no whole number of"),
        (
            {"kind": "windows", "window": "20 ms", "period": "1 s", "channels": [8]},
            {},
            "channel 8 of a recording with 8",
        ),
        ({"kind": "raster", "frame": "10 ms"}, {}, "shorter than a step"),
        ({"kind": "raster", "frame": "100 ms", "rows": [0.5]}, {}, "1 rows for 8 channels"),
        ({"kind": "static_subset", "channels": [0, 1]}, hw.HELD, "share a wire"),
        ({"kind": "static_subset", "channels": [8]}, {}, "channel 8 of a recording with 8"),
        (
            {"kind": "random_subset", "bandwidth": 2},
            {**hw.HELD, "multiplexer.any_order": False},
            "any_order: false",
        ),
    ],
)
def test_what_cannot_be_sampled(tree, changes, says):
    if says is None:
        assert sampled(tree, changes=changes).any()
        return
    with pytest.raises(SpecError, match=says):
        sampled(tree, changes=changes)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"kind": "random_subset"}, "exactly one: none given"),
        ({"kind": "weighted", "bandwidth": 2}, "neither is given"),
        ({"kind": "weighted", "bandwidth": 2, "weights": [1], "by": "rate"}, "both are given"),
        ({"kind": "weighted", "bandwidth": 2, "weights": [0, 0]}, "all are 0"),
        ({"kind": "weighted", "bandwidth": 2, "weights": [1, -1]}, "greater than or equal to 0"),
        ({"kind": "weighted", "bandwidth": 2, "weights": [1, "inf"]}, "finite number"),
        ({"kind": "weighted", "bandwidth": 2, "by": "rate", "least_share": 1.5}, "less than or"),
        ({"kind": "hybrid", "bandwidth": 2}, "exactly one: none given"),
        (
            {"kind": "hybrid", "bandwidth": 2, "always": [1], "n_always": 1},
            "exactly one: always and n_always given",
        ),
        ({"kind": "hybrid", "bandwidth": 2, "always_share": 1}, "less than 1"),
        ({"kind": "hybrid", "bandwidth": 2, "always": [1, 1]}, "twice"),
        ({"kind": "hybrid", "bandwidth": 2, "always": [1], "order": "rate"}, "exclude each other"),
        ({"kind": "windows", "window": "1 s", "period": "1 s"}, "leaves nothing off"),
        ({"kind": "windows", "window": "0 s", "period": "1 s"}, "greater than 0"),
        (
            {"kind": "windows", "window": "1 s", "period": "2 s", "channels": [1, 1]},
            "names a channel twice",
        ),
        ({"kind": "raster", "frame": "1 s", "rows": [1.0]}, "less than 1"),
        ({"kind": "raster", "frame": "1 s", "rows": ["nan"]}, "finite number"),
        ({"kind": "event_driven", "delta": 0}, "greater than 0"),
        ({"kind": "event_driven", "delta": 1, "dwell": "5 ms"}, "never moves on"),
        ({"kind": "file", "path": "table.xlsx"}, "must end in .csv or .npy"),
        (
            {"kind": "random_subset", "bandwidth": 3, "fraction": 0.5},
            "bandwidth and fraction given",
        ),
        ({"kind": "random_subset", "bandwidth": 0}, "greater than 0"),
        ({"kind": "random_subset", "bandwidth": 2.5}, "valid integer"),
        ({"kind": "random_subset", "fraction": 1.5}, "less than or equal to 1"),
        ({"kind": "random_subset", "fraction": "nan"}, "number"),
        ({"kind": "random_subset", "bandwidth": 3, "dwell": "5 mV"}, "expected a quantity in s"),
        ({"kind": "random_subset", "bandwidth": 3, "dwell": "-5 ms"}, "greater than 0"),
        ({"kind": "full", "dwell": "5 ms"}, "never moves on"),
        ({"kind": "static_subset", "bandwidth": 3, "dwell": "5 ms"}, "never moves on"),
        ({"kind": "random_subste", "bandwidth": 3}, "does not match any"),
        ({"kind": "static_subset", "channels": [1], "fraction": 0.5}, "exclude each other"),
        ({"kind": "static_subset", "channels": [1], "bandwidth": 2}, "exclude each other"),
        ({"kind": "static_subset", "channels": [1], "order": "rate"}, "exclude each other"),
        ({"kind": "static_subset", "channels": []}, "at least 1 item"),
        ({"kind": "static_subset", "channels": [1, 1]}, "twice"),
        ({"kind": "static_subset", "channels": [-1]}, "greater than or equal to 0"),
        ({"kind": "static_subset", "bandwidth": 2, "calibration": {"every": "0 s"}}, "greater"),
    ],
)
def test_what_cannot_be_written(tree, says):
    with pytest.raises(ValidationError) as caught:
        hw.SCHEDULE.validate_python(tree)
    assert says in str(caught.value)


def test_fraction_rounds_and_takes_at_least_one():
    for fraction, k in ((0.25, 2), (0.001, 1), (1.0, 8), (0.4, 3)):
        mask = sampled({"kind": "random_subset", "fraction": fraction})
        assert (mask.sum(axis=2) == k).all()


def test_round_robin_runs_on_from_trial_to_trial_and_covers_evenly():
    mask = sampled({"kind": "round_robin", "bandwidth": 3}, hw.recording(lengths=np.full(12, 5)))
    rows = mask[:, :5].reshape(-1, 8)
    order = np.concatenate(
        [np.flatnonzero(np.roll(row, -3 * t % 8)) for t, row in enumerate(rows)]
    )
    assert len(order) == 180
    assert rows[0].tolist() == [True] * 3 + [False] * 5
    assert rows[5].tolist() == [True] * 2 + [False] * 5 + [True]  # places 15, 16, 17 of 8
    assert np.ptp(rows.sum(axis=0)) <= 1


def test_random_by_trial_keeps_its_subset_within_a_trial():
    mask = sampled(MEMBERS["random by trial"])
    assert (mask == mask[:, :1]).all()
    assert len({tuple(row) for row in mask[:, 0]}) > 6


def test_seeds_and_bins_differ():
    one, two = (sampled(MEMBERS["random"], seed=seed) for seed in (0, 1))
    assert (one != two).any()
    assert len({tuple(row) for row in one.reshape(-1, 8)}) > 30


def test_greedy_finds_the_channels_that_know_the_behaviour():
    rec = hw.moving()
    for order, chosen in (("greedy", {2, 7}), ("behaviour", {2, 7}), ("rate", None)):
        tree = {"kind": "static_subset", "bandwidth": 2, "order": order}
        got = set(np.flatnonzero(sampled(tree, rec).any(axis=(0, 1))))
        assert (got == chosen) if chosen else (got != {2, 7})


def test_information_finds_the_channels_that_know_the_state_without_behaviour():
    tree = {"kind": "static_subset", "bandwidth": 2, "order": "information"}
    rec = replace(hw.moving(), behaviour=None)
    assert set(np.flatnonzero(sampled(tree, rec).any(axis=(0, 1)))) == {2, 7}


@pytest.mark.parametrize("order", ["greedy", "behaviour", "information"])
def test_no_order_takes_the_same_thing_twice(order):
    """Channel 3 copies the best channel: what it says is known, so it comes after the other."""
    rec = hw.moving()
    counts = rec.counts.copy()
    counts[:, :, 3] = counts[:, :, 2]
    tree = {"kind": "static_subset", "bandwidth": 2, "order": order}
    got = set(np.flatnonzero(sampled(tree, replace(rec, counts=counts)).any(axis=(0, 1))))
    assert 7 in got
    assert got & {2, 3}


def test_information_is_that_of_a_filter_run_for_long():
    """The order is that of a Kalman filter that takes one count after the other, step by step."""
    from implant_sim.hardware.calibration import calibration_data
    from implant_sim.hardware.schedules import ranking
    from implant_sim.hardware.schedules.adaptive import in_steps
    from implant_sim.hardware.schedules.linear_model import USUAL_SIZE, fit_linear_model
    from implant_sim.hardware.schedules.view import Groups

    data = calibration_data(hw.moving(n_channels=9, tuned=(1, 4, 6)))
    model = fit_linear_model(in_steps(data, data.bin_s), USUAL_SIZE)
    noise = model.noise_ratio * model.mean

    def settled(channels):
        covariance = np.eye(USUAL_SIZE)
        for _ in range(3000):
            covariance = model.dynamics @ covariance @ model.dynamics.T + model.innovation
            for c in channels:
                along = covariance @ model.loadings[c]
                covariance -= np.outer(along, along) / (model.loadings[c] @ along + noise[c])
        return covariance

    slow = []
    for _ in range(4):
        spread = np.einsum("cl,lm,cm->c", model.loadings, settled(slow), model.loadings) / noise
        slow.append(int(np.argmax(np.where(np.isin(np.arange(9), slow), -1, spread))))
    fast = ranking.by_information(data, Groups.by_wire(np.arange(9)), 4)
    assert fast.tolist() == slow
    assert set(slow[:3]) == {1, 4, 6}


def test_greedy_elimination_equals_regression_done_anew():
    """After k choices, the gains are those of full ridge regressions with one more channel."""
    from implant_sim.hardware.calibration import calibration_data
    from implant_sim.hardware.schedules import ranking
    from implant_sim.hardware.schedules.regression import moments

    found = moments(calibration_data(hw.moving(n_channels=6, tuned=(2, 5))), 3)
    train, valid = found.train, found.valid
    left = ranking._Unexplained(train, valid, 5)

    def explained(channels):
        at = np.concatenate([np.arange(c * 3, c * 3 + 3) for c in channels])
        weights = np.linalg.solve(train.features[np.ix_(at, at)], train.cross[at])
        linear = 2 * (weights * valid.cross[at]).sum()
        return linear - np.trace(weights.T @ valid.features[np.ix_(at, at)] @ weights)

    chosen = []
    for c in (4, 0, 2, 5, 1):
        gains = left.gains()
        for other in set(range(6)) - set(chosen):
            anew = explained([*chosen, other]) - (explained(chosen) if chosen else 0.0)
            assert gains[other] == pytest.approx(anew, rel=1e-6, abs=1e-6)
        left.eliminate(c)
        chosen.append(c)


def test_greedy_without_behaviour_and_with_a_silent_channel():
    rec = hw.recording(n_channels=6)
    counts = rec.counts.copy()
    counts[:, :, 3] = 0
    tree = {"kind": "static_subset", "bandwidth": 5, "order": "greedy"}
    chosen = np.flatnonzero(sampled(tree, replace(rec, counts=counts)).any(axis=(0, 1)))
    assert len(chosen) == 5
    assert 3 not in chosen


def test_rate_skips_gaps_of_the_file():
    """A channel recorded half the time is ranked by its rate, not by its total."""
    rec = hw.recording(n_channels=3)
    counts = np.zeros_like(rec.counts)
    counts[:, :, 0], counts[:, :, 1] = 2, 3
    recorded = np.ones(counts.shape, dtype=bool)
    recorded[:6, :, 1] = False
    counts[:6, :, 1] = 0
    rec = replace(rec, counts=counts, recorded=recorded)
    mask = sampled({"kind": "static_subset", "bandwidth": 1, "order": "rate"}, rec)
    assert mask[:, :, 1].all()


@settings(deadline=None, max_examples=40)
@given(
    n_channels=st.integers(1, 12),
    ways=st.integers(2, 5),
    layout=st.sampled_from(["contiguous", "interleaved"]),
    kind=st.sampled_from(["round_robin", "random_subset", "static_subset"]),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_any_array_any_wires(n_channels, ways, layout, kind, share, seed):
    mux = {"placement": "after_amplifier", "ways": ways, "cycle": "bin", "groups": layout}
    changes = {"multiplexer": {**mux, "source": "test"}, "adc.shared_by": ways}
    wire = hw.implant(changes).groups(n_channels)
    k = max(1, round(share * len(np.unique(wire))))
    rec = hw.recording(n_bins=9, n_channels=n_channels, seed=seed)
    mask = sampled({"kind": kind, "bandwidth": k}, rec, changes, seed)
    assert (mask.sum(axis=2) == k).all()
    for g in np.unique(wire):
        assert (mask[:, :, wire == g].sum(axis=2) <= 1).all()


def test_a_schedule_cannot_look_without_paying():
    class Freeloader(Schedule):
        kind: Literal["freeloader"] = "freeloader"

        def plan(self, view, rng):
            busiest = int(view.calibrate().counts.sum(axis=(0, 1)).argmax())
            rows = np.zeros((view.n_steps, view.n_channels), dtype=bool)
            rows[:, busiest] = True
            return Plan(rows)

    with pytest.raises(SpecError, match="Freeloader used calibration data"):
        plan(hw.recording(), hw.implant(), Freeloader(), np.random.default_rng(0))


def test_json_schema_documents_every_member():
    text = str(hw.SCHEDULE.json_schema())
    for tree in MEMBERS.values():
        assert f"'{tree['kind']}'" in text
    assert "Channels in one step." in text

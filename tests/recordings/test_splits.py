"""Parts do not touch: neither in trials nor, with their gaps, in time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.recordings import splits
from implant_sim.recordings.base import FileSplit, Shares
from sbtt_models.errors import DataError


def shares(train=0.6, valid=0.15, test=0.25, **more):
    return FileSplit(train=train, valid=valid, test=test, **more)


PARTS = ("train", "valid", "test")


@given(
    groups=st.lists(st.integers(0, 5), min_size=3, max_size=200),
    seed=st.integers(0, 2**31),
)
def test_every_trial_is_in_one_part(groups, seed):
    split = splits.by_trial(np.array(groups), shares(seed=seed), "x")
    parts = [getattr(split, name) for name in PARTS]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    assert all((np.diff(part) > 0).all() for part in parts)
    if len(groups) >= 20:
        sizes = np.array([part.size for part in parts])
        assert np.abs(sizes - len(groups) * np.array([0.6, 0.15, 0.25])).max() <= 1.01


@given(n_groups=st.integers(1, 8), each=st.integers(10, 30), seed=st.integers(0, 1000))
def test_conditions_are_alike_in_all_parts(n_groups, each, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(n_groups), each))
    split = splits.by_trial(groups, shares(seed=seed), "x")
    for name, share in zip(PARTS, (0.6, 0.15, 0.25), strict=True):
        found = np.bincount(groups[getattr(split, name)], minlength=n_groups)
        assert np.abs(found - share * each).max() <= 2


def test_seed_chooses_the_trials():
    one, two, again = (splits.by_trial(np.zeros(50, int), shares(seed=s), "x") for s in (0, 1, 0))
    assert not np.array_equal(one.test, two.test)
    assert np.array_equal(one.test, again.test)


def test_two_trials_are_too_few():
    with pytest.raises(DataError, match=r"x: 2 trial\(s\).*3 parts"):
        splits.by_trial(np.zeros(2, int), shares(), "x")


@given(
    n_bins=st.integers(100, 5000),
    gap=st.integers(0, 60),
    rounds=st.integers(1, 4),
)
def test_blocks_keep_their_gaps(n_bins, gap, rounds):
    try:
        laid = splits.blocks(n_bins, gap, Shares(), rounds, "x")
    except DataError:
        assert n_bins - gap * (3 * rounds - 1) < 20 * rounds
        return
    assert [b.part for b in laid] == list(PARTS) * rounds
    assert laid[0].start == 0
    assert laid[-1].stop == n_bins
    for one, two in itertools.pairwise(laid):
        assert two.start - one.stop == gap
    for part, share in zip(PARTS, (0.6, 0.15, 0.25), strict=True):
        length = sum(b.stop - b.start for b in laid if b.part == part)
        usable = n_bins - gap * (3 * rounds - 1)
        assert abs(length - share * usable) <= rounds


def test_gap_is_a_window_and_the_longest_lag():
    assert splits.gap_bins(window_bins=100, bin_s=0.02) == 125
    assert splits.gap_bins(window_bins=44, bin_s=0.045) == 44 + 12  # 0.5 s = 11.1 bins


def test_held_back_leaves_the_test_trials_alone():
    trains = np.arange(40) < 30
    split = splits.held_back(np.zeros(40, int), trains, np.arange(30, 40), shares(), "x")
    assert split.test.tolist() == list(range(30, 40))
    assert split.valid.size == 6  # 0.15 / 0.75 of 30
    assert split.train.size == 24


def test_by_repeat_gives_each_part_one_at_least():
    split = splits.by_repeat(2, 3, Shares(), "x")
    assert split.train.tolist() == [0, 3]
    assert split.valid.tolist() == [1, 4]
    assert split.test.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"train": 0.5}, "add up to 1"),
        ({"train": 1.0, "valid": 0, "test": 0}, "less than 1"),
        ({"by": "blocks", "is_train": "x"}, "contradict"),
        ({"rounds": 0}, "greater than or equal"),
    ],
)
def test_faults_of_a_split(fields, says):
    with pytest.raises(ValidationError, match=says):
        FileSplit.model_validate(fields)

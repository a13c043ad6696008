"""Every kernel equals its naive twin; every subset is equally likely."""

from __future__ import annotations

import inspect
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from implant_sim.hardware.kernels import coding, counting, masks, patterns
from implant_sim.hardware.schedules.base import Groups
from implant_sim.hardware.schedules.random_subset import _take
from tests import naive

SEEDS = st.integers(0, 2**64 - 1)
MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 6)))


@st.composite
def wires(draw):
    return Groups.by_wire(np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))))


def test_every_kernel_has_a_twin():
    for module in (masks, patterns, counting, coding):
        for name in set(module.__all__) - {"threads_for"}:
            assert inspect.isfunction(getattr(naive, name)), name


@settings(deadline=None)
@given(seed=SEEDS, n=st.integers(1, 90), share=st.floats(0, 1))
def test_random_subsets_equal_their_twin(seed, n, share):
    k = max(1, round(share * n))
    fast = masks.random_subsets(np.uint64(seed), 7, n, k)
    assert (fast == naive.random_subsets(seed, 7, n, k)).all()
    assert (fast.sum(axis=1) == k).all()


@pytest.mark.parametrize("n_rows", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("n", [29, 90])
def test_threads_share_the_rows_and_change_nothing(n_rows, n):
    alone = masks.random_subsets(np.uint64(4), n_rows, n, 11)
    for n_threads in (2, 3):
        assert (masks.random_subsets(np.uint64(4), n_rows, n, 11, n_threads) == alone).all()


def test_small_masks_are_not_worth_a_thread(monkeypatch):
    monkeypatch.setattr(masks, "allowed_threads", lambda: 4)
    assert masks.threads_for(0) == masks.threads_for(10_000) == 1
    assert masks.threads_for(2**20) == 2
    assert masks.threads_for(2**40) == 4


@settings(deadline=None)
@given(seed=SEEDS, groups=wires(), share=st.floats(0, 1))
def test_grouped_masks_equal_their_twins(seed, groups, share):
    k = max(1, round(share * groups.n))
    take = _take(np.diff(groups.start).astype(float), k)
    fast = masks.random_grouped(np.uint64(seed), 9, groups.start, groups.members, take, k)
    assert (fast == naive.random_grouped(seed, 9, groups.start, groups.members, take, k)).all()
    turns = masks.round_robin(9, groups.start, groups.members, k)
    assert (turns == naive.round_robin(9, groups.start, groups.members, k)).all()
    for mask in (fast, turns):
        assert (mask.sum(axis=1) == k).all()
        loads = np.stack([mask[:, groups.of == g].sum(axis=1) for g in range(groups.n)])
        assert loads.max() <= 1


@settings(deadline=None)
@given(mask=MASKS, gap=st.integers(1, 14), limit=st.floats(0, 4))
def test_gaps_equal_their_twins(mask, gap, limit):
    for a, b in zip(counting.gate(mask, gap), naive.gate(mask, gap), strict=True):
        np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(counting.warm_ups(mask, limit), naive.warm_ups(mask, limit))


@settings(deadline=None)
@given(mask=MASKS, data=st.data())
def test_counts_equal_their_twins(mask, data):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 300)))
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=6, max_size=6)))
    group = group[: mask.shape[1]]
    for name in ("switches_shared", "switches_held"):
        assert getattr(counting, name)(mask, group, 3) == getattr(naive, name)(mask, group, 3)
    for a, b in zip(coding.tally(counts, mask), naive.tally(counts, mask), strict=True):
        assert np.array_equal(a, b)
    lengths = np.arange(301) // 7 + 1
    for name, last in (("histogram", 300), ("code_bits", lengths)):
        fast, slow = (getattr(m, name)(counts, mask, last) for m in (coding, naive))
        assert np.array_equal(fast, slow)


@pytest.mark.parametrize(("n", "k"), [(5, 1), (6, 3), (6, 4), (7, 2)])
def test_every_subset_is_equally_likely(n, k):
    every = {s: i for i, s in enumerate(combinations(range(n), k))}
    mask = masks.random_subsets(np.uint64(11), 400 * len(every), n, k)
    seen = np.bincount([every[tuple(np.flatnonzero(row))] for row in mask], minlength=len(every))
    assert stats.chisquare(seen).pvalue > 1e-4


@pytest.mark.parametrize("wire", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 2]])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_subset_that_the_wires_allow_is_equally_likely(wire, k):
    groups = Groups.by_wire(np.array(wire))
    allowed = [s for s in combinations(range(6), k) if len({wire[c] for c in s}) == k]
    every = {s: i for i, s in enumerate(allowed)}
    take = _take(np.diff(groups.start).astype(float), k)
    n_rows = 400 * len(every)
    mask = masks.random_grouped(np.uint64(5), n_rows, groups.start, groups.members, take, k)
    seen = np.bincount([every[tuple(np.flatnonzero(row))] for row in mask], minlength=len(every))
    assert stats.chisquare(seen).pvalue > 1e-4


@pytest.mark.parametrize("n", [29, 80])
@pytest.mark.parametrize("k", [2, 10, 15, 25])
def test_channels_and_pairs_of_a_large_array_are_equally_likely(n, k):
    n_rows = 40_000
    mask = masks.random_subsets(np.uint64(3), n_rows, n, k).astype(np.float32)
    p, q = k / n, k * (k - 1) / (n * (n - 1))
    pairs = (mask.T @ mask)[np.triu_indices(n, 1)]
    z = (mask.sum(axis=0) - n_rows * p) / np.sqrt(n_rows * p * (1 - p))
    z_pairs = (pairs - n_rows * q) / np.sqrt(n_rows * q * (1 - q))
    assert np.abs(z).max() < 5
    assert np.abs(z_pairs).max() < 5.5
    # and not too regular either; the spread of z is 1 but for the fixed sum
    assert 0.5 < z.std() < 1.6
    # subsets of neighbouring rows are independent
    overlap = (mask[1:] * mask[:-1]).sum(axis=1)
    spread = np.sqrt(k * p * (1 - p) * (n - k) / (n - 1))
    assert abs(overlap.mean() - k * p) < 5 * spread / np.sqrt(n_rows)


def test_probabilities_of_groups_survive_any_size():
    take = _take(np.full(1000, 16.0), 500)
    assert take[0, 500] == pytest.approx(0.5)
    assert (take >= 0).all()
    assert (take <= 1 + 1e-12).all()
    assert np.isfinite(take).all()


def test_seeds_at_the_edges_work():
    for seed in (0, 2**63, 2**64 - 1):
        mask = masks.random_subsets(np.uint64(seed), 3, 29, 10)
        assert (mask == naive.random_subsets(seed, 3, 29, 10)).all()


@pytest.mark.parametrize(("k", "n_rows"), [(1, 5), (3, 1), (3, 0)])
def test_masks_of_one_row_or_none(k, n_rows):
    assert masks.random_subsets(np.uint64(1), n_rows, 3, k).shape == (n_rows, 3)

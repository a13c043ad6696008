"""Spikes into bins against a slow count; behaviour into bins against a fine sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from implant_sim.recordings import events, traces
from implant_sim.recordings.fields import Fluorescence
from sbtt_models.errors import DataError


@given(
    ticks=st.lists(st.tuples(st.integers(-50, 1200), st.integers(0, 3)), max_size=200),
    per_bin=st.integers(1, 40),
    n_bins=st.integers(1, 30),
    start=st.integers(-20, 100),
)
def test_counts_equal_a_loop(ticks, per_bin, n_bins, start):
    """Integer ticks, so that the slow twin has no rounding: edges count to the right."""
    slow = np.zeros((n_bins, 4), int)
    for tick, channel in ticks:
        index = (tick - start) // per_bin
        if 0 <= index < n_bins:
            slow[index, channel] += 1
    ticks = sorted(ticks)
    times = np.array([t for t, _ in ticks], float) / 30000
    channels = np.array([c for _, c in ticks], int)
    fast = events.bin_spikes(times, channels, start / 30000, (n_bins, 4), per_bin / 30000)
    assert np.array_equal(fast, slow)


@given(
    seed=st.integers(0, 500),
    n_samples=st.integers(2, 60),
    n_bins=st.integers(1, 20),
)
def test_means_equal_a_fine_sum(seed, n_samples, n_bins):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 2, n_samples))
    values = rng.normal(size=(n_samples, 2))
    edges = np.linspace(0.2, 1.8, n_bins + 1)
    means = events.bin_means(times, values, edges, max_gap_s=10)
    for k in range(n_bins):
        inside = times[0] <= edges[k] and edges[k + 1] <= times[-1]
        assert np.isfinite(means[k]).all() == inside
        if inside:
            fine = np.linspace(edges[k], edges[k + 1], 4001)
            fine = (fine[1:] + fine[:-1]) / 2
            slow = [np.interp(fine, times, column).mean() for column in values.T]
            assert np.allclose(means[k], slow, atol=2e-3)


def test_a_long_gap_is_not_bridged():
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2])
    edges = np.array([0.0, 0.2, 0.4, 0.9, 1.0, 1.2])
    means = events.bin_means(times, np.ones((6, 1)), edges, max_gap_s=0.1)
    assert np.isfinite(means[:, 0]).tolist() == [True, False, False, False, True]


def test_a_nan_sample_counts_as_a_gap():
    times = np.arange(6) / 10
    values = np.array([[0.0], [1], [np.nan], [3], [4], [5]])
    edges = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    assert np.isnan(events.bin_means(times, values, edges, 0.1)[:, 0]).tolist() == [0, 1, 1, 0]
    bridged = events.bin_means(times, values, edges, 0.2)[:, 0]
    assert np.allclose(bridged, [0.5, 1.5, 2.5, 3.5])


def test_times_must_be_finite():
    with pytest.raises(DataError, match=r"f: t: 1 of 3 times.*first at 1"):
        events.check_times(np.array([0.0, np.nan, 1.0]), "f: t")


def test_calcium_rule_finds_planted_events():
    rng = np.random.default_rng(0)
    decay_s, bin_s, n_bins = 1.0, 0.1, 2000
    planted = np.zeros((n_bins, 3))
    planted[rng.choice(np.arange(5, n_bins), 60, replace=False), 0] = 1
    planted[rng.choice(np.arange(5, n_bins), 60, replace=False), 1] = 1
    trace = np.zeros_like(planted)
    for t in range(1, n_bins):
        trace[t] = np.exp(-bin_s / decay_s) * trace[t - 1] + planted[t]
    trace += 0.05 * rng.normal(size=trace.shape)
    rule = Fluorescence(decay=decay_s, threshold=5)
    counts, recorded = traces.calcium_events(trace, None, np.array([0]), rule, bin_s)
    assert recorded is None
    assert (counts[:, :2] == planted[:, :2]).mean() > 0.999
    assert counts[:, 2].sum() <= 1  # a silent cell: noise alone passes 5 sd almost never


def test_calcium_rule_on_a_flat_trace_and_at_trial_starts():
    flat = np.full((20, 1), 3.0)
    flat[10:] = 50.0  # a step between two trials is not an event
    counts, _ = traces.calcium_events(flat, None, np.array([0, 10]), Fluorescence(decay=1.0), 0.1)
    assert counts.sum() == 0

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance, r2_score

from sbtt_models import metrics
from sbtt_models.errors import DataError
from sbtt_models.psth import psth_r2


def counts_and_rates(seed: int = 0, shape: tuple[int, ...] = (6, 10, 4)):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 0.5, shape)
    return rng.poisson(rates), rates


def test_nll_by_hand():
    # 1 - 0 ln 1;  0.5 - 2 ln 0.5
    value = metrics.poisson_nll(np.array([0, 2]), np.array([1.0, 0.5]))
    assert value == pytest.approx((1.0 + 0.5 + 2 * math.log(2)) / 2)
    # ln 2! enters once in two entries
    full = metrics.poisson_nll(np.array([0, 2]), np.array([1.0, 0.5]), stirling=True)
    assert full - value == pytest.approx(math.log(2) / 2)


def test_nll_with_stirling_is_the_probability():
    from scipy.stats import poisson

    counts, rates = counts_and_rates()
    exposure = np.random.default_rng(1).uniform(0.1, 1, counts.shape)
    value = metrics.poisson_nll(counts, rates, exposure=exposure, stirling=True)
    assert value == pytest.approx(-poisson.logpmf(counts, rates * exposure).mean())


def test_nll_differences_are_half_deviances():
    counts, rates = counts_and_rates()
    other = rates * 1.3 + 0.1
    half = 0.5 * (
        mean_poisson_deviance(counts.ravel(), other.ravel())
        - mean_poisson_deviance(counts.ravel(), rates.ravel())
    )
    gain = metrics.poisson_nll(counts, other) - metrics.poisson_nll(counts, rates)
    assert gain == pytest.approx(half)


def test_half_exposure_is_half_the_rate():
    counts, rates = counts_and_rates()
    half = np.full(rates.shape, 0.5)
    assert metrics.poisson_nll(counts, rates, exposure=half) == pytest.approx(
        metrics.poisson_nll(counts, rates / 2)
    )


def test_bits_per_spike_by_hand():
    # one channel, counts 0 and 2, rates 0.5 and 1.5, null 1:
    # gain = [(1 - .5) + 0] + [(1 - 1.5) + 2 ln 1.5] = 2 ln 1.5, over 2 spikes and ln 2
    value = metrics.bits_per_spike(np.array([[0], [2]]), np.array([[0.5], [1.5]]))
    assert value == pytest.approx(math.log2(1.5))


def test_bits_per_spike_as_the_benchmark_defines_it():
    counts, rates = counts_and_rates()
    null = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
    n = counts.size
    nll_null = metrics.poisson_nll(counts, null, stirling=True) * n
    nll_model = metrics.poisson_nll(counts, rates, stirling=True) * n
    assert metrics.bits_per_spike(counts, rates) == pytest.approx(
        (nll_null - nll_model) / counts.sum() / math.log(2)
    )


def test_bits_per_spike_of_one_channel_is_the_deviance_explained():
    counts, rates = counts_and_rates(shape=(50, 1))
    d2 = d2_tweedie_score(counts[:, 0], rates[:, 0], power=1)
    null_deviance = mean_poisson_deviance(counts[:, 0], np.full(50, counts.mean()))
    nats = d2 * null_deviance / 2 * 50 / counts.sum()
    assert metrics.bits_per_spike(counts, rates) == pytest.approx(nats / math.log(2))


def test_null_model_scores_zero_and_truth_scores_above():
    counts, rates = counts_and_rates(shape=(200, 50, 3))
    null = np.broadcast_to(metrics.channel_means(counts), counts.shape)
    assert metrics.bits_per_spike(counts, null) == pytest.approx(0.0, abs=1e-12)
    assert metrics.bits_per_spike(counts, rates) > 0.05


def test_null_mean_weighs_by_exposure():
    counts = np.array([[2], [1]])
    assert metrics.channel_means(counts, exposure=np.array([[1.0], [0.5]])) == pytest.approx(2.0)
    assert metrics.channel_means(counts, exposure=np.array([[0.0], [0.0]])) == 0.0


def test_nothing_to_score():
    counts, rates = counts_and_rates()
    nowhere = np.zeros(counts.shape, bool)
    assert metrics.bits_per_spike(np.zeros((3, 2), int), np.ones((3, 2))) is None
    with pytest.raises(DataError, match="no entry is scored"):
        metrics.poisson_nll(counts, rates, where=nowhere)
    with pytest.raises(DataError, match="no exposure"):
        metrics.poisson_nll(counts, rates, exposure=np.zeros(rates.shape))
    with pytest.raises(DataError, match="NaN"):
        metrics.poisson_nll(counts, np.full(rates.shape, np.nan))
    assert metrics.r2(rates, rates, where=nowhere).mean is None


def test_r2_equals_sklearn():
    _counts, rates = counts_and_rates()
    truth, inferred = rates, rates + np.random.default_rng(2).normal(0, 0.3, rates.shape)
    flat = (truth.reshape(-1, 4), inferred.reshape(-1, 4))
    result = metrics.r2(truth, inferred)
    assert result.mean == pytest.approx(r2_score(*flat))
    assert result.per_channel == pytest.approx(r2_score(*flat, multioutput="raw_values"))
    assert result.n_left_out == 0


def test_r2_is_pooled_not_averaged_over_trials():
    truth = np.array([[[0.0], [1.0]], [[10.0], [11.0]]])
    inferred = np.array([[[0.5], [0.5]], [[10.5], [10.5]]])  # 0 inside each trial
    assert metrics.r2(truth, inferred).mean == pytest.approx(1 - 1.0 / 101.0)


def test_constant_channels_are_left_out_and_counted():
    truth = np.stack([np.arange(5.0), np.full(5, 0.1), np.zeros(5)], axis=1)
    result = metrics.r2(truth, truth + 1.0)
    assert result.scored.tolist() == [True, False, False]
    assert result.n_left_out == 2
    assert result.mean == pytest.approx(1 - 5 / 10)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.floats(0.2, 0.9))
def test_what_the_mask_leaves_out_never_matters(seed, share):
    counts, rates = counts_and_rates(seed)
    where = np.random.default_rng(seed).random(counts.shape) < share
    where[0, :2] = True
    poisoned = np.where(where, rates, np.nan)
    poisoned_counts = np.where(where, counts, 10**6)
    for function in (metrics.poisson_nll, metrics.bits_per_spike):
        assert function(poisoned_counts, poisoned, where=where) == function(
            counts, rates, where=where
        )
    clean = metrics.r2(counts.astype(float), rates, where=where)
    dirty = metrics.r2(poisoned_counts.astype(float), poisoned, where=where)
    assert clean.mean == dirty.mean
    for channel in np.flatnonzero(clean.scored):
        keep = where[:, :, channel]
        expected = r2_score(counts[:, :, channel][keep], rates[:, :, channel][keep])
        assert clean.per_channel[channel] == pytest.approx(expected)


def test_psth_by_hand():
    # condition 0: trials 0, 1 (histogram 1, 3); trial 2 is alone in its condition: left out
    counts = np.array([[[0], [2]], [[2], [4]], [[9], [9]]])
    rates = np.array([[[5.0], [5.0]], [[1.0], [2.0]], [[0.0], [0.0]]])
    result = psth_r2(
        counts,
        rates,
        np.array([0, 0, 1]),
        where=np.ones(counts.shape, bool),
        judged=np.array([1, 2]),
    )
    assert result.mean == pytest.approx(1 - (0 + 1) / 2)


def test_psth_smoothing_keeps_a_constant_at_the_edges():
    counts = np.full((2, 9, 1), 3)
    counts[:, 4] = 5
    where = np.ones(counts.shape, bool)
    where[:, 7:] = False
    counts[:, 7:] = 99
    rates = np.full(counts.shape, 3.0)
    raw = psth_r2(
        counts, rates, np.zeros(2, int), where=where, judged=np.array([0]), smooth_bins=1.0
    )
    assert raw.scored.all()
    assert raw.mean < 0  # a flat guess off the mean


def test_psth_without_conditions_to_average():
    counts, rates = counts_and_rates()
    lonely = np.arange(len(counts))
    where = np.ones(counts.shape, bool)
    result = psth_r2(counts, rates, lonely, where=where, judged=lonely)
    assert result.mean is None
    assert result.n_left_out == 4

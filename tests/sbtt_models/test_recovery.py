"""Simulated populations whose truth is known: a fit must come near it, whatever it starts from."""

import numpy as np

import sbtt_models
from sbtt_models.decoders import FactorAnalysis
from sbtt_models.metrics import r2
from sbtt_models.signals import MaskedStream, Split


def split(n_trials: int) -> Split:
    """Three fifths train, a fifth each validate and test."""
    return Split(*np.split(np.arange(n_trials), [n_trials * 3 // 5, n_trials * 4 // 5]))


def test_factors_without_memory_are_found_from_few_samples() -> None:
    """A first guess smoothed over many bins holds nothing of them, and EM stays there: 0.17."""
    rng = np.random.default_rng(0)
    n_trials, n_bins, n_channels, size = 60, 40, 40, 3
    loading = rng.normal(size=(n_channels, size)) / np.sqrt(size)
    truth = rng.normal(size=(n_trials, n_bins, size)) @ loading.T
    values = truth + rng.normal(size=truth.shape)
    observed = rng.random(truth.shape) < 0.1
    data = MaskedStream(
        np.where(observed, values, 0).astype(np.float32),
        observed.astype(np.float32),
        np.full(n_trials, n_bins),
        0.02,
        split(n_trials),
    )
    rates = sbtt_models.fit(FactorAnalysis(size=size, prior=1.0), data).rates(data)
    test = data.split.test
    found = r2(truth[test], rates[test].astype(float)).mean
    assert found is not None
    assert found > 0.25

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from implant_sim.study import ridge as ridge_room
from implant_sim.study.glm import fit_poisson
from implant_sim.study.ridge import RIDGE_ALPHAS, fit_ridge, folds
from sbtt_models.errors import DataError


def make_case(seed: int = 0, n_trials: int = 12, n_bins: int = 20, n_channels: int = 5):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(1.0, 1.0, (n_trials, n_bins, n_channels)).astype(np.float32)
    where = np.ones((n_trials, n_bins), bool)
    where[:, 15:] = rng.random((n_trials, 1)) < 0.5
    where[n_trials // 4, 4] = False
    weights = rng.normal(0, 1, (n_channels, 2))
    target = rates @ weights + rng.normal(0, 1.0, (n_trials, n_bins, 2))
    target[:, 1:] += rates[:, :-1] @ weights[::-1]
    return rates, target, where


def naive_design(rates, where, lags):
    """Row by row, with the trial's first bin before its start."""
    scale, mean = rates[where].std(0, dtype=float), rates[where].mean(0, dtype=float)
    z = (rates - mean) / scale
    rows = [
        np.concatenate([z[trial, max(t - lag, 0)] for lag in lags])
        for trial, t in zip(*np.nonzero(where), strict=True)
    ]
    return np.array(rows)


@pytest.mark.parametrize("lags", [(0,), (0, 1, 2), (2,)])
def test_ridge_equals_sklearns_grid_search(lags):
    rates, target, where = make_case()
    x, y, groups = naive_design(rates, where, lags), target[where], np.nonzero(where)[0]
    search = GridSearchCV(
        Ridge(), {"alpha": list(RIDGE_ALPHAS)}, scoring="r2", cv=GroupKFold(5)
    ).fit(x, y, groups=groups)
    ours = fit_ridge(rates, target, where, lags)
    assert ours.alpha == pytest.approx(search.best_params_["alpha"])
    assert ours.predict(rates)[where] == pytest.approx(search.predict(x), abs=1e-8)


def test_ridge_scores_each_penalty_as_sklearn_does(monkeypatch):
    rates, target, where = make_case(n_channels=3)
    target[:, :, 1] = 4.0  # a constant dimension is left out of the choice
    ours = fit_ridge(rates, target, where, (0, 1))
    x, groups = naive_design(rates, where, (0, 1)), np.nonzero(where)[0]
    search = GridSearchCV(Ridge(), {"alpha": list(RIDGE_ALPHAS)}, scoring="r2", cv=GroupKFold(5))
    search.fit(x, target[where][:, 0], groups=groups)
    assert ours.alpha == pytest.approx(search.best_params_["alpha"])
    assert ours.predict(rates)[:, :, 1] == pytest.approx(4.0)


def test_chunks_do_not_change_the_fit(monkeypatch):
    rates, target, where = make_case()
    whole = fit_ridge(rates, target, where, (0, 1, 2))
    monkeypatch.setattr(ridge_room, "_CHUNK", 40)
    pieces = fit_ridge(rates, target, where, (0, 1, 2))
    assert pieces.weights == pytest.approx(whole.weights)
    assert pieces.predict(rates) == pytest.approx(whole.predict(rates))


def test_constant_and_silent_channels_carry_nothing():
    rates, target, where = make_case()
    padded = np.concatenate([rates, np.zeros_like(rates[:, :, :1]), rates[:, :, :1] * 0 + 0.3], 2)
    padded[~where] = 7.0  # varies outside the fit only
    padded[:, :, :5] = rates
    a, b = fit_ridge(rates, target, where, (0, 1)), fit_ridge(padded, target, where, (0, 1))
    assert b.channels.tolist() == [0, 1, 2, 3, 4]
    assert b.predict(padded) == pytest.approx(a.predict(rates))


def test_a_channel_that_wakes_up_after_the_fit_does_no_harm():
    """Quiet while fitted, loud when tested: standardised by itself it would swamp everything."""
    rates, target, where = make_case(n_trials=40)
    quiet = np.full((*rates.shape[:2], 1), 1e-4, np.float32)
    quiet[0, :3] = 2e-4
    both = np.concatenate([rates, quiet], axis=2)
    both[30:, :, 5] = 3.0
    fitted = where.copy()
    fitted[30:] = False
    readout = fit_ridge(both, target, fitted, (0, 1))
    assert 5 in readout.channels
    error = (readout.predict(both) - target)[30:]
    assert error.var() < 2.0  # 1.0 is the noise that was put in
    counts = np.random.default_rng(1).poisson(rates[:, :, :1])
    unseen = fit_poisson(both, counts, fitted).predict(both)[30:]
    assert np.abs(np.log(unseen / counts[30:].mean())).mean() < 2.0


def test_nothing_varies():
    rates, target, where = make_case()
    flat = fit_ridge(np.ones_like(rates), target, where, (0, 1))
    expected = np.broadcast_to(target[where].mean(0), target.shape)
    assert flat.predict(rates) == pytest.approx(expected)


def test_too_many_features_widen_the_taps(monkeypatch):
    rates, target, where = make_case(n_channels=6)
    monkeypatch.setattr(ridge_room, "MAX_FEATURES", 20)
    readout = fit_ridge(rates, target, where, (0, 1, 2, 3, 4))
    assert readout.width == 2
    assert readout.lags == (0, 2, 4)
    assert readout.weights.shape == (18, 2)
    smooth = np.repeat(rates[:, ::2], 2, axis=1)  # pairs of equal bins
    value = readout.predict(smooth)[0, 11]
    z = (smooth[0] - readout.mean) / readout.scale
    x = np.concatenate([(z[11 - lag] + z[10 - lag]) / 2 for lag in (0, 2, 4)])
    assert value == pytest.approx(x @ readout.weights + readout.intercept)


def test_too_little_to_fit():
    rates, target, where = make_case()
    where[:] = False
    where[0, :4] = True
    with pytest.raises(DataError, match="4 bins"):
        fit_ridge(rates, target, where, (0,))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
    st.integers(2, 6),
    st.integers(0, 12),
)
def test_folds_part_rows_and_never_trials(sizes, n_folds, gap):
    trial = np.repeat(np.arange(len(sizes)), sizes)
    if trial.size < 2 * n_folds:
        return
    fold = folds(trial, n_folds, gap)
    assert set(fold) - {-1} == set(range(n_folds))
    if len(sizes) >= 2 * n_folds:
        assert all(np.unique(fold[trial == t]).size == 1 for t in range(len(sizes)))
    else:
        borders = np.flatnonzero((np.diff(fold) != 0) & (fold[1:] != -1) & (fold[:-1] != -1))
        blocks = [b.size for b in np.array_split(trial, n_folds)]
        if gap and min(blocks) > 2 * gap:
            assert borders.size == 0  # a gap stands between any two folds


def test_time_blocks_find_the_same_readout():
    rates, target, _ = make_case(n_trials=1, n_bins=400)
    where = np.ones((1, 400), bool)
    readout = fit_ridge(rates, target, where, (0, 1))
    residual = (readout.predict(rates) - target)[0]
    assert residual.var() == pytest.approx(1.0, rel=0.15)  # the noise that was put in


def test_poisson_readout_equals_sklearn():
    rates, _, where = make_case(n_trials=30)
    rng = np.random.default_rng(4)
    counts = rng.poisson(np.exp(0.4 * np.log(rates[:, :, :2] + 0.1)))
    readout = fit_poisson(rates, counts, where, alphas=(0.01,))
    log = np.log(rates.astype(float) + 1e-4)
    z = (log - log[where].mean(0)) / log[where].std(0)
    for target in range(2):
        model = PoissonRegressor(alpha=0.01, tol=1e-8, max_iter=1000)
        model.fit(z[where], counts[where][:, target])
        assert readout.predict(rates)[where][:, target] == pytest.approx(
            model.predict(z[where]), rel=1e-3
        )


def test_poisson_readout_of_a_channel_silent_in_training():
    rates, _, where = make_case()
    counts = np.zeros((*rates.shape[:2], 1), int)
    predicted = fit_poisson(rates, counts, where).predict(rates)
    assert predicted == pytest.approx(0.5 / where.sum())


def test_poisson_readout_stays_finite_far_from_the_fit():
    rates, _, where = make_case()
    counts = np.random.default_rng(0).poisson(rates[:, :, :1])
    far = fit_poisson(rates, counts, where).predict(np.full_like(rates, 1e30))
    assert np.isfinite(far).all()

"""The published demo's data, exactly; and the correct system, as asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.integrate import solve_ivp
from scipy.signal import welch

from implant_sim.recordings.attractor import Z_PEAK, lorenz_path
from implant_sim.recordings.lorenz import LorenzSource, demo_latents

HERE = Path()


@pytest.fixture(scope="module")
def demo():
    return LorenzSource(variant="demo", seed=5).load(HERE)


def test_demo_shape_and_split(demo):
    assert demo.counts.shape == (1560, 50, 29)
    assert demo.bin_s == 0.02
    assert (demo.split.train.size, demo.split.valid.size) == (1235, 325)
    assert np.array_equal(demo.split.valid, demo.split.test)
    assert not demo.split.judged_once
    assert set(demo.split.valid % 24) == {19, 20, 21, 22, 23}
    assert np.array_equal(demo.condition, np.arange(1560) // 24)


def test_demo_counts_are_pinned(demo):
    # the total of the replica file; any change of the order of draws changes it
    assert int(demo.counts.sum()) == 555165
    assert demo.counts.max() == 20  # one spike a millisecond at most


def test_demo_has_both_truths(demo):
    assert demo.expected.max() <= 20
    # 1 - exp(-r) < r: the expectation lies below the published rate, most at high rates
    assert (demo.expected < demo.rates_hz * 0.02).all()
    mean = demo.counts.reshape(65, 24, 50, 29).mean(axis=1)
    expected = demo.expected.reshape(65, 24, 50, 29)[:, 0]
    # variance of a sum of Bernoulli draws is at most its mean: z is bounded in spread by 1
    z = (mean - expected) / np.sqrt(expected / 24)
    assert 0.8 < z.std() < 1.0
    assert abs(z.mean()) < 0.01


def test_demo_lacks_the_y_term_and_burn_in():
    start = np.array([[1.0, 2.0, 3.0]])
    path = demo_latents(start)
    raw = np.empty((1000, 3))
    state = start[0].copy()
    for k in range(1000):
        raw[k] = state
        x, y, z = state
        state = state + 0.006 * np.array([10 * (y - x), x * (28 - z), x * y - 8 / 3 * z])
    raw -= raw.mean(axis=0)
    assert np.allclose(path[0], raw / raw.max(axis=0))


@pytest.mark.parametrize("field", ["channels", "bins", "trials", "mean_rate", "duration"])
def test_demo_refuses_other_choices(field):
    with pytest.raises(ValidationError, match=f"{field}.*cannot be chosen|fixed but for its seed"):
        LorenzSource.model_validate({"variant": "demo", field: 7})


def test_demo_survives_a_round_trip_with_all_fields():
    source = LorenzSource(variant="demo", seed=5)
    assert LorenzSource.model_validate(source.model_dump(by_alias=True)) == source


def test_z_peak_is_what_the_constant_says():
    """Welch on 32 paths of 82 units; resolution 0.05 cycles a unit."""
    path = lorenz_path(np.random.default_rng(1), 32, 16384, 0.005)
    z = path[:, :, 2]
    frequency, power = welch(z - z.mean(), fs=200, nperseg=4096, axis=1)
    assert abs(frequency[power.mean(axis=0).argmax()] - Z_PEAK) <= 0.05


def test_attractor_is_the_correct_lorenz():
    """Means and spreads of the classical attractor: x, y around 0, z around 23.55."""
    path = lorenz_path(np.random.default_rng(2), 64, 4000, 0.005).reshape(-1, 3)
    assert np.allclose(path.mean(axis=0), [0, 0, 23.55], atol=0.4)
    assert np.allclose(path.std(axis=0), [7.92, 9.01, 8.63], atol=0.2)


def test_paths_agree_with_scipy():
    """Both ways of stepping, floats and arrays, against an adaptive solver, for half a unit."""

    def slope(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    for n_paths in (1, 2):
        path = lorenz_path(np.random.default_rng(3), n_paths, 101, 0.005)[0]
        found = solve_ivp(slope, (0, 0.5), path[0], rtol=1e-10, atol=1e-10, t_eval=[0.25, 0.5])
        assert np.allclose(path[[50, 100]], found.y.T, atol=2e-4)


@pytest.mark.parametrize("rate", [2.0, 40.0])
def test_standard_has_the_rate_asked_for(rate):
    source = LorenzSource(mean_rate=rate, channels=7, conditions=6, trials=10, seed=1)
    recording = source.load(HERE)
    assert recording.counts.shape == (60, 50, 7)
    assert np.allclose(recording.rates_hz.mean(axis=(0, 1)), rate)
    assert np.allclose(recording.expected, recording.rates_hz * 0.02)
    # Poisson: the Pearson residual has variance 1
    z = (recording.counts - recording.expected) / np.sqrt(recording.expected)
    assert abs((z**2).mean() - 1) < 0.1
    log = np.log(recording.rates_hz)
    assert 0.6 < log.std(axis=(0, 1)).mean() < 1.2  # modulation 1, less the mean over bins


def test_standard_splits_by_repeat():
    recording = LorenzSource(conditions=4, trials=8, seed=1).load(HERE)
    parts = [getattr(recording.split, name) for name in ("train", "valid", "test")]
    assert [p.size // 4 for p in parts] == [5, 1, 2]
    assert recording.split.judged_once
    for part in parts:
        assert set(recording.condition[part]) == {0, 1, 2, 3}


def test_frequency_sets_the_time_scale():
    """Peak of the rates' own spectrum moves with it: z drives every channel."""

    def peak(frequency):
        source = LorenzSource(
            duration="60 s", frequency=frequency, channels=30, modulation=0.3, seed=4
        )
        rates = source.load(HERE).rates_hz[0]
        f, power = welch(np.log(rates), fs=50, nperseg=400, axis=0)
        band = f > frequency / 2
        return f[band][power[band].mean(axis=1).argmax()]

    assert abs(peak(3.0) - 3.0) < 0.5
    assert abs(peak(6.0) - 6.0) < 0.8


def test_continuous_is_cut_with_gaps():
    recording = LorenzSource(duration="60 s", window="1 s", channels=3).load(HERE)
    assert recording.window_bins == 50
    begin = recording.origin[:, 1]
    stop = begin + recording.lengths
    assert (begin[1:] - stop[:-1]).tolist() == [75, 75]  # 1 s and 0.5 s
    assert stop[-1] == 3000


def test_same_seed_same_data():
    one, two, other = (LorenzSource(conditions=3, seed=s).load(HERE) for s in (1, 1, 2))
    assert np.array_equal(one.counts, two.counts)
    assert not np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"trials": 2}, "at least 3"),
        ({"bin": "20 mV"}, "wrong dimension"),
        ({"channels": 0}, "greater than or equal to 1"),
        ({"mean_rate": "1 kHz", "bin": "2 s"}, "1000 spikes"),
        ({"duration": "10 ms"}, "three bins"),
        ({"split": {"train": 0.9}}, "add up to 1"),
        ({"frequencey": 3}, "Extra inputs"),
    ],
)
def test_faults_are_named(fields, says):
    with pytest.raises(ValidationError, match=says):
        LorenzSource.model_validate(fields)

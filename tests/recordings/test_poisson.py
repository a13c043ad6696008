"""The stationary population: its rates, its counts, and what of them can be had alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from implant_sim.recordings.poisson import PoissonSource, draw
from sbtt_models.errors import DataError, LimitError
from sbtt_models.signals import within

GIVEN = {"channels": 40, "rate": "20 Hz", "duration": "120 s", "bin": "20 ms"}


def load(**changes):
    return PoissonSource.model_validate(GIVEN | changes).load(Path())


def test_rates_have_their_mean_and_spread():
    population = PoissonSource.model_validate(
        GIVEN | {"channels": 20_000, "spread": 0.6}
    ).population()
    assert population.mean.mean() / 0.02 == pytest.approx(20, rel=0.03)
    assert np.log(population.mean).std() == pytest.approx(0.6, rel=0.03)
    assert np.ptp(PoissonSource.model_validate(GIVEN).population().mean) == 0


@pytest.mark.parametrize("rate", ["2 Hz", "200 Hz", "5 kHz"])
def test_counts_are_poisson(rate):
    counts = load(rate=rate, trials=3, channels=10).counts.ravel()
    mean = float(rate.split()[0]) * (1000 if "k" in rate else 1) * 0.02
    low, high = (int(stats.poisson.ppf(p, mean)) for p in (1e-3, 1 - 1e-3))
    inner = np.arange(low, high)
    expected = stats.poisson.pmf(inner, mean) * counts.size
    seen = np.array([(counts == n).sum() for n in inner])
    rest = counts.size - seen.sum(), counts.size - expected.sum()
    seen, expected = np.append(seen, rest[0]), np.append(expected, rest[1])
    common = expected > 5
    chi = ((seen - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi, common.sum() - 1) > 1e-4


def test_channels_and_bins_are_independent():
    counts = load(rate="50 Hz", channels=30, trials=3).counts.reshape(-1, 30).astype(float)
    across = np.corrcoef(counts.T)[np.triu_indices(30, 1)]
    along = [np.corrcoef(c[1:], c[:-1])[0, 1] for c in counts.T]
    for r in (across, np.array(along)):
        assert np.abs(r).max() < 5 / np.sqrt(len(counts))


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 5000), n=st.integers(1, 50))
def test_any_bins_can_be_had_alone(first, n):
    recording, population = _continuous()
    inside = within(recording.lengths, recording.counts.shape[1])
    table = recording.counts[inside]
    first = min(first, len(table) - n)
    assert (draw(population, first, n) == table[first : first + n]).all()


_KEPT = []


def _continuous():
    if not _KEPT:
        source = PoissonSource.model_validate(GIVEN)
        _KEPT.extend([source.load(Path()), source.population()])
    return _KEPT


def test_a_continuous_recording_is_cut_like_any_other():
    recording, population = _continuous()
    assert (recording.lengths == population.lengths).all()
    assert recording.split.judged_once
    assert recording.window_bins == 100
    gaps = recording.origin[1:, 1] - recording.origin[:-1, 1] - recording.lengths[:-1]
    assert (gaps == 125).all()  # a window and the longest lag
    assert recording.expected is None


def test_trials():
    recording = load(trials=10, duration="1 s")
    assert recording.counts.shape == (10, 50, 40)
    assert recording.split.train.size == 6
    assert recording.window_bins is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "channels"),
        ({"rate": "-1 Hz"}, "rate"),
        ({"duration": "10 ms"}, "too short for its bins"),
        ({"trials": 2}, "trials"),
        ({"bin": "1 us"}, "bin"),
        ({"rates": 3}, "rates"),
    ],
)
def test_nonsense_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        PoissonSource.model_validate(GIVEN | changes)


def test_what_cannot_be_drawn_or_held_is_refused():
    with pytest.raises(DataError, match=r"lower rate, spread or bin"):
        load(rate="9 kHz", bin="1 s")
    with pytest.raises(LimitError, match="GiB"):
        load(channels=65_536, duration="10000 s", bin="1 ms")
    with pytest.raises(DataError, match="too few"):
        load(duration="3 s")

"""Sampled voltage against the closed forms, and the kernels against their twins."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from implant_sim.hardware.broadband import simulate, voltage
from implant_sim.hardware.channel import channel
from implant_sim.hardware.detection import detection
from implant_sim.hardware.kernels import voltage as kernels
from implant_sim.hardware.noise import noise_budget
from implant_sim.hardware.trains import SpikeTrains
from sbtt_models.errors import DataError, SpecError
from tests import naive
from tests.hardware.test_detection import detector

FOLDED = {
    "multiplexer": {
        "placement": "before_amplifier", "ways": 8, "cycle": "sample", "filter": "boxcar",
        "source": "test",
    },
    "amplifier.shared_by": 8,
    "adc.shared_by": 8,
}  # fmt: skip
CHAINS = {
    "plain": {},
    "low threshold": {"processing.threshold_sigma": 3},
    "high threshold": {"processing.threshold_sigma": 5},
    "fast": {"adc.sample_rate": "30 kHz", "amplifier.band": ["300 Hz", "7.5 kHz"]},
    "slow": {"adc.sample_rate": "10 kHz", "amplifier.band": ["300 Hz", "3 kHz"]},
    "oversampled": {"adc.sample_rate": "30 kHz", "amplifier.band": ["300 Hz", "1 kHz"]},
    "no high-pass": {"adc.sample_rate": "15 kHz", "amplifier.band": ["0 Hz", "5 kHz"]},
    "folded": FOLDED,
    "5 bits": {"adc.bits": 5, "adc.full_scale": "1 V", "amplifier.gain": 1000},
    "6.5 effective bits": {
        "adc.bits": 8, "adc.enob": 6.5, "adc.full_scale": "1 V", "amplifier.gain": 500,
    },
    "folded, 6 bits": {
        **FOLDED, "adc.bits": 6, "adc.full_scale": "1 V", "amplifier.gain": 1000,
        "processing.threshold_sigma": 3.5,
    },
}  # fmt: skip


def silent(n_channels: int, duration_s: float) -> SpikeTrains:
    return SpikeTrains(np.zeros(0), np.zeros(n_channels + 1, np.int64), duration_s)


def spaced(n_channels: int, n: int, gap_s: float, rng: np.random.Generator) -> SpikeTrains:
    """Spikes that never meet, at any phase of the samples."""
    time_s = (np.arange(n) + 0.3 + 0.4 * rng.random((n_channels, n))) * gap_s
    return SpikeTrains(time_s.ravel(), np.arange(n_channels + 1) * n, n * gap_s)


@pytest.mark.parametrize("name", CHAINS)
def test_spikes_are_found_as_often_as_the_closed_form_says(name):
    imp, rng = detector(CHAINS[name]), np.random.default_rng(7)
    chain, n = channel(imp), 20_000
    amplitude = np.linspace(0, 9, 8) * chain.noise_v / chain.shape.template.max()
    found = simulate(spaced(8, n, 8e-3, rng), imp, rng, amplitude_v=amplitude)
    assert (found.hits + found.misses == n).all()
    said = detection(imp, amplitude)
    window_s = chain.shape.seen.shape[1] / chain.sample_rate_hz
    # a hit may be chance, which the closed form leaves to the false alarms
    p = said.probability + (1 - said.probability) * said.false_hz * window_s
    error = 4 * np.sqrt(p * (1 - p) / n) + 4 / n
    assert (np.abs(found.hits / n - p) < error + 0.008).all()
    # most points agree within the error of the simulation alone
    assert np.median(np.abs(found.hits / n - p) / error) < 1


@pytest.mark.parametrize("name", CHAINS)
def test_noise_alone_is_taken_for_spikes_as_often_as_the_closed_form_says(name):
    imp = detector(CHAINS[name])
    said_hz = detection(imp, np.zeros(1)).false_hz
    trains = silent(64, min(25.0, max(2.0, 4000 / (64 * max(said_hz, 1.0)))))
    found = simulate(trains, imp, np.random.default_rng(3))
    expected = said_hz * 64 * trains.duration_s
    low, high = stats.poisson.interval(1 - 1e-5, expected)
    assert 0.985 * low - 1 <= found.false.sum() <= 1.015 * high + 1
    assert (found.hits == 0).all()


def test_without_dead_time_every_crossing_counts():
    imp = detector({"processing.dead_time": "0 s", "processing.threshold_sigma": 2.5})
    found = simulate(silent(50, 4.0), imp, np.random.default_rng(3))
    assert found.false.sum() == pytest.approx(
        200 * detection(imp, np.zeros(1)).false_hz, rel=0.015
    )


def test_counts_follow_the_model_that_the_receiver_knows():
    imp, rng = detector({"processing.threshold_sigma": 3.5}), np.random.default_rng(2)
    counts = rng.poisson(0.3, (1500, 40)).astype(np.int32)
    trains = SpikeTrains.from_counts(counts, 0.02, rng)
    amplitude = np.geomspace(20e-6, 150e-6, 40)
    found = simulate(trains, imp, rng, bin_s=0.02, amplitude_v=amplitude)
    said = detection(imp, amplitude)
    expected = counts.sum(axis=0) * said.probability + said.false_hz * 30
    # spikes of one unit at 15 Hz hide each other now and then
    np.testing.assert_allclose(found.counts.sum(axis=0), expected, rtol=0.05, atol=25)
    clear = amplitude > 100e-6
    same = np.corrcoef(found.counts[:, clear].ravel(), counts[:, clear].ravel())[0, 1]
    assert same > 0.8


def test_the_result_does_not_depend_on_threads_or_neighbours():
    imp, trains = detector(), spaced(7, 50, 8e-3, np.random.default_rng(0))
    found = [
        simulate(trains, imp, np.random.default_rng(5), bin_s=0.01, threads=n)
        for n in (1, 2, 3, 9)
    ]
    for other in found[1:]:
        assert (other.counts == found[0].counts).all()
        assert (other.hits == found[0].hits).all()
    fewer = SpikeTrains(trains.time_s[:150], trains.start[:4], trains.duration_s)
    amplitude = found[0].amplitude_v
    some = simulate(
        fewer, imp, np.random.default_rng(5), bin_s=0.01, amplitude_v=amplitude[:3], threads=2
    )
    assert (some.counts == found[0].counts[:, :3]).all()


@pytest.mark.parametrize("name", ["plain", "folded", "folded, 6 bits", "no high-pass"])
def test_the_voltage_has_the_noise_of_the_budget(name):
    imp = detector(CHAINS[name])
    chain, budget = channel(imp), noise_budget(imp)
    shown = voltage(silent(20, 2.0), imp, np.random.default_rng(1))
    v = shown.volts.astype(float)
    assert v.std() == pytest.approx(budget.total_v, rel=0.01)
    assert abs(v.mean()) < 0.02 * budget.total_v
    beside = (v[:, 1:] * v[:, :-1]).mean() / v.var()
    analog = chain.noise_v**2 / budget.total_v**2
    assert beside == pytest.approx(chain.correlation[1] * analog, abs=0.01)
    if chain.lsb_v > 0:
        assert len(np.unique(shown.volts)) <= 2 * chain.codes
        np.testing.assert_allclose(v / chain.lsb_v, np.round(v / chain.lsb_v), atol=1e-4)


def test_an_excerpt_shows_what_the_detector_saw():
    imp, trains = detector(), spaced(3, 40, 10e-3, np.random.default_rng(0))
    amplitude = np.array([0.0, 120e-6, 400e-6])
    shown = voltage(trains, imp, np.random.default_rng(4), amplitude_v=amplitude)
    found = simulate(trains, imp, np.random.default_rng(4), amplitude_v=amplitude)
    assert [len(e) for e in shown.event_s] == found.counts.sum(axis=0).tolist()
    for volts, events in zip(shown.volts, shown.event_s, strict=True):
        i = np.round(events * 20e3).astype(int)
        assert (volts[i] <= shown.threshold_v).all()
        assert (volts[i - 1] > shown.threshold_v).all()
        assert (np.diff(i) > 20).all()
    # the average over spikes is the trough, of the right depth
    mean = np.mean([shown.volts[2, int(t * 20e3) - 10 :][:40] for t in trains.time_s[80:]], axis=0)
    depth = channel(imp).shape.template.mean(axis=0).max() * 400e-6
    assert -mean.min() == pytest.approx(depth, rel=0.05)
    with pytest.raises(SpecError, match="fewer channels"):
        voltage(silent(1000, 60.0), imp, np.random.default_rng(0))


def test_a_multiplexer_samples_later_and_finds_the_same():
    late = {"multiplexer": {"placement": "after_amplifier", "ways": 4, "source": "test"},
            "adc.shared_by": 4}  # fmt: skip
    imp = detector(late)
    delay_s = imp.multiplexer.delays_s(4, 4, 20e3)
    assert delay_s.tolist() == pytest.approx([0, 12.5e-6, 25e-6, 37.5e-6])
    # spikes in the middle of the first channel's samples come early in the fourth one's
    trains = SpikeTrains(np.tile(np.arange(1, 900) * 10e-3 + 40e-6, 4), np.arange(5) * 899, 9.0)
    shown = voltage(trains, imp, np.random.default_rng(0), amplitude_v=np.full(4, 1e-3))
    place = (trains.time_s[:899] * 20e3).astype(int)
    shape = channel(imp).shape.template
    for c, phase in enumerate([12, 8, 4, 0]):
        mean = np.mean([shown.volts[c, i - 4 : i + 8] for i in place], axis=0)
        want = np.zeros(12)
        begin = 4 - channel(imp).shape.origin
        want[begin:] = -1e-3 * shape[phase, : 12 - begin]
        np.testing.assert_allclose(mean, want, atol=5e-6)


def test_a_strong_spike_is_clipped():
    imp = detector({"adc.bits": 8, "adc.full_scale": "0.2 V", "amplifier.gain": 1000})
    shown = voltage(
        spaced(1, 20, 10e-3, np.random.default_rng(0)), imp, np.random.default_rng(0),
        amplitude_v=np.array([1e-3]),
    )  # fmt: skip
    assert shown.volts.min() == pytest.approx(-100e-6)
    assert shown.volts.max() == pytest.approx(100e-6 * 127 / 128)
    assert len(shown.event_s[0]) >= 19


@pytest.mark.parametrize(
    ("time_s", "start", "duration_s", "says"),
    [
        ([0.1, 2.0], [0, 2], 1.0, "outside"),
        ([0.1, np.nan], [0, 2], 1.0, "outside"),
        ([0.2, 0.1], [0, 2], 1.0, "sort"),
        ([0.2, 0.1], [0, 1], 1.0, "rise from 0"),
        ([], [0], 1.0, "rise from 0"),
        ([], [0, 0], 0.0, "above 0"),
    ],
)
def test_bad_trains_are_refused(time_s, start, duration_s, says):
    with pytest.raises(DataError, match=says):
        SpikeTrains(np.array(time_s, float), np.array(start), duration_s)


def test_good_trains_are_taken():
    SpikeTrains(np.array([0.2, 0.1]), np.array([0, 0, 1, 2, 2]), 1.0)
    rng = np.random.default_rng(0)
    counts = np.array([[2, 0], [0, 3]], dtype=np.int32)
    trains = SpikeTrains.from_counts(counts, 0.5, rng)
    assert trains.start.tolist() == [0, 2, 5]
    assert (trains.time_s[:2] < 0.5).all()
    assert (trains.time_s[2:] >= 0.5).all()
    with pytest.raises(DataError, match="below 0"):
        SpikeTrains.from_counts(-counts, 0.5, rng)
    many = SpikeTrains.poisson(np.array([0.0, 50.0]), 20.0, rng)
    assert many.start[1] == 0
    assert many.start[2] == pytest.approx(1000, abs=150)


def test_bad_requests_are_refused():
    imp, trains, rng = detector(), silent(2, 1.0), np.random.default_rng(0)
    with pytest.raises(SpecError, match="threads: 0"):
        simulate(trains, imp, rng, threads=0)
    with pytest.raises(SpecError, match="shorter than a sample"):
        simulate(trains, imp, rng, bin_s=1e-6)
    for amplitude in (np.ones(3), np.array([1e-4, -1e-4]), np.array([1e-4, np.nan])):
        with pytest.raises(SpecError, match="amplitude_v"):
            simulate(trains, imp, rng, amplitude_v=amplitude)


# kernels


def test_every_kernel_has_a_twin():
    for name in kernels.__all__:
        assert inspect.isfunction(getattr(naive, name)), name


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), row=st.integers(0, 2**20))
def test_normals_equal_their_twin(seed, row):
    fast = kernels.normals(np.uint64(seed), row, 400)
    np.testing.assert_allclose(fast, naive.normals(seed, row, 400), rtol=1e-13)
    far = kernels.tails(np.uint64(seed), row, 20)
    np.testing.assert_allclose(far, naive.tails(seed, row, 20), rtol=1e-13)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1), dead=st.integers(0, 30), lsb=st.sampled_from([0.0, 0.3, 1.2]),
    threshold=st.floats(0.5, 4), cut=st.integers(1, 699),
)  # fmt: skip
def test_detection_equals_its_twin_however_the_time_is_cut(seed, dead, lsb, threshold, cut):
    rng, n = np.random.default_rng(seed), 700
    edges = np.array([0, 25, 25, 40])
    sample = np.concatenate([np.sort(rng.integers(-9, n + 9, m)) for m in np.diff(edges)])
    phase, amplitude = rng.integers(0, 4, 40), np.array([5, 1, 30], dtype=np.float32)
    trains = edges, sample, phase, amplitude
    shape = rng.random((4, 12), dtype=np.float32), 1, 7
    process = np.array([0.9, -0.1, -0.5, 0.1, 0.8])
    root = rng.normal(size=(4, 4))
    given_ = process, np.float32(lsb), np.float32(-8), np.float32(7), threshold, dead

    streams, memory = kernels.start_streams(np.uint64(seed), 3, root)
    slow_streams, slow_memory = naive.start_streams(seed, 3, root)
    np.testing.assert_allclose(memory, slow_memory, rtol=1e-12, atol=1e-12)
    volts, slow_events, slow_hits = naive.detect_events(
        n, trains, shape, given_, slow_streams, slow_memory
    )
    held, kept = np.zeros((3, 4), np.int64), np.zeros((3, n), np.float32)
    held[:, 1] = -1
    events, hits = [[], [], []], np.zeros(3, int)
    for span in ((0, cut), (cut, n - cut)):
        room = np.zeros((3, n // 2 + 1), np.int64)
        for part in ((0, 2), (2, 3)):
            n_events, hit = kernels.detect_events(
                part, span, trains, shape, given_, (streams, memory, held), room, kept
            )
            hits[part[0] : part[1]] += hit
            for c, m in zip(range(*part), n_events, strict=True):
                events[c] += room[c, :m].tolist()
    np.testing.assert_allclose(kept, volts, rtol=1e-5, atol=1e-5)
    assert events == slow_events
    assert hits.tolist() == slow_hits


def exceeding(draws: np.ndarray, bounds: np.ndarray) -> None:
    """The numbers beyond each bound, on both sides, are as many as a normal distribution has."""
    for bound in bounds:
        expected = len(draws) * 2 * stats.norm.sf(bound)
        low, high = stats.poisson.interval(1 - 1e-5, expected)
        assert low <= int((np.abs(draws) > bound).sum()) <= high, bound


def test_normals_are_normal():
    draws = kernels.normals(np.uint64(17), 3, 4_000_000)
    exceeding(draws, np.arange(0.25, 5.3, 0.25))
    assert abs(draws.mean()) < 5 / np.sqrt(len(draws))
    assert abs((draws > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(len(draws))
    seen, _ = np.histogram(draws, bins=stats.norm.ppf(np.linspace(0, 1, 1001)))
    assert stats.chisquare(seen).pvalue > 1e-5
    for lag in (1, 2, 7):
        assert abs((draws[lag:] * draws[:-lag]).mean()) < 5 / np.sqrt(len(draws))
        assert abs((draws[lag:] ** 2 * draws[:-lag] ** 2).mean() - 1) < 15 / np.sqrt(len(draws))


def test_the_tail_is_normal_beyond_six_sigma():
    edge = 3.6541528853610088
    far = kernels.tails(np.uint64(5), 0, 10_000_000)
    assert far.min() >= edge
    whole = stats.norm.sf(edge)
    for bound in (4.0, 5.0, 5.5, 6.0, 6.3):
        expected = len(far) * stats.norm.sf(bound) / whole
        low, high = stats.poisson.interval(1 - 1e-5, expected)
        assert low <= int((far > bound).sum()) <= high, bound
    # and it is entered as often as it should be
    layers = naive.Ziggurat(0, 0)
    assert layers.f[255] + layers.area / layers.x[255] == pytest.approx(1, abs=1e-9)


def test_streams_of_channels_are_independent():
    draws = np.stack([kernels.normals(np.uint64(1), c, 20_000) for c in range(40)])
    across = np.corrcoef(draws)[np.triu_indices(40, 1)]
    assert np.abs(across).max() < 5.5 / np.sqrt(20_000)


@pytest.mark.slow
def test_six_sigma_in_two_thousand_million_draws():
    beyond = np.zeros(3)
    for row in range(100):
        draws = np.abs(kernels.normals(np.uint64(23), row, 20_000_000))
        beyond += [(draws > b).sum() for b in (5.0, 5.5, 6.0)]
    for seen, bound in zip(beyond, (5.0, 5.5, 6.0), strict=True):
        low, high = stats.poisson.interval(1 - 1e-5, 2e9 * 2 * stats.norm.sf(bound))
        assert low <= seen <= high

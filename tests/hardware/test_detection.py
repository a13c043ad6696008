"""Closed forms of detection, and what processing costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import integrate, signal, stats

from implant_sim.hardware.channel import channel
from implant_sim.hardware.components.detectors import DETECTORS, SORTERS
from implant_sim.hardware.detection import amplitudes_v, detection, detects
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.noise import noise_budget
from implant_sim.hardware.physics import crossing, sampled_noise, waveform
from implant_sim.hardware.physics import detection as physics
from sbtt_models.errors import SpecError
from tests.hardware import hw

SPIKES = {
    "amplifier.noise": "5 uV", "amplifier.band": ["300 Hz", "6 kHz"], "adc.sample_rate": "20 kHz",
    "processing.threshold_sigma": 4, "array.spike_amplitude": "60 uV", "array.spike_spread": 0.4,
    "array.background_noise": "7 uV",
}  # fmt: skip
BANDS = [(300.0, 6000.0), (0.0, 5000.0), (1.0, 3000.0), (500.0, 900.0)]


def detector(changes=None) -> Implant:
    return hw.implant({**SPIKES, **(changes or {})})


# noise


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("white", [0.0, 0.4])
def test_the_process_has_the_correlation_of_the_band(band, white):
    sample_s = 1 / 20e3
    found = sampled_noise.process(sample_s, band, white)
    a1, a2, b1, b2, scale = found.coefficients
    impulse = signal.lfilter([1, b1, b2], [1, -a1, -a2], np.eye(1, 200_000)[0]) * scale
    lags = np.arange(30)
    got = [impulse[: len(impulse) - lag] @ impulse[lag:] for lag in lags]
    want = (1 - white) * sampled_noise.band_correlation(lags * sample_s, band)
    want[0] += white
    np.testing.assert_allclose(got, want, atol=2e-6)
    # the steady state: variance of x, its covariance at lag 1, and with the innovations
    covariance = found.root @ found.root.T
    np.testing.assert_allclose(covariance[:2, :2], [[1, want[1]], [want[1], 1]], atol=1e-9)
    np.testing.assert_allclose(covariance[0, 2:], scale * impulse[:2], atol=1e-9)
    np.testing.assert_allclose(covariance[1, 2:], [0, scale * impulse[0]], atol=1e-9)


@pytest.mark.parametrize("band", BANDS[:3])
def test_band_correlation_is_the_transform_of_two_poles(band):
    low, high = band
    f = np.arange(0.0, 3e6, 2.0)
    power = 1 / (1 + (f / high) ** 2)
    if low > 0:
        power *= (f / low) ** 2 / (1 + (f / low) ** 2)
    lags = np.array([0.0, 20e-6, 100e-6, 1e-3])
    got = np.array([integrate.simpson(power * np.cos(2 * np.pi * f * lag), x=f) for lag in lags])
    want = sampled_noise.band_correlation(lags, band)
    np.testing.assert_allclose(got / got[0], want, atol=2e-3)


def test_a_spike_is_filtered_as_a_circuit_does():
    band, fine_s = (300.0, 6000.0), 1e-7
    t = np.arange(-2e-3, 4e-3, fine_s)
    raw = waveform.filtered_spike(t, 0.2e-3, (0.0, 1e6))  # as good as no filter
    assert raw.max() == pytest.approx(1, abs=2e-3)
    assert np.ptp(t[raw > raw.max() / 2]) == pytest.approx(0.2e-3, rel=0.02)
    poles = 2 * np.pi * np.array(band)
    b, a = [poles[1], 0], np.polymul([1, poles[0]], [1, poles[1]])
    _, want, _ = signal.lsim((b, a), raw, t - t[0])
    np.testing.assert_allclose(waveform.filtered_spike(t, 0.2e-3, band), want, atol=3e-3)
    late = waveform.filtered_spike(np.array([-1.0, 1.0, 100.0]), 0.2e-3, band)
    np.testing.assert_allclose(late, 0, atol=1e-12)


def test_sampled_crossings_tend_to_rices_rate():
    band, rates = (300.0, 6000.0), (60e3, 120e3, 480e3)
    rice = crossing.rice_rate_hz(4.0, band)
    seen = []
    for rate in rates:
        rho = sampled_noise.flat_correlation(np.array([0.0, 1 / rate]), band)
        seen.append(rate * crossing.crossing_probability(4.0, float(rho[1])) / rice)
    assert seen[1] == pytest.approx(1, abs=0.03)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1, abs=3e-3)


@given(k=st.floats(0, 6), rho=st.floats(-0.95, 0.95))
@settings(max_examples=30, deadline=None)
def test_crossings_equal_the_bivariate_normal(k, rho):
    both = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([k, k])
    got = crossing.crossing_probability(k, rho)
    assert got == pytest.approx(stats.norm.cdf(k) - both, abs=2e-7)
    assert 0 <= got <= stats.norm.sf(k) + 1e-12


@pytest.mark.parametrize("k", [3.0, 4.0])
def test_crossings_come_in_clumps_and_then_do_not(k):
    rho = np.exp(-np.arange(60) / 4.0)
    after = crossing.crossings_after_one(k, rho)
    alone = crossing.crossing_probability(k, float(rho[1]))
    assert (after[:2] == 0).all()
    assert after[2] > 10 * alone
    assert after[-1] == pytest.approx(alone, rel=0.01)
    dead = [crossing.event_probability(k, rho[:40], d) for d in (0, 1, 10, 40, 400)]
    assert dead[0] == dead[1] == alone  # two crossings in a row cannot be
    assert dead == sorted(dead, reverse=True)
    assert dead[-1] < dead[0] / (1 + 300 * alone)


def test_hits_equal_the_multivariate_normal():
    rng = np.random.default_rng(0)
    for rho in (0.0, 0.3, 0.6):
        lags = rho ** np.arange(6.0)
        cov = lags[np.abs(np.subtract.outer(np.arange(6), np.arange(6)))]
        beyond = rng.normal(1.5, 1.5, (4, 6))
        got = physics.hit_probability(beyond, lags)
        want = [1 - stats.multivariate_normal(np.zeros(6), cov).cdf(h) for h in beyond]
        np.testing.assert_allclose(got, want, atol=1e-4 if rho == 0 else 0.012)
    # a peak far beyond is always found, one far below never
    far = np.array([[40.0, -60.0, 40.0], [40.0, 40.0, 40.0]])
    np.testing.assert_allclose(physics.hit_probability(far, np.array([1.0, 0.5])), [1, 0])


# detection of an implant


def test_a_large_spike_is_found_and_none_is_not():
    imp = detector()
    found = detection(imp, np.array([0.0, 1e-6, 60e-6, 300e-6, 1.0]))
    assert found.probability[0] == 0
    assert found.probability[-1] == pytest.approx(1, abs=2e-3)  # less the dead time of noise
    # a strong spike crosses earlier, and so is hidden a little more often by noise before it
    assert (np.diff(found.probability) > -1e-4).all()
    assert 0.1 < found.false_hz < 2


@given(
    k=st.floats(2.5, 6), noise=st.floats(2, 20), rate=st.sampled_from([13e3, 20e3, 30e3]),
    bits=st.sampled_from([None, 5, 8, 12]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_a_worse_front_end_never_finds_more_at_the_same_false_rate(k, noise, rate, bits):
    changes = {"processing.threshold_sigma": k, "adc.sample_rate": rate}
    if bits is not None:
        changes |= {"adc.bits": bits, "adc.full_scale": "1 V", "amplifier.gain": 500}
    amplitude = np.linspace(0, 200e-6, 40)
    quiet, loud = (
        detection(detector({**changes, "amplifier.noise": f"{n} uV"}), amplitude)
        for n in (noise, 1.5 * noise)
    )
    for found in (quiet, loud):
        assert ((found.probability >= 0) & (found.probability <= 1)).all()
        assert found.false_hz >= 0
        # a strong spike crosses earlier, and so is hidden more often by noise before it
        assert (np.diff(found.probability) > -0.5e-3 * found.false_hz - 1e-9).all()
    if bits is None:
        assert loud.false_hz == pytest.approx(quiet.false_hz)
        assert (loud.probability <= quiet.probability + 0.5e-3 * loud.false_hz + 1e-9).all()


def test_a_higher_threshold_trades_misses_for_false_alarms():
    found = [
        detection(detector({"processing.threshold_sigma": k}), np.array([60e-6]))
        for k in (3, 3.5, 4, 4.5, 5)
    ]
    assert all(a.false_hz > 2 * b.false_hz for a, b in itertools.pairwise(found))
    p = [float(f.probability[0]) for f in found[1:]]  # at 3 the dead time of noise costs more
    assert p == sorted(p, reverse=True)


def mean_probability(implant):
    amplitudes = amplitudes_v(implant, 2000, np.random.default_rng(0))
    return detection(implant, amplitudes).probability.mean()


def test_folded_noise_and_few_bits_cost_spikes():
    plain = mean_probability(detector())
    folded = detector(
        {
            "multiplexer": {
                "placement": "before_amplifier", "ways": 8, "cycle": "sample", "filter": "boxcar",
                "source": "test",
            },
            "amplifier.shared_by": 8,
            "adc.shared_by": 8,
        }
    )  # fmt: skip
    assert noise_budget(folded).folded_v > 0
    assert mean_probability(folded) < plain - 0.1
    chain = channel(folded)
    assert 0 < chain.white < 1
    assert chain.noise_v == pytest.approx(noise_budget(folded).total_v)
    coarse = detector({"adc.full_scale": "1 V", "amplifier.gain": 500, "adc.bits": 5})
    assert mean_probability(coarse) < plain - 0.1


def test_the_threshold_lies_between_two_codes():
    wide = {"adc.full_scale": "1 V", "amplifier.gain": 1000}
    for bits in (4, 6, 10):
        chain = channel(detector({**wide, "adc.bits": bits}))
        assert chain.threshold_v / chain.lsb_v % 1 == pytest.approx(0.5)
        wanted = 4 * noise_budget(detector({**wide, "adc.bits": bits})).total_v
        assert abs(chain.threshold_v - wanted) <= chain.lsb_v / 2 + 1e-12
    # what is lost beyond rounding, from bits to effective bits, is noise before the rounding
    worse = detector({**wide, "adc.bits": 8, "adc.enob": 6.0})
    chain, budget = channel(worse), noise_budget(worse)
    assert np.hypot(chain.noise_v, chain.lsb_v / 12**0.5) == pytest.approx(budget.total_v)
    assert chain.white > 0.02


def test_many_channels_are_interpolated_closely():
    imp = detector()
    amplitude = amplitudes_v(imp, 3000, np.random.default_rng(0))
    some = slice(None, None, 60)
    direct = detection(imp, amplitude[some]).probability
    np.testing.assert_allclose(detection(imp, amplitude).probability[some], direct, atol=1e-3)


def test_amplitudes_are_log_normal():
    imp = detector()
    drawn = amplitudes_v(imp, 20_000, np.random.default_rng(1))
    assert np.median(drawn) == pytest.approx(60e-6, rel=0.02)
    assert np.log(drawn).std() == pytest.approx(0.4, rel=0.02)
    alike = detector({"array.spike_spread": None})
    assert (amplitudes_v(alike, 5, np.random.default_rng(0)) == 60e-6).all()


def test_what_detection_needs_is_named():
    assert not detects(hw.implant())
    assert detects(detector())
    with pytest.raises(SpecError, match=r"threshold_sigma, array\.spike_amplitude, array\.backgr"):
        detection(hw.implant(), np.array([1e-4]))
    with pytest.raises(ValidationError, match=r"needs array\.background_noise, too"):
        detector({"array.background_noise": None})
    tiny = detector({"adc.full_scale": "10 mV", "amplifier.gain": 1000, "adc.bits": 8})
    with pytest.raises(SpecError, match=r"raise adc\.full_scale"):
        detection(tiny, np.array([1e-4]))
    with pytest.raises(SpecError, match=r"array\.spike_amplitude"):
        amplitudes_v(hw.implant(), 3, np.random.default_rng(0))
    for bad in (0, -4, 21):
        with pytest.raises(ValidationError, match="threshold_sigma"):
            detector({"processing.threshold_sigma": bad})
    with pytest.raises(ValidationError, match="has no threshold"):
        detector({"processing.feature": "spiking_band_power"})


# processing


def priced(changes) -> dict[str, float]:
    """Watts and joules of the processing of an implant, by action."""
    imp = hw.implant(changes)
    known = imp.price_list()
    return {a: p.price_j for (c, a), p in known.items() if c == "processing" and a != "compress"}


def test_published_detectors_are_prices_with_their_sources():
    for name, block in DETECTORS.items():
        imp = hw.implant(
            {"processing": {"feature": block.feature, "detector": name}, "compression": None}
        )
        price = imp.price_list()["processing", "channel"]
        assert price.price_j == block.per_channel_w
        assert block.source.text in price.source
        assert price.source_kind == block.source.kind
    for name, block in SORTERS.items():
        found = priced({"processing.sorter": name})
        assert found["sort"] == block.per_channel_w
        assert found["sample"] == 1e-12


def test_published_prices_scale_from_their_own_process():
    base = {"processing": {"feature": "threshold", "detector": "swt_teager_65nm"}}
    assert priced(base)["channel"] == 0.532e-6
    own = {"node": "28 nm", "supply": "0.6 V", "source": "test"}
    scaled = {"processing": {**base["processing"], **own}}
    assert priced(scaled)["channel"] == pytest.approx(0.532e-6 * 28 / 65 / 4)
    other = {"processing": {"feature": "threshold", "detector": "energy_28nm", **own}}
    with pytest.raises(ValidationError, match="supply: cannot scale to it"):
        hw.implant(other)


def test_state_leaks_by_the_bit_and_flip_flops_are_clocked():
    found = priced({"processing.state_bits": 226})
    assert found["leak"] == pytest.approx(226 * 15e-12)
    assert "clock" not in found
    clocked = {"processing.state_bits": 226, "processing.state": "flip_flops"}
    assert priced(clocked)["clock"] == pytest.approx(226 * 46e-15)
    assert priced({**clocked, "processing.clock_energy": "10 fJ"})["clock"] == 226 * 10e-15
    detector_only = {
        "processing": {
            "feature": "threshold", "detector": "fneo_130nm", "state_bits": 226,
            "state": "flip_flops", "node": "65 nm", "supply": "0.9 V", "source": "test",
        }
    }  # fmt: skip
    assert priced(detector_only)["clock"] == pytest.approx(226 * 46e-15 / 8)


def test_every_price_is_counted():
    imp = hw.implant(
        {
            "processing.per_channel": "1 uW", "processing.sorting": "0.2 uW",
            "processing.state_bits": 226, "processing.state": "flip_flops",
        }
    )  # fmt: skip
    rec = hw.recording()
    _, activity, ledger, _ = hw.run(rec, imp, {"kind": "full"})
    rows = {r.action: r.energy_j for r in ledger.rows if r.component == "processing"}
    channel_s = activity.duration_s * rec.n_channels
    assert rows["channel"] == pytest.approx(1e-6 * channel_s)
    assert rows["sort"] == pytest.approx(0.2e-6 * channel_s)
    assert rows["leak"] == pytest.approx(226 * 15e-12 * channel_s)
    assert rows["clock"] == pytest.approx(226 * 46e-15 * channel_s * imp.adc.sample_rate_hz)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"processing.detector": "energy_28nm", "processing.per_channel": "1 uW"}, "give one"),
        ({"processing.sorter": "dwt_130nm", "processing.sorting": "1 uW"}, "give one"),
        ({"processing.detector": "sbp_kalman_180nm"}, "does not go with a spiking_band_power"),
        ({"processing.detector": "perfect"}, "neo_130nm"),
        ({"processing.state_bits": 226, "processing.leakage": "1 nW"}, "give one of the two"),
        ({"processing.state": "flip_flops"}, "needs state_bits"),
        ({"processing.clock_energy": "1 fJ"}, "has no clock"),
        ({"processing.dead_time": "-1 ms"}, "dead_time"),
        ({"processing.dead_time": "1 mV"}, "wrong dimension"),
        ({"processing.node": "65 nm"}, "node and priced_node go together"),
        ({"processing": {"feature": "raw", "sorting": "1 uW", "source": "test"}}, "no spikes to"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        hw.implant(changes)

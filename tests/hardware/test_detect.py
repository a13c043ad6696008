"""Spikes missed and imagined: in the data, known to the receiver, undone before scoring."""

from __future__ import annotations

import numpy as np
import pytest

from implant_sim.hardware.detect import detect
from implant_sim.hardware.detection import amplitudes_v, detection
from sbtt_models.detector import Detector
from tests.hardware import hw

FULL = {"kind": "full"}
DETECTING = {
    "array": {
        "area": "25 mm2", "spike_amplitude": "20 uV", "spike_spread": 0.6,
        "background_noise": "3 uV", "source": "test",
    },
    "amplifier.band": ["300 Hz", "6 kHz"],
    "adc.sample_rate": "20 kHz",
    "processing.threshold_sigma": 3.5,
}  # fmt: skip


def test_without_a_threshold_nothing_changes():
    rec = hw.recording()
    same, found = detect(rec, hw.implant(), np.random.default_rng(0))
    assert same is rec
    assert found is None
    assert hw.run(rec, hw.implant(), FULL)[0].detector is None


def test_counts_follow_the_model_that_the_receiver_knows():
    rec = hw.recording(n_trials=80, n_bins=100)
    implant = hw.implant(DETECTING)
    stream, activity, _, _ = hw.run(rec, implant, FULL)
    model = stream.detector
    assert 0.1 < model.probability.min() < 0.9
    mean = rec.counts.mean(axis=(0, 1))
    expected = mean * model.probability + model.false_per_bin
    n = rec.counts[:, :, 0].size
    z = (stream.counts.mean(axis=(0, 1)) - expected) / np.sqrt(expected / n)
    assert np.abs(z).max() < 4.5
    assert activity.detection_probability == pytest.approx(model.probability.mean())
    assert activity.false_hz == pytest.approx(model.false_per_bin[0] / rec.bin_s)


def test_the_detector_is_the_same_for_every_schedule():
    rec, implant = hw.recording(), hw.implant(DETECTING)
    full = hw.run(rec, implant, FULL)[0]
    some = hw.run(rec, implant, {"kind": "random_subset", "bandwidth": 3})[0]
    assert np.array_equal(full.detector.probability, some.detector.probability)
    assert np.array_equal(some.counts, np.where(some.observed, full.counts, 0))


def test_a_noisier_amplifier_finds_less():
    found = []
    for noise in ("2 uV", "5 uV", "10 uV", "20 uV"):
        implant = hw.implant({**DETECTING, "amplifier.noise": noise})
        amplitude = amplitudes_v(implant, 200, np.random.default_rng(0))
        found.append(detection(implant, amplitude).probability.mean())
    assert np.all(np.diff(found) < 0)


def test_undoing_the_detector_gives_the_rates_back():
    rates = np.random.default_rng(0).uniform(0.05, 3, (4, 5, 3)).astype(np.float32)
    model = Detector(np.array([1.0, 0.5, 0.05]), np.array([0.0, 0.02, 0.04]))
    np.testing.assert_allclose(model.true(model.seen(rates)), rates, rtol=1e-5)


def test_a_rate_is_never_exactly_zero_while_something_is_found():
    model = Detector(np.array([0.5, 0.0]), np.array([0.1, 0.1]))
    rates = model.true(np.full((1, 1, 2), 0.01, np.float32))
    assert rates[0, 0, 0] == pytest.approx(0.05 * 0.01 / 0.5)
    assert rates[0, 0, 1] == 0

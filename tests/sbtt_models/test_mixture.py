"""A mixture of inferred training trials: exact weights, nothing of a window for itself."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

import sbtt_models
from sbtt_models import kept
from sbtt_models.decoders import LFADS, StateSpace, TrialMixture
from sbtt_models.decoders.trial_mixture import FittedTrialMixture
from sbtt_models.errors import DataError, SpecError
from sbtt_models.mixture import Mixture
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.training import Training
from sbtt_models.windows import Windows, aligned, cut, pieces_of, stitch
from tests.sbtt_models.test_decoders import QUICK, stream

SMALL = TrialMixture(network=StateSpace(hidden=8, blocks=2, modes=2))
RULES = Training(epochs=20, batch_size=16, learning_rate=0.02)


def mixture_of(n: int = 6, n_bins: int = 5, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    return Mixture(np.exp(rng.normal(size=(n, n_bins, 4))).astype(np.float32))


def windows_of_counts(n: int = 7, n_bins: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    exposure = rng.choice([0, 0.5, 1], (n, n_bins, 4)).astype(np.float32)
    counts = np.where(exposure > 0, rng.poisson(1.0, exposure.shape), 0).astype(np.int32)
    return counts, exposure


def naive_mean(
    components: np.ndarray, counts: np.ndarray, exposure: np.ndarray, of: int, heard: int
) -> np.ndarray:
    """Rates of bin `of`, given the first `heard` bins of a window: term by term."""
    told = []
    for rates in components.astype(float):
        total = 0.0
        for t in range(heard):
            for c in range(rates.shape[1]):
                total += counts[t, c] * np.log(rates[t, c]) - exposure[t, c] * rates[t, c]
        told.append(total)
    odds = np.exp(np.array(told) - max(told))
    return (odds / odds.sum()) @ components[:, of].astype(float)


@pytest.mark.parametrize("wait", [0, 2, 4, 5, 9])
def test_rates_are_the_posterior_mean(wait: int) -> None:
    mixture, (counts, exposure) = mixture_of(), windows_of_counts()
    rates = mixture.rates(counts, exposure, wait)
    for i in range(len(counts)):
        for t in range(5):
            heard = min(t + wait + 1, 5)
            naive = naive_mean(mixture.components, counts[i], exposure[i], t, heard)
            np.testing.assert_allclose(rates[i, t], naive, rtol=1e-5)


def test_a_component_is_replaced_by_what_the_others_say() -> None:
    """Of three windows, two overlap: each of these hears of the third alone."""
    mixture, (counts, exposure) = mixture_of(3), windows_of_counts(3)
    windows = Windows(np.array([0, 0, 1]), np.array([0, 3, 0]), 5)
    new = mixture.shared(counts, exposure, windows).components
    for mine, others in ((0, [2]), (1, [2]), (2, [0, 1])):
        left = mixture.components[others]
        naive = [naive_mean(left, counts[mine], exposure[mine], t, 5) for t in range(5)]
        np.testing.assert_allclose(new[mine], naive, rtol=1e-5)
    apart = replace(windows, trial=np.array([0, 0, 0]), start=np.array([0, 1, 2]))
    assert np.array_equal(mixture.shared(counts, exposure, apart).components, mixture.components)


def test_a_long_sequence_is_no_over_or_underflow() -> None:
    mixture = Mixture(mixture_of(4, 400).components * 30)
    counts = np.full((2, 400, 4), 900, np.int32)
    rates = mixture.rates(counts, np.ones(counts.shape, np.float32), 400)
    assert np.isfinite(rates).all()


def test_padding_and_rare_channels_keep_components_positive() -> None:
    rates = np.zeros((2, 5, 3), np.float32)
    means = np.array([1.0, 2.0, 1e-3])
    components = Mixture.of(rates, np.array([5, 2]), means).components
    assert (components > 0).all()
    np.testing.assert_allclose(components[1, 2:], np.tile(means, (3, 1)), rtol=1e-6)


def test_windows_side_by_side_cover_each_bin_once() -> None:
    values = np.random.default_rng(0).normal(size=(3, 12, 2))
    lengths = np.array([12, 5, 1])
    windows = aligned(lengths, 5)
    assert windows.start.tolist() == [0, 5, 10, 0, 0]
    np.testing.assert_allclose(
        stitch(pieces_of(values, windows), windows, (3, 12, 2))[0], values[0]
    )
    few = cut(np.array([50]), np.array([0]), 5, 5).thinned(4)
    assert few.start.tolist() == [0, 10, 25, 35]


def waves(phase: np.ndarray, seed: int = 0) -> tuple[MaskedStream, np.ndarray]:
    """A travelling wave of one phase a trial, a quarter of the entries seen; true rates."""
    rng = np.random.default_rng(seed)
    rates = np.exp(1.5 * np.sin(phase[:, None, None] + np.arange(10)[:, None] / 2 + np.arange(6)))
    observed = rng.random(rates.shape) < 0.25
    counts = np.where(observed, rng.poisson(rates), 0).astype(np.int32)
    n = len(rates)
    split = Split(np.arange(n - 24), np.arange(n - 24, n - 12), np.arange(n - 12, n))
    exposure = observed.astype(np.float32)
    return MaskedStream(counts, exposure, np.full(n, 10), 0.02, split), rates


def test_what_recurs_is_shared() -> None:
    data, truth = waves(np.arange(200) % 4 * 1.5)
    fitted = sbtt_models.fit(SMALL, data, RULES, seed=1)
    assert fitted.mixture is not None
    test = data.split.test
    error = [
        np.square(of(data) - truth)[test].mean() for of in (fitted.rates, fitted.fitted.rates)
    ]
    assert error[0] < 0.8 * error[1]


def test_what_does_not_recur_is_left_to_the_network() -> None:
    """Three training trials of other phases are no mixture of anything that comes later."""
    data, _ = waves(np.linspace(0, 6, 240))
    data = replace(data, split=replace(data.split, train=np.array([20, 60, 100])))
    fitted = sbtt_models.fit(SMALL, data, QUICK, seed=1)
    assert fitted.mixture is None
    assert np.array_equal(fitted.rates(data), fitted.fitted.rates(data))


@pytest.mark.parametrize("wait", [0, 2])
def test_bin_by_bin_is_the_same_across_windows(wait: int) -> None:
    data = replace(stream(lengths=(12, 5, 9, 12, 1, 12, 7, 12, 3, 12)), window_bins=5)
    spec = SMALL.model_copy(update={"causal": True, "lookahead_bins": wait})
    network = sbtt_models.fit(spec, data, QUICK).fitted
    fitted = FittedTrialMixture(spec, network, 5, mixture_of(), 0)
    rates, online = fitted.rates(data), fitted.online()
    for trial, length in enumerate(data.lengths):
        late = [online.push(data.counts[trial, t], data.exposure[trial, t]) for t in range(length)]
        found = [*(row for row in late if row is not None), *online.finish()]
        np.testing.assert_allclose(found, rates[trial, :length], rtol=1e-5)


def test_a_training_that_went_on_is_saved_and_read_back(tmp_path) -> None:
    """Its network knows of more seconds than this call took."""
    rules = QUICK.model_copy(update={"checkpoint_every": 1})
    begun, kept_in = tmp_path / "training", tmp_path / "decoder"
    begun.mkdir()
    kept_in.mkdir()
    first = sbtt_models.fit(SMALL, stream(), rules, folder=begun)
    again = sbtt_models.fit(SMALL, stream(), rules, folder=begun)
    assert again.seconds >= 0
    again.save(kept_in)
    loaded = sbtt_models.load(kept_in)
    assert np.array_equal(loaded.rates(stream()), first.rates(stream()))


def test_what_it_cannot_do_is_refused() -> None:
    for network, match in (
        (StateSpace(causal=True), "beside network"),
        ({"kind": "lfads", "likelihood": {"kind": "gaussian"}}, "gaussian"),
        (StateSpace(held_out=(1,)), "held_out"),
        (LFADS(encoder_bins=3), "encoder_bins"),
    ):
        with pytest.raises(ValidationError, match=match):
            TrialMixture.model_validate({"network": network})
    real = np.where(stream().observed, stream().counts + 0.5, 0).astype(np.float32)
    with pytest.raises(DataError, match="no counts"):
        sbtt_models.fit(SMALL, replace(stream(), counts=real), QUICK)
    late = SMALL.model_copy(update={"causal": True, "lookahead_bins": 12})
    with pytest.raises(SpecError, match="do not fit a window of 12"):
        sbtt_models.fit(late, stream(), QUICK)


@pytest.mark.parametrize("spoilt", ["sign", "shape"])
def test_spoilt_components_are_refused(spoilt: str, tmp_path) -> None:
    network = sbtt_models.fit(SMALL, stream(), QUICK).fitted
    FittedTrialMixture(SMALL, network, 12, mixture_of(6, 12), 1).save(tmp_path)
    arrays = kept.unpack((tmp_path / "weights.safetensors").read_bytes(), tmp_path)
    components = arrays["components"]
    components = -components if spoilt == "sign" else components[:, :3]
    packed = kept.pack({**arrays, "components": np.ascontiguousarray(components)})
    (tmp_path / "weights.safetensors").write_bytes(packed)
    manifest = kept.read_sealed(tmp_path / "decoder.json")
    entry = {"sha256": kept.digest_of(packed), "bytes": len(packed)}
    manifest["files"]["weights.safetensors"] = entry
    (tmp_path / "decoder.json").write_bytes(kept.sealed(manifest))
    with pytest.raises(DataError, match="components"):
        sbtt_models.load(tmp_path)

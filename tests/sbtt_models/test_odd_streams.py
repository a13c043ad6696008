"""What every decoder makes of streams that are odd, and of streams that it was not fitted on."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import sbtt_models
from sbtt_models import kept
from sbtt_models.decoders.base import Fitted
from sbtt_models.errors import DataError, DivergedError, SimError, SpecError
from sbtt_models.likelihoods import Gaussian
from sbtt_models.signals import MaskedStream, Split, within
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import SMALL, stream

BRIEF = Training(epochs=1, batch_size=8, ramp_epochs=1)
GAUSSIAN = {kind: SMALL[kind] for kind in ("kalman", "factor_analysis", "gpfa")} | {
    "state_space": SMALL["state_space"].model_copy(update={"likelihood": Gaussian()})
}


def channels(data: MaskedStream, which: list[int]) -> MaskedStream:
    return replace(data, counts=data.counts[..., which], exposure=data.exposure[..., which])


@cache
def fitted_on(kind: str, n_channels: int = 4) -> Fitted:
    return sbtt_models.fit(SMALL[kind], channels(stream(), list(range(n_channels))), BRIEF)


OTHER = {
    "fewer": (lambda data: channels(data, [0, 1, 2]), "3 channels, but .* fitted on 4; give the"),
    "one": (lambda data: channels(data, [0]), "1 channels, but the decoder was fitted on 4"),
    "more": (lambda data: channels(data, [0, 1, 2, 3, 0]), "5 channels, but .* fitted on 4"),
    "wide_bins": (lambda data: replace(data, bin_s=0.1), "bins of 0.1 s, but .* bins of 0.02 s"),
}


@pytest.mark.parametrize(("change", "says"), OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("kind", SMALL)
def test_a_stream_of_another_kind_is_refused(
    kind: str, change: Callable[[MaskedStream], MaskedStream], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        fitted_on(kind).rates(change(stream()))


@pytest.mark.parametrize("kind", SMALL)
def test_one_channel_is_not_stretched_to_many(kind: str) -> None:
    with pytest.raises(DataError, match="4 channels, but the decoder was fitted on 1"):
        fitted_on(kind, 1).rates(stream())


@pytest.mark.parametrize("kind", SMALL)
def test_what_is_loaded_knows_its_bins_and_old_files_stay_readable(kind: str, tmp_path) -> None:
    other = replace(stream(), bin_s=0.1)
    fitted_on(kind).save(tmp_path)
    with pytest.raises(DataError, match=r"bins of 0\.1 s"):
        sbtt_models.load(tmp_path).rates(other)
    manifest = kept.read_sealed(tmp_path / "decoder.json")
    told = [name for name in manifest["facts"] if name.endswith("bin_s")]
    assert told
    for name in told:  # as versions before it was kept wrote them
        del manifest["facts"][name]
    (tmp_path / "decoder.json").write_bytes(kept.sealed(manifest))
    old = sbtt_models.load(tmp_path)
    assert np.array_equal(old.rates(other), fitted_on(kind).rates(stream()))


def test_a_mixture_asks_as_its_network_does() -> None:
    """Where the components are used, the network itself is not asked."""
    from tests.sbtt_models.test_mixture import mixture_of

    found = replace(fitted_on("trial_mixture"), mixture=mixture_of(), window_bins=5)
    assert found.rates(stream()).shape == stream().counts.shape
    with pytest.raises(DataError, match="3 channels, but the decoder was fitted on 4"):
        found.rates(channels(stream(), [0, 1, 2]))
    driven = replace(stream(), external=np.ones((14, 12, 1), np.float32))
    with pytest.raises(DataError, match="has 1 external inputs, the network was trained with 0"):
        found.rates(driven)


@pytest.mark.parametrize("kind", ["poisson_lds", "augmented_lds"])
def test_poisson_dynamics_refuse_more_than_their_rates_can_reach(kind: str) -> None:
    """At fit and afterwards: the rates would end at exp(12) in silence."""
    data, fitted = stream(), fitted_on(kind)
    assert kind == "poisson_lds" or fitted.smoother.spec.kind == "poisson_lds"
    spot = tuple(np.argwhere(data.observed)[0])
    for count, exposure in ((10**6, 1.0), (2**31 - 1, 1.0), (90_000, 0.5)):
        counts, shares = data.counts.copy(), data.exposure.copy()
        counts[spot], shares[spot] = count, exposure
        high = replace(data, counts=counts, exposure=shares)
        says = f"poisson_lds: 1 entries .* 162,755 .* {count} in an exposure of {exposure:g} at "
        with pytest.raises(DataError, match=says):
            sbtt_models.fit(SMALL[kind], high, BRIEF)
        with pytest.raises(DataError, match=says):
            fitted.rates(high)


def test_what_a_likelihood_cannot_give_is_refused_afterwards_too() -> None:
    values = np.where(stream().observed, -0.5, 0).astype(np.float32)
    with pytest.raises(DataError, match=r"poisson: .* no counts .* gaussian"):
        fitted_on("state_space").rates(replace(stream(), counts=values))


@pytest.mark.parametrize("kind", ["smoothing", "interpolation", *GAUSSIAN])
def test_real_values_are_not_fed_bin_by_bin(kind: str, tmp_path) -> None:
    """Refused before the first bin, whatever is fitted to them; also where it was read back."""
    values = np.where(stream().observed, stream().counts - 1.5, 0).astype(np.float32)
    fitted = sbtt_models.fit(
        GAUSSIAN.get(kind, SMALL[kind]), replace(stream(), counts=values), BRIEF
    )
    fitted.save(tmp_path)
    for each in (fitted, sbtt_models.load(tmp_path)):
        with pytest.raises(SpecError, match="online: takes counts"):
            each.online()
    fitted_on(kind).online()


def held(data: MaskedStream, where: tuple, count: int) -> MaskedStream:
    """With one count throughout a part of it."""
    counts = data.counts.copy()
    counts[where] = count
    return replace(data, counts=np.where(data.observed, counts, 0).astype(np.int32))


def without(data: MaskedStream, where: tuple) -> MaskedStream:
    gone = np.zeros(data.counts.shape, bool)
    gone[where] = True
    return data.hide(gone)


def of_trials(data: MaskedStream, n: int) -> MaskedStream:
    order = np.arange(n)
    return replace(data.trials(order), split=Split(order[:-2], order[-2:-1], order[-1:]))


TOO_LARGE = dict.fromkeys(("poisson_lds", "augmented_lds"), "poisson_lds: .* spikes a full bin")
ODD: dict[str, tuple[MaskedStream, dict[str, str]]] = {
    "a_trial_and_a_channel_unseen_another_silent": (
        without(without(held(stream(), (..., 1), 0), (0,)), (..., 2)),
        {},
    ),
    "a_trial_without_bins": (stream(lengths=(12, 0, 9, 12, 1, 12, 7, 12, 3, 12)), {}),
    "trials_of_one_bin": (stream(lengths=(1,) * 14), {"lfads": "controller.lag: 1 bins late"}),
    "one_channel": (channels(stream(), [0]), {}),
    "one_trial_of_each_part": (of_trials(stream(), 3), {}),
    "a_constant_channel": (held(stream(), (..., 1), 3), {}),
    "silence": (held(stream(), (...,), 0), {}),
    "too_large_counts": (held(stream(), (2, ..., 0), 2**31 - 1), TOO_LARGE),
    "only_too_large_counts": (held(stream(), (...,), 10**6), TOO_LARGE),
}
"""Streams, and which decoders refuse them with which words: the table of docs/training.md."""


def finite_rates(fitted: Fitted, data: MaskedStream) -> None:
    rates = fitted.rates(data)
    assert rates.shape == data.counts.shape
    assert np.isfinite(rates).all()
    assert (rates[within(data.lengths, rates.shape[1])] > 0).all()


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_borne_or_refused_by_name(name: str, kind: str) -> None:
    data, refused = ODD[name]
    if kind in refused:
        with pytest.raises(SimError, match=refused[kind]):
            sbtt_models.fit(SMALL[kind], data, BRIEF)
    else:
        finite_rates(sbtt_models.fit(SMALL[kind], data, BRIEF), data)


@pytest.mark.parametrize("kind", SMALL)
def test_a_loss_that_explodes_is_named_or_does_no_harm(kind: str) -> None:
    data = held(stream(), (...,), 90_000)
    wild = {"learning_rate": 1.0, "schedule": "constant", "clip_norm": 1e9}
    rules = Training(epochs=12, batch_size=8, ramp_epochs=1, **wild)
    try:
        fitted = sbtt_models.fit(SMALL[kind], data, rules)
    except DivergedError as error:
        says = r"diverged in epoch \d+: (nll|gradient_norm|valid_loss) is .*; lower learning_rate"
        if not re.search(says, str(error)):
            raise
    else:
        finite_rates(fitted, data)

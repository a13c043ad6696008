"""A corrected smoother: what its network is taught, and that it never costs anything."""

from dataclasses import replace

import numpy as np
import pytest

import sbtt_models
from sbtt_models.decoders import AugmentedLDS, PoissonLDS
from sbtt_models.decoders.augmented_lds import FittedAugmented
from sbtt_models.errors import DataError, SpecError
from sbtt_models.lessons import lessons
from sbtt_models.saved import save
from sbtt_models.signals import Split
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import QUICK, SMALL, stream

LENGTHS = (12, 5, 9, 12, 1, 12, 7, 12, 3, 12)
SMOOTHER = PoissonLDS(size=2, prior=1.0, iterations=3)
SMALL_ONE = SMALL["augmented_lds"].model_copy(update={"smoothers": (SMOOTHER,)})


def test_the_smoother_never_sees_what_is_taught() -> None:
    """Other counts where a draw teaches leave its states as they were."""
    data = stream(lengths=LENGTHS)
    smoother = sbtt_models.fit(SMOOTHER, data)
    taught = lessons(smoother, data, folds=2, share=0.4, seed=0)
    n_train = data.split.train.size
    for fold in range(2):
        own = slice(fold * n_train, (fold + 1) * n_train)
        entries = taught.observed[own]
        assert 0 < entries.sum() < data.observed[data.split.train].sum()
        counts = data.counts.copy()
        counts[data.split.train] += 3 * entries
        other = lessons(smoother, replace(data, counts=counts), folds=2, share=0.4, seed=0)
        assert np.array_equal(other.external[own], taught.external[own])
        assert np.array_equal(other.counts[own], taught.counts[own] + 3 * entries)
    assert not np.array_equal(taught.observed[:n_train], taught.observed[n_train : 2 * n_train])
    assert not taught.counts[taught.exposure == 0].any()


def test_lessons_cover_training_and_validation_trials_only() -> None:
    data = stream(lengths=LENGTHS)
    taught = lessons(sbtt_models.fit(SMOOTHER, data), data, folds=3, share=0.4, seed=0)
    train, valid = data.split.train, data.split.valid
    assert np.array_equal(taught.lengths, data.lengths[[*train, *train, *train, *valid]])
    assert np.array_equal(taught.split.valid, 3 * train.size + np.arange(valid.size))
    inside = np.arange(12) < taught.lengths[:, None]
    assert np.array_equal(taught.external[..., 0], inside)
    assert not taught.external[~inside].any()


@pytest.mark.parametrize("causal", [False, True])
def test_a_correction_that_does_not_help_is_dropped(causal: bool) -> None:
    """Then the rates are the smoother's own; a training that spoils itself costs nothing."""
    data = stream(lengths=LENGTHS * 4)
    order = np.arange(40)
    data = replace(data, split=Split(order[:10], order[10:], order[10:]))
    spec = SMALL_ONE.model_copy(update={"causal": causal})
    wild = Training(epochs=4, learning_rate=1.0, schedule="constant", clip_norm=1e9, batch_size=8)
    fitted = sbtt_models.fit(spec, data, wild)
    alone = sbtt_models.fit(SMOOTHER.model_copy(update={"causal": causal}), data)
    inside = np.arange(12) < data.lengths[:, None]
    np.testing.assert_allclose(fitted.rates(data)[inside], alone.rates(data)[inside], rtol=1e-5)


def test_states_that_jump_are_followed_better_than_by_linear_dynamics() -> None:
    rng = np.random.default_rng(0)
    state = np.where(np.cumsum(rng.random((180, 30)) < 0.1, axis=1) % 2, 1.0, -1.0)
    rates = np.exp(state[..., None] * [1.2, -1.2, 1.2, -1.2])
    data = stream(lengths=(30,) * 180)
    counts = np.where(data.observed, rng.poisson(rates), 0).astype(np.int32)
    order = np.arange(180)
    data = replace(data, counts=counts, split=Split(order[:100], order[100:140], order[140:]))
    spec = SMALL_ONE.model_copy(update={"dropout": 0.0})
    rules = Training(epochs=40, learning_rate=0.02, batch_size=32, clip_norm=1.0)
    fitted, alone = sbtt_models.fit(spec, data, rules), sbtt_models.fit(SMOOTHER, data)
    test = data.split.test
    errors = [np.log(f.rates(data)[test] / rates[test]).std() for f in (fitted, alone)]
    assert errors[0] < 0.9 * errors[1]


def test_the_budget_is_that_of_other_networks() -> None:
    fitted = sbtt_models.fit(SMALL_ONE, stream(), Training(epochs=6, patience=2, batch_size=8))
    assert isinstance(fitted, FittedAugmented)
    assert len(fitted.history) <= 3  # two draws in each
    assert fitted.epochs == 2 * len(fitted.history)
    assert fitted.n_parameters > fitted.smoother.n_parameters > 0


def test_options_of_a_training_that_it_sets_itself_are_told_and_change_nothing() -> None:
    asked = {
        "sample_validation": 0.2,
        "stop_by": "sample_loss",
        "redrawn_mask": 0.1,
        "coordinated_dropout": 0.5,
        "shift_bins": 1,
        "jitter_bins": 1,
        "withheld_validation": 0.5,
        "validate_every": 2,
    }
    data, plain = stream(), sbtt_models.fit(SMALL_ONE, stream(), QUICK)
    assert set(SMALL_ONE.passed_over(QUICK.model_copy(update=asked))) == set(asked)
    none = {"coordinated_dropout": 0.0, "withheld_validation": 0.0, "learning_rate": 0.1}
    assert SMALL_ONE.passed_over(QUICK.model_copy(update=none)) == ()
    assert SMOOTHER.passed_over(Training(shift_bins=1)) == ()
    with pytest.warns(UserWarning, match=r"training: .*stop_by.* not used by .*augmented_lds"):
        fitted = sbtt_models.fit(SMALL_ONE, data, QUICK.model_copy(update=asked))
    assert np.array_equal(fitted.rates(data), plain.rates(data))


def test_what_cannot_be_is_refused() -> None:
    data = stream()
    start = sbtt_models.fit(SMALL_ONE, data, QUICK)
    with pytest.raises(SpecError, match="fitted afresh"):
        sbtt_models.fit(SMALL_ONE, data, QUICK, start=start)
    with pytest.raises(SpecError, match=r"whole trial; .*decoder.lookahead_bins 3"):
        start.online(3)
    causal = SMALL_ONE.model_copy(update={"causal": True, "lookahead_bins": 1})
    with pytest.raises(SpecError, match="1 bins ahead"):
        sbtt_models.fit(causal, data, QUICK).online(0)
    with pytest.raises(ValueError, match="belong beside smoothers"):
        AugmentedLDS(smoothers=(SMOOTHER.model_copy(update={"causal": True}),))


@pytest.mark.parametrize(
    ("fact", "value", "match"),
    [
        ("chosen", 1, "smoother 1 of 1"),
        ("network.n_external", 3, "n_external is 3, .* need 9"),
        ("network.n_channels", 5, "n_channels is 5, .* need 4"),
        ("network.n_external", -1, "n_external is -1"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, fact, value, match) -> None:
    saved = sbtt_models.fit(SMALL_ONE, stream(), QUICK).saved()
    save(replace(saved, facts={**saved.facts, fact: value}), tmp_path)
    with pytest.raises(DataError, match=match):
        sbtt_models.load(tmp_path)

"""A population trains the same wherever it runs, hands weights on, and can be resumed."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from pydantic import ValidationError

import sbtt_models
from sbtt_models import population
from sbtt_models.decoders.base import Setting
from sbtt_models.errors import DivergedError, SpecError
from sbtt_models.train import advance
from sbtt_models.training import Training
from sbtt_models.tuning import Range, Tuning, changed
from tests.sbtt_models.test_decoders import SMALL, stream

RANGES = {
    "training.learning_rate": Range(low=1e-4, high=3e-2, first=1e-2),
    "training.coordinated_dropout": Range(low=0.01, high=0.7),
    "decoder.initial_condition.kl_scale": Range(low=1e-6, high=1e-3, scale="log", explore=0.8),
}
QUICK = Tuning(ranges=RANGES, members=4, generation_epochs=2, burn_in_epochs=1, generations=3)
TRAINING = Training(batch_size=10, ramp_epochs=2)
SPEC = SMALL["lfads"]


@pytest.fixture(scope="module")
def tuned():
    return sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, seed=5)


def same(one, other):
    assert one.history == other.history
    assert one.values == other.values
    assert np.array_equal(one.fitted.rates(stream()), other.fitted.rates(stream()))


def test_every_member_and_generation_is_told(tuned):
    assert [(r["generation"], r["member"]) for r in tuned.history] == [
        (g, m) for g in (1.0, 2.0, 3.0) for m in range(4)
    ]
    assert [r["epoch"] for r in tuned.history] == [3.0] * 4 + [5.0] * 4 + [7.0] * 4
    for key, found in RANGES.items():
        values = [row[key] for row in tuned.history]
        assert min(values) >= found.low
        assert max(values) <= found.high
    assert len({row["training.coordinated_dropout"] for row in tuned.history[:4]}) == 4
    assert {row["training.learning_rate"] for row in tuned.history[:4]} == {1e-2}


def test_losers_go_on_from_winners_and_winners_stay(tuned):
    for generation in (1, 2):
        before = tuned.history[4 * (generation - 1) : 4 * generation]
        after = tuned.history[4 * generation : 4 * (generation + 1)]
        for row in after:
            parent, own = before[int(row["parent"])], before[int(row["member"])]
            for key, found in RANGES.items():
                if parent is own:
                    assert row[key] == own[key]
                else:
                    ratio = row[key] / parent[key]
                    at_end = row[key] in (found.low, found.high)
                    assert at_end or 1 - found.explore <= ratio <= 1 + found.explore
            assert parent["loss"] <= own["loss"]
            assert row["best_loss"] <= parent["best_loss"]
        best = min(before, key=lambda row: row["loss"])["member"]
        assert after[int(best)]["parent"] == best
    assert any(row["parent"] != row["member"] for row in tuned.history)


def test_the_best_weights_of_all_are_returned(tuned):
    best = min(row["best_loss"] for row in tuned.history)
    assert min(row["valid_loss"] for row in tuned.fitted.history) == best
    row = next(row for row in tuned.history if row["best_loss"] == best)
    assert tuned.values == {key: row[key] for key in RANGES}


@pytest.mark.parametrize("workers", [1, 3])
def test_an_executor_gives_what_one_after_the_other_gives(tuned, workers):
    with ThreadPoolExecutor(workers) as executor:
        same(tuned, sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, executor, seed=5))


def test_dask_gives_what_one_after_the_other_gives(tuned):
    distributed = pytest.importorskip("distributed")
    here = {"processes": False, "n_workers": 2, "threads_per_worker": 2}
    with (
        distributed.LocalCluster(**here, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        executor = client.get_executor()
        same(tuned, sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, executor, seed=5))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_processes_give_what_one_after_the_other_gives(tuned, workers):
    with ProcessPoolExecutor(workers, get_context("spawn")) as executor:
        same(tuned, sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, executor, seed=5))


def test_two_members_that_go_on_from_one_do_not_disturb_each_other():
    """A state belongs to whoever took it over, moments of the optimiser included."""
    setting = Setting(3, "cpu")
    first = advance(SPEC, stream(), TRAINING.model_copy(update={"epochs": 2}), setting, None)
    before = {name: array.copy() for name, array in first.arrays.items()}
    longer = TRAINING.model_copy(update={"epochs": 4})
    one, two = (advance(SPEC, stream(), longer, setting, first) for _ in range(2))
    for name, array in before.items():
        assert np.array_equal(first.arrays[name], array), name
        assert np.array_equal(one.arrays[name], two.arrays[name]), name
    assert one.facts["history"] == two.facts["history"]


class Killed(BaseException):
    pass


def test_a_population_killed_after_a_generation_goes_on(tuned, tmp_path):
    def progress(done, most):
        assert most == 7
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        sbtt_models.tune(
            SPEC, stream(), TRAINING, QUICK, seed=5, folder=tmp_path, progress=progress
        )
    told = []
    resumed = sbtt_models.tune(
        SPEC, stream(), TRAINING, QUICK, seed=5, folder=tmp_path,
        progress=lambda done, most: told.append(done),
    )  # fmt: skip
    assert told == [7]
    same(tuned, resumed)
    again = sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, seed=5, folder=tmp_path)
    same(tuned, again)
    with pytest.raises(SpecError, match="seed was 5, is 6"):
        sbtt_models.tune(SPEC, stream(), TRAINING, QUICK, seed=6, folder=tmp_path)


def test_a_member_that_diverges_takes_over_from_one_that_does_not(monkeypatch):
    real = population._advance

    def advance(task):
        if task.training.coordinated_dropout > 0.35:
            return None, "diverged"
        return real(task)

    monkeypatch.setattr(population, "_advance", advance)
    ranges = {"training.coordinated_dropout": Range(low=0.05, high=0.6, explore=0.5)}
    tuning = QUICK.model_copy(update={"ranges": ranges, "members": 5, "generations": 5})
    found = sbtt_models.tune(SMALL["autoencoder"], stream(), TRAINING, tuning, seed=1)
    gone = [row for row in found.history if "loss" not in row]
    assert gone
    for row in gone:
        after = [
            r for r in found.history
            if r["generation"] == row["generation"] + 1 and r["member"] == row["member"]
        ]  # fmt: skip
        assert all(r["parent"] != r["member"] for r in after)
    monkeypatch.setattr(population, "_advance", lambda task: (None, "nll is inf"))
    with pytest.raises(DivergedError, match="every member diverged in generation 1: nll is inf"):
        sbtt_models.tune(SMALL["autoencoder"], stream(), TRAINING, tuning)


def test_it_stops_when_generations_gain_too_little():
    tuning = QUICK.model_copy(update={"least_gain": 1e9, "patience": 2, "generations": 50})
    found = sbtt_models.tune(SPEC, stream(), TRAINING, tuning)
    assert found.history[-1]["generation"] == 3.0


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("decoder.colour", "decoder.colour is no number with a fraction"),
        ("decoder.generator", "decoder.generator is no number with a fraction"),
        ("decoder", "is no number"),
        ("score.held_out", "score.held_out is no number"),
        ("decoder.controller.kl_scale.x", "is no number"),
        ("training.coordinated_dropout", "coordinated_dropout: Input should be less than 1"),
    ],
)
def test_a_range_that_is_none_of_theirs_is_refused(key, match):
    tuning = QUICK.model_copy(update={"ranges": {key: Range(low=0.5, high=1.5)}})
    with pytest.raises(SpecError, match=match):
        sbtt_models.tune(SPEC, stream(), TRAINING, tuning)


def test_what_cannot_be_tuned_is_refused():
    for kind in ("kalman", "trial_mixture", "augmented_lds", "zero_filled"):
        with pytest.raises(SpecError, match=f"a {kind} decoder is none by itself"):
            sbtt_models.tune(SMALL[kind], stream(), TRAINING, QUICK)
    with pytest.raises(SpecError, match="say what may change"):
        sbtt_models.tune(SPEC, stream())
    for wrong in (
        {"low": 1, "high": 1},
        {"low": 0, "high": 1, "scale": "log"},
        {"low": 0, "high": 1, "first": 2},
    ):
        with pytest.raises(ValidationError):
            Range(**wrong)


def test_numbers_are_set_deep_inside_and_nothing_else_changes():
    decoder, training = changed(SPEC, TRAINING, {"decoder.controller.kl_scale": 0.5})
    assert decoder.controller.kl_scale == 0.5
    assert training == TRAINING
    assert decoder.model_dump(exclude={"controller"}) == SPEC.model_dump(exclude={"controller"})


def test_what_is_fitted_has_the_numbers_that_are_told():
    """Heirs hold the best weights too, with numbers that these were not trained with."""
    ranges = {"decoder.state_clip": Range(low=0.1, high=5.0, explore=0.9)}
    brief = {"ranges": ranges, "burn_in_epochs": 0, "generation_epochs": 1}
    tuning = QUICK.model_copy(update=brief)
    still = TRAINING.model_copy(update={"learning_rate": 1e-12})  # no heir becomes better
    data = stream(lengths=(6,) * 10)
    found = sbtt_models.tune(SPEC, data, still, tuning, seed=0)
    assert found.fitted.spec.state_clip == found.values["decoder.state_clip"]

"""Dense trials first: which they are, what is learned from them, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from implant_sim.hardware.activity import PRETRAIN
from implant_sim.study.acquisition import acquisition
from implant_sim.study.budget import budgets
from implant_sim.study.coordinate import Options, coordinate, entries_of
from implant_sim.study.keys import data_key, point_key
from implant_sim.study.load import load
from implant_sim.study.reuse import reprice, siblings
from implant_sim.study.run import simulate
from implant_sim.study.store import RunFolder
from sbtt_models.errors import SpecError

SMALL: dict[str, Any] = {
    "name": "small",
    "recording": {"kind": "lorenz", "channels": 8, "conditions": 3, "trials": 6, "bins": 30,
                  "mean_rate": "20 Hz"},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 2},
    "decoder": {"kind": "state_space", "hidden": 4, "blocks": 1, "modes": 2},
    "training": {"epochs": 2},
    "pretraining": {"trials": 4, "every": "10 h"},
}  # fmt: skip


def acquired(**changes: Any) -> Any:
    study = load(SMALL, {key.replace("__", "."): value for key, value in changes.items()})
    return acquisition(study.points[0].scenario, 0, study.root)


def test_dense_trials_replace_training_trials_and_no_others() -> None:
    got, sparse = acquired(), acquired(pretraining=None)
    whole, dense, rest = got.stream.split, got.dense.dense, got.dense.sparse
    assert dense.split.train.size == 4
    np.testing.assert_array_equal(np.union1d(dense.split.train, rest.split.train), whole.train)
    assert np.intersect1d(dense.split.train, rest.split.train).size == 0
    assert dense.observed[dense.split.train].all()
    others = np.setdiff1d(np.arange(len(whole.train)), dense.split.train)
    for stream in (dense, rest):  # all else as without dense trials, to the last entry
        np.testing.assert_array_equal(stream.counts[others], sparse.stream.counts[others])
        np.testing.assert_array_equal(stream.exposure[others], sparse.stream.exposure[others])
    assert (got.stream.exposure <= np.maximum(dense.exposure, 0)).all()
    more = acquired(pretraining__trials=6).dense.dense.split.train
    assert np.isin(dense.split.train, more).all()  # amounts are nested


def test_they_are_charged_beyond_the_usual_and_by_the_hour() -> None:
    got, sparse = acquired(), acquired(pretraining=None)
    full = acquired(pretraining=None, schedule={"kind": "full"})

    def done(what: Any) -> dict[tuple[str, str], float]:
        return {(a.component, a.action): a.n_actions for a in what.activity.actions}

    charged = {
        (part, action.removeprefix(PRETRAIN)): n
        for (part, action), n in done(got).items()
        if action.startswith(PRETRAIN)
    }
    duration_s, dense_s = got.activity.duration_s, 4 * 30 * 0.02
    usual, densely = done(sparse), done(full)
    for key, n in charged.items():
        beyond = (densely[key] - usual.get(key, 0.0)) * dense_s / duration_s
        assert n == pytest.approx(beyond * duration_s / 36_000)
    assert ("adc", "convert") in charged
    assert got.ledger.power_w > sparse.ledger.power_w
    columns = got.ledger.columns.values()
    assert sum(columns) == pytest.approx(got.ledger.power_w, rel=1e-12)
    rarely = acquired(pretraining__every="20 h").ledger.power_w - sparse.ledger.power_w
    assert got.ledger.power_w - sparse.ledger.power_w == pytest.approx(2 * rarely, rel=1e-6)


def test_tissue_must_bear_the_dense_trials() -> None:
    """However rarely they are taken, what limits is full sampling while they last."""
    full = acquired(pretraining=None, schedule={"kind": "full"})
    for every in ("10 h", "1000 h"):
        got = acquired(pretraining__every=every)
        for name in ("heat", "flux"):
            assert got.verdict.margins[name] == pytest.approx(full.verdict.margins[name])
        assert got.verdict.margins["radio"] > full.verdict.margins["radio"]  # sent more slowly
    sparse = acquired(pretraining=None)
    assert sparse.verdict.margins["heat"] > full.verdict.margins["heat"]
    (found,) = budgets(load(SMALL))
    assert found.row["margin"] == pytest.approx(acquired().verdict.margin)


def test_hardware_alone_charges_the_same() -> None:
    (found,) = budgets(load(SMALL))
    assert found.row["power_w"] == pytest.approx(acquired().ledger.power_w, rel=1e-12)


@pytest.mark.parametrize("adapt", ["all", "encoder", "read_in"])
def test_both_stages_are_run_and_told(adapt: str) -> None:
    study = load(SMALL, {"pretraining.adapt": adapt, "pretraining.training.epochs": 3})
    outcome = simulate(study.points[0].scenario, 0, study.root)
    assert outcome.row["epochs"] == 5
    assert len(outcome.detail["pretraining_history"]) == 3
    assert len(outcome.detail["history"]) == 2


def test_a_trial_mixture_is_pretrained_by_its_network() -> None:
    mixture = {"kind": "trial_mixture", "rounds": 1, "network": SMALL["decoder"]}
    study = load(SMALL, {"decoder": mixture, "pretraining.training.epochs": 3})
    outcome = simulate(study.points[0].scenario, 0, study.root)
    alone = load(SMALL, {"pretraining.training.epochs": 3})
    whole = simulate(alone.points[0].scenario, 0, alone.root)
    assert outcome.detail["history"] == whole.detail["history"]  # the network learned the same
    assert len(outcome.detail["pretraining_history"]) == 3


def test_names_of_results_know_it() -> None:
    def names(**changes: Any) -> tuple[str, str]:
        study = load(SMALL, {f"pretraining.{key}": value for key, value in changes.items()})
        scenario = study.points[0].scenario
        return point_key(scenario, 0, study.root), data_key(scenario, 0.02)

    base = names()
    for change in ({"adapt": "read_in"}, {"training": {"epochs": 3}}):
        assert names(**change)[0] != base[0]
        assert names(**change)[1] == base[1]  # the implant does the same
    for change in (
        {"trials": 5},
        {"every": "1 h"},
        {"schedule": {"kind": "bernoulli", "fraction": 0.9}},
    ):
        assert names(**change)[0] != base[0]
        assert names(**change)[1] != base[1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="leave none to adapt"):
        acquired(pretraining__trials=500)
    with pytest.raises(SpecError, match="give trials or fraction"):
        load(SMALL, {"pretraining.fraction": 0.5})
    with pytest.raises(SpecError, match="shorter than the dense trials"):
        acquired(pretraining__every="1 s")
    with pytest.raises(SpecError, match="kalman does not go on from an earlier fit"):
        load(SMALL, {"decoder": {"kind": "kalman", "size": 1, "iterations": 1}})
    with pytest.raises(SpecError, match="leave out tuning"):
        load(
            SMALL, {"tuning": {"ranges": {"training.learning_rate": {"low": 1e-3, "high": 1e-2}}}}
        )


@pytest.mark.parametrize(
    "change",
    [
        {"adapt": ["all", "encoder"]},
        {"training.epochs": [2, 3]},
        {"trials": [4, 5]},
        {"every": ["1 h", "10 h"]},
        {"schedule": [{"kind": "full"}, {"kind": "bernoulli", "fraction": 0.9}]},
    ],
)
def test_another_pretraining_is_another_decoder(change: dict[str, Any]) -> None:
    """Points that differ in prices alone share a decoder; those that differ in this do not."""
    axes = {f"pretraining.{key}": values for key, values in change.items()}
    study = load(SMALL, {"sweep": {"implant.overhead.power": ["1 mW", "2 mW"], **axes}})
    scenarios = {p.index: p.scenario for p in study.points}
    entries = entries_of(study)
    rules = {e.key: scenarios[e.point].pretraining for e in entries}
    shared = siblings(scenarios, entries)
    assert len(shared) == 2
    assert all(rules[key] == rules[leader] for key, leader in shared.items())


def test_a_decoder_is_shared_only_where_the_dense_entries_are_the_same(tmp_path: Path) -> None:
    """The sparse samples may agree though a packet between them was lost."""
    ble = {
        "kind": "ble",
        "retransmit": False,
        "packet_loss": 0.0,
        "source": {"text": "made up", "kind": "recalled"},
    }
    changes = {"seed": 4, "implant.radio": ble, "schedule": {"kind": "bernoulli", "fraction": 0.1}}
    study = load(SMALL, changes | {"sweep": {"implant.radio.packet_loss": [0.0, 0.0005]}})
    whole, lossy = (acquisition(p.scenario, 0, study.root) for p in study.points)
    assert whole.dense is not None
    assert lossy.dense is not None
    np.testing.assert_array_equal(whole.stream.exposure, lossy.stream.exposure)
    assert (whole.dense.dense.exposure != lossy.dense.dense.exposure).any()
    assert len(siblings({p.index: p.scenario for p in study.points}, entries_of(study))) == 1
    coordinate(study, tmp_path, simulate, Options(jobs=1), reprice)
    folder = RunFolder(tmp_path)
    for entry in folder.entries():
        assert folder.result(entry.key)["row"].get("decoded_by") is None


def test_a_priced_point_tells_of_both_stages(tmp_path: Path) -> None:
    study = load(SMALL, {"sweep": {"implant.overhead.power": ["1 mW", "2 mW"]}})
    coordinate(study, tmp_path, simulate, Options(jobs=1), reprice)
    folder = RunFolder(tmp_path)
    first, second = (folder.result(entry.key) for entry in folder.entries())
    assert second["row"]["decoded_by"] is not None
    assert second["pretraining_history"] == first["pretraining_history"]

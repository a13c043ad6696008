"""Electrodes that die or drift after training: what changes, what must not, and who pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from implant_sim.study.acquisition import Acquisition, acquisition
from implant_sim.study.budget import budgets
from implant_sim.study.coordinate import Options, coordinate, entries_of
from implant_sim.study.drift import scaled
from implant_sim.study.keys import data_key, point_key
from implant_sim.study.load import Study, load
from implant_sim.study.reuse import reprice, siblings
from implant_sim.study.run import simulate
from implant_sim.study.store import RunFolder
from sbtt_models.errors import SpecError

SMALL: dict[str, Any] = {
    "name": "small",
    "recording": {"kind": "lorenz", "channels": 12, "conditions": 4, "trials": 8, "bins": 40,
                  "mean_rate": "20 Hz"},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 6},
    "decoder": {"kind": "kalman", "size": 3, "iterations": 3},
}  # fmt: skip
DEAD = {"silent": 0.25}


def study_of(drift: Any = None, **changes: Any) -> Study:
    return load({**SMALL, **changes, **({} if drift is None else {"drift": drift})})


def acquired(drift: Any = None, **changes: Any) -> Acquisition:
    study = study_of(drift, **changes)
    return acquisition(study.points[0].scenario, 0, study.root)


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "random_subset", "bandwidth": 6},
        {"kind": "static_subset", "bandwidth": 6, "order": "greedy"},
        {"kind": "weighted", "bandwidth": 6, "by": "rate"},
    ],
)
@pytest.mark.parametrize("drift", [DEAD, DEAD | {"noticed": True}, {"walk": 0.3, "days": 2}])
def test_training_and_ranking_see_nothing_of_it(schedule: Any, drift: Any) -> None:
    before, after = acquired(schedule=schedule), acquired(drift, schedule=schedule)
    fitted, test = before.stream.split.fitted, before.stream.split.test
    np.testing.assert_array_equal(before.stream.counts[fitted], after.stream.counts[fitted])
    np.testing.assert_array_equal(before.stream.exposure[fitted], after.stream.exposure[fitted])
    assert (before.stream.counts[test] != after.stream.counts[test]).any()
    truth = after.offered.held_in  # scores are taken against the neurons, which are as before
    np.testing.assert_array_equal(before.offered.held_in.counts, truth.counts)
    converted = [
        [
            a.n_actions
            for a in got.activity.actions
            if (a.component, a.action) == ("adc", "convert")
        ]
        for got in (before, after)
    ]
    assert converted[0] == converted[1]  # a dead electrode is sampled, and paid for


def test_silent_electrodes_are_as_many_as_said_and_nested() -> None:
    full: dict[str, Any] = {"schedule": {"kind": "full"}}
    gone: set[int] = set()
    for share in (0.0, 0.25, 0.5):
        got = acquired({"silent": share}, **full)
        test = got.stream.split.test
        silent = set(np.flatnonzero(~got.stream.counts[test].any(axis=(0, 1))).tolist())
        assert len(silent) == round(share * 12)
        assert gone <= silent
        gone = silent
        noticed = acquired({"silent": share, "noticed": True}, **full).stream
        assert got.stream.observed.all()  # silence passes for data
        unseen = set(np.flatnonzero(~noticed.observed[test].any(axis=(0, 1))).tolist())
        assert unseen == silent
        np.testing.assert_array_equal(noticed.counts, got.stream.counts)


def test_gains_find_each_spike_so_often() -> None:
    counts = np.full((200, 50, 4), 3, np.int32)
    gain = np.array([0.3, 1.0, 2.0, 1.4])
    found = scaled(counts, gain, np.random.default_rng(0))
    np.testing.assert_allclose(found.mean(axis=(0, 1)), 3 * gain, rtol=0.02)
    assert (found[..., 0] <= 3).all()
    assert (found[..., 1] == 3).all()
    assert (found[..., 2] == 6).all()
    assert found[..., 3].min() == 3
    assert found[..., 3].max() == 6
    ten = acquired({"walk": 0.1, "days": 9}, schedule={"kind": "full"})
    one = acquired({"walk": 0.3}, schedule={"kind": "full"})
    np.testing.assert_array_equal(ten.stream.counts, one.stream.counts)  # the root of time


def test_no_drift_is_no_change() -> None:
    plain, none = (
        simulate((s := study_of(d)).points[0].scenario, 0, s.root) for d in (None, {"days": 3})
    )
    never = {"train_s"}
    assert {k: v for k, v in plain.row.items() if k not in never} == {
        k: v for k, v in none.row.items() if k not in never
    }


def test_the_decoder_is_the_one_of_before_and_is_the_worse_for_it() -> None:
    def ran(drift: Any) -> Any:
        study = study_of(drift)
        return simulate(study.points[0].scenario, 0, study.root)

    plain, dead = ran(None), ran({"silent": 0.5})
    noticed = ran({"silent": 0.5, "noticed": True})
    fitted = plain.arrays["split/train"]
    for other in (dead, noticed):  # equal weights, equal rates where the data are equal
        np.testing.assert_array_equal(plain.arrays["rates"][fitted], other.arrays["rates"][fitted])
    score = "rate_r2_expected"
    assert plain.row[score] > noticed.row[score] > dead.row[score]
    assert any("electrodes are silent" in note for note in dead.detail["notes"])


def test_hardware_alone_counts_the_same() -> None:
    (found,) = budgets(study_of(DEAD))
    got = acquired(DEAD)
    assert found.row["power_w"] == got.ledger.power_w
    poisson = {"recording": {"kind": "poisson", "channels": 6, "rate": "30 Hz",
                             "duration": "20 s", "bin": "20 ms"}}  # fmt: skip
    (found,) = budgets(study_of(DEAD, **poisson))
    assert found.row["power_w"] == acquired(DEAD, **poisson).ledger.power_w


def test_names_of_results_know_it() -> None:
    values = {"silent": [0.1, 0.2], "noticed": [False, True], "walk": [0.0, 0.1]}
    for key, pair in values.items():
        scenarios = [study_of(DEAD | {key: value}).points[0].scenario for value in pair]
        one, other = (point_key(s, 0, study_of().root) for s in scenarios)
        assert one != other
        assert data_key(scenarios[0], 0.02) != data_key(scenarios[1], 0.02)


@pytest.mark.parametrize(
    "decoder",
    [
        SMALL["decoder"],
        {"kind": "state_space", "hidden": 4, "blocks": 1, "modes": 2},
        {"kind": "smoothing", "sd": "50 ms"},
    ],
    ids=lambda d: d["kind"],
)
def test_one_training_is_tested_on_many_days(tmp_path: Path, decoder: dict[str, Any]) -> None:
    """The same numbers as with a training for each, and one training for all."""
    sweep = {"drift.silent": [0.0, 0.5], "drift.noticed": [False, True]}
    study = load({**SMALL, "decoder": decoder, "training": {"epochs": 2}, "sweep": sweep})
    assert len(siblings({p.index: p.scenario for p in study.points}, entries_of(study))) == 3
    alone = coordinate(study, tmp_path / "alone", simulate, Options(jobs=1))
    shared = coordinate(study, tmp_path / "shared", simulate, Options(jobs=1), reprice)
    without = ["decoded_by", "train_s"]
    assert alone.drop(columns=without).equals(shared.drop(columns=without))
    assert shared["decoded_by"].notna().tolist() == [False, True, True, True]
    assert shared["bits_per_spike_all"].nunique() == 3  # nobody dead: noticed or not
    for entry in RunFolder(tmp_path / "shared").entries():
        content = RunFolder(tmp_path / "shared").result(entry.key, verify=True)
        assert {"arrays.h5", "weights.safetensors"} <= set(content["files"])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="also validate"):
        acquired(DEAD, recording={"kind": "lorenz", "variant": "demo"})
    with pytest.raises(SpecError, match=r"drift\.silent"):
        study_of({"silent": 1.0})

"""The whole pipeline on a small synthetic recording."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import implant_sim
import sbtt_models
from implant_sim.study.arrays import read
from implant_sim.study.budget import budgets
from implant_sim.study.coordinate import entries_of
from implant_sim.study.keys import code_digest
from implant_sim.study.load import load
from implant_sim.study.run import acquisition, simulate
from implant_sim.study.store import RunFolder
from implant_sim.study.tables import RESULTS
from implant_sim.study.worker import Job, work
from sbtt_models.errors import SpecError

SMALL = {
    "name": "small",
    "seed": 4,
    "recording": {"kind": "lorenz", "channels": 8, "conditions": 3, "trials": 6, "bins": 30,
                  "mean_rate": "20 Hz"},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 4},
    "decoder": {"kind": "smoothing"},
    "training": {"epochs": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    sweep = {"schedule.bandwidth": [8, 2], "decoder": [{"kind": "smoothing"},
             {"kind": "autoencoder", "hidden": 4, "generator": 4}]}  # fmt: skip
    results = implant_sim.run({**SMALL, "repeats": 2, "sweep": sweep}, out, jobs=2)
    return out, results


def test_every_column_of_the_contract_is_there_and_filled(ran):
    _, results = ran
    assert list(results.columns[: len(RESULTS)]) == list(RESULTS)
    assert results["status"].tolist() == ["ok"] * 8
    not_here = {"power_p10_w", "power_p90_w", "battery_h", "co_bps", "behaviour", "velocity_r2"}
    empty = {c for c in RESULTS if results[c].isna().all()}
    assert empty <= not_here
    assert results["bandwidth"].tolist() == [8.0] * 4 + [2.0] * 4
    assert results["seed"].tolist() == [4, 5] * 4
    assert results["recording"].str.startswith("lorenz").all()


def test_power_closes(ran):
    out, results = ran
    parts = [c for c in RESULTS if c.startswith("power_") and c not in
             ("power_w", "power_p10_w", "power_p90_w")]  # fmt: skip
    np.testing.assert_allclose(results[parts].sum(axis=1), results["power_w"], rtol=1e-12)
    energy = pd.read_csv(out / "energy.csv")
    np.testing.assert_allclose(energy["count"] * energy["price_j"], energy["energy_j"], rtol=1e-12)
    total = energy.groupby(["point", "repeat"])["energy_j"].sum()
    duration = 3 * 6 * 30 * 0.02
    np.testing.assert_allclose(total / duration, results["power_w"], rtol=1e-12)
    assert energy["source"].str.len().min() > 3


def test_arrays_of_a_point_fit_together(ran):
    out, results = ran
    folder = RunFolder(out)
    entry = folder.entries()[-1]
    arrays, attrs = read(out / "points" / entry.key / "arrays.h5")
    shape = (18, 30, 8)
    for name in ("counts", "true_counts", "observed", "exposure", "rates", "expected", "rates_hz"):
        assert arrays[name].shape == shape, name
    assert attrs["bin_s"] == 0.02
    assert not arrays["counts"][~arrays["observed"]].any()
    assert (arrays["observed"] == (arrays["exposure"] > 0)).all()
    assert (arrays["counts"] <= arrays["true_counts"]).all()
    parts = [arrays[f"split/{part}"] for part in ("train", "valid", "test")]
    assert sorted(np.concatenate(parts)) == list(range(18))
    content = folder.result(entry.key, verify=True)
    assert content["row"]["power_w"] == results["power_w"].iloc[-1]
    assert [line["epoch"] for line in content["history"]]
    assert content["durations_s"]["train"] > 0
    names = {p.name for p in (out / "points" / entry.key).iterdir()}
    assert "weights.safetensors" in names


def test_the_same_again_bit_for_bit(ran):
    out, _ = ran
    again = simulate(
        load({**SMALL, "schedule": {"kind": "random_subset", "bandwidth": 2}, "decoder":
              {"kind": "autoencoder", "hidden": 4, "generator": 4}}).points[0].scenario,
        1, out,
    )  # fmt: skip
    folder = RunFolder(out)
    kept = folder.result(folder.entries()[-1].key)
    timing = {"train_s"}
    for name, value in again.row.items():
        if name not in timing:
            assert kept["row"][name] == value, name
    arrays, _ = folder.arrays(folder.entries()[-1].key)
    for name, value in again.arrays.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_common_random_numbers(ran):
    """Decoders of one repeat see the same samples; repeats see others."""
    out, _ = ran
    folder = RunFolder(out)
    by = {(e.point, e.repeat): folder.arrays(e.key)[0]["observed"] for e in folder.entries()}
    assert (by[2, 0] == by[3, 0]).all()
    assert (by[2, 0] != by[2, 1]).any()


def test_hardware_alone_costs_the_same(ran):
    _, results = ran
    study = load({**SMALL, "sweep": {"schedule.bandwidth": [8, 2, 99]}})
    found = list(budgets(study))
    assert found[0].row["power_w"] == results["power_w"].iloc[0]
    assert found[1].row["power_w"] == results["power_w"].iloc[4]
    assert found[2].row == {"status": "infeasible"}
    assert "99 channels" in found[2].error


def test_held_out_channels_never_reach_the_implant():
    scenario = load({**SMALL, "score": {"held_out": 0.25}}).points[0].scenario
    got = acquisition(scenario, 0, load(SMALL).root)
    assert got.offered.channels.size == 2
    assert got.stream.n_channels == got.activity.n_channels == 6


def test_more_channels_never_cost_less():
    study = load({**SMALL, "sweep": {"schedule.bandwidth": [1, 2, 4, 8]}})
    watts = [budget.row["power_w"] for budget in budgets(study)]
    assert watts == sorted(watts)
    assert watts[0] < watts[-1]


def test_a_point_killed_in_mid_training_goes_on_and_gives_the_same(tmp_path):
    """The worker dies in epoch 8; the next run begins that point's training in epoch 7."""
    study = load({**SMALL, "decoder": {"kind": "autoencoder", "hidden": 4, "generator": 4},
                  "training": {"epochs": 12, "checkpoint_every": 3}})  # fmt: skip
    (entry,) = entries_of(study)
    jobs = {
        name: Job(study.points[0].scenario, entry, study.root, tmp_path / name, simulate, "cpu",
                  code_digest())
        for name in ("straight", "killed")
    }  # fmt: skip
    for name in jobs:
        (tmp_path / name / "points").mkdir(parents=True)
    assert work(jobs["straight"], lambda share: None) == "ok"

    class Killed(BaseException):
        pass

    told = []

    def report(share):
        told.append(share)
        if len(told) == 8:
            raise Killed

    with pytest.raises(Killed):
        work(jobs["killed"], report)
    folder = RunFolder(tmp_path / "killed")
    assert {p.name[:17] for p in folder.training(entry.key).iterdir()} == {
        "checkpoint-000003", "checkpoint-000006",
    }  # fmt: skip
    told[:] = [0.0] * 100  # never killed again
    assert work(jobs["killed"], report) == "ok"
    assert len(told) - 100 == 6
    assert not folder.training(entry.key).exists()
    one, other = (RunFolder(tmp_path / name).result(entry.key, verify=True) for name in jobs)
    assert one["history"] == other["history"]
    assert {k: v for k, v in one["row"].items() if k != "train_s"} == {
        k: v for k, v in other["row"].items() if k != "train_s"
    }
    weights = [tmp_path / n / "points" / entry.key / "weights.safetensors" for n in jobs]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    loaded = sbtt_models.load(weights[0].parent)
    assert loaded.epochs == 12


def test_a_scenario_can_ask_for_a_population():
    ranges = {"training.coordinated_dropout": {"low": 0.1, "high": 0.6}}
    tuning = {"ranges": ranges, "members": 2, "generation_epochs": 1, "burn_in_epochs": 0,
              "generations": 2}  # fmt: skip
    network = {"kind": "autoencoder", "hidden": 4, "generator": 4}
    study = load({**SMALL, "decoder": network, "tuning": tuning})
    outcome = simulate(study.points[0].scenario, 0, study.root)
    assert outcome.row["epochs"] == 2
    assert [(row["generation"], row["member"]) for row in outcome.detail["tuning"]] == [
        (1, 0), (1, 1), (2, 0), (2, 1)
    ]  # fmt: skip
    with pytest.raises(SpecError, match=r"decoder\.colour is no number"):
        load({**SMALL, "decoder": network,
              "tuning": {"ranges": {"decoder.colour": {"low": 0, "high": 1}}}})  # fmt: skip
    for kind in ("kalman", "trial_mixture", "augmented_lds", "zero_filled"):
        with pytest.raises(SpecError, match=f"tuning: .* a {kind} decoder is none by itself"):
            load({**SMALL, "decoder": {"kind": kind}, "tuning": tuning})

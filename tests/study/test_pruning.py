"""Early stopping: hopeless points are left after a short run, are said to be, and stay so."""

from __future__ import annotations

import json

import pytest

from implant_sim.study.coordinate import Options, coordinate
from implant_sim.study.load import load
from implant_sim.study.search.found import FOUND
from implant_sim.study.search.prune import Pruner
from implant_sim.study.search.spec import Pruning
from sbtt_models.errors import SpecError
from tests.study.study_fakes import quick, tiny
from tests.study.test_search import inline, scored  # noqa: F401 - a fixture

SEARCH = {
    "space": {"schedule.bandwidth": [1, 4], "training.batch_size": [1, 2, 4, 8, 16]},
    "objectives": {"power_w": "min", "velocity_r2": "max"},
    "budget": {"points": 20},
    "sampler": {"kind": "random", "seed": 1},
    "pruning": {"epochs": 0.25, "share": 0.2, "after": 4},
}
NETWORK = {"decoder": {"kind": "autoencoder"}, "training": {"epochs": 40}}


def trained(scenario, repeat, root, device, progress, folder=None):
    """Better with bandwidth, small batches and epochs; a batch of 1 is best."""
    outcome = quick(scenario, repeat, root, device, progress)
    training, bandwidth = scenario.training, scenario.schedule.bandwidth
    score = bandwidth - 0.1 * training.batch_size + 0.01 * training.epochs + 0.001 * repeat
    outcome.row.update({"power_w": 1e-3 * bandwidth, "velocity_r2": score})
    return outcome


def search_of(**changes):
    return load(tiny(search=SEARCH | changes, repeats=2, **NETWORK))


def told_in(folder):
    return json.loads((folder / FOUND).read_text())


def test_hopeless_points_are_left_and_the_front_stays(tmp_path, inline):  # noqa: F811
    ran, _ = inline
    results = coordinate(search_of(), tmp_path / "a", trained, Options(jobs=1))
    told, n = told_in(tmp_path / "a"), len(ran)
    pruned = {p["point"] for p in told["points"] if p["state"] == "pruned"}
    assert 3 <= len(pruned) == told["states"]["pruned"]
    left = results[results["point"].isin(pruned)]
    assert (left["status"] == "pruned").all()
    assert left["power_w"].notna().all()
    assert "velocity_r2" not in left or left["velocity_r2"].isna().all()
    assert sorted(left["point"]) == sorted(pruned)  # a row each, of the hardware
    in_full = len(told["points"]) - len(pruned)
    assert n == len(told["points"]) + 2 * in_full
    assert sum(e.point < 0 for e in ran) == len(told["points"])  # of 10 epochs, not listed
    assert (results["point"] >= 0).all()
    reason = next(p["reason"] for p in told["points"] if p["state"] == "pruned")
    assert "after one repeat of 10 epochs" in reason
    whole = coordinate(search_of(pruning=None), tmp_path / "b", trained, Options(jobs=1))
    assert (whole["status"] == "ok").all()
    fronts = [{p["point"] for p in told_in(tmp_path / name)["front"]} for name in "ab"]
    assert fronts[0] == fronts[1]


@pytest.mark.slow
def test_an_interrupted_search_prunes_the_same(tmp_path, inline):  # noqa: F811
    ran, stops = inline
    whole = coordinate(search_of(), tmp_path / "whole", trained, Options(jobs=1))
    n = len(ran)
    for stop in (2, 9, 17):
        del ran[:]
        stops.add(stop)
        with pytest.raises(KeyboardInterrupt):
            coordinate(search_of(), tmp_path / f"{stop}", trained, Options(jobs=1))
        stops.clear()
        del ran[:]
        again = coordinate(search_of(), tmp_path / f"{stop}", trained, Options(jobs=1))
        assert len(ran) == n - stop + 1
        assert again.equals(whole)
        assert told_in(tmp_path / f"{stop}") == told_in(tmp_path / "whole")


def test_without_epochs_the_first_repeat_is_the_short_run(tmp_path, inline):  # noqa: F811
    ran, _ = inline
    study = load(tiny(search=SEARCH | {"space": {"schedule.bandwidth": [1, 4]}}, repeats=3))
    coordinate(study, tmp_path, scored, Options(jobs=1))
    assert len(ran) == 12  # four points, three repeats each, none twice
    assert len({e.key for e in ran}) == 12


def test_the_median_rule_with_one_objective():
    pruner = Pruner(Pruning(share=0.5, after=4))
    pruner.learn([(0, [1.0]), (1, [2.0]), (2, [3.0])])
    assert pruner.rivals([9.0]) == []  # too few to go by
    pruner.learn([(3, [4.0])])
    assert pruner.rivals([2.0]) == []
    assert pruner.rivals([2.5]) == [0, 1]
    assert pruner.rivals([9.0]) == [0, 1, 2, 3]


def test_nothing_to_cut_short_is_said():
    with pytest.raises(SpecError, match="nothing can be cut short"):
        load(tiny(search=SEARCH))

"""Points that begin with the weights of a neighbour: who, in what order, and under which name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

import sbtt_models
from implant_sim.report.load import load_run
from implant_sim.report.summary import summarise
from implant_sim.report.words import notes
from implant_sim.study import engines
from implant_sim.study.acquisition import acquisition
from implant_sim.study.coordinate import Options, coordinate, entries_of
from implant_sim.study.keys import code_digest, stage_seed
from implant_sim.study.limits import predict
from implant_sim.study.load import load
from implant_sim.study.reuse import notes_of, reprice, siblings
from implant_sim.study.run import simulate
from implant_sim.study.store import RunFolder
from implant_sim.study.worker import Job, work
from sbtt_models.decoders import AnyDecoder
from sbtt_models.errors import DivergedError, SpecError
from sbtt_models.training import Training
from tests.study import study_fakes

WARM = {"axis": "schedule.bandwidth", "training": {"epochs": 1}}
SMALL = study_fakes.tiny(
    decoder={"kind": "state_space", "hidden": 4, "blocks": 1, "modes": 2},
    training={"epochs": 2, "checkpoint_every": 1},
    warm_start=WARM,
)


def study_of(bandwidths: list[int], **changes: Any) -> Any:
    axes = changes.pop("axes", {})
    return load(SMALL | changes | {"sweep": {"schedule.bandwidth": bandwidths, **axes}})


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run in this process, and tell of each training."""
    found: list[dict[str, Any]] = []
    fit = sbtt_models.fit

    def told(*given: Any, **named: Any) -> Any:
        found.append(named)
        return fit(*given, **named)

    monkeypatch.setattr(sbtt_models, "fit", told)
    monkeypatch.setattr(engines.Choice, "open", lambda self, crew: study_fakes.Inline())
    return found


def run(study: Any, out: Path, **named: Any) -> Any:
    return coordinate(study, out, named.pop("simulate", simulate), Options(jobs=1), **named)


@pytest.mark.parametrize(
    ("order", "starts"),
    [("descending", {2: 1, 0: 2}), ("ascending", {2: 0, 1: 2}), ("listed", {1: 0, 2: 1})],
)
def test_points_are_chained_along_the_axis(order: str, starts: dict[int, int]) -> None:
    study = study_of([1, 4, 2], warm_start=WARM | {"order": order})
    assert study.starts == starts
    entries = entries_of(study)
    assert {e.point: entries[study.starts[e.point]].key for e in entries if e.start} == {
        e.point: e.start for e in entries if e.start
    }


def test_all_else_is_equal() -> None:
    study = study_of([2, 4], axes={"training.learning_rate": [0.01, 0.02]}, repeats=2)
    assert study.starts == {0: 2, 1: 3}
    by_key = {e.key: e for e in entries_of(study)}
    for entry in by_key.values():
        if entry.start:
            before = by_key[entry.start]
            assert before.repeat == entry.repeat
            assert before.axes["training.learning_rate"] == entry.axes["training.learning_rate"]


def test_quantities_have_an_order_and_what_walks_with_the_axis_is_no_difference() -> None:
    axes = {"implant.amplifier.noise": ["900 nV", "2 uV"], "training.batch_size": [4, 8]}
    study = load(SMALL | {"sweep": {"zip": [axes]},
                          "warm_start": {"axis": "implant.amplifier.noise"}})  # fmt: skip
    assert study.starts == {0: 1}


def test_baselines_take_no_part() -> None:
    decoders = [SMALL["decoder"], {"kind": "smoothing", "sd": "50 ms"}]
    study = study_of([2, 4], axes={"decoder": decoders})
    assert study.starts == {0: 2}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"warm_start": {"axis": "schedule.width"}}, "no axis of the sweep; name one of schedule"),
        ({"sweep": {}}, "no axis of the sweep; name one of those that you give it"),
        ({"sweep": {"schedule.bandwidth": [4]}}, "no two points with a network differ"),
        ({"decoder": {"kind": "smoothing"}}, "no two points with a network differ"),
        (
            {"sweep": {"schedule": [{"kind": "full"}, {"kind": "round_robin", "bandwidth": 2}]},
             "warm_start": {"axis": "schedule"}},
            "'full' is no number.*choose order: listed",
        ),
        ({"pretraining": {"trials": 2}}, "does not go with pretraining"),
        (
            {"tuning": {"ranges": {"training.learning_rate": {"low": 1e-3, "high": 1e-2}}}},
            "does not go with tuning",
        ),
        ({"sweep": {"warm_start.adapt": ["all", "encoder"]}}, "'warm_start' cannot be swept"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        load(SMALL | {"sweep": {"schedule.bandwidth": [4, 2]}} | change)


def test_names_hold_all_that_came_before() -> None:
    def keys(bandwidths: list[int], **warm: Any) -> dict[int, str]:
        study = study_of(bandwidths, warm_start=WARM | warm)
        return {e.axes["schedule.bandwidth"]: e.key for e in entries_of(study)}

    base, more, cold = keys([4, 2, 1]), keys([4, 3, 2, 1]), study_of([4, 2, 1], warm_start=None)
    assert base[4] == more[4] == entries_of(cold)[0].key  # the first is as without
    assert len({base[2], more[2], entries_of(cold)[1].key}) == 3
    assert base[1] != more[1]
    assert keys([2, 1, 4]) == base
    for other in (keys([4, 2, 1], adapt="encoder"), keys([4, 2, 1], training={"epochs": 3})):
        assert other[4] == base[4]
        assert other[2] != base[2]


@pytest.mark.parametrize("adapt", ["all", "read_in"])
def test_a_point_goes_on_from_its_neighbour_and_says_so(
    tmp_path: Path, fits: list[dict[str, Any]], adapt: str
) -> None:
    study = study_of([2, 1, 4], repeats=2, warm_start=WARM | {"adapt": adapt})
    results = run(study, tmp_path).set_index(["schedule.bandwidth", "repeat"])
    assert (results["status"] == "ok").all()
    assert sorted(one.get("adapt", "") for one in fits) == [""] * 2 + [adapt] * 4
    folder, entries = RunFolder(tmp_path), entries_of(study)
    lengths = acquisition(study.points[0].scenario, 0, study.root).stream
    n_bins = lengths.lengths[lengths.split.train].sum()
    for repeat in (0, 1):
        rows = [results.loc[k, repeat] for k in (4, 2, 1)]
        assert [row["epochs"] for row in rows] == [2, 1, 1]
        assert [row["epochs_before"] for row in rows[1:]] == [2, 3]
        spent = np.cumsum([row["energy_per_bin_j"] * n_bins for row in rows])
        np.testing.assert_allclose([row["start_energy_j"] for row in rows[1:]], spent[:-1])
    first = next(e for e in entries if e.start is None)
    assert np.isnan(results.loc[(4, 0), "epochs_before"])
    child = next(e for e in entries if e.start == first.key)
    scenario = study.points[child.point].scenario
    by_hand = sbtt_models.fit(
        scenario.decoder,
        acquisition(scenario, child.repeat, study.root).stream,
        scenario.warm_start.training,
        seed=stage_seed(scenario.seed, child.repeat, "initial weights") % 2**63,
        start=sbtt_models.load(folder.points / first.key),
        adapt=adapt,
    )
    kept = sbtt_models.load(folder.points / child.key)
    for name, value in by_hand.network.state_dict().items():
        assert np.array_equal(kept.network.state_dict()[name], value), name
    assert any("not charged" in note for note in folder.result(child.key)["notes"])


class Killed(BaseException):
    pass


def content(out: Path) -> dict[str, Any]:
    folder = RunFolder(out)
    found = {e.key: folder.result(e.key, verify=True) for e in folder.entries()}
    for one in found.values():
        one["row"].pop("train_s")
        for name in ("durations_s", "peak_memory_b", "files"):
            one.pop(name)
    return found


def test_a_chain_that_was_killed_goes_on_as_if_it_had_not_been(
    tmp_path: Path, fits: list[dict[str, Any]]
) -> None:
    study = study_of([4, 2, 1])
    run(study, tmp_path / "straight")
    del fits[:]

    def dying(*given: Any) -> Any:
        if given[0].schedule.bandwidth == 1:  # the last of the chain
            raise Killed
        return simulate(*given)

    with pytest.raises(Killed):
        run(study, tmp_path / "killed", simulate=dying)
    run(study, tmp_path / "killed")
    assert len(fits) == 3
    assert content(tmp_path / "killed") == content(tmp_path / "straight")
    assert len(run(study_of([4, 2, 1, 3]), tmp_path / "killed")) == 4
    assert len(fits) == 3 + 3  # the first of the longer chain was there already


def test_a_damaged_beginning_is_trained_again_and_then_trusted(
    tmp_path: Path, fits: list[dict[str, Any]]
) -> None:
    study = study_of([4, 2])
    run(study, tmp_path)
    straight = content(tmp_path)
    first, second = entries_of(study)
    weights = tmp_path / "points" / first.key / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    RunFolder(tmp_path).discard(second.key)
    run(study, tmp_path)
    assert content(tmp_path) == straight


@pytest.mark.parametrize(
    ("left", "status", "told"),
    [("nothing", "failed", "is missing"), ("failed", "failed", "is failed"),
     ("diverged", "infeasible", "is diverged")],
)  # fmt: skip
def test_a_point_without_its_beginning_says_so(
    tmp_path: Path, left: str, status: str, told: str
) -> None:
    study = study_of([4, 2])
    first, second = entries_of(study)
    folder = RunFolder(tmp_path)
    folder.points.mkdir(parents=True)
    scenarios = [point.scenario for point in study.points]

    def job(entry: Any, call: Any) -> Job:
        return Job(scenarios[entry.point], entry, study.root, tmp_path, call, "cpu", code_digest())

    def broken(*given: Any) -> Any:
        raise DivergedError("x") if left == "diverged" else ZeroDivisionError

    if left != "nothing":
        assert work(job(first, broken), print) == left
    assert work(job(second, simulate), print) == status
    assert told in folder.result(second.key)["error"]


def test_points_that_differ_in_prices_share_a_chain(
    tmp_path: Path, fits: list[dict[str, Any]]
) -> None:
    study = study_of([4, 2], axes={"implant.overhead.power": ["1 mW", "2 mW"]})
    entries = entries_of(study)
    shared = siblings({p.index: p.scenario for p in study.points}, entries)
    assert shared == {entries[1].key: entries[0].key, entries[3].key: entries[2].key}
    results = run(study, tmp_path, reprice=reprice)
    assert len(fits) == 2
    assert (results["status"] == "ok").all()
    listed = load_run(tmp_path)
    told = " ".join(notes(listed, summarise(listed)))
    assert "2 points begin with the weights of a neighbour" in told
    dear = results.iloc[3]
    assert dear["started_from"] == entries[1].key  # its own neighbour, at its own price
    assert dear["start_energy_j"] > results.iloc[2]["start_energy_j"]
    assert dear["bits_per_spike_all"] == results.iloc[2]["bits_per_spike_all"]
    axes = {"implant.overhead.power": ["1 mW", "2 mW"]}
    cold = entries_of(study_of([4, 2], axes=axes, warm_start=None))
    both = siblings({p.index: p.scenario for p in study.points}, [*entries, *cold])
    assert both == shared | {cold[3].key: cold[2].key}  # begun cold is another decoder


def test_the_time_that_it_takes_is_foreseen() -> None:
    long = {"epochs": 100}
    cold = predict(study_of([4, 2], training=long, warm_start=None)).training_s
    warm = predict(study_of([4, 2], training=long)).training_s
    assert warm == pytest.approx(cold * 101 / 200)


def test_whatever_goes_on_from_weights_takes_part_in_warm_starts() -> None:
    """What a decoder promises it keeps: those that go on can be fitted from a fit of their own."""
    stream = acquisition(study_of([4, 2]).points[0].scenario, 0, Path()).stream
    once = Training(epochs=1)
    small = SMALL["decoder"]
    lds = {"kind": "augmented_lds", "smoothers": [{"kind": "kalman", "size": 1, "iterations": 1}]}
    for block in (small, {"kind": "trial_mixture", "network": small}, lds, {"kind": "smoothing"}):
        spec = TypeAdapter(AnyDecoder).validate_python(block)
        first = sbtt_models.fit(spec, stream, once, device="cpu")
        if spec.goes_on:
            sbtt_models.fit(spec, stream, once, device="cpu", start=first)
            assert study_of([4, 2], decoder=block).starts == {1: 0}
        else:
            with pytest.raises(SpecError, match="fitted afresh"):
                sbtt_models.fit(spec, stream, once, device="cpu", start=first)
            with pytest.raises(SpecError, match="no two points"):
                study_of([4, 2], decoder=block)


@pytest.mark.parametrize(("kind", "deaf"), [("augmented_lds", True), ("lfads", False)])
def test_external_inputs_that_are_not_used_are_told(kind: str, deaf: bool) -> None:
    scenario = study_of([4, 2], decoder={"kind": kind}, warm_start=None).points[0].scenario
    got = acquisition(scenario, 0, Path())
    driven = np.zeros((*got.stream.counts.shape[:2], 1), np.float32)
    got = replace(got, stream=replace(got.stream, external=driven))
    told = [note for note in notes_of(scenario, got, None) if "external" in note]
    assert told == ["external inputs are not used by the decoder augmented_lds"] * deaf


@pytest.mark.parametrize(("kind", "deaf"), [("augmented_lds", True), ("lfads", False)])
def test_training_options_that_are_not_used_are_told(kind: str, deaf: bool) -> None:
    """The one training block of a sweep over decoders may hold what only some of them use."""
    rules = {"training": {"shift_bins": 1, "epochs": 3}}
    study = study_of([4, 2], decoder={"kind": kind}, warm_start=None, **rules)
    scenario = study.points[0].scenario
    told = notes_of(scenario, acquisition(scenario, 0, Path()), None)
    note = "training options not used by the decoder augmented_lds: shift_bins"
    assert (note in told) == deaf
    assert any("training options" in one for one in told) == deaf

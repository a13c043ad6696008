"""Decode once, price many: the same numbers as with a decoder for each point."""

from __future__ import annotations

import pytest

import sbtt_models
from implant_sim.study import reuse
from implant_sim.study.claims import Claims
from implant_sim.study.coordinate import Options, coordinate, entries_of
from implant_sim.study.engines.base import Task
from implant_sim.study.load import load
from implant_sim.study.queue import Queue
from implant_sim.study.run import simulate
from implant_sim.study.store import Entry, RunFolder
from tests.study.study_fakes import tiny

SWEEP = {
    "schedule.bandwidth": [1, 2],
    "implant.radio.kind": ["uwb", "ble"],
    "implant.overhead.power": ["0.1 mW", "5 mW"],
}
DECODER = {"kind": "smoothing", "sd": "50 ms"}


def study_of(**changes):
    return load(tiny(decoder=DECODER, sweep=SWEEP, repeats=2, **changes))


@pytest.fixture
def trained(monkeypatch):
    """Run in this process, and count trainings."""
    fits = []
    fit = sbtt_models.fit

    def counted(*args, **options):
        fits.append(options["seed"])
        return fit(*args, **options)

    def drive(engine, source, on_finish, on_tick=None):
        from implant_sim.study.engines.base import Finished

        while (task := source.take()) is not None:
            on_finish(Finished(task, task.work(task.argument, lambda done: None)))
        assert source.over()

    monkeypatch.setattr(sbtt_models, "fit", counted)
    monkeypatch.setattr("implant_sim.study.runner.drive", drive)
    return fits


def test_price_variants_share_a_decoder_and_nothing_else_changes(tmp_path, trained):
    study = study_of()
    alone = coordinate(study, tmp_path / "alone", simulate, Options(jobs=1))
    assert len(trained) == 16
    del trained[:]
    shared = coordinate(study, tmp_path / "shared", simulate, Options(jobs=1), reuse.reprice)
    assert len(trained) == 4  # two bandwidths, two repeats
    without = ["decoded_by", "train_s"]
    assert alone.drop(columns=without).equals(shared.drop(columns=without))
    assert shared["power_w"].nunique() == 16
    assert shared["decoded_by"].notna().sum() == 12
    folder = RunFolder(tmp_path / "shared")
    for entry in folder.entries():  # each folder is whole by itself
        content = folder.result(entry.key, verify=True)
        assert "arrays.h5" in content["files"]


def test_other_data_is_never_decoded_by_a_sibling(tmp_path, trained):
    """A radio that loses packets delivers other data, though the scenarios look like siblings."""
    lossy = {"sweep": {"implant.radio.retransmit": [True, False]},
             "implant": "gated_uwb"}  # fmt: skip
    overrides = {
        "implant.radio": {
            "kind": "ble",
            "packet_loss": 0.3,
            "retransmit": True,
            "source": {"text": "made up", "kind": "recalled"},
        }
    }
    study = load(tiny(decoder=DECODER, **lossy), overrides)
    entries = entries_of(study)
    scenarios = {p.index: p.scenario for p in study.points}
    assert reuse.siblings(scenarios, entries) == {entries[1].key: entries[0].key}
    results = coordinate(study, tmp_path, simulate, Options(jobs=1), reuse.reprice)
    assert results["status"].tolist() == ["ok", "ok"]
    assert results["packet_loss"].tolist()[0] < results["packet_loss"].tolist()[1]
    assert len(trained) == 2
    assert results["decoded_by"].isna().all()


@pytest.mark.parametrize(
    "change",
    [{"decoder.sd": ["40 ms", "50 ms"]}, {"training.epochs": [2, 3]},
     {"score.withheld": [0.1, 0.2]},
     {"schedule.bandwidth": [1, 2]}, {"recording.seed": [0, 1]}],
)  # fmt: skip
def test_what_changes_the_decoder_makes_no_siblings(change):
    study = load(tiny(decoder=DECODER, sweep=change))
    assert not reuse.siblings({p.index: p.scenario for p in study.points}, entries_of(study))


def test_a_damaged_sibling_is_not_believed(tmp_path, trained):
    study = study_of()
    coordinate(study, tmp_path, simulate, Options(jobs=1), reuse.reprice)
    folder, entries = RunFolder(tmp_path), entries_of(study)
    leader = entries[0].key
    with (tmp_path / "points" / leader / "arrays.h5").open("r+b") as file:
        file.seek(1500)
        file.write(b"\xff\xfe\xfd")
    point = study.points[1].scenario
    assert reuse.reprice(point, 0, study.root, folder, leader) is None


def test_a_point_waits_for_its_sibling_here_or_elsewhere(tmp_path):
    class Others(Claims):
        elsewhere = True

        def take(self, key):
            return key != "a"

        def owner(self, key):
            return "other" if self.elsewhere else None

        def release(self, key):
            pass

    folder, claims, reused = RunFolder(tmp_path), Others(tmp_path, "x"), []
    entries = [Entry(i, 0, key, {}) for i, key in enumerate("abc")]
    queue = Queue(
        folder, entries, {}, claims, lambda e: Task(str, e.key), reused.append, {"b": "a"}
    )
    assert queue.take().argument == "c"
    assert queue.take() is None  # b waits for a, which another coordinator runs
    assert not queue.over()
    (tmp_path / "points" / "a").mkdir(parents=True)
    claims.elsewhere = False
    claims.take = lambda key: True
    assert queue.take().argument == "a"  # the other one died
    assert queue.take() is None
    (tmp_path / "points" / "a").mkdir(parents=True)
    assert queue.take().argument == "b"
    assert queue.over()


def test_implants_that_deliver_the_same_share_a_decoder(tmp_path, trained):
    """Whatever their amplifiers and converters are; one that settles inside the bin does not."""
    names = ["gated_uwb", "cmos_uwb", "utah_ble"]
    study = load(tiny(decoder=DECODER, sweep={"implant": names}))
    shared = coordinate(study, tmp_path / "shared", simulate, Options(jobs=1), reuse.reprice)
    assert len(trained) == 1
    alone = coordinate(study, tmp_path / "alone", simulate, Options(jobs=1))
    without = ["decoded_by", "train_s"]
    assert alone.drop(columns=without).equals(shared.drop(columns=without))
    late = {"implant.amplifier.wake": ["early", "late"]}
    study = load(tiny(decoder=DECODER, sweep=late))
    assert not reuse.siblings({p.index: p.scenario for p in study.points}, entries_of(study))

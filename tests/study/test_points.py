"""Points checked block by block are the points checked whole; so are their faults."""

from __future__ import annotations

import json

import pytest
from pydantic import model_validator

from implant_sim.study import points as expanding
from implant_sim.study.load import load
from implant_sim.study.scenario import Scenario
from sbtt_models.errors import SimError

BASE = {
    "name": "sweep",
    "recording": {"kind": "lorenz", "channels": 4, "conditions": 2, "trials": 4, "bins": 20},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 2},
    "decoder": {"kind": "smoothing"},
}
SWEEPS = [
    {"schedule.bandwidth": [1, 2], "implant.adc.bits": [9, 10]},
    {"implant": ["gated_uwb", "utah_ble"], "implant.overhead.power": ["1 uW", "2 uW"]},
    {"implant.radio.kind": ["uwb", "ble"], "implant.radio.retransmit": [True, False]},
    {"schedule.fraction": [0.5, 0.25], "schedule": [{"kind": "random_subset"},
                                                    {"kind": "static_subset"}]},
    {"recording.seed": [0, 1], "training.epochs": [1, 2], "score.held_out": [0.0, 0.25]},
    {"implant.constants": ["body", "karpowicz2024"], "implant.amplifier.noise": ["2 uV", "3 uV"]},
    {"decoder": [{"kind": "smoothing"}, {"kind": "interpolation"}], "decoder.max_gap": [1]},
    # faults
    {"schedule.bandwidth": [1, 0, "two", -1], "implant.adc.bits": [9, 99]},
    {"implant.adc.sample_rate": ["20 kHz", "1 kHz"], "implant.amplifier.noise": ["1 uV"]},
    {"implant.amplifier.nef": [3]},
    {"implant": ["gated_uwb", "nowhere"]},
    {"implant.overhead": ["x", {"power": "1 uW"}, {"power": "1 uW", "source": "lee"}]},
    {"schedule.bandwidth.of": [1]},
    {"recording": [{"kind": "lorenz", "variant": "demo", "channels": 3}, {"kind": "nothing"}]},
]  # fmt: skip


def outcome(tree):
    try:
        study = load(tree)
    except SimError as error:
        return type(error), str(error)
    return [(p.index, p.axes, p.scenario, p.scenario.model_dump_json()) for p in study.points]


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: "+".join(sweep))
def test_points_are_those_checked_whole(sweep, monkeypatch, tmp_path):
    (tmp_path / "s.yaml").write_text(json.dumps({**BASE, "sweep": sweep}, indent=1))
    quick = outcome(tmp_path / "s.yaml")
    monkeypatch.setattr(expanding, "_sees_only_blocks", lambda model: False)
    assert outcome(tmp_path / "s.yaml") == quick


def test_equal_blocks_are_one_object():
    sweep = {"schedule.bandwidth": [1, 2], "implant.adc.bits": [9, 10]}
    a, b, c, d = (p.scenario for p in load({**BASE, "sweep": sweep}).points)
    assert a.schedule is b.schedule
    assert a.implant is c.implant
    assert b.implant is d.implant
    assert a.implant.amplifier is b.implant.amplifier
    assert a.implant.adc is not b.implant.adc


def test_a_model_that_sees_its_input_is_checked_whole():
    class Curious(Scenario):
        @model_validator(mode="before")
        @classmethod
        def _look(cls, tree: object) -> object:
            return tree

    assert expanding._sees_only_blocks(Scenario)
    assert not expanding._sees_only_blocks(Curious)

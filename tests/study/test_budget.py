"""Hardware only: what points share, what is refused, and that sharing changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
import pytest
from pydantic import ValidationError

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.components.base import Block
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.recordings import AnyRecording
from implant_sim.study.acquisition import acquisition
from implant_sim.study.budget import budgets
from implant_sim.study.keys import DataKeys, data_key, price_key
from implant_sim.study.load import load
from implant_sim.study.names import members
from implant_sim.study.offers import Offers
from implant_sim.study.scenario import Scenario
from sbtt_models.errors import LimitError
from sbtt_models.signals import Recording
from tests.hardware import hw

STUDY: dict[str, Any] = {
    "name": "budget",
    "recording": {"kind": "poisson", "channels": 8, "rate": "30 Hz", "spread": 0.5,
                  "duration": "0.4 s", "bin": "20 ms", "trials": 6},
    "implant": "gated_uwb",
    "schedule": {"kind": "random_subset", "bandwidth": 3},
    "decoder": {"kind": "smoothing"},
}  # fmt: skip
STEP_S = 0.02

# keys

NOISY = {
    "array.impedance": "50 kohm", "array.impedance_magnitude": "60 kohm",
    "array.spike_amplitude": "60 uV", "array.spike_spread": 0.4,
    "array.background_noise": "5 uV", "amplifier.input_capacitance": "5 pF",
    "amplifier.gain": 100.0, "amplifier.band": ["300 Hz", "5 kHz"], "adc.sample_rate": "20 kHz",
    "adc.full_scale": "1 V",
}  # fmt: skip
BASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "gated": {**hw.GATED, "processing.warm_up": "1 ms", "adc.idle_power": "1 uW"},
    "detecting": {**NOISY, **hw.GATED, "processing.threshold_sigma": 4.0},
    "looking at nothing": {**NOISY, **hw.GATED},
    "raw": {**NOISY, "processing.feature": "raw"},
    "wired": {**hw.MUXED, "multiplexer.line_capacitance": "1 pF"},
    "packets": {"radio": {"kind": "ble", "packet_loss": 0.1, "retransmit": False,
                          "source": "test"}, "limits": {"latency": "1 s", "source": "test"}},
    "repeats": {"radio": {"kind": "uwb", "packet_loss": 0.1, "max_attempts": 3, "source": "test"},
                "multiplexer": {"placement": "after_amplifier", "ways": 4, "supply": "1 V",
                                "gate_capacitance": "10 fF", "line_capacitance": "1 pF",
                                "swing": "1 V", "source": "test"},
                "adc.shared_by": 4},
    "powered": {"power": {"battery": {"capacity": "10 mAh", "voltage": "3.7 V", "source": "test"},
                          "regulator_efficiency": 0.8, "source": "test"}},
}  # fmt: skip
GUESSES = (0.5, 1, 2, 3, 20, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 100.0, 1e4, 1e6, "test", True)


@cache
def usual() -> Scenario:
    return load(STUDY).points[0].scenario


@cache
def recorded() -> Recording:
    return usual().recording.load(Path())


def scenario(implant: Implant) -> Scenario:
    return usual().model_copy(update={"implant": implant})


def choices(annotation: Any) -> list[Any]:
    """Literals inside an annotation."""
    if get_origin(annotation) is None:
        return []
    found = [choices(part) for part in get_args(annotation)]
    here = [p for p in get_args(annotation) if isinstance(p, str | int)]
    return here + [value for part in found for value in part]


def others(value: Any, annotation: Any) -> list[Any]:
    """Values that a field might have instead."""
    listed = [choice for choice in choices(annotation) if choice != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [*listed, value * 2, value + 1, value / 2, value * 1.1, value * 0.9, 0.3, None]
    if isinstance(value, tuple):
        return [(value[0] * 1.5, value[1]), (value[0], value[1] * 0.8)]
    if value == "test":
        return [{"text": "another", "kind": "measured"}]
    return [*listed, *GUESSES]


def perturbed(implant: Implant) -> list[tuple[str, str, Implant]]:
    """Implants that differ from one in one field: block, field, implant."""
    whole = {name: getattr(implant, name) for name in type(implant).model_fields}
    found = []
    for name, block in whole.items():
        if not isinstance(block, Block):
            continue
        fields = {f: getattr(block, f) for f in type(block).model_fields if f != "kind"}
        for field, value in fields.items():
            tried = 0
            for other in others(value, type(block).model_fields[field].annotation):
                tree = fields | {"source": block.source or "test"} | {field: other}
                try:
                    changed = Implant(**{**whole, name: type(block)(**tree)})
                except (ValidationError, TypeError):
                    continue
                if getattr(getattr(changed, name), field) != value:
                    found.append((name, field, changed))
                    tried += 1
                if tried == 2:
                    break
    return found


def acquired(implant: Implant) -> Any:
    schedule = hw.SCHEDULE.validate_python(STUDY["schedule"])
    return acquire(recorded(), implant, schedule, np.random.default_rng(1))


def same(one: Any, other: Any) -> bool:
    arrays = all(
        np.array_equal(getattr(one[0], f), getattr(other[0], f)) for f in ("counts", "exposure")
    )
    return arrays and one[1] == other[1]


@pytest.fixture(scope="module")
def perturbations():
    """For each base: itself, and what came of changing each of its fields."""
    cases = {}
    for name, changes in BASES.items():
        implant = hw.implant(changes)
        cases[name] = implant, perturbed(implant)
    return cases


@pytest.mark.parametrize("base", BASES)
def test_what_shares_a_data_key_shares_stream_and_activity(base, perturbations):
    implant, changed = perturbations[base]
    before = acquired(implant)
    key = data_key(scenario(implant), STEP_S)
    shared = 0
    for block, field, other in changed:
        if data_key(scenario(other), STEP_S) == key:
            shared += 1
            assert same(before, acquired(other)), f"{block}.{field}"
    assert shared > 5


@pytest.mark.parametrize("base", BASES)
def test_every_field_is_in_one_of_the_keys(base, perturbations):
    implant, changed = perturbations[base]
    keys = data_key(scenario(implant), STEP_S), price_key(scenario(implant))
    for block, field, other in changed:
        found = data_key(scenario(other), STEP_S), price_key(scenario(other))
        assert found != keys, f"{block}.{field}"


def test_every_declared_field_has_been_changed(perturbations):
    """And every other field of an implant, too, but for those that come with a block of theirs."""
    done = {
        (type(getattr(base, block)), field)
        for base, found in perturbations.values()
        for block, field, _ in found
    }
    left = {(cls.__name__, f) for cls, _ in done for f in cls.model_fields if f != "kind"}
    left -= {(cls.__name__, f) for cls, f in done}
    assert left <= BY_BLOCKS, sorted(left - BY_BLOCKS)


# they take a block, or another field beside them
BY_BLOCKS = {
    ("Array", "body"), ("Ble", "path"), ("Uwb", "path"), ("Power", "battery"),
    ("Power", "exposure"), ("Limits", "sar_w_kg"), ("Limits", "link_margin_db"),
    ("NefAmplifier", "shared_by"), ("WaldenAdc", "shared_by"), ("NefAmplifier", "wake"),
    ("Multiplexer", "ways"), ("Multiplexer", "placement"), ("Multiplexer", "on_resistance_ohm"),
    ("Multiplexer", "source_resistance_ohm"), ("NefAmplifier", "gating"),
    ("Processing", "sorting_w"), ("Processing", "state"), ("Processing", "clock_energy_j"),
    ("Processing", "node_m"), ("Processing", "supply_v"), ("Processing", "priced_node_m"),
    ("Processing", "priced_supply_v"), ("Ble", "max_attempts"),
}  # fmt: skip


def test_what_decides_when_amplifiers_sleep_is_data():
    """A price, but one that changes what is done."""
    implant = hw.implant({**hw.GATED, "processing.warm_up": "1 ms"})
    key = data_key(scenario(implant), STEP_S)
    dear = hw.implant({**hw.GATED, "processing.warm_up": "1 ms", "amplifier.wake_energy": "10 uJ"})
    assert data_key(scenario(dear), STEP_S) != key
    assert not same(acquired(implant), acquired(dear))
    near = hw.implant({**hw.GATED, "processing.warm_up": "1 ms", "amplifier.wake_energy": "2 pJ"})
    assert data_key(scenario(near), STEP_S) == key


def test_the_kind_of_a_part_matters_where_its_noise_does():
    kinds = {"kind": "pef", "pef": "10 V", "nef": None, "supply": None}
    pef = {f"amplifier.{key}": value for key, value in kinds.items()}
    for base, alike in (("plain", True), ("raw", False)):
        one, other = hw.implant(BASES[base]), hw.implant({**BASES[base], **pef})
        assert (data_key(scenario(one), STEP_S) == data_key(scenario(other), STEP_S)) == alike
        assert same(acquired(one), acquired(other)) or not alike


def test_recording_and_schedule_are_data_whole():
    """No field of theirs is declared a price, so that each of them is data."""
    for member in (*members(AnyRecording), *members(AnySchedule)):
        assert not hasattr(member, "price_fields")
    base = load(STUDY).points[0].scenario
    for change in (
        {"schedule.bandwidth": 4}, {"schedule.per": "trial"}, {"schedule.dwell": "10 ms"},
        {"recording.seed": 1}, {"recording.rate": "31 Hz"}, {"recording.bin": "10 ms"},
        {"seed": 2}, {"score.held_out": 0.25}, {"implant.constants": "karpowicz2024"},
    ):  # fmt: skip
        other = load(STUDY, change).points[0].scenario
        assert data_key(other, STEP_S) != data_key(base, STEP_S), change
    for change in ({"decoder": {"kind": "interpolation"}}, {"training.epochs": 3}):
        other = load(STUDY, change).points[0].scenario
        assert data_key(other, STEP_S) == data_key(base, STEP_S), change


# budgets

SWEEP = {
    "schedule.bandwidth": [2, 9, 8],
    "implant.overhead.power": ["1 uW", "2 uW"],
    "implant.amplifier.wake_energy": ["10 pJ", "20 pJ"],
    "implant.radio.kind": ["uwb", "ble"],
}


def rows(study, **options):
    return [(b.point, b.axes, b.row, b.energy, b.error) for b in budgets(study, **options)]


def test_points_are_counted_once_and_priced_one_by_one(monkeypatch):
    counted = []
    plain = Offers.count
    monkeypatch.setattr(
        Offers, "count", lambda self, s, key: counted.append(s) or plain(self, s, key)
    )
    found = rows(load({**STUDY, "sweep": SWEEP}))
    assert len(found) == 24
    assert len(counted) == 3 * 2  # bandwidths and radios
    for point in load({**STUDY, "sweep": SWEEP}).points:
        study = load(STUDY, point.axes)
        (_, _, row, energy, error), = rows(study)  # fmt: skip
        assert (row, energy, error) == found[point.index][2:]
    assert {r["status"] for _, _, r, _, _ in found} == {"ok", "infeasible"}


@pytest.mark.parametrize("kind", ["full", "round_robin", "bernoulli", "random_subset"])
def test_threads_change_nothing(kind):
    fraction = {} if kind == "full" else {"fraction": 0.5}
    study = load(
        {**STUDY, "schedule": {"kind": kind, **fraction},
         "sweep": {"recording.seed": list(range(6)), "implant.adc.bits": [9, 10]}}
    )  # fmt: skip
    assert rows(study, jobs=1) == rows(study, jobs=3)


def test_a_population_costs_what_its_recording_costs():
    """Held-out channels need the table; without any, it is never drawn."""
    offers = Offers(load(STUDY).root)
    scenario, keys = load(STUDY).points[0].scenario, DataKeys()
    _, activity = offers.count(scenario, keys.of(scenario, STEP_S))
    assert not offers._loaded
    held = load(STUDY, {"score.held_out": 0.25}).points[0].scenario
    _, fewer = offers.count(held, keys.of(held, STEP_S))
    (drawn,) = offers._loaded.values()
    assert drawn.counts.shape[2] == fewer.n_channels == 6
    assert activity.n_channels == 8


@pytest.mark.parametrize(
    ("schedule", "fits"),
    [
        ({"kind": "full"}, r"enough for [\d,]+ samples"),
        ({"kind": "bernoulli", "fraction": 0.1}, "entries"),
        ({"kind": "round_robin", "fraction": 0.9}, r"enough for [\d,]+ samples"),
    ],
)
def test_a_million_million_entries_are_refused_at_once(schedule, fits):
    recording = {"kind": "poisson", "channels": 65_536, "rate": "10 Hz", "duration": "15300 s",
                 "bin": "1 ms"}  # fmt: skip
    study = load({**STUDY, "recording": recording, "schedule": schedule})
    with pytest.raises(LimitError, match=fits):
        next(budgets(study))


def test_time_may_be_granted():
    recording = {"kind": "poisson", "channels": 100, "rate": "1 Hz", "duration": "10 s",
                 "bin": "1 ms"}  # fmt: skip
    study = load({**STUDY, "recording": recording, "time_limit": 1e-4})
    with pytest.raises(LimitError, match="raise time_limit"):
        next(budgets(study))
    assert next(budgets(load({**STUDY, "recording": recording}))).row["status"] == "ok"


def test_many_points_are_a_table(tmp_path):
    sweep = {"implant.overhead.power": [f"{n} uW" for n in range(1, 61)]}
    (tmp_path / "s.yaml").write_text(json.dumps({**STUDY, "sweep": sweep}))

    def energy(*options):
        command = [sys.executable, "-m", "implant_sim", "energy", "s.yaml", *options]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=tmp_path, env=env
        )
        return done.stdout

    lines = energy().splitlines()
    assert len(lines) == 61
    assert lines[0].split()[:3] == ["point", "implant.overhead.power", "status"]
    told = json.loads(energy("--json"))
    assert told["scenario"] == "budget"
    assert len(told["points"]) == 60
    watts = [point["row"]["power_w"] for point in told["points"]]
    assert watts == sorted(watts)
    assert told["points"][3]["energy"][0]["component"] == "amplifier"


def test_energy_imports_nothing_heavy(tmp_path):
    (tmp_path / "s.yaml").write_text(json.dumps(STUDY))
    heavy = ["torch", "pandas", "matplotlib", "sklearn", "scipy.special", "scipy.linalg"]
    code = (
        "import sys, implant_sim.cli as c\nsys.argv = ['implant-sim', 'energy', 's.yaml']\n"
        "try:\n    c.main()\nfinally:\n"
        f"    print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert "power_w:" in done.stdout


def test_a_budget_is_what_an_acquisition_says():
    for schedule in (
        {"kind": "round_robin", "bandwidth": 3},
        {"kind": "bernoulli", "fraction": 0.3},
    ):
        study = load({**STUDY, "schedule": schedule})
        (found,) = budgets(study)
        got = acquisition(study.points[0].scenario, 0, study.root)
        assert found.row["power_w"] == pytest.approx(got.ledger.power_w, rel=1e-12)
        assert dataclasses.astuple(got.verdict)[1] == pytest.approx(found.row["heat_k"], rel=1e-12)


def test_a_causal_decoder_adds_its_wait_to_the_latency():
    """To the column and to the limit; one that is not causal adds nothing."""
    axis = [{"kind": "kalman"}, {"kind": "kalman", "causal": True, "lookahead_bins": 2}]
    limited = {"implant.limits.latency": "50 ms", "sweep": {"decoder": axis}}
    whole, causal = (b.row for b in budgets(load(STUDY, limited)))
    assert causal["latency_s"] == pytest.approx(whole["latency_s"] + 2 * 0.02)
    assert causal["margin"] < whole["margin"]
    assert causal["limited_by"] == "latency"
    study = load(STUDY | {"decoder": axis[1]})
    found = acquisition(study.points[0].scenario, 0, study.root)
    assert found.verdict.latency_s == causal["latency_s"]

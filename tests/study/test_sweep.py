"""Sweeps: grids, zipped and drawn axes, ranges, conditions; counted before they are built."""

from __future__ import annotations

import time

import pytest
from pydantic import BaseModel

from implant_sim.study.expression import parse_condition
from implant_sim.study.load import load
from implant_sim.study.sweep import plan_of
from implant_sim.study.tree import as_node
from sbtt_models.errors import LimitError, SpecError
from tests.study.study_fakes import tiny

BANDWIDTH = "schedule.bandwidth"
NOISE = "implant.amplifier.noise"


def points_of(sweep, **changes):
    return [point.axes for point in load(tiny(sweep=sweep, **changes)).points]


def fault(sweep, overrides=()):
    with pytest.raises(SpecError) as caught:
        load(tiny(sweep=sweep), overrides)
    return str(caught.value)


def column(points, key):
    return [point[key] for point in points]


class TestRanges:
    def test_a_grid_over_ranges_keeps_unit_and_scale(self):
        sweep = {
            BANDWIDTH: {"from": 1, "to": 4, "points": 4},
            NOISE: {"from": "2 uV", "to": "8 uV", "points": 3, "scale": "log"},
        }
        study = load(tiny(sweep=sweep))
        axes = [point.axes for point in study.points]
        assert column(axes, BANDWIDTH) == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
        assert column(axes, NOISE)[:3] == ["2 uV", "4 uV", "8 uV"]
        assert [p.scenario.implant.amplifier.noise_v for p in study.points[:3]] == pytest.approx(
            [2e-6, 4e-6, 8e-6], rel=1e-12
        )

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"from": 4, "to": 1, "points": 2}, "'from' must be below 'to'"),
            ({"from": 1, "to": 4}, "say how many 'points'"),
            ({"from": 0.0, "to": 4, "points": 2, "scale": "log"}, "needs 'from' above 0"),
            ({"from": 0.5, "to": 4, "points": 2, "scale": "integer"}, "needs whole ends"),
            ({"from": "1 uV", "to": 4, "points": 2}, "give both ends a unit, or none"),
            ({"from": "1 uV", "to": "4 s", "points": 2}, "s"),
            ({"from": "1 parsec", "to": "4 parsec", "points": 2}, "is no quantity"),
            ({"from": 1, "to": 4, "points": 2, "step": 1}, "step"),
        ],
    )
    def test_what_is_no_range_is_refused_with_its_key(self, given, message):
        told = fault({BANDWIDTH: given})
        assert message in told
        assert BANDWIDTH in told

    def test_a_wrong_dimension_is_found_by_the_field(self):
        assert "noise" in fault({NOISE: {"from": "1 kHz", "to": "2 kHz", "points": 2}})


class TestZip:
    def test_lists_walk_together_and_cross_the_others(self):
        sweep = {"zip": [{BANDWIDTH: [1, 2], "training.epochs": [10, 20]}]}
        points = points_of(sweep | {"score.held_out": [0, 0.25]})
        assert [tuple(point.values()) for point in points] == [
            (1, 10, 0), (1, 10, 0.25), (2, 20, 0), (2, 20, 0.25),
        ]  # fmt: skip

    def test_one_block_may_stand_alone(self):
        assert len(points_of({"zip": {BANDWIDTH: [1, 2], "training.epochs": [10, 20]}})) == 2

    def test_unequal_lists_and_a_key_given_twice_are_refused(self):
        assert "differ in length" in fault({"zip": [{BANDWIDTH: [1, 2], "training.epochs": [1]}]})
        assert "swept twice" in fault({BANDWIDTH: [1], "zip": [{BANDWIDTH: [1, 2]}]})
        assert "must be a list" in fault({"zip": [{BANDWIDTH: 3}]})


class TestSample:
    def test_a_latin_hypercube_fills_every_stratum_once(self):
        sweep = {
            NOISE: {"from": "1 uV", "to": "11 uV"},
            "score.held_out": {"from": 0.0, "to": 0.5},
            "sample": {"points": 10},
        }
        points = points_of(sweep)
        noise = sorted(float(value.split()[0]) for value in column(points, NOISE))
        assert [int(value - 1) for value in noise] == list(range(10))
        held = sorted(column(points, "score.held_out"))
        assert [int(20 * value) for value in held] == list(range(10))

    def test_draws_depend_on_their_seed_alone(self):
        sweep = {NOISE: {"from": "1 uV", "to": "9 uV"}, BANDWIDTH: [1, 2, 3]}
        kind = {"kind": "random", "points": 12}
        first = points_of(sweep | {"sample": kind})
        assert first == points_of(sweep | {"sample": kind}, seed=5)
        assert first != points_of(sweep | {"sample": kind | {"seed": 1}})
        assert {point[BANDWIDTH] for point in first} == {1, 2, 3}

    def test_whole_numbers_reach_both_ends_evenly(self):
        sweep = {BANDWIDTH: {"from": 1, "to": 4}, "sample": {"points": 400}}
        drawn = column(points_of(sweep), BANDWIDTH)
        assert [drawn.count(value) for value in (1, 2, 3, 4)] == [100] * 4

    def test_its_own_faults_are_told(self):
        assert "points" in fault({BANDWIDTH: [1], "sample": {"kind": "random"}})
        assert "names no key to vary" in fault({"sample": {"points": 3}})

    def test_one_setting_may_be_overridden(self):
        sweep = {BANDWIDTH: [1, 2], "sample": {"points": 3}}
        assert len(load(tiny(sweep=sweep), ["sweep.sample.points=5"]).points) == 5


class TestSkip:
    RADIO: dict[str, list[object]] = {"implant.radio.kind": ["ble", "uwb"], BANDWIDTH: [1, 2, 3]}  # noqa: RUF012

    def test_impossible_points_are_left_out_and_told(self):
        condition = "schedule.bandwidth > 2 and implant.radio.kind == 'ble'"
        study = load(tiny(sweep=self.RADIO | {"skip": [condition]}))
        assert len(study.points) == 5
        assert [point.index for point in study.points] == list(range(5))
        (skipped,) = study.skipped
        assert skipped.axes == {"implant.radio.kind": "ble", BANDWIDTH: 3}
        assert skipped.condition == condition

    def test_a_skipped_point_is_not_checked(self):
        sweep = {BANDWIDTH: [2, -5], "skip": ["schedule.bandwidth < 0"]}
        assert points_of(sweep) == [{BANDWIDTH: 2}]

    def test_a_name_that_no_point_has_is_a_fault(self):
        told = fault(self.RADIO | {"skip": ["schedule.bandwith > 2"]})
        assert "no point has 'schedule.bandwith'" in told
        assert "did you mean 'schedule.bandwidth'" in told

    def test_all_left_out_is_a_fault(self):
        assert "all 6 points are left out" in fault(self.RADIO | {"skip": ["true"]})

    def test_quantities_are_compared_in_si(self):
        sweep = {NOISE: ["900 nV", "2 uV", "5 uV"], "skip": [f"{NOISE} < 1 uV"]}
        assert column(points_of(sweep), NOISE) == ["2 uV", "5 uV"]
        told = fault({NOISE: ["2 uV"], "skip": [f"{NOISE} < 1 kHz"]})
        assert "differ in dimension" in told


class TestConditions:
    VALUES: dict[str, object] = {"a": 3, "b.c": "ble", "d": None, "e": True, "v": "3 uV"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("text", "holds"),
        [
            ("a > 2", True), ("a >= 3 and a < 4", True), ("1 < a <= 2", False),
            ("b.c == 'ble' or a > 5", True), ("not b.c == 'ble'", False), ("not not e", True),
            ("b.c in ['uwb', 'ble']", True), ("b.c not in ['uwb']", True), ("a in [1, 2]", False),
            ("d == null", True), ("d > 1", False), ("d != null", False), ("e", True),
            ("a == -3", False), ("v < 4e-6", True), ("v > 0.002 mV", True), ("v == 3 uV", True),
            ("(a > 5 or e) and a == 3", True), ("a > 5 or e and a == 4", False),
            ("b.c != 'uwb'", True),
        ],
    )  # fmt: skip
    def test_they_hold_as_written(self, text, holds):
        assert parse_condition(text).holds(self.VALUES.get) is holds

    @pytest.mark.parametrize(
        "text",
        ["", "a >", "> 3", "a > 3 'b'", "(a > 3", "a > 3)", "a = 3", "a > 3 zorks", "a not 3",
         "__import__('os').system('x')", "a.__class__()", "a; b", "lambda: 0", "a[0] > 1",
         "a > 'x", "f(a)", "(" * 200 + "a" + ")" * 200, "a > 1 and " * 100 + "a"],
    )  # fmt: skip
    def test_whatever_else_is_refused(self, text):
        with pytest.raises(SpecError):
            parse_condition(text)

    def test_text_has_no_order(self):
        with pytest.raises(SpecError, match="have no order"):
            parse_condition("b.c > 3").holds(self.VALUES.get)


@pytest.mark.parametrize("n_axes", [3, 1])
def test_a_huge_sweep_is_counted_and_never_built(n_axes):
    """10^9 points: three axes of a thousand values, and one of as many."""
    keys = [BANDWIDTH, "training.epochs", "training.patience"][:n_axes]
    values = 10 ** (9 // n_axes)
    sweep = {key: {"from": 1, "to": values, "points": values} for key in keys}
    tree = as_node({"sweep": sweep}, "x")
    started = time.process_time()
    plan = plan_of(tree, ("schedule", "training"))
    assert plan.count == 10**9
    with pytest.raises(LimitError, match="1,000,000,000 points") as caught:
        plan.choices(1)
    assert time.process_time() - started < 0.2
    assert "draw: sweep.sample={points: 10000}" in str(caught.value)


@pytest.mark.parametrize("sweep", [None, {BANDWIDTH: [1, 2]}])
def test_absurd_repeats_are_a_fault_of_their_key(sweep):
    with pytest.raises(SpecError, match=r"repeats: .*less than or equal to 1000, got 10{12}$"):
        load(tiny(repeats=10**12, sweep=sweep))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recording": {"kind": "lorenz", "channels": 10**9}}, r"channels: .*got 1000000000$"),
        ({"recording": {"kind": "lorenz", "chanels": 9}}, r"did you mean 'channels'\?"),
        ({"schedule": {"kind": "random_subst"}}, r"did you mean 'random_subset'\?"),
        ({"schedule": {"fraction": 0.5}}, r"'kind' is missing \(known: activity, "),
    ],
)
def test_faults_are_told_without_the_schema(change, message, monkeypatch):
    # which takes a second to write down
    monkeypatch.setattr(BaseModel, "model_json_schema", None)
    with pytest.raises(SpecError, match=message):
        load(tiny(**change))


@pytest.mark.parametrize(
    ("key", "block", "message"),
    [
        (
            "implant.radio.path",
            {"model": "ultrasond"},
            "implant.radio.path: unknown model 'ultrasond'; did you mean 'ultrasound'? (known: ",
        ),
        ("implant.radio.path", {"distance": "1 m"}, "implant.radio.path: 'model' is missing"),
        ("implant.sources", {"a": {"txt": "x"}}, "unknown key; did you mean 'text'? (known: kind"),
        ("implant.power.battery", 3, "must be a block of keys (known: capacity, source"),
        ("sweep.sample.point", 3, "did you mean 'points'?"),
        ("search.question", "most_chanels", "did you mean 'most_channels'?"),
        ("decoder.smoothers", [{"kind": "kalman", "sise": 2}], "did you mean 'size'?"),
    ],
)
def test_names_that_would_be_right_are_told(key, block, message):
    with pytest.raises(SpecError) as caught:
        load(tiny(decoder={"kind": "augmented_lds"}), {key: block})
    assert message in str(caught.value)

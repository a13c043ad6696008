"""What is measured of a mask, by hand and as laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.hardware.coverage import gini, measure
from implant_sim.hardware.verdict import judge
from implant_sim.study.rows import Offer, hardware_row
from sbtt_models.errors import SpecError
from tests.hardware import hw
from tests.hardware.test_kernels import MASKS

HAND = np.array(
    [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 1],
        [0, 1, 0, 0],
    ],
    dtype=bool,
)


def test_by_hand():
    found = measure(HAND, 0.02, 4, valid_fraction=0.9, side_info_bps=7.0, link_latency_s=0.1)
    assert found.duty == 6 / 20
    assert found.slots_used == 6 / 5
    assert found.slots_available == 4
    # channel 0: 1 and 2 steps; channel 1: 3; channel 3 once, channel 2 never
    assert found.revisit_gap_max_s == pytest.approx(3 * 0.02)
    assert found.revisit_gap_mean_s == pytest.approx(2 * 0.02)
    assert found.covered == 3 / 4
    # visits 0, 1, 2, 3: the differences of all pairs add up to 20
    assert found.gini == pytest.approx(20 / (2 * 4 * 6))
    # taken up after the first step: 1 in step 1, 0 and 3 in step 3, 1 in step 4
    assert found.switch_hz == pytest.approx(4 / (5 * 0.02))
    # channel 3 waits for three steps before it is first seen
    assert found.latency_s == pytest.approx(3 * 0.02 + 0.1)
    assert (found.valid_fraction, found.side_info_bps) == (0.9, 7.0)


def test_without_a_second_visit_there_is_no_gap():
    once = measure(np.eye(3, dtype=bool), 0.01, 3)
    assert once.revisit_gap_max_s is None
    assert once.revisit_gap_mean_s is None
    nothing = measure(np.zeros((3, 2), dtype=bool), 0.01, 2)
    assert (nothing.covered, nothing.gini, nothing.duty, nothing.switch_hz) == (0, 0, 0, 0)


@settings(deadline=None)
@given(mask=MASKS)
def test_laws(mask):
    found = measure(mask, 0.01, mask.shape[1])
    assert found.duty == pytest.approx(mask.mean())
    assert 0 <= found.gini <= 1 - 1 / mask.shape[1] + 1e-12
    visits = mask.sum(axis=0)
    if visits.sum():
        pairs = np.abs(visits[:, None] - visits).sum()
        assert found.gini == pytest.approx(pairs / (2 * len(visits) * visits.sum()))
    if found.revisit_gap_max_s is not None:
        assert 0.01 <= found.revisit_gap_mean_s <= found.revisit_gap_max_s * (1 + 1e-12)
        assert found.revisit_gap_max_s <= found.latency_s + 0.01 + 1e-12
    # the order of channels means nothing
    other = measure(mask[:, ::-1], 0.01, mask.shape[1])
    assert other == replace(found, gini=other.gini)
    assert other.gini == pytest.approx(found.gini)


@given(visits=st.lists(st.integers(0, 50), min_size=1, max_size=20), factor=st.integers(1, 9))
def test_gini_knows_no_scale(visits, factor):
    x = np.array(visits)
    assert gini(x) == pytest.approx(gini(factor * x))
    assert gini(np.full(5, factor)) == 0


@pytest.mark.parametrize(
    ("tree", "gap_s", "switches"),
    [
        ({"kind": "full"}, 0.02, 0),
        ({"kind": "static_subset", "bandwidth": 2}, 0.02, 0),
        ({"kind": "round_robin", "bandwidth": 2}, 0.08, 2 * 239),
        # four steps of 5 ms in a bin; or steps of two bins
        ({"kind": "round_robin", "bandwidth": 2, "dwell": "5 ms"}, 0.02, 2 * 959),
        ({"kind": "round_robin", "bandwidth": 2, "dwell": "40 ms"}, 0.16, 2 * 119),
        ({"kind": "low_discrepancy", "bandwidth": 4}, 0.04, 4 * 239),
        ({"kind": "blocks", "bandwidth": 3}, 0.06, 3 + 2 + 79 * 8),
    ],
)
def test_of_an_acquisition(tree, gap_s, switches):
    rec = hw.recording()
    _, activity, ledger, verdict = hw.run(rec, hw.implant(), tree)
    found = activity.coverage
    assert found.revisit_gap_max_s == pytest.approx(gap_s)
    assert found.switch_hz * activity.duration_s == pytest.approx(switches)
    assert found.slots_used == pytest.approx(activity.bandwidth, rel=0.01)
    row = hardware_row(Offer.of(rec), activity, ledger, verdict)
    assert row["revisit_gap_max_s"] == found.revisit_gap_max_s
    assert row["coverage"] == found.covered
    assert row["switch_hz"] == found.switch_hz


def test_what_settling_leaves():
    changes = {**hw.GATED, "amplifier.wake": "late"}
    activity = hw.run(hw.recording(), hw.implant(changes), {"kind": "round_robin", "bandwidth": 2})
    stream, activity = activity[:2]
    assert activity.coverage.valid_fraction == pytest.approx(
        stream.exposure.sum() / stream.observed.sum(), rel=1e-5
    )
    assert 0.9 < activity.coverage.valid_fraction < 1


def test_wires_are_the_places_there_are():
    tree = {"kind": "random_subset", "bandwidth": 1}
    activity = hw.run(hw.recording(), hw.implant(hw.HELD), tree)[1]
    assert (activity.coverage.slots_used, activity.coverage.slots_available) == (1, 2)


def test_a_budget_of_changes_has_a_margin():
    tree = {"kind": "round_robin", "bandwidth": 2}
    limits = {"limits": {"switch_rate": "200 Hz", "source": "test"}}
    _, activity, ledger, verdict = hw.run(hw.recording(), hw.implant(limits), tree)
    used = activity.coverage.switch_hz / 200
    assert verdict.margins["switch_rate"] == pytest.approx(1 - used)
    assert verdict.within_limits
    tight = hw.implant({"limits": {"switch_rate": "50 Hz", "source": "test"}})
    beyond = judge(ledger, activity, tight)
    assert not beyond.within_limits
    assert beyond.limited_by == "switch_rate"
    assert beyond.margin == pytest.approx(1 - activity.coverage.switch_hz / 50)
    # a longer dwell mends it
    held = hw.run(hw.recording(), tight, tree | {"dwell": "40 ms"})[3]
    assert held.within_limits
    with pytest.raises(SpecError, match="no mask to count changes"):
        judge(ledger, replace(activity, coverage=None), tight)

"""Schedules with a time step of their own, partial exposure, and feedback."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from implant_sim.hardware.acquire import acquire, plan
from implant_sim.hardware.energy import price
from implant_sim.hardware.kernels import exposure
from implant_sim.hardware.schedules.base import Adaptive, Plan, Policy, Schedule
from implant_sim.hardware.streaming import count
from implant_sim.hardware.verdict import judge
from sbtt_models.errors import SpecError
from sbtt_models.signals import within
from tests import naive
from tests.hardware import hw

TURNS = {"kind": "round_robin", "bandwidth": 2}
MASK = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 4)))


def steps(tree, rec=None, seed=0):
    schedule = hw.SCHEDULE.validate_python(tree)
    return plan(rec or hw.recording(), hw.implant(), schedule, np.random.default_rng(seed)).sampled


@settings(deadline=None)
@given(mask=MASK, warm=st.floats(0, 3), wake=st.floats(0, 3), data=st.data())
def test_settling_equals_its_twin(mask, warm, wake, data):
    woken = data.draw(arrays(np.bool_, mask.shape)) & mask
    for given_woken in (woken, np.zeros((0, 0), dtype=bool)):
        fast = exposure.settle(mask, given_woken, warm, wake)
        np.testing.assert_allclose(fast, naive.settle(mask, given_woken, warm, wake), atol=1e-6)
        assert (fast[~mask] == 0).all()
        assert ((fast >= 0) & (fast <= 1)).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**64 - 1), parts=st.integers(1, 5), data=st.data())
def test_delivery_equals_its_twin(seed, parts, data):
    n_bins, n_channels = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    counts = data.draw(arrays(np.int32, (n_bins, n_channels), elements=st.integers(0, 9)))
    share = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    valid = data.draw(arrays(np.float32, (n_bins * parts, n_channels), elements=share))
    kept, covered = exposure.deliver(np.uint64(seed), counts, valid, parts)
    slow_kept, slow_covered = naive.deliver(seed, counts, valid, parts)
    assert (kept == slow_kept).all()
    np.testing.assert_allclose(covered, slow_covered, atol=1e-6)
    channels = np.arange(n_channels)
    seen = [
        exposure.spikes_in_step(np.uint64(seed), counts, s, parts, channels)
        for s in range(n_bins * parts)
    ]
    slow = [naive.spikes_in_step(seed, counts, s, parts, channels) for s in range(n_bins * parts)]
    assert np.array_equal(seen, slow)
    # every spike falls into exactly one step
    assert np.array_equal(np.sum(seen, axis=0), counts.sum(axis=0))


@settings(deadline=None)
@given(mask=MASK, least=st.integers(1, 4), data=st.data())
def test_send_on_change_equals_its_twin(mask, least, data):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 9)))
    for fast, slow in zip(
        exposure.send_on_change(counts, mask, least),
        naive.send_on_change(counts, mask, least),
        strict=True,
    ):
        assert (fast == slow).all()
    held, sent = exposure.send_on_change(counts, mask, least)
    assert (np.abs(held - counts)[mask] < least).all()
    assert not sent[~mask].any()


@settings(deadline=None)
@given(mask=MASK, data=st.data())
def test_hold_equals_its_twin(mask, data):
    counts = data.draw(arrays(np.int32, mask.shape, elements=st.integers(0, 9)))
    assert (exposure.hold(counts, mask) == naive.hold(counts, mask)).all()


def test_parts_of_a_bin_add_up_to_its_exposure():
    rec = hw.recording()
    stream = hw.run(rec, hw.implant(), {**TURNS, "dwell": "5 ms"})[0]  # 4 steps of 2 of 8 channels
    assert np.allclose(stream.exposure, 0.25)
    stream = hw.run(rec, hw.implant(), {**TURNS, "bandwidth": 4, "dwell": "5 ms"})[0]
    assert np.allclose(stream.exposure, 0.5)


def test_partial_counts_are_binomial():
    rec = hw.recording(n_trials=60, n_bins=50)
    stream = hw.run(rec, hw.implant(), {**TURNS, "dwell": "5 ms"})[0]
    for n in (2, 4):
        kept = stream.counts[rec.counts == n]
        assert kept.mean() == pytest.approx(n / 4, abs=5 * np.sqrt(n * 3 / 16 / len(kept)))
        assert kept.var() == pytest.approx(n * 3 / 16, rel=0.15)


def test_steps_of_a_bin_share_out_its_spikes():
    """Two schedules that together see everything deliver every spike once: times are common."""
    rec = hw.recording(n_channels=2)
    halves = []
    for first in (0, 1):

        class Half(Schedule):
            kind: Literal["half"] = "half"

            def plan(self, view, rng, first=first):
                mask = np.zeros((view.n_steps, view.n_channels), dtype=bool)
                mask[first::2] = True
                return Plan(mask)

        stream, _ = acquire(rec, hw.implant(), Half(dwell_s=0.01), np.random.default_rng(3))
        assert np.allclose(stream.exposure, 0.5)
        halves.append(stream.counts)
    assert (halves[0] + halves[1] == rec.counts).all()


def test_a_long_dwell_holds_its_channels():
    mask = steps({**TURNS, "dwell": "60 ms"})
    assert mask.shape == (80, 8)
    stream, activity, _, _ = hw.run(hw.recording(), hw.implant(), {**TURNS, "dwell": "60 ms"})
    rows = stream.observed[within(stream.lengths, 20)]
    assert (rows == np.repeat(mask, 3, axis=0)[: len(rows)]).all()
    assert activity.bandwidth == 2


def test_a_faster_rotation_warms_up_more():
    changes = {"processing.warm_up": "1 ms"}
    warm = []
    for dwell in ("40 ms", "20 ms", "10 ms", "5 ms"):
        _, activity, _, _ = hw.run(
            hw.recording(), hw.implant(changes), {**TURNS, "bandwidth": 3, "dwell": dwell}
        )
        counted = {(a.component, a.action): a.n_actions for a in activity.actions}
        warm.append(counted["adc", "warm up"])
        assert counted["adc", "convert"] == pytest.approx(240 * 3 * 0.02 * 2000)
        assert activity.bandwidth == 3
    assert np.all(np.diff(warm) > 0)


@pytest.mark.parametrize("wake_time", ["15 ms", "25 ms"])
def test_a_wake_up_that_outlasts_the_step_is_told(wake_time):
    changes = {**hw.GATED, "amplifier.wake": "late", "amplifier.wake_time": wake_time}
    implant, kind = hw.implant(changes), {"kind": "random_subset", "bandwidth": 4}
    _, activity, _, _ = hw.run(hw.recording(), implant, kind)
    told = [note for note in activity.notes if note.startswith("settling takes")]
    again = count(hw.recording(), implant, hw.SCHEDULE.validate_python(kind),
                  np.random.default_rng(0))  # fmt: skip
    assert again is not None
    assert again.notes == activity.notes
    lost = 1 - activity.coverage.valid_fraction
    if wake_time == "15 ms":
        assert not told
        return
    assert told == [
        "settling takes 0.025 s inside steps of 0.02 s: a channel gives no data in its first 1 "
        f"after a pause, and {lost:.0%} of the time sampled is lost"
    ]
    assert 0.4 < lost < 0.7
    always = hw.run(hw.recording(), implant, {"kind": "full"})[1]  # never sleeps
    assert not any(note.startswith("settling takes") for note in always.notes)


def test_settling_is_carried_on_into_the_next_step():
    changes = {**hw.HELD, "processing.warm_up": "7 ms"}
    stream = hw.run(hw.recording(), hw.implant(changes), {**TURNS, "dwell": "20 ms"})[0]
    shares = np.unique(stream.exposure.round(4))
    assert set(shares) == {0, np.float32(0.65), 1}
    with pytest.raises(SpecError, match="hold a channel for longer"):
        hw.run(hw.recording(), hw.implant(changes), {**TURNS, "dwell": "5 ms"})


def test_a_bin_holds_a_sample_at_least():
    rec, implant = hw.recording(), hw.implant()  # 2 kHz
    assert hw.run(replace(rec, bin_s=0.5e-3), implant, {"kind": "full"})[0].exposure.all()
    with pytest.raises(SpecError, match=r"a bin of the recording, 0.0004 s, is shorter than one"):
        hw.run(replace(rec, bin_s=0.4e-3), implant, {"kind": "full"})
    schedule = hw.SCHEDULE.validate_python(TURNS)
    with pytest.raises(SpecError, match=r"a bin of the recording, 0.0004 s, is shorter than one"):
        count(replace(rec, bin_s=0.4e-3), implant, schedule, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("dwell", "says"),
    [
        ("7 ms", r"neither a whole number of bins.*nearest that fits is 0.00666667 s"),
        ("50 ms", r"nearest that fits is 0.04 s"),
        ("1 s", r"longer than the longest trial, 0.4 s"),
        ("0.1 ms", r"shorter than one sample at 2000 Hz, 0.0005 s"),
    ],
)
def test_a_dwell_that_does_not_fit(dwell, says):
    with pytest.raises(SpecError, match=says):
        hw.run(hw.recording(), hw.implant(), {**TURNS, "dwell": dwell})


def test_a_subset_for_each_trial_cannot_be_held_across_trials():
    with pytest.raises(SpecError, match="per: trial draws for each trial"):
        steps({"kind": "random_subset", "bandwidth": 2, "per": "trial", "dwell": "40 ms"})


class _Echo(Policy):
    """Writes down what it is told."""

    def __init__(self, k, log):
        self.k, self.log = k, log

    def choose(self, step):
        self.log.append(("choose", step))
        return (np.arange(self.k) + step) % 8

    def learn(self, step, channels, counts):
        self.log.append(("learn", step, tuple(channels), tuple(counts)))

    operations = 0.0


class _Recorder(Adaptive):
    kind: Literal["recorder"] = "recorder"

    def policy(self, view, k, rng):
        return _Echo(k, LOG)


LOG: list = []


@pytest.mark.parametrize(("decided", "delay"), [("implant", 1), ("receiver", 4)])
@pytest.mark.parametrize("dwell_s", [None, 0.005])
def test_feedback_comes_late_and_in_order(decided, delay, dwell_s):
    LOG.clear()
    rec = hw.recording()
    # the radio gathers 60 ms and a bin lasts 20 ms: 4 bins
    implant = hw.implant({"radio": {"kind": "uwb", "interval": "60 ms", "source": "test"}})
    schedule = _Recorder(bandwidth=3, decided=decided, dwell_s=dwell_s)
    planned = plan(rec, implant, schedule, np.random.default_rng(0))
    if decided == "receiver" and dwell_s:
        delay *= 4
    rows = rec.counts[within(rec.lengths, 20)]
    chosen = -1
    learnt = []
    for entry in LOG:
        if entry[0] == "choose":
            chosen = entry[1]
        else:
            assert entry[1] == chosen + 1 - delay
            learnt.append(entry)
    assert [e[1] for e in learnt] == list(range(len(planned.sampled) - delay))
    for _, step, channels, counts in learnt[:40]:
        assert set(channels) == set(np.flatnonzero(planned.sampled[step]))
        if dwell_s is None:
            assert counts == tuple(rows[step, list(channels)])
        else:
            assert (np.array(counts) <= rows[step // 4, list(channels)]).all()
    assert planned.chosen_by == decided
    assert planned.choice_bit == pytest.approx(np.log2(56))


def test_choices_are_paid_for_as_payload():
    rec, implant = hw.recording(), hw.implant()
    schedule = _Recorder(bandwidth=3)
    _, activity = acquire(rec, implant, schedule, np.random.default_rng(0))
    assert activity.side_info_bps == pytest.approx(np.log2(56) / 0.02)
    fixed = hw.SCHEDULE.validate_python({**TURNS, "bandwidth": 3})
    _, without = acquire(rec, implant, fixed, np.random.default_rng(0))
    on_air = [
        sum(a.n_actions for a in done.actions if (a.component, a.action) == ("radio", "bit"))
        for done in (activity, without)
    ]
    assert on_air[0] - on_air[1] > 0.9 * 6 * rec.lengths.sum() - 200
    assert activity.payload_bit < 1.2 * without.payload_bit


@pytest.mark.parametrize("decided", ["implant", "receiver"])
def test_the_peak_of_the_link_holds_each_choice_once(decided):
    rec, limit = hw.recording(), {"limits": {"link_rate": "1 Mbps", "source": "test"}}
    radio = {"kind": "uwb", "receive_energy_per_bit": "10 pJ", "source": "test"}
    implant = hw.implant({**limit, "radio": radio, "compression": {"kind": "counts"}})
    schedule = _Recorder(bandwidth=3, decided=decided)
    _, activity = acquire(rec, implant, schedule, np.random.default_rng(0))
    # every bin is alike: a fixed width for each of 3 counts, and log2 C(8, 3) bits that name them
    payload_bps, choice_bit = activity.payload_bit / activity.duration_s, np.log2(56)
    told_bit = np.ceil(choice_bit) if decided == "implant" else choice_bit
    peak = judge(price(activity, implant), activity, implant).peak_link_rate_bps
    assert peak == pytest.approx(payload_bps + told_bit / 0.02)


def test_a_radio_cannot_send_while_it_hears_its_commands():
    rec, implant = hw.recording(), hw.implant({"radio": {"kind": "medradio"}})
    loads = {}
    for decided in ("implant", "receiver"):
        _, activity = acquire(
            rec, implant, _Recorder(bandwidth=3, decided=decided), np.random.default_rng(0)
        )
        verdict = judge(price(activity, implant), activity, implant)
        loads[decided] = 1 - verdict.margins["radio"]
    # in each bin a message of log2 C(8, 3) bits behind 9 bytes, an answer of 9 bytes, 0.2 ms
    message_s = (np.log2(56) + 2 * 72) / 800e3 + 0.2e-3
    # decided on the implant, 6 bits go up in each frame instead
    assert loads["receiver"] - loads["implant"] == pytest.approx(
        (message_s - 6 / 800e3) / 0.02, rel=1e-6
    )


@pytest.mark.parametrize("feature", ["raw", "threshold"])
def test_an_implant_that_counts_no_spikes_cannot_follow_them(feature):
    implant = hw.implant({"processing.feature": feature, "radio": {"kind": "ble"}})
    here, there = (_Recorder(bandwidth=3, decided=d) for d in ("implant", "receiver"))
    changes = hw.SCHEDULE.validate_python({"kind": "event_driven", "delta": 1})
    for schedule in (here, changes):
        if feature == "threshold":
            acquire(hw.recording(), implant, schedule, np.random.default_rng(0))
            continue
        with pytest.raises(SpecError, match="spikes are detected outside; use feature: threshold"):
            acquire(hw.recording(), implant, schedule, np.random.default_rng(0))
    acquire(hw.recording(), implant, there, np.random.default_rng(0))


def test_nothing_may_be_asked_twice():
    class Peeper(Schedule):
        kind: Literal["peeper"] = "peeper"

        def plan(self, view, rng):
            view.observe(3, np.array([0]))
            view.observe(2, np.array([0]))
            return Plan(np.ones((view.n_steps, view.n_channels), dtype=bool))

    with pytest.raises(SpecError, match="asked for step 2 after step 3"):
        plan(hw.recording(), hw.implant(), Peeper(), np.random.default_rng(0))

"""The stream, the counted actions, and what they cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.hardware.activity import Action
from implant_sim.hardware.encode import encode
from implant_sim.hardware.energy import price
from implant_sim.hardware.implant import COMPONENTS
from implant_sim.hardware.link import send
from implant_sim.hardware.rules import Clock
from implant_sim.hardware.sense import sense
from implant_sim.hardware.verdict import judge
from sbtt_models.errors import SpecError
from tests.hardware import hw
from tests.hardware.test_implant import SHIPPED, shipped

FULL = {"kind": "full"}
RANDOM = {"kind": "random_subset", "bandwidth": 2}
TURNS = {"kind": "round_robin", "bandwidth": 2}


def count(activity, component, action):
    return sum(
        a.n_actions for a in activity.actions if (a.component, a.action) == (component, action)
    )


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(
    "schedule", [FULL, RANDOM, {"kind": "static_subset", "fraction": 0.5, "order": "rate"}]
)
def test_shipped_implants_close_their_ledger(name, schedule):
    _, _, ledger, verdict = hw.run(hw.recording(), shipped(name), schedule)
    total = math.fsum(row.n_actions * row.price_j for row in ledger.rows)
    assert ledger.energy_j == pytest.approx(total, rel=1e-12)
    assert sum(ledger.columns.values()) == pytest.approx(ledger.power_w, rel=1e-12)
    assert set(ledger.component_w) == set(COMPONENTS)
    assert {row.component for row in ledger.rows} <= set(COMPONENTS)
    assert all(row.source and row.energy_j >= 0 for row in ledger.rows)
    assert verdict.within_limits
    assert verdict.margin > 0


def test_full_delivers_everything():
    rec = hw.recording()
    stream, activity, _, _ = hw.run(rec, hw.implant(), FULL)
    assert np.array_equal(stream.counts, rec.counts)
    assert (stream.exposure == 1).all()
    assert activity.sampled_fraction == 1
    assert activity.bandwidth == 8
    assert activity.duration_s == pytest.approx(12 * 20 * 0.02)


def test_only_what_was_sampled_is_delivered():
    lengths = np.array([20, 3, 20, 20, 11, 20, 20, 20, 1, 20, 20, 20])
    recorded = np.random.default_rng(3).random((12, 20, 8)) < 0.9
    rec = hw.recording(lengths=lengths, recorded=recorded)
    stream, activity, _, _ = hw.run(rec, hw.implant(), RANDOM)
    assert not (stream.observed & ~rec.available).any()
    assert np.array_equal(stream.counts, np.where(stream.observed, rec.counts, 0))
    # the implant samples on through gaps of the file, and pays for it
    n_bins = lengths.sum()
    assert count(activity, "adc", "convert") == pytest.approx(2 * n_bins * 0.02 * 2000)
    assert activity.sampled_fraction == pytest.approx(stream.observed.sum() / rec.available.sum())


def test_one_observed_entry_costs_its_samples():
    for rate in ("2 kHz", "30 kHz"):
        stream, activity, _, _ = hw.run(
            hw.recording(), hw.implant({"adc.sample_rate": rate}), RANDOM
        )
        per_entry = count(activity, "adc", "convert") / stream.observed.sum()
        assert per_entry == pytest.approx(0.02 * float(rate.split()[0]) * 1e3)


def test_hand_computed_bill():
    """8 amplifiers, 240 bins of 20 ms, every number by hand."""
    _, activity, ledger, _ = hw.run(hw.recording(), hw.implant(), RANDOM)
    seconds = 240 * 0.02
    amplifier = (4 / 2e-6) ** 2 * math.pi * 1.380649e-23 * 310.15 / 1.602176634e-19
    amplifier *= 4 * 1.380649e-23 * 310.15 * 700 / 2 * 3.3
    assert ledger.component_w["amplifier"] == pytest.approx(8 * amplifier)
    conversions = 240 * 2 * 40
    assert ledger.energy_of("adc") == pytest.approx(conversions * 40e-15 * 1024)
    assert ledger.energy_of("processing", "sample") == pytest.approx(conversions * 1e-12)
    assert ledger.energy_of("overhead") == pytest.approx(1e-6 * seconds)
    on_air = activity.payload_bit + 240 * 48
    assert ledger.energy_of("radio", "bit") == pytest.approx(on_air * 5.8e-12)
    assert "multiplexer" not in {row.component for row in ledger.rows}


def test_without_gating_skipped_samples_save_no_amplifier():
    full, sparse = (hw.run(hw.recording(), hw.implant(), s)[2] for s in (FULL, RANDOM))
    assert full.component_w["amplifier"] == sparse.component_w["amplifier"]
    assert full.component_w["adc"] == pytest.approx(4 * sparse.component_w["adc"])


def test_static_gating_saves_only_channels_never_used():
    implant = hw.implant({"amplifier.gating": "static", "amplifier.sleep_power": "1 nW"})
    static = {"kind": "static_subset", "bandwidth": 2}
    _, subset, ledger, _ = hw.run(hw.recording(), implant, static)
    on_w = implant.amplifier.on_power_w(implant.physical)
    assert ledger.component_w["amplifier"] == pytest.approx(2 * on_w + 6e-9)
    assert count(subset, "amplifier", "wake") == 0
    _, _, random, _ = hw.run(hw.recording(), implant, RANDOM)
    assert random.component_w["amplifier"] == pytest.approx(8 * on_w)


@pytest.mark.parametrize("gating", ["static", "per_bin"])
def test_sleep_that_draws_more_than_waking_is_not_slept(gating):
    # at 200 uV an amplifier draws 0.66 nW, less than the 1 nW that it leaks asleep
    changes = {**hw.GATED, "amplifier.gating": gating, "amplifier.noise": "200 uV"}
    never = {**changes, "amplifier.gating": "none"}
    for schedule in ({"kind": "static_subset", "bandwidth": 2}, TURNS):
        watts = [
            hw.run(hw.recording(), hw.implant(c), schedule)[2].component_w["amplifier"]
            for c in (changes, never)
        ]
        assert watts[0] == pytest.approx(watts[1], rel=1e-12)


def test_gating_by_bin_bills_every_gap():
    """Round robin over 8 channels, 2 at a time: on 1 bin, asleep 3, wake 1 ms before."""
    _, activity, ledger, _ = hw.run(hw.recording(), hw.implant(hw.GATED), TURNS)
    n = count(activity, "amplifier", "wake")
    # 60 turns each: the first pair has no gap before, the last none behind
    assert n == 2 * (60 + 61 + 61 + 60)
    assert count(activity, "amplifier", "on") == pytest.approx(480 * 0.02 + n * 1e-3)
    both = count(activity, "amplifier", "on") + count(activity, "amplifier", "sleep")
    assert both == pytest.approx(8 * activity.duration_s)
    assert ledger.energy_of("amplifier", "wake") == pytest.approx(n * 1e-12)


@pytest.mark.parametrize("wake", ["early", "late"])
@pytest.mark.parametrize("wake_energy", ["0 J", "1 nJ", "300 nJ", "1 uJ"])
@pytest.mark.parametrize("schedule", [FULL, RANDOM, TURNS])
def test_gating_never_costs_more_than_none(wake, wake_energy, schedule):
    gated = {**hw.GATED, "amplifier.wake": wake, "amplifier.wake_energy": wake_energy}
    with_gating, without = (
        hw.run(hw.recording(), hw.implant(changes), schedule)[2].energy_of("amplifier")
        for changes in (gated, {})
    )
    assert with_gating <= without * (1 + 1e-12)


def test_a_gap_too_short_to_repay_is_not_gated():
    on_w = hw.implant().amplifier.on_power_w(hw.implant().physical)
    saved = (on_w - 1e-9) * (0.06 - 1e-3)  # three bins asleep less the wake-up
    for factor, gated in ((0.99, True), (1.01, False)):
        changes = {**hw.GATED, "amplifier.wake_energy": factor * saved}
        _, activity, _, _ = hw.run(hw.recording(), hw.implant(changes), TURNS)
        assert (count(activity, "amplifier", "wake") > 0) == gated


def test_early_wakes_cost_energy_and_late_ones_exposure():
    early, late = (
        hw.run(hw.recording(), hw.implant({**hw.GATED, "amplifier.wake": wake}), TURNS)
        for wake in ("early", "late")
    )
    assert set(np.unique(early[0].exposure)) == {0, 1}
    values = np.unique(late[0].exposure)
    assert values == pytest.approx([0, 1 - 1e-3 / 0.02, 1])
    assert count(late[1], "amplifier", "on") < count(early[1], "amplifier", "on")
    assert (late[0].counts <= early[0].counts).all()
    assert late[0].counts.sum() < early[0].counts.sum()


def test_partial_exposure_keeps_its_share_of_the_spikes():
    rec = hw.recording(n_trials=60, n_bins=200)
    rec = replace(rec, counts=np.full_like(rec.counts, 10))
    changes = {**hw.GATED, "amplifier.wake": "late", "amplifier.wake_time": "5 ms"}
    stream = hw.run(rec, hw.implant(changes), TURNS)[0]
    kept = stream.counts[stream.exposure == np.float32(0.75)]
    assert kept.mean() == pytest.approx(7.5, abs=0.05)
    assert kept.var() == pytest.approx(10 * 0.75 * 0.25, rel=0.05)


def test_late_settling_that_eats_the_bin_is_refused():
    changes = {**hw.GATED, "amplifier.wake": "late", "amplifier.wake_time": "20 ms"}
    with pytest.raises(SpecError, match=r"no data are left; hold a channel for longer"):
        hw.run(hw.recording(), hw.implant(changes), TURNS)
    hw.run(hw.recording(), hw.implant(changes), FULL)  # never sleeps, so never wakes


def test_warm_up_of_the_filter_costs_samples_or_exposure():
    changes = {"processing.warm_up": "4 ms"}
    stream, activity, _, _ = hw.run(hw.recording(), hw.implant(changes), TURNS)
    starts = 480 - 2  # all but those of the first bin
    assert count(activity, "adc", "warm up") == pytest.approx(starts * 4e-3 * 2000)
    assert (stream.exposure[stream.observed] == 1).all()
    late = hw.implant({**changes, "amplifier.wake": "late"})
    stream, activity, _, _ = hw.run(hw.recording(), late, TURNS)
    assert count(activity, "adc", "warm up") == 0
    assert np.unique(stream.exposure) == pytest.approx([0, 0.8, 1])
    # by default three time constants of the lower corner
    default = hw.implant({"processing.warm_up": None}).processing.warm_up(300.0)
    assert default == pytest.approx(3 / (2 * math.pi * 300))
    # what is always sampled is always warm
    assert count(hw.run(hw.recording(), hw.implant(changes), FULL)[1], "adc", "warm up") == 0


def test_a_detector_runs_while_its_filter_warms_up_and_a_sorter_waits():
    priced = {"processing": {"feature": "threshold", "per_channel": "1 uW", "sorting": "2 uW"}}
    priced["processing"] |= {"warm_up": "4 ms", "source": "test"}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(priced), TURNS)
    assert count(activity, "processing", "sort") == pytest.approx(480 * 0.02)
    assert count(activity, "processing", "channel") == pytest.approx(480 * 0.02 + 478 * 4e-3)


def test_a_wire_that_held_another_channel_cannot_warm_up_early():
    changes = {**hw.HELD, "processing.warm_up": "4 ms"}
    stream, activity, _, _ = hw.run(hw.recording(), hw.implant(changes), TURNS)
    assert count(activity, "adc", "warm up") == 0
    assert np.unique(stream.exposure) == pytest.approx([0, 0.8, 1])


@pytest.mark.parametrize("warm_up", ["0 s", "4 ms"])
def test_a_held_wire_pays_for_its_warm_up_once(warm_up):
    # 2 wires of 4 channels; both sleep in every other step
    changes = {**hw.HELD, **hw.GATED, "processing.warm_up": warm_up}
    mask = np.zeros((240, 8), dtype=bool)
    mask[::2, [0, 4]] = True
    clock = Clock(mask, 0.02)
    sensed = sense(clock, hw.implant(changes))
    done = {(a.component, a.action): a.n_actions for a in sensed.actions}
    # each is on for its step and for the wake-up before it: the filter warms up inside the step
    assert done["amplifier", "wake"] == 2 * 120
    assert done["amplifier", "on"] == pytest.approx(2 * 120 * (0.02 + 1e-3))
    assert sensed.valid[2, 0] == pytest.approx(1 - (0.2 if warm_up == "4 ms" else 0))


def test_switches():
    _, held, _, _ = hw.run(hw.recording(), hw.implant(hw.HELD), TURNS)
    assert count(held, "multiplexer", "switch") == 2 * 239
    shared = {**hw.MUXED}
    _, within, _, _ = hw.run(hw.recording(), hw.implant(shared), FULL)
    assert count(within, "multiplexer", "switch") == pytest.approx(8 * 240 * 40)
    one = {"kind": "static_subset", "channels": [0, 4]}  # one of each group: nothing to switch
    assert count(hw.run(hw.recording(), hw.implant(shared), one)[1], "multiplexer", "switch") == 0
    always = {**hw.MUXED, "multiplexer.any_order": False}
    _, ordered, _, _ = hw.run(hw.recording(), hw.implant(always), one)
    assert count(ordered, "multiplexer", "switch") == pytest.approx(8 * 240 * 40)


def test_selection_in_front_of_the_amplifier_saves_amplifiers():
    on, off = (hw.run(hw.recording(), hw.implant(c), TURNS)[2] for c in (hw.HELD, {}))
    # two amplifiers in place of eight, each held on one electrode for a whole bin
    assert on.component_w["amplifier"] == pytest.approx(off.component_w["amplifier"] / 4)
    # taking turns within each sample asks for four times the bandwidth: no gain in energy
    turns = hw.implant({**hw.HELD, "multiplexer.cycle": "sample"})
    within = hw.run(hw.recording(), turns, TURNS)[2]
    assert within.component_w["amplifier"] == pytest.approx(off.component_w["amplifier"])


def test_unused_electrodes_are_charged():
    small, large = (
        hw.run(hw.recording(), hw.implant({"array.electrodes": n}), FULL)[2] for n in (8, 64)
    )
    assert large.component_w["amplifier"] == pytest.approx(8 * small.component_w["amplifier"])
    gated = {"array.electrodes": 64, "amplifier.gating": "static", "amplifier.sleep_power": "1 nW"}
    asleep = hw.run(hw.recording(), hw.implant(gated), FULL)[2]
    extra = asleep.component_w["amplifier"] - small.component_w["amplifier"]
    assert extra == pytest.approx(56e-9)


def test_idle_adcs():
    idle = {"adc.idle_power": "1 uW"}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant({**hw.MUXED, **idle}), RANDOM)
    assert count(activity, "adc", "idle") == pytest.approx(2 * activity.duration_s)
    gated = {**hw.MUXED, **idle, "amplifier.gating": "static", "amplifier.sleep_power": "1 nW"}
    subset = {"kind": "static_subset", "channels": [5, 6]}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(gated), subset)
    assert count(activity, "adc", "idle") == pytest.approx(activity.duration_s)


@settings(deadline=None, max_examples=25)
@given(
    k=st.integers(1, 7), kind=st.sampled_from(["random_subset", "round_robin", "static_subset"])
)
def test_energy_grows_with_channels(k, kind):
    less, more = (
        hw.run(hw.recording(), hw.implant(), {"kind": kind, "bandwidth": n})[2] for n in (k, k + 1)
    )
    for component in ("amplifier", "adc", "processing", "overhead"):
        assert less.component_w[component] <= more.component_w[component] * (1 + 1e-12)


@settings(deadline=None, max_examples=20)
@given(rate=st.floats(2000, 1e5), bits=st.integers(6, 13))
def test_energy_grows_with_rate_and_bits(rate, bits):
    raw = {"processing.feature": "raw", "adc.fom": "100 fJ"}

    def energy(rate_hz, n_bits):
        changes = {**raw, "adc.sample_rate": rate_hz, "adc.bits": n_bits}
        return hw.run(hw.recording(n_trials=8), hw.implant(changes), RANDOM)

    (_, a, base, _), (_, b, fast, _), (_, c, fine, _) = (
        energy(rate, bits), energy(2 * rate, bits), energy(rate, bits + 1)
    )  # fmt: skip
    assert count(b, "adc", "convert") == pytest.approx(2 * count(a, "adc", "convert"))
    assert base.power_w < fast.power_w
    assert base.power_w < fine.power_w
    assert a.payload_bit < c.payload_bit


def test_raw_payload_is_samples_times_bits():
    changes = {"processing.feature": "raw", "adc.sample_rate": "20 kHz"}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(changes), FULL)
    assert activity.link_rate_bps == pytest.approx(8 * 20e3 * 10)
    changes = {"processing.feature": "spiking_band_power"}
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(changes), FULL)
    assert activity.link_rate_bps == pytest.approx(8 * 16 * 50)
    assert "emulated" in activity.notes[0]


def test_auto_takes_the_cheapest_code_and_names_it():
    rec = hw.recording()
    sizes = {}
    for kind in ("counts", "aer", "rice"):  # Huffman saves less than its table here
        sizes[kind] = hw.run(rec, hw.implant({"compression": {"kind": kind}}), FULL)[1].payload_bit
    auto = hw.run(rec, hw.implant(), FULL)[1]
    assert auto.payload_bit == min(sizes.values())
    assert sizes[auto.code] == auto.payload_bit
    bound = hw.run(rec, hw.implant({"compression": {"kind": "entropy"}}), FULL)[1]
    assert bound.payload_bit < auto.payload_bit
    assert "no code of single counts beats" in bound.notes[0]


@pytest.mark.parametrize(("mean", "code"), [(0.004, "aer"), (0.2, "bitmap"), (20.0, "huffman")])
def test_each_code_has_its_place(mean, code):
    rec = hw.recording(n_channels=32)
    counts = np.random.default_rng(0).poisson(mean, rec.counts.shape).astype(np.int32)
    if code == "bitmap":
        counts = np.minimum(counts, 1)
    assert hw.run(replace(rec, counts=counts), hw.implant(), FULL)[1].code == code


def test_a_bitmap_refuses_two_spikes():
    with pytest.raises(SpecError, match="one bit for each channel"):
        hw.run(hw.recording(), hw.implant({"compression": {"kind": "bitmap"}}), FULL)


def test_codes_can_be_decoded():
    """Write the bits that were counted, and read the counts back."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (50, 9)).astype(np.int32)
    mask = rng.random((50, 9)) < 0.6
    for kind in ("counts", "rice", "aer"):
        implant = hw.implant({"compression": {"kind": kind}})
        bits = encode(counts, mask, np.zeros(50), implant).bits
        for row, sampled, n_bits in zip(counts, mask, bits, strict=True):
            text = _write(kind, row[sampled], counts[mask], n_bits)
            assert len(text) == n_bits


def _write(kind, values, everything, n_bits):
    if kind == "counts":
        width = int(everything.max()).bit_length()
        return "".join(format(v, f"0{width}b") for v in values)
    if kind == "rice":
        if len(values) == 0:
            return ""
        sizes = [sum((int(v) >> s) + 1 + s for v in everything) for s in range(9)]
        s = int(np.argmin(sizes))
        return "".join(
            "1" * (v >> s) + "0" + (format(v % 2**s, f"0{s}b") if s else "") for v in values
        )
    if len(values) == 0:
        return ""
    address = math.ceil(math.log2(len(values)))
    spikes = [i for i, v in enumerate(values) for _ in range(v)]
    head = "0" * (n_bits - len(spikes) * address)
    assert 2 ** len(head) > len(spikes)
    return head + "".join(format(i, f"0{address}b") if address else "" for i in spikes)


def test_bluetooth_spends_a_start_a_frame_and_its_headers():
    _, activity, ledger, verdict = hw.run(
        hw.recording(), hw.implant({"radio": {"kind": "ble"}}), FULL
    )
    assert count(activity, "radio", "start") == 240
    on_air = activity.payload_bit + 240 * 8 * 17
    assert count(activity, "radio", "transmit") == pytest.approx(on_air / 1e6)
    assert count(activity, "radio", "turn") == pytest.approx(240 * 300e-6)
    assert count(activity, "radio", "idle") == pytest.approx(activity.duration_s)
    assert activity.link_capacity_bps == pytest.approx(0.791e6, rel=1e-3)
    # bins gathered into one frame: fewer starts, more latency
    gathered = hw.implant({"radio": {"kind": "ble", "interval": "100 ms", "source": "test"}})
    _, fewer, cheaper, later = hw.run(hw.recording(), gathered, FULL)
    assert count(fewer, "radio", "start") == 48
    assert cheaper.component_w["radio"] < ledger.component_w["radio"]
    assert later.latency_s > verdict.latency_s + 0.079


def test_a_link_too_slow_is_infeasible_by_name():
    changes = {
        "processing.feature": "raw", "adc.sample_rate": "30 kHz", "radio": {"kind": "ble"},
        "limits": {"heat": None},
    }  # fmt: skip
    _, activity, ledger, verdict = hw.run(hw.recording(), hw.implant(changes), FULL)
    assert not verdict.within_limits
    assert verdict.limited_by == "radio"
    # 2.4 Mb/s over 0.79 Mb/s
    assert verdict.margin == pytest.approx(1 - 2.4e6 / activity.link_capacity_bps, rel=0.02)
    # the queue grows to the end of the recording
    assert verdict.latency_s > activity.duration_s
    assert ledger.power_w > 0


def test_lost_packets_take_their_bins():
    radio = {"kind": "uwb", "packet_loss": 0.3, "retransmit": False, "source": "test"}
    rec = hw.recording(n_trials=60)
    stream, activity, _, _ = hw.run(rec, hw.implant({"radio": radio}), FULL)
    whole = stream.observed.all(axis=2)
    assert (whole == stream.observed.any(axis=2)).all()
    assert 1 - whole.mean() == pytest.approx(activity.packet_loss)
    assert activity.packet_loss == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(stream.counts, np.where(stream.observed, rec.counts, 0))


def test_repeated_packets_cost_energy_and_lose_nothing():
    lossy = {"radio": {"kind": "uwb", "packet_loss": 0.2, "source": "test"}}
    clean, repeated = (hw.run(hw.recording(), hw.implant(c), FULL) for c in ({}, lossy))
    bits = [count(r[1], "radio", "bit") for r in (clean, repeated)]
    assert bits[1] == pytest.approx(1.25 * bits[0])
    assert repeated[0].observed.all()


def test_a_long_frame_loses_only_the_bins_of_the_lost_packet():
    radio = {
        "kind": "uwb", "packet_loss": 0.5, "retransmit": False, "interval": "200 ms",
        "payload": 4, "source": "test",
    }  # fmt: skip
    radio["payload_byte"] = radio.pop("payload")
    bits = np.full(1000, 24)
    sent = send(bits, 0.02, hw.implant({"radio": radio}), np.random.default_rng(0))
    # 10 bins of 24 bits in 8 packets of 32: bin 0 has 1 packet, bin 1 has 2
    arrived = sent.arrived.reshape(100, 10).mean(axis=0)
    assert arrived[0] == pytest.approx(0.5, abs=0.15)
    assert arrived[1] == pytest.approx(0.25, abs=0.15)
    assert sent.packet_loss == pytest.approx(0.5, abs=0.06)


def test_latency_of_a_burst():
    """Ten quiet bins, one of 3 bins' airtime, ten quiet ones: by hand."""
    radio = {"kind": "uwb", "rate": 1000, "header_bit": 0, "source": "test"}
    bits = np.array([5] * 10 + [60] + [5] * 10)
    sent = send(bits, 0.02, hw.implant({"radio": radio}), None)
    assert sent.latency_s == pytest.approx(0.02 + 0.060)
    bits[11] = 50  # waits for 40 ms, then takes 50
    assert send(bits, 0.02, hw.implant({"radio": radio}), None).latency_s == pytest.approx(0.110)
    assert sent.peak_rate_bps == pytest.approx(3000)
    limited = {"radio": radio, "limits": {"latency": "40 ms", "source": "test"}}
    assert send(bits, 0.02, hw.implant(limited), None).peak_rate_bps == pytest.approx(2750)


def test_calibration_is_charged_and_amortised():
    rec = hw.recording()
    rank = {"kind": "static_subset", "bandwidth": 2, "order": "rate"}
    daily = hw.run(rec, hw.implant(), rank)[2]
    often = hw.run(rec, hw.implant(), rank | {"calibration": {"every": "1 h"}})[2]
    never = hw.run(rec, hw.implant(), {"kind": "static_subset", "bandwidth": 2})[2]
    extra = [ledger.energy_of("adc") - never.energy_of("adc") for ledger in (daily, often)]
    # 9 trials of 20 bins, the six channels that are not sampled anyhow
    by_hand = 6 * 9 * 20 * 40 * 40e-15 * 1024 * rec.counts.shape[0] * 20 * 0.02 / 86400
    assert extra[0] == pytest.approx(by_hand)
    assert extra[1] == pytest.approx(24 * by_hand)
    # amplifiers are on all the time as it is
    assert daily.energy_of("amplifier") == never.energy_of("amplifier")
    rows = {row.action for row in daily.rows}
    assert {"calibrate convert", "calibrate bit", "calibrate sample"} <= rows


def test_calibration_tells_the_receiver_its_choice():
    rank = {"kind": "static_subset", "bandwidth": 2, "order": "greedy"}
    activity = hw.run(hw.recording(), hw.implant(), rank)[1]
    assert activity.side_info_bps == pytest.approx(math.log2(28) / 86400)


def test_calibration_behind_a_held_wire_takes_a_pass_for_each_way():
    rank = {"kind": "static_subset", "bandwidth": 2, "order": "rate"}
    gated = {**hw.HELD, "amplifier.gating": "static", "amplifier.sleep_power": "1 nW"}
    activity = hw.run(hw.recording(), hw.implant(gated), rank)[1]
    # 4 passes: as many conversions as sampling 8 channels, 2 at a time
    assert count(activity, "adc", "calibrate convert") == pytest.approx(0, abs=1e-9)
    assert count(activity, "radio", "calibrate start") > 0


def test_calibration_longer_than_its_period_is_refused():
    rank = {
        "kind": "static_subset",
        "bandwidth": 2,
        "order": "rate",
        "calibration": {"every": "1 s"},
    }
    with pytest.raises(SpecError, match=r"shorter than the calibration itself, 3\.6 s"):
        hw.run(hw.recording(), hw.implant(), rank)


def test_an_action_without_a_price_is_an_error():
    _, activity, _, _ = hw.run(hw.recording(), hw.implant(), FULL)
    other = replace(activity, actions=(*activity.actions, Action("adc", "levitate", 1.0)))
    with pytest.raises(SpecError, match="'levitate' 1 times, which has no price"):
        price(other, hw.implant())
    with pytest.raises(SpecError, match="has no price"):
        price(activity, hw.implant({"radio": {"kind": "ble"}}))


def test_one_acquisition_can_be_priced_for_many_chips():
    _, activity, ledger, _ = hw.run(hw.recording(), hw.implant(), RANDOM)
    dear = price(activity, hw.implant({"adc.fom": "80 fJ"}))
    assert dear.energy_of("adc") == pytest.approx(2 * ledger.energy_of("adc"))
    assert dear.energy_of("radio") == ledger.energy_of("radio")


def test_delivery_loses_what_its_efficiencies_say():
    power = {"regulator_efficiency": 0.8, "link_efficiency": 0.5, "source": "test"}
    _, _activity, ledger, verdict = hw.run(hw.recording(), hw.implant({"power": power}), FULL)
    plain = hw.run(hw.recording(), hw.implant(), FULL)[2]
    assert ledger.power_w == pytest.approx(plain.power_w / 0.8 / 0.5)
    assert ledger.component_w["delivery"] == pytest.approx(ledger.power_w - plain.power_w)
    # the regulator heats the implant, the link what is outside
    assert verdict.heat_w == pytest.approx(plain.power_w / 0.8)


def test_verdict_by_hand():
    limits = {
        "heat": "0.01 K", "flux": "1 W/m2", "link_rate": "5 kbps", "battery": "1 h",
        "latency": "30 ms", "source": "test",
    }  # fmt: skip
    battery = {"capacity": "10 mAh", "voltage": "3 V", "usable": 0.5, "source": "test"}
    changes = {"limits": limits, "power": {"battery": battery}, "overhead.power": "1 mW"}
    implant = hw.implant(changes)
    _, activity, ledger, verdict = hw.run(hw.recording(), implant, FULL)
    assert verdict.flux_w_m2 == pytest.approx(ledger.power_w / 50e-6)
    assert verdict.battery_h == pytest.approx(10e-3 * 3 * 0.5 / ledger.power_w)
    a = math.sqrt(25e-6 / math.pi)
    x = a / math.sqrt(0.51 / 39607)
    conductance = 0.51 * a * (2 * math.pi * (1 + x) + (8 - 2 * math.pi) / (1 + 0.8 * x))
    assert verdict.heat_k == pytest.approx(ledger.power_w / conductance)
    assert verdict.margins["flux"] == pytest.approx(1 - verdict.flux_w_m2)
    assert verdict.limited_by == "flux"
    assert not verdict.within_limits
    assert set(verdict.margins) == {"radio", "heat", "flux", "link_rate", "latency", "battery"}
    one_face = hw.implant({**changes, "array.faces": 1, "array.source": "test"})
    assert judge(ledger, activity, one_face).heat_k == pytest.approx(2 * verdict.heat_k)
    footprint = hw.implant({**changes, "limits.flux_area": "footprint"})
    assert judge(ledger, activity, footprint).flux_w_m2 == pytest.approx(2 * verdict.flux_w_m2)


def test_radiated_power_is_no_heat():
    radio = {"kind": "fsk", "radiated": 0.1, "source": "test"}
    _, _, ledger, verdict = hw.run(hw.recording(), hw.implant({"radio": radio}), FULL)
    assert verdict.heat_w == pytest.approx(ledger.power_w - 0.1 * ledger.component_w["radio"])


def test_savolainen_channels_within_a_milliwatt_budget():
    """0.625 mW at 20 nJ/bit and 0.96 uW per channel over 161.8 uW: 22 channels of 1 kb/s."""
    changes = {
        "overhead.power": "161.8 uW", "amplifier.kind": "measured", "amplifier.power": "20 nW",
        "amplifier.nef": None, "amplifier.supply": None, "adc.fom": "1 fJ", "adc.bits": 1,
        "processing.feature": "spiking_band_power", "processing.feature_bits": 20,
        "processing.per_channel": "0.96 uW", "processing.per_sample": None,
        "radio": {"kind": "fsk", "energy_per_bit": "20 nJ", "header_bit": 0, "rate": "24 Mbps",
                  "payload_byte": 250, "source": "test"},
    }  # fmt: skip
    watts = {
        n: hw.run(hw.recording(n_channels=n), hw.implant(changes), FULL)[2].power_w
        for n in (22, 23)
    }
    assert watts[22] < 0.625e-3 < watts[23]


def test_whole_acquisition_is_a_function_of_its_seed():
    changes = {
        **hw.GATED, "amplifier.wake": "late",
        "radio": {"kind": "uwb", "packet_loss": 0.1, "retransmit": False, "source": "test"},
    }  # fmt: skip
    one, two, other = (hw.run(hw.recording(), hw.implant(changes), RANDOM, s) for s in (1, 1, 2))
    assert np.array_equal(one[0].counts, two[0].counts)
    assert np.array_equal(one[0].exposure, two[0].exposure)
    assert one[1] == two[1]
    assert not np.array_equal(one[0].exposure, other[0].exposure)


def test_one_silent_channel_one_bin_one_trial_each():
    rec = hw.recording(n_trials=6, n_bins=1, n_channels=1)
    rec = replace(rec, counts=np.zeros_like(rec.counts))
    for schedule in (FULL, {"kind": "random_subset", "bandwidth": 1}):
        stream, _, ledger, _ = hw.run(rec, hw.implant(), schedule)
        assert stream.observed.all()
        assert ledger.power_w > 0

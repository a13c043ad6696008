"""Electrode, amplifier, multiplexer: noise, settling, published values, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware.noise import noise_budget
from implant_sim.hardware.physics import (
    electrode,
    gating,
    multiplexer,
    noise,
)
from implant_sim.hardware.physics.amplifier import high_pass_recovery_s
from implant_sim.hardware.physics.constants import BODY
from tests.hardware import hw

TURNS = {"kind": "round_robin", "bandwidth": 2}
FOLDED = {**hw.MUXED, "multiplexer.filter": "rc"}
PASSIVE = {  # sampled within each period in front of the amplifier
    **hw.HELD, "multiplexer.cycle": "sample", "array.impedance": "100 kohm",
    "amplifier.input_capacitance": "2 pF", "multiplexer.line_capacitance": "1 pF",
}  # fmt: skip
SETTLING = {
    **hw.MUXED, "multiplexer.on_resistance": "1 kohm", "multiplexer.source_resistance": "9 kohm",
    "multiplexer.line_capacitance": "1 pF", "adc.sampling_capacitance": "1 pF",
}  # fmt: skip
SWITCHED = {
    **hw.MUXED, "multiplexer.gate_capacitance": "50 fF", "multiplexer.supply": "1.2 V",
    "multiplexer.line_capacitance": "1 pF", "multiplexer.swing": "1 V",
}  # fmt: skip
ROUNDED = {"adc.full_scale": "1.2 V", "amplifier.gain": 500}
SURVEYED = {"adc": {"kind": "survey", "bits": 10, "sample_rate": "30 kHz", "source": "test"}}


def budget(changes=None):
    return noise_budget(hw.implant(changes))


def refused(changes):
    with pytest.raises(ValidationError) as caught:
        hw.implant(changes)
    return str(caught.value)


class TestNoiseBudget:
    def test_an_implant_that_says_nothing_more_has_its_amplifiers_noise(self):
        plain = budget()
        assert plain.total_v == plain.amplifier_v == 2e-6
        assert plain.gain == 1
        assert plain.electrode_v == plain.background_v == plain.folded_v == 0

    def test_sources_add_in_squares(self):
        full = budget(
            {**FOLDED, **ROUNDED, "array.impedance": "1 Mohm", "array.background_noise": "7 uV",
             "amplifier.input_capacitance": "10 pF", "amplifier.corner": "500 Hz"}
        )  # fmt: skip
        parts = (
            full.amplifier_v, full.electrode_v, full.background_v, full.folded_v,
            full.quantisation_v,
        )  # fmt: skip
        assert min(parts) > 0
        assert full.total_v == pytest.approx(math.sqrt(sum(part**2 for part in parts)))
        assert full.background_v == 7e-6
        assert 0 < full.gain < 1

    def test_published_thermal_noise(self):
        changes = {"array.impedance": "100 kohm", "amplifier.band": ["0 Hz", "10 kHz"]}
        found = budget({**changes, "adc.sample_rate": "20 kHz"})
        assert found.electrode_v == pytest.approx(4.1e-6, abs=0.05e-6)

    def test_rounding_of_neuropixels(self):
        # 10 bits of 1.2 V at a gain of 500
        assert budget(ROUNDED).quantisation_v == pytest.approx(2.34375e-6 / math.sqrt(12))
        # the missing bits of a real converter are noise, too
        worse = budget({**ROUNDED, "adc.enob": 9})
        assert worse.quantisation_v == pytest.approx(2 * budget(ROUNDED).quantisation_v)

    def test_what_enters_behind_the_electrode_counts_for_more_at_the_electrode(self):
        loaded = {"array.impedance": "1 Mohm", "amplifier.input_capacitance": "100 pF"}
        found = budget({**ROUNDED, **loaded})
        assert found.amplifier_v == pytest.approx(2e-6 / found.gain)
        assert found.quantisation_v == pytest.approx(budget(ROUNDED).quantisation_v / found.gain)
        assert found.electrode_v == budget({"array.impedance": "1 Mohm"}).electrode_v

    def test_verdict_shows_the_total(self):
        changes = {"array.background_noise": "7 uV"}
        verdict = hw.run(hw.recording(), hw.implant(changes), TURNS)[3]
        assert verdict.input_noise_v == pytest.approx(math.hypot(2e-6, 7e-6))

    @given(bits=st.integers(4, 15), finer=st.integers(1, 4), gain=st.floats(10, 2000))
    def test_noise_falls_with_bits_and_gain(self, bits, finer, gain):
        coarse = {"adc.fom": "100 pJ", "adc.full_scale": 1.0, "amplifier.gain": gain}
        fine = {**coarse, "adc.bits": bits + finer}
        high = {**coarse, "adc.bits": bits, "amplifier.gain": 2 * gain}
        found = budget({**coarse, "adc.bits": bits}).total_v
        assert budget(fine).total_v <= found
        assert budget(high).total_v <= found


class TestElectrode:
    @given(
        real=st.floats(1e3, 1e7), ratio=st.floats(1, 20), pico=st.floats(0.1, 1000),
        rate=st.floats(1e2, 1e6),
    )  # fmt: skip
    def test_gain_lies_between_0_and_1_and_falls_with_load_and_source(
        self, real, ratio, pico, rate
    ):
        source = complex(real, -real * math.sqrt(ratio**2 - 1))
        line = electrode.switched_capacitor_ohm(rate, 1e-12)
        load = electrode.input_impedance_ohm(1e3, pico * 1e-12)
        gain = electrode.loading_gain(load, source)
        assert 0 < gain <= 1
        heavier = electrode.input_impedance_ohm(1e3, 2 * pico * 1e-12, line)
        assert electrode.loading_gain(heavier, source) <= gain
        assert electrode.loading_gain(load, 2 * source) <= gain

    def test_divider_of_two_capacitors_knows_no_frequency(self):
        # 159 pF, which is 1 megohm at 1 kHz, on 10 pF
        expected = 159.15 / (159.15 + 10)
        for hertz in (10.0, 1e3, 1e4):
            load = electrode.input_impedance_ohm(hertz, 10e-12)
            source = electrode.input_impedance_ohm(hertz, 159.15e-12)
            assert electrode.loading_gain(load, source) == pytest.approx(expected)

    def test_nothing_loads_an_open_input(self):
        assert electrode.loading_gain(electrode.input_impedance_ohm(1e3, 0.0), 1e6 - 1e6j) == 1
        assert math.isinf(electrode.switched_capacitor_ohm(1e4, 0.0))

    def test_a_capacitive_electrode_loses_more_to_a_capacitive_input(self):
        loaded = {"array.impedance": "100 kohm", "amplifier.input_capacitance": "20 pF"}
        resistive = budget(loaded)
        capacitive = budget({**loaded, "array.impedance_magnitude": "1 Mohm"})
        assert capacitive.gain < resistive.gain
        assert capacitive.electrode_v == resistive.electrode_v  # noise comes of the real part

    def test_a_line_switched_in_front_of_the_amplifier_loads_the_electrode(self):
        alone = {**PASSIVE, "multiplexer.line_capacitance": None}
        switched = budget({**PASSIVE, "array.impedance": "5 Mohm"}).gain
        assert switched < budget({**alone, "array.impedance": "5 Mohm"}).gain
        # 1 pF at 2 kHz is 500 megohm: alone it takes 1 % of 5 megohm
        bare = {**PASSIVE, "array.impedance": "5 Mohm", "amplifier.input_capacitance": None}
        assert budget(bare).gain == pytest.approx(500 / 505)
        held = {**PASSIVE, "array.impedance": "5 Mohm", "multiplexer.cycle": "bin"}
        assert budget(held).gain > switched


class TestAmplifier:
    @given(
        low=st.floats(0.1, 1e3), width=st.floats(10, 1e4), corner=st.floats(1, 1e5),
        white=st.floats(1e-7, 1e-5),
    )  # fmt: skip
    def test_flicker_is_the_integral_of_its_density(self, low, width, corner, white):
        band = (low, low + width)
        hertz = np.geomspace(*band, 20_001)
        density = white**2 / width * (1 + corner / hertz)
        integral = np.sum((density[1:] + density[:-1]) / 2 * np.diff(hertz))
        assert noise.band_noise_v(white, band, corner) == pytest.approx(
            math.sqrt(integral), rel=1e-4
        )

    def test_flicker_adds_to_the_noise_and_not_to_the_power(self):
        slow = {"amplifier.band": ["1 Hz", "300 Hz"], "amplifier.corner": "1 kHz"}
        plain, flicker = hw.implant({**slow, "amplifier.corner": None}), hw.implant(slow)
        assert flicker.input_noise_v > 4 * plain.input_noise_v
        assert flicker.price_list()["amplifier", "on"] == plain.price_list()["amplifier", "on"]
        chopped = hw.implant({**slow, "amplifier.chopped": True})
        assert chopped.input_noise_v == plain.input_noise_v

    def test_flicker_does_not_fold_but_white_noise_does(self):
        # what lies in the band below the corner is not repeated beyond the band
        corner = {**FOLDED, "amplifier.corner": "10 kHz"}
        assert budget(corner).folded_v == budget(FOLDED).folded_v
        assert budget(corner).amplifier_v > budget(FOLDED).amplifier_v

    @given(
        wake_ms=st.floats(0, 5), acquire_ms=st.floats(0.1, 50), hertz=st.floats(0, 50),
        leak=st.floats(0, 1),
    )  # fmt: skip
    def test_gated_power_lies_between_sleep_and_on(self, wake_ms, acquire_ms, hertz, leak):
        power = gating.gated_power_w(1.0, leak, wake_ms * 1e-3, acquire_ms * 1e-3, hertz, 0.0)
        assert leak - 1e-12 <= power <= 1 + 1e-12
        woken = gating.gated_power_w(1.0, leak, wake_ms * 1e-3, acquire_ms * 1e-3, hertz, 1e-3)
        assert woken == pytest.approx(power + 1e-3 * hertz)

    def test_formula_of_gating_equals_the_ledger(self):
        # 2 of 8 channels in each bin of 20 ms: each wakes 12.5 times a second for 1 + 20 ms
        implant = hw.implant(hw.GATED)
        _, activity, ledger, _ = hw.run(hw.recording(), implant, TURNS)
        on_w = implant.amplifier.on_power_w(BODY)
        closed = 8 * gating.gated_power_w(on_w, 1e-9, 1e-3, 20e-3, 12.5, 1e-12)
        wakes = next(a.n_actions for a in activity.actions if a.action == "wake")
        assert wakes / 8 / activity.duration_s == pytest.approx(12.5, rel=0.05)
        assert ledger.component_w["amplifier"] == pytest.approx(closed, rel=0.02)

    def test_settling_is_paid_once(self):
        # the whole energy of a wake-up is what the formula draws while settling, and the charge
        whole = gating.wake_energy_j(5e-6, 1e-3, 10e-12, 1.0)
        asleep = gating.gated_power_w(5e-6, 0.0, 1e-3, 0.0, 1.0, 10e-12)
        assert whole == pytest.approx(asleep)

    def test_what_wakes_with_its_capacitor_empty_has_to_charge_it(self):
        recovery = high_pass_recovery_s(300.0, 10)
        assert recovery == pytest.approx(3.68e-3, rel=1e-3)
        empty = {**hw.GATED, "amplifier.coupling": "ac"}
        assert hw.implant({**empty, "amplifier.wake_time": recovery}).amplifier.coupling == "ac"
        assert "ac_hold or dc" in refused({**empty, "amplifier.wake_time": 0.999 * recovery})
        # a state that is held, or an input without a capacitor, wakes as fast as its bias
        for coupling in ("ac_hold", "dc"):
            hw.implant({**hw.GATED, "amplifier.coupling": coupling, "amplifier.wake_time": 1e-5})
        # and a lower corner takes longer
        slow = {**empty, "amplifier.band": ["1 Hz", "1 kHz"], "amplifier.wake_time": "1 s"}
        assert "takes 1.1 s" in refused(slow)

    def test_one_electrode_of_band_where_the_multiplexer_holds_it(self):
        def watts(changes):
            return hw.implant(changes).price_list()["amplifier", "on"].price_j

        assert watts(hw.HELD) == watts({})
        within = {**hw.HELD, "multiplexer.cycle": "sample"}
        assert watts(within) == pytest.approx(4 * watts({}))
        # or the noise is left to fold, and paid in noise: the boxcar law is the same bargain
        folded = {**within, "multiplexer.filter": "boxcar"}
        assert watts(folded) == watts({})
        assert budget(folded).total_v == pytest.approx(2 * budget(within).total_v)
        quiet = watts({**within, "amplifier.noise": "4 uV"})
        assert quiet == pytest.approx(watts(folded))


class TestFolding:
    @pytest.mark.parametrize(("ways", "boxcar", "rc"), [(8, 2.8, 5.5), (16, 4.0, 7.8)])
    def test_both_laws(self, ways, boxcar, rc):
        assert multiplexer.boxcar_folding(ways) == pytest.approx(boxcar, abs=0.05)
        assert multiplexer.rc_folding(10, ways) == pytest.approx(rc, abs=0.05)

    def test_a_published_array_lies_between_the_laws(self):
        # 24,320 electrodes: 1.48 uV on their own, 5.4 uV at 8 to 32 turns
        rise = 5.4 / 1.48
        assert rise == pytest.approx(3.65, abs=0.005)
        assert multiplexer.boxcar_folding(8) < rise < multiplexer.rc_folding(10, 8)
        assert multiplexer.boxcar_folding(8) < rise < multiplexer.boxcar_folding(32)
        published = {
            **hw.HELD, "amplifier.noise": "1.48 uV", "amplifier.shared_by": 8, "adc.shared_by": 8,
            "multiplexer.ways": 8, "multiplexer.cycle": "sample",
        }  # fmt: skip
        low, high = (
            budget({**published, "multiplexer.filter": law}).total_v for law in ("boxcar", "rc")
        )
        assert low < 5.4e-6 < high

    @given(bits=st.integers(1, 20), slots=st.integers(1, 512), share=st.floats(0.1, 1))
    def test_folding_never_lowers_noise_and_grows_with_turns(self, bits, slots, share):
        rise = multiplexer.rc_folding(bits, slots, share)
        assert 1 <= rise <= multiplexer.rc_folding(bits, slots + 1, share)
        assert rise <= multiplexer.rc_folding(bits + 1, slots, share)
        # it is the noise bandwidth of the pole that just settles, over half the sample rate
        pole = multiplexer.settling_bandwidth_hz(bits, share * multiplexer.slot_s(slots, 1.0))
        assert rise**2 == pytest.approx(max(1.0, math.pi / 2 * pole / 0.5))

    def test_a_filter_in_front_of_the_switch_keeps_it_out(self):
        assert budget(hw.MUXED).folded_v == 0
        rise = multiplexer.rc_folding(10, 4)
        assert budget(FOLDED).total_v == pytest.approx(2e-6 * rise)
        # noise of the electrode folds, that of the tissue does not
        electrode_too = budget({**FOLDED, "array.impedance": "1 Mohm"})
        bare = budget({"array.impedance": "1 Mohm"})
        assert electrode_too.total_v == pytest.approx(rise * bare.total_v)
        # what the electrode keeps back of the signal raises what folds, too
        load = {"array.impedance": "5 Mohm", "amplifier.input_capacitance": "100 pF"}
        assert budget({**FOLDED, **load}).total_v == pytest.approx(rise * budget(load).total_v)
        tissue = budget({**FOLDED, "array.background_noise": "7 uV"})
        assert tissue.total_v == pytest.approx(math.hypot(2e-6 * rise, 7e-6))

    def test_folded_noise_is_beyond_any_linear_filter(self):
        """White noise, sampled with and without a filter: the least error that is left."""
        rng, ways, n = np.random.default_rng(7), 16, 20_000
        signal = rng.normal(size=n)  # fills the band up to half the sample rate
        fine = rng.normal(size=n * ways)
        filtered = fine.reshape(n, ways).mean(axis=1)  # each sample sees its own period only
        folded = fine[::ways]  # as wide as the slots of 16 turns

        def least_error(noise_of):
            """Of the best filter of 33 taps on both sides, on samples that it was not made of."""
            seen = signal + noise_of
            taps = np.lib.stride_tricks.sliding_window_view(seen, 33)
            wanted, half = signal[16:-16], len(taps) // 2
            best = np.linalg.lstsq(taps[:half], wanted[:half], rcond=None)[0]
            return np.mean((wanted[half:] - taps[half:] @ best) ** 2)

        assert np.std(folded) / np.std(filtered) == pytest.approx(
            multiplexer.boxcar_folding(ways), rel=0.02
        )
        # theory: signal and noise share every frequency, so that s n / (s + n) is left
        assert least_error(folded) == pytest.approx(1 / 2, rel=0.05)
        assert least_error(filtered) == pytest.approx((1 / ways) / (1 + 1 / ways), rel=0.05)


class TestSettling:
    def test_published_bandwidth_and_slot(self):
        slot = multiplexer.slot_s(16, 1.0)
        assert multiplexer.settling_bandwidth_hz(10, slot) == pytest.approx(19.4, abs=0.05)
        assert multiplexer.slot_s(256, 19.3e3) == pytest.approx(202e-9, abs=0.5e-9)

    def test_a_slot(self):
        slot = hw.implant(SETTLING).front_end.slot
        assert slot.tau_s == pytest.approx(10e3 * 2e-12)
        assert slot.slot_s == pytest.approx(1 / (4 * 2e3))
        assert slot.needed_s == pytest.approx(11 * math.log(2) * 20e-9)
        assert slot.crosstalk == pytest.approx(0.5)  # the line remembers half
        assert hw.implant(hw.MUXED).front_end.slot is None

    def test_too_short_a_slot_says_what_would_fit(self):
        slow = {**SETTLING, "multiplexer.source_resistance": "20 Mohm"}
        text = refused(slow)
        for part in ("tau = 4e-05 s", "slot of 0.000125 s", "10 bits", "4 turns at 2000 Hz"):
            assert part in text
        assert "lower tau to 1.64e-05 s, or take 1 turns, or settle for 3 bits" in text
        assert "sample at 820 Hz" in text
        assert text.count("multiplexer.on_resistance") == 1
        hw.implant({**slow, "adc.bits": 3})
        hw.implant({**slow, "multiplexer.source_resistance": 1.63e-5 / 2e-12 - 1e3})

    def test_the_source_of_a_passive_multiplexer_is_its_electrode(self):
        passive = {**PASSIVE, "multiplexer.on_resistance": "1 kohm"}
        slot = hw.implant(passive).front_end.slot
        assert slot.tau_s == pytest.approx(101e3 * 3e-12)
        assert "tau = 0.0003 s" in refused({**passive, "array.impedance": "100 Mohm"})
        assert "impedance or multiplexer.source_resistance, too" in refused(
            {**passive, "array.impedance": None}
        )

    @settings(max_examples=60)
    @given(
        ohms=st.floats(1, 1e9), ways=st.integers(2, 64), share=st.floats(0.1, 1),
        bits=st.integers(4, 14),
    )  # fmt: skip
    def test_what_is_accepted_settles(self, ohms, ways, share, bits):
        changes = {
            **SETTLING, "multiplexer.ways": ways, "adc.shared_by": ways, "adc.bits": bits,
            "adc.fom": "10 pJ", "multiplexer.source_resistance": ohms,
            "multiplexer.settle_fraction": share,
        }  # fmt: skip
        tau_s = (ohms + 1e3) * 2e-12
        fits = (bits + 1) * math.log(2) * tau_s <= share / (ways * 2e3)
        try:
            slot = hw.implant(changes).front_end.slot
        except ValidationError:
            assert not fits
            return
        assert fits
        assert slot.needed_s <= slot.available_s
        assert slot.bandwidth_hz <= 1 / (2 * math.pi * slot.tau_s) * (1 + 1e-9)
        assert math.exp(-slot.available_s / slot.tau_s) <= 2.0 ** -(bits + 1) * (1 + 1e-9)

    @given(st.floats(0, 50), st.floats(0, 1e-11), st.floats(1e-14, 1e-11))
    def test_crosstalk_falls_with_time_and_sampling_capacitor(self, times, line, sampled):
        left = multiplexer.crosstalk(times, 1.0, line, sampled)
        assert left >= multiplexer.crosstalk(times + 1, 1.0, line, sampled)
        assert left >= multiplexer.crosstalk(times, 1.0, line, 2 * sampled)
        assert multiplexer.crosstalk(times, 1.0, 0.0, sampled) == pytest.approx(math.exp(-times))

    def test_switch_priced_by_its_capacitances(self):
        priced = hw.implant(SWITCHED).price_list()["multiplexer", "switch"]
        assert priced.price_j == pytest.approx(50e-15 * 1.44 + 1e-12)
        assert "made up for a test" in priced.source
        assert hw.implant(hw.MUXED).price_list()["multiplexer", "switch"].price_j == 1e-12


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"array.impedance_magnitude": "1 Mohm"}, "needs impedance"),
        (
            {"array.impedance": "1 Mohm", "array.impedance_magnitude": "100 kohm"},
            "below impedance, its real part",
        ),
        ({"array.background_noise": "-1 uV"}, "greater than or equal to 0"),
        ({"array.spike_amplitude": "70 mA"}, "wrong dimension"),
        ({"array.spike_amplitude": 0}, "greater than 0"),
        ({"array.spike_spread": -0.1}, "greater than or equal to 0"),
        ({"array.impedance": "1 Mohm", "array.source": None}, "array.impedance: 1000000.0 has no"),
        ({"amplifier.band": [0, "1 kHz"], "amplifier.corner": "100 Hz"}, "has no end there"),
        ({"amplifier.corner": 0}, "greater than 0"),
        ({"amplifier.input_capacitance": "2 pV"}, "wrong dimension"),
        ({"amplifier.input_capacitance": "2 F"}, "less than 0.000001"),
        ({"amplifier.gain": 500}, "amplifier.gain: needs adc.full_scale"),
        ({"adc.full_scale": "1.2 V"}, "adc.full_scale: needs amplifier.gain"),
        ({**ROUNDED, "amplifier.gain": -500}, "greater than 0"),
        ({**ROUNDED, "adc.sampling_capacitance": "10 fF"}, "takes 3.74e-14 F"),
        ({"multiplexer": {"filter": "rc"}}, "needs a multiplexer"),
        ({**FOLDED, "multiplexer.filter": "sinc"}, "'anti_aliased', 'rc' or 'boxcar'"),
        ({**hw.MUXED, "multiplexer.slots": 3}, "slots: 3 are too few for ways: 4"),
        ({**hw.MUXED, "multiplexer.on_resistance": "1 kohm"}, "settling needs"),
        ({**SETTLING, "multiplexer.line_capacitance": None}, "needs multiplexer.line_capacitance"),
        ({**SETTLING, "multiplexer.settle_fraction": 0}, "greater than 0"),
        ({**SETTLING, "multiplexer.settle_fraction": 1.5}, "less than or equal to 1"),
        ({"multiplexer": {"on_resistance": 1e3, "source": "test"}}, "there is no multiplexer"),
        ({**SWITCHED, "multiplexer.swing": None}, "a switch needs swing, too"),
        ({**SWITCHED, "multiplexer.gate_capacitance": None}, "needs gate_capacitance"),
        ({**SETTLING, "multiplexer.source": {"ways": "test"}}, "on_resistance: 1000.0 has no"),
        ({**SURVEYED, "adc.percentile": 50}, "'p10', 'p50' or 'p90'"),
        ({**SURVEYED, "adc.years": "2020-2021"}, "'1997-2025'"),
        (
            {**SURVEYED, "adc.years": "1997-2004", "adc.architecture": "sar"},
            "fewer than ten ADCs of architecture: sar at to 100 kHz",
        ),
        ({**SURVEYED, "adc.bits": 24}, "below the thermal floor"),
        ({**SURVEYED, "adc.fom": "40 fJ"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_refusals_say_what_is_wrong(changes, says):
    assert says in refused(changes)


@pytest.mark.parametrize("changes", [FOLDED, PASSIVE, SETTLING, SWITCHED, ROUNDED, SURVEYED])
def test_blocks_read_back_the_same(changes):
    implant = hw.implant(changes)
    assert type(implant).model_validate(implant.model_dump(mode="json")) == implant

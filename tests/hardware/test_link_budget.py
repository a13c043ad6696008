"""Radios: what a bit costs, what a path leaves of it, and what is lost on the way."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware.components.path import AnyPath, Path
from implant_sim.hardware.components.radio import AnyRadio, Ble, Medradio, Uwb
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.link import _buffer_bit, _waiting_s, send
from implant_sim.hardware.physics import link_budget, modulation, radio
from implant_sim.hardware.physics.constants import BODY
from implant_sim.hardware.physics.information import shannon_limit_j_bit
from sbtt_models.errors import SpecError
from tests import naive
from tests.hardware import hw

FULL = {"kind": "full"}
RADIOS = get_args(get_args(AnyRadio)[0])
DEEP = {
    "model": "deep_implant", "distance": "10 cm", "tx_power": "25 uW", "noise_figure": 6,
    "source": "test",
}  # fmt: skip
LOSS = {"model": "measured", "path_loss": 60, "tx_power": "1 uW", "noise_figure": 6,
        "source": "test"}  # fmt: skip


def with_radio(**fields) -> Implant:
    return hw.implant({"radio": fields})


def over(loss_db, tx="25 uW", **extra):
    path = {**LOSS, "path_loss": loss_db, "tx_power": tx}
    return with_radio(kind="medradio", path=path, **extra)


# ---- energy of a bit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rate", "payload", "nj_bit", "mbps"),
    [
        ("nrf52840", 1e6, 244, 24.19, 0.791),
        ("nrf52840", 2e6, 244, 13.62, 1.402),
        ("nrf54l15", 1e6, 244, 17.45, 0.791),
        ("nrf54l15", 2e6, 244, 9.58, 1.402),
        ("cc2340", 1e6, 244, 19.46, 0.791),
        ("cc2340", 2e6, 244, 11.02, 1.402),
        ("nrf52840", 1e6, 20, 80.12, 0.2367),
    ],
)
def test_bluetooth_parts(part, rate, payload, nj_bit, mbps):
    ble = Ble(part=part, rate_bps=rate, payload_byte=payload)
    assert ble.energy_per_payload_bit_j * 1e9 == pytest.approx(nj_bit, abs=0.006)
    assert ble.throughput_bps / 1e6 == pytest.approx(mbps, abs=6e-4)
    packet = radio.ble_packet(payload, rate)
    by_formula = radio.payload_energy_j_bit(
        ble.tx_power_w * packet.transmit_s, ble.rx_power_w * packet.receive_s,
        ble.rx_power_w * packet.turn_s, 0.0, 8 * payload,
    )  # fmt: skip
    assert ble.energy_per_payload_bit_j == pytest.approx(by_formula)


def test_a_part_brings_its_own_sources_and_survives_a_round_trip():
    implant = with_radio(kind="ble", part="nrf54l15", rate="2 Mbps", source="test")
    assert "nRF54L15" in implant.price_list()["radio", "transmit"].source
    assert Implant.model_validate(implant.model_dump(mode="json")) == implant
    assert "nRF52840" in with_radio(kind="ble").price_list()["radio", "transmit"].source
    # one number of one's own beside those of the part
    own = with_radio(kind="ble", part="cc2340", tx_power="10 mW", source={"tx_power": "test"})
    assert own.radio.tx_power_w == 10e-3
    assert own.radio.rx_power_w == pytest.approx(5.3e-3 * 3)
    assert "made up" in own.price_list()["radio", "transmit"].source


def test_numbers_of_another_part_are_not_taken_for_those_of_this_one():
    tree = with_radio(kind="ble", part="cc2340").model_dump(mode="json")
    tree["radio"]["part"] = "nrf54l15"
    with pytest.raises(ValidationError, match=r"radio\.tx_power: 0\.0153\d* has no source"):
        Implant.model_validate(tree)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"interval": "8 ms", "source": "test"}, "no multiple of 1.25 ms; use 7.5 ms"),
        ({"rate": "1.5 Mbps", "source": "test"}, "neither 1 Mbps nor 2 Mbps"),
        ({"part": "nrf9160"}, "'nrf52840', 'nrf54l15' or 'cc2340'"),
        ({"part": ["nrf52840"]}, "'nrf52840', 'nrf54l15' or 'cc2340'"),
    ],
)
def test_bluetooth_keeps_to_its_standard(fields, says):
    with pytest.raises(ValidationError, match=says):
        with_radio(kind="ble", **fields)


@given(st.floats(1e-9, 1e-3), st.integers(1, 5000), st.floats(0, 0.9))
def test_energy_of_a_payload_bit_by_its_formula(spent, bits, loss):
    parts = (0.5 * spent, 0.2 * spent, 0.1 * spent, 0.2 * spent)
    ours = radio.payload_energy_j_bit(*parts, bits, loss)
    assert ours == pytest.approx(spent / bits / (1 - loss))


@pytest.mark.parametrize("member", RADIOS, ids=lambda m: m.__name__)
def test_a_bit_of_payload_costs_more_than_a_bit_on_air(member):
    tool = member()
    assert tool.energy_per_payload_bit_j >= tool.on_air_w / tool.rate_bps
    assert tool.throughput_bps <= tool.rate_bps
    # repeats cost their share, and nothing else changes
    lossy = member(packet_loss=0.2)
    ratio = lossy.energy_per_payload_bit_j / tool.energy_per_payload_bit_j
    assert ratio == pytest.approx(1.25)


@settings(deadline=None, max_examples=25)
@given(
    member=st.sampled_from(RADIOS),
    bits=st.lists(st.integers(0, 10**5), min_size=1, max_size=9),
    more=st.integers(1, 10**4),
    loss=st.floats(0, 0.9),
)
def test_energy_and_time_grow_with_bits_and_loss(member, bits, more, loss):
    def spent(tool, frames):
        air = tool.send(np.array(frames))
        prices = tool.prices(BODY)
        energy = sum(n * prices[name].value_j for name, n in air.actions.items())
        return energy, float(air.service_s.sum()), int(air.packets.sum())

    base = spent(member(), bits)
    longer = spent(member(), [*bits[:-1], bits[-1] + more])
    lossy = spent(member(packet_loss=loss), bits)
    assert all(a <= b * (1 + 1e-12) for a, b in zip(base, longer, strict=True))
    assert longer[0] > base[0]
    assert all(a <= b * (1 + 1e-12) for a, b in zip(base, lossy, strict=True))
    # packets of half the size: never cheaper
    split = spent(member(payload_byte=member().payload_byte // 2), bits)
    assert split[0] >= base[0] * (1 - 1e-12)
    assert split[2] >= base[2]


# ---- receiving ----------------------------------------------------------------------------


def test_a_radio_without_a_price_for_receiving_refuses_commands():
    for member in RADIOS:
        tool = member()
        assert tool.receive(0.0) == {}
        if hasattr(tool, "energy_per_bit_j"):
            with pytest.raises(SpecError, match="set receive_energy_per_bit"):
                tool.receive(10.0)
            priced = member(receive_energy_per_bit_j=1e-12)
            assert set(priced.receive(10.0)) <= set(priced.prices(BODY))
        assert set(tool.receive(0.0)) <= set(tool.prices(BODY))


def test_receiving_by_hand():
    uwb = Uwb(receive_energy_per_bit_j=2e-12)
    assert uwb.receive(10.0) == {"receive bit": 10 + 48}
    assert uwb.receive(10.0, messages=4.0) == {"receive bit": 10 + 4 * 48}
    assert uwb.receive(2049.0) == {"receive bit": 2049 + 2 * 48}
    assert uwb.prices(BODY)["receive bit"].value_j == 2e-12
    ble = Ble()
    counted = ble.receive(80.0)
    assert counted["receive"] == pytest.approx((80 + 8 * 17) / 1e6)
    assert counted["transmit"] == pytest.approx(80e-6)
    assert counted["turn"] == pytest.approx(300e-6)
    assert set(counted) <= set(ble.prices(BODY))
    assert Medradio().receive(8.0)["receive"] == pytest.approx(8 * 10 / 800e3)


def test_receiving_needs_a_source():
    with pytest.raises(ValidationError, match=r"receive_energy_per_bit: 1e-12 has no source"):
        with_radio(kind="uwb", receive_energy_per_bit="1 pJ")


# ---- bit errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "eb_n0_db", "errors"),
    # textbook waterfalls: 9.6 and 10.5 dB of BPSK, 3.8 dB more for noncoherent FSK and OOK
    [("bpsk", 9.59, 1e-5), ("bpsk", 10.53, 1e-6), ("bfsk", 13.35, 1e-5), ("ook", 14.19, 1e-6),
     ("qam16", 14.40, 1e-6)],
)  # fmt: skip
def test_bit_errors_of_the_textbook(name, eb_n0_db, errors):
    eb_n0 = link_budget.ratio(eb_n0_db)
    assert modulation.bit_error_rate(name, eb_n0) == pytest.approx(errors, rel=0.06)
    assert link_budget.decibel(modulation.required_eb_n0(name, errors)) == pytest.approx(
        eb_n0_db, abs=0.03
    )


NAMES = get_args(modulation.Modulation)


@given(st.sampled_from(NAMES), st.floats(-30, 15), st.floats(0, 10))
def test_bit_errors_fall_with_energy_and_never_beat_shannon(name, eb_n0_db, more_db):
    few, many = (
        modulation.bit_error_rate(name, link_budget.ratio(x))
        for x in (eb_n0_db + more_db, eb_n0_db)
    )
    assert 0 <= few <= many <= 0.5
    # below ln 2 no modulation is free of errors
    if eb_n0_db < -1.59:
        assert many > 0.02


@given(st.sampled_from(NAMES), st.floats(-12, -1))
def test_required_energy_inverts_the_errors(name, log_errors):
    errors = 10**log_errors
    eb_n0 = modulation.required_eb_n0(name, errors)
    assert modulation.bit_error_rate(name, eb_n0) == pytest.approx(errors, rel=1e-6)


@pytest.mark.parametrize("n", range(1, 9))
def test_qam_energy_is_the_energy_that_its_errors_need(n):
    """MINDFUL's energy put back into its own error formula: 1e-6 after loss and margin."""
    sent = modulation.qam_energy_j_bit(n) * 0.15 / n
    eb_n0 = sent / link_budget.ratio(80.0) / 4.29e-21
    assert modulation.qam_error_rate(eb_n0, n) == pytest.approx(1e-6, rel=1e-3)


def test_packets_and_checksums():
    assert radio.packet_error_rate(1e-5, 1000) == pytest.approx(1 - (1 - 1e-5) ** 1000)
    assert radio.expected_attempts(0.3, 4) == pytest.approx(1 + 0.3 + 0.09 + 0.027)
    assert radio.lost_for_good(0.3, 4) == pytest.approx(0.3**4)
    assert radio.undetected_error_rate(1.0, 16) == 2.0**-16


# ---- link budget --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "at_5_cm", "decade"),
    [("deep_implant", 47.14, 42.6), ("near_surface", 49.81, 42.2),
     ("implant_to_implant", 35.04, 62.6)],
)  # fmt: skip
def test_medical_band_paths(model, at_5_cm, decade):
    def loss(distance):
        path = {**DEEP, "model": model, "distance": distance}
        return with_radio(kind="medradio", path=path, max_attempts=1, source="test").radio

    assert loss("5 cm").link_budget.path_loss_db == pytest.approx(at_5_cm)
    assert loss("50 cm").link_budget.path_loss_db == pytest.approx(at_5_cm + decade)


def test_link_budget_by_hand():
    tool = with_radio(kind="medradio", path=DEEP).radio
    budget = tool.link_budget
    loss = 47.14 + 42.6 * math.log10(2)
    assert budget.path_loss_db == pytest.approx(loss)
    assert budget.received_w == pytest.approx(25e-6 * 10 ** (-loss / 10))
    noise = 1.380649e-23 * 310.15 * 10**0.6
    assert budget.eb_n0_db == pytest.approx(
        10 * math.log10(budget.received_w / 800e3 / noise), abs=1e-9
    )
    # noncoherent FSK wants 14.2 dB for 1e-6
    assert budget.margin_db == pytest.approx(budget.eb_n0_db - 14.19, abs=0.01)
    assert budget.bit_error_rate == 0.5 * math.exp(-(10 ** (budget.eb_n0_db / 10)) / 2)
    assert budget.limit_j_bit == pytest.approx(
        1.380649e-23 * 310.15 * math.log(2) * 10 ** (loss / 10)
    )
    assert budget.energy_j_bit == tool.energy_per_payload_bit_j
    assert budget.over_limit_db == pytest.approx(
        10 * math.log10(budget.energy_j_bit / budget.limit_j_bit)
    )
    assert Medradio().link_budget is None


def test_physical_limits_of_published_radios():
    # 60 dB at 310 K: 3 fJ for each bit, 5.8 pJ of a published transmitter lie 33 dB above
    limit = shannon_limit_j_bit(60.0)
    assert limit == pytest.approx(2.97e-15, rel=0.01)
    uwb = with_radio(kind="uwb", path={**LOSS, "tx_power": "1 mW"}).radio
    assert 32.5 < uwb.link_budget.over_limit_db < 33.5
    for n in range(1, 9):
        assert modulation.qam_energy_j_bit(n, margin_db=0.0) > limit


def path_refused(says, kind="medradio", **changes):
    path = {k: v for k, v in {**DEEP, **changes}.items() if v is not None}
    with pytest.raises(ValidationError, match=says):
        with_radio(kind=kind, path=path)


def test_paths_that_cannot_be_are_refused():
    path_refused("eirp_limit, 2.5e-05 W", tx_power="1 mW")
    path_refused("greater than or equal to 0.05", distance="1 cm")
    path_refused("does not hold for this radio's band", kind="uwb")
    path_refused("'deep_implant', 'near_surface'", model="telepathy")
    path_refused("radio.path.noise_figure: 6.0 has no source", source=None)
    path_refused("wrong dimension", tx_power="25 uJ")
    path_refused("Field required", noise_figure=None)
    with pytest.raises(ValidationError, match="follows from path; give one"):
        with_radio(kind="medradio", path=DEEP, packet_loss=0.1, source="test")
    near = {**DEEP, "model": "free_space", "frequency": "403 MHz", "distance": "10 cm"}
    with pytest.raises(ValidationError, match=r"within the near field, which ends at 0\.118 m"):
        with_radio(kind="medradio", path=near)
    with pytest.raises(ValidationError, match=r"radiated is more than the 0\.00963 W"):
        with_radio(kind="uwb", path={**LOSS, "tx_power": "10 mW"})
    with pytest.raises(ValidationError, match="no repeats with retransmit: false"):
        with_radio(kind="uwb", retransmit=False, max_attempts=2, source="test")


def test_a_bit_below_the_physical_limit_is_refused():
    # 5.8 pJ on air are worth 93 dB of loss
    path = {**LOSS, "path_loss": 93.5}
    with pytest.raises(ValidationError, match=r"below the physical limit, kT ln 2 times 93\.5 dB"):
        with_radio(kind="uwb", path=path)
    # just above the limit the link is honest, and hopeless
    path["path_loss"] = 92.5
    hopeless = with_radio(kind="uwb", path=path, retransmit=False).radio
    assert hopeless.link_budget.packet_error_rate == pytest.approx(1.0)


def test_a_hopeless_link_needs_an_end_to_its_repeats():
    with pytest.raises(ValidationError, match="repeats have no end; raise tx_power"):
        over(110)
    given_up = over(110, max_attempts=3, source="test")
    _, activity, ledger, verdict = hw.run(hw.recording(), given_up, FULL)
    assert activity.packet_loss == 1
    assert activity.sampled_fraction == 0
    assert ledger.power_w > 0
    assert verdict.link_budget.margin_db < 0


@settings(deadline=None, max_examples=25)
@given(loss=st.floats(60, 95), more=st.floats(0, 6), retransmit=st.booleans())
def test_energy_and_losses_grow_with_the_path_loss(loss, more, retransmit):
    extra = {"retransmit": retransmit, "source": "test"}
    extra |= {"max_attempts": 50} if retransmit else {}
    near, far = (over(x, **extra).radio for x in (loss, loss + more))
    frames = np.array([3000, 10, 800])
    a, b = near.send(frames), far.send(frames)
    assert (b.service_s >= a.service_s * (1 - 1e-12)).all()
    assert (b.lost >= a.lost).all()
    assert far.link_budget.margin_db <= near.link_budget.margin_db
    assert far.link_budget.over_limit_db <= near.link_budget.over_limit_db + 1e-9 + (
        link_budget.decibel(far.energy_per_payload_bit_j / near.energy_per_payload_bit_j)
    )


def test_a_short_packet_is_lost_less_often_than_a_long_one():
    tool = over(84.0, retransmit=False, source="test").radio
    short, long = tool.send(np.array([8, 800])).lost
    assert 0 < short < long < 1
    errors = tool.bit_error_rate
    assert long == pytest.approx(radio.packet_error_rate(errors, 800 + 72))
    assert tool.link_budget.packet_error_rate == pytest.approx(long)


@pytest.mark.parametrize("loss", [83.5, 84.5])
def test_bit_errors_reach_the_decoder(loss):
    implant = over(loss, retransmit=False, source="test")
    rec = hw.recording(n_trials=120)
    stream, activity, _, verdict = hw.run(rec, implant, FULL)
    expected = implant.radio.send(np.array([int(activity.payload_bit / 2400)])).lost[0]
    assert 1 - stream.observed.mean() == pytest.approx(activity.packet_loss)
    assert activity.packet_loss == pytest.approx(expected, abs=0.03)
    assert 0.01 < activity.packet_loss < 0.9
    assert verdict.packet_loss == activity.packet_loss
    assert not stream.counts[~stream.observed].any()


def test_repeats_that_end_lose_what_is_left():
    once, thrice = (
        with_radio(kind="uwb", packet_loss=0.5, max_attempts=n, source="test") for n in (1, 3)
    )
    bits = np.full(4000, 64)
    sent = [send(bits, 0.02, i, np.random.default_rng(0)) for i in (once, thrice)]
    assert 1 - sent[0].arrived.mean() == pytest.approx(0.5, abs=0.04)
    assert 1 - sent[1].arrived.mean() == pytest.approx(0.125, abs=0.03)
    on_air = [next(a.n_actions for a in s.actions if a.action == "bit") for s in sent]
    assert on_air[1] / on_air[0] == pytest.approx(1.75)


def test_a_reflected_carrier_is_lost_twice_and_costs_the_implant_nothing():
    path = {**LOSS, "path_loss": 40, "tx_power": "100 mW"}
    there_and_back = with_radio(kind="backscatter", path=path).radio
    budget = there_and_back.link_budget
    assert budget.received_w == pytest.approx(0.1 * 1e-8)
    assert budget.over_limit_db is None
    # the carrier is no load of the implant's
    assert there_and_back.on_air_w == pytest.approx(2.4e-12 * 1e6)
    sound = {
        "model": "ultrasound", "distance": "5 cm", "frequency": "2 MHz",
        "attenuation_db_cm_mhz": 0.5, "tx_power": "1 mW", "noise_figure": 3, "extra_loss": 20,
        "source": "test",
    }  # fmt: skip
    heard = with_radio(kind="ultrasound", path=sound).radio.link_budget
    assert heard.received_w == pytest.approx(1e-3 * 10 ** -(1 + 2.0))


def test_every_path_names_a_loss_and_reads_back():
    seen = set()
    for member in get_args(get_args(AnyPath)[0]):
        assert issubclass(member, Path)
        seen |= set(get_args(member.model_fields["model"].annotation))
        for name, field in member.model_fields.items():
            if isinstance(field.default, float):
                assert name in member.default_sources, name
    assert seen == {
        "deep_implant", "near_surface", "implant_to_implant", "log_distance", "free_space",
        "ultrasound", "measured",
    }  # fmt: skip
    implant = with_radio(kind="medradio", path=DEEP)
    assert Implant.model_validate(implant.model_dump(mode="json")) == implant
    law = {
        "model": "log_distance", "distance": "10 cm", "reference_distance": "5 cm",
        "reference_loss": 47.14, "exponent": 4.26, "tx_power": "25 uW", "noise_figure": 6,
        "antenna_gain": -3, "source": "test",
    }  # fmt: skip
    loss = with_radio(kind="medradio", path=law).radio.link_budget.path_loss_db
    assert loss == pytest.approx(implant.radio.link_budget.path_loss_db + 3)


def test_link_margin_is_a_limit():
    limits = {"limits": {"link_margin": 10, "source": "test"}}
    tree = {"radio": {"kind": "medradio", "path": DEEP}, **limits}
    _, activity, _, verdict = hw.run(hw.recording(), hw.implant(tree), FULL)
    have = verdict.link_budget.margin_db
    assert verdict.margins["link_margin"] == pytest.approx(1 - 10 ** ((10 - have) / 10))
    assert activity.packet_loss == 0
    with pytest.raises(ValidationError, match=r"no radio\.path that could have a margin"):
        hw.implant(limits)


# ---- buffer -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    bits=st.lists(st.integers(0, 200), min_size=1, max_size=30),
    per_frame=st.integers(1, 4),
    rate=st.sampled_from([1000.0, 3000.0, 6000.0, 1e6]),
)
def test_buffer_against_a_simulation(bits, per_frame, rate):
    bin_s = 0.02
    rows = np.array(bits)
    first = np.arange(0, len(rows), per_frame)
    service = np.add.reduceat(rows, first) / rate
    after = _waiting_s(service, per_frame * bin_s) + service
    ours = _buffer_bit(rows, first, after, bin_s, per_frame)
    assert ours == naive.fullest(bits, bin_s, per_frame * bin_s, after.tolist())


def test_buffer_of_a_burst_by_hand():
    tool = {"kind": "uwb", "rate": 1000, "header_bit": 0, "source": "test"}
    bits = np.array([5] * 10 + [60] + [5] * 10)
    # 60 bits take 60 ms, in which two more bins of 5 come in (a third at the very end)
    assert send(bits, 0.02, hw.implant({"radio": tool}), None).buffer_bit == 70
    limits = {"buffer": "8 B", "source": "test"}
    implant = hw.implant({"radio": tool, "limits": limits})
    _, activity, _, verdict = hw.run(hw.recording(), implant, FULL)
    assert verdict.margins["buffer"] == pytest.approx(1 - activity.buffer_bit / 64)
    assert verdict.buffer_bit == activity.buffer_bit > 0


def test_a_raw_stream_overruns_a_bluetooth_link_two_hundredfold():
    """1,024 channels at 20 kS/s and 10 bits: 204.8 Mb/s over about 1 Mb/s."""
    stream_bps = 1024 * 20e3 * 10
    assert stream_bps == pytest.approx(204.8e6)
    assert stream_bps / Ble().throughput_bps > 200
    assert stream_bps / Ble(rate_bps=2e6).throughput_bps > 100
    # and what the bits alone would cost: milliwatts on impulse radio, watts on Bluetooth
    assert stream_bps * 5.8e-12 == pytest.approx(1.2e-3, rel=0.02)
    assert 2 < stream_bps * Ble(rate_bps=2e6).energy_per_payload_bit_j < 5

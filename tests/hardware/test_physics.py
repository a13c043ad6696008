"""Published numbers, floors, and limits that no part may cross."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from implant_sim.hardware.physics import (
    amplifier,
    converter,
    heat,
    information,
    modulation,
    radio,
    supply,
)
from implant_sim.hardware.physics.constants import BODY, CONSTANTS, KARPOWICZ2024, Constants

BANDS_HZ = [
    (5, 10_000), (500, 3000), (0, 1000), (300, 1000), (150, 450), (100, 200), (50, 100), (25, 50),
    (0, 25),
]  # fmt: skip
AMPLIFIER_UW = [94.6866, 23.6835, 9.4734, 6.6314, 2.842, 0.9473, 0.4737, 0.2368, 0.2368]
ADC_UW = [12.5893, 3.7768, 1.2589, 1.2589, 0.5665, 0.2518, 0.1259, 0.0629, 0.0315]


@pytest.mark.parametrize(("band", "published"), list(zip(BANDS_HZ, AMPLIFIER_UW, strict=True)))
def test_amplifier_powers_of_karpowicz(band, published):
    power = amplifier.nef_power_w(4, 2e-6, band[1] - band[0], 3.3, KARPOWICZ2024)
    assert power * 1e6 == pytest.approx(published, abs=6e-5)


@pytest.mark.parametrize(("band", "published"), list(zip(BANDS_HZ, ADC_UW, strict=True)))
def test_adc_powers_of_karpowicz(band, published):
    power = converter.schreier_energy_j(96, 185) * 2 * band[1]
    assert power * 1e6 == pytest.approx(published, abs=6e-5)


def test_nef_of_a_published_chopper():
    room = Constants(BODY.boltzmann_j_k, 300.0, BODY.thermal_voltage_v * 300 / 310.15)
    assert amplifier.nef(1.6e-6, 2.3e-6 / 0.8, 1000, room) == pytest.approx(3.3, abs=0.01)
    assert amplifier.pef(3.3, 0.8) == pytest.approx(8.7, abs=0.02)


@given(st.floats(0.5, 20), st.floats(1e-7, 1e-4), st.floats(10, 1e5), st.floats(0.3, 5))
def test_nef_inverts_its_current(nef, noise, bandwidth, volts):
    current = amplifier.nef_current_a(nef, noise, bandwidth)
    assert amplifier.nef(noise, current, bandwidth) == pytest.approx(nef)
    by_pef = amplifier.pef_power_w(amplifier.pef(nef, volts), noise, bandwidth)
    assert by_pef == pytest.approx(amplifier.nef_power_w(nef, noise, bandwidth, volts))


def test_handy_form_of_the_amplifier_law():
    # I[uA] = 0.7177 NEF^2 BW[kHz] / v[uV]^2 at 310 K
    assert amplifier.nef_current_a(1, 1e-6, 1e3, KARPOWICZ2024) * 1e6 == pytest.approx(
        0.7177, abs=1e-4
    )


def test_published_qam_energies():
    published = [21.831, 64.622, 148.88, 315.209, 644.06, 1294.918, 2584.12, 5139.414]
    ours = [modulation.qam_energy_j_bit(n) * 1e12 for n in range(1, 9)]
    assert ours == pytest.approx(published, rel=2e-5)


@pytest.mark.parametrize(
    ("tx_ma", "rx_ma", "rate", "payload", "nj_bit", "mbps"),
    [
        (6.40, 6.26, 1e6, 244, 24.19, 0.791),
        (6.40, 6.26, 2e6, 244, 13.62, 1.402),
        (4.8, 3.5, 1e6, 244, 17.45, 0.791),
        (4.8, 3.5, 2e6, 244, 9.58, 1.402),
        (5.1, 5.3, 1e6, 244, 19.46, 0.791),
        (5.1, 5.3, 2e6, 244, 11.02, 1.402),
        (6.40, 6.26, 1e6, 20, 80.12, 0.2367),
    ],
)
def test_bluetooth_packets(tx_ma, rx_ma, rate, payload, nj_bit, mbps):
    packet = radio.ble_packet(payload, rate)
    energy = 3e-3 * (tx_ma * packet.transmit_s + rx_ma * (packet.receive_s + packet.turn_s))
    assert energy / (8 * payload) * 1e9 == pytest.approx(nj_bit, abs=0.006)
    assert 8 * payload / packet.total_s / 1e6 == pytest.approx(mbps, abs=6e-4)


@pytest.mark.parametrize(
    ("radius_mm", "mw_k"),
    [(1.0, 4.69), (2.26, 12.91), (4.0, 28.61), (6.77, 64.36), (11.5, 156.68)],
)
def test_disc_lies_near_an_older_finite_volume_solution(radius_mm, mw_k):
    """Of cells of about 0.1 mm, too coarse for the edge: test_heat.py has a finer one."""
    area = math.pi * (radius_mm * 1e-3) ** 2
    assert heat.disc_conductance_w_k(area) * 1e3 == pytest.approx(mw_k, rel=0.03)
    assert heat.disc_conductance_w_k(area, faces=1) == heat.disc_conductance_w_k(area) / 2


def test_heat_of_published_chips():
    assert heat.plane_rise_k(400.0) == pytest.approx(2.8, abs=0.05)
    assert 38.8e-3 / heat.disc_conductance_w_k(144e-6) == pytest.approx(0.60, abs=0.01)
    assert 6.5e-3 / heat.disc_conductance_w_k(25e-6) == pytest.approx(0.37, abs=0.01)
    assert pytest.approx(3.588e-3, abs=1e-6) == heat.BRAIN.length_m
    # the measured rise of a Utah array, 0.029 K/mW, within a factor of 3
    predicted = 1e-3 / heat.disc_conductance_w_k(math.pi * 2.26e-3**2)
    assert 1 < predicted / 0.029 < 3


def test_a_large_sphere_is_a_plane():
    a = 1.0
    flux = heat.sphere_conductance_w_k(a) / (4 * math.pi * a**2)
    assert 1 / flux == pytest.approx(heat.plane_rise_k(1.0), rel=0.01)


@pytest.mark.parametrize(
    ("rate_hz", "bins_hz", "bit_s"),
    [(5, 1000, 45.41), (5, 200, 33.73), (10, 200, 57.28), (20, 100, 72.19)],
)
def test_entropy_of_spikes(rate_hz, bins_hz, bit_s):
    assert information.binary_entropy_bit(rate_hz / bins_hz) * bins_hz == pytest.approx(
        bit_s, abs=6e-3
    )


@given(st.floats(1e-6, 3000))
def test_poisson_entropy_against_its_bounds(mean):
    ours = information.poisson_entropy_bit(mean)
    # below the Gaussian of the same variance, which has the most entropy
    assert ours <= 0.5 * math.log2(2 * math.pi * math.e * (mean + 1 / 12)) + 1e-9
    assert ours >= information.binary_entropy_bit(math.exp(-mean)) - 1e-9


def test_poisson_entropy_is_continuous_where_its_formula_changes():
    below, above = (information.poisson_entropy_bit(m) for m in (1000.0, 1000.0001))
    assert above == pytest.approx(below, abs=1e-4)
    assert information.poisson_entropy_bit(0.0) == 0


def test_limits_of_physics():
    assert pytest.approx(4.278e-21, abs=1e-24) == KARPOWICZ2024.thermal_energy_j
    assert pytest.approx(2.965e-21, abs=1e-24) == KARPOWICZ2024.landauer_j_bit
    assert information.shannon_limit_j_bit(60.0) == pytest.approx(3e-15, rel=0.02)
    assert set(CONSTANTS) == {"body", "karpowicz2024"}
    # every published radio lies above the Shannon limit of its path
    assert modulation.qam_energy_j_bit(1) > information.shannon_limit_j_bit(60.0)


@given(st.floats(10, 120), st.floats(100, 191.6))
def test_figures_of_merit_below_192_db_lie_above_the_floor(sndr, fom):
    assert converter.schreier_energy_j(sndr, fom) > converter.thermal_floor_j(sndr)


def test_published_converters():
    enob = converter.enob_from_sndr(60.3)
    assert converter.walden_energy_j(41.5e-15, enob) * 31.25e3 == pytest.approx(1.097e-6, rel=0.01)
    assert converter.sndr_from_enob_db(enob) == pytest.approx(60.3)


def test_supply():
    assert supply.battery_s(720, 3.7, 0.86, 90.6e-3) / 3600 == pytest.approx(7.0, abs=0.05)
    assert supply.loss_per_joule(1.0) == 0
    assert radio.packet_error_rate(0.0, 100) == 0
    assert radio.packet_error_rate(1e-3, 1) == pytest.approx(1e-3)


def test_settling_of_a_high_pass():
    assert amplifier.high_pass_recovery_s(300, 10) == pytest.approx(3.7e-3, abs=5e-5)
    assert amplifier.high_pass_recovery_s(1, 10) == pytest.approx(1.1, abs=0.01)


def test_subsets_are_named_by_their_number():
    for n, k in ((5, 2), (29, 10), (1024, 512)):
        assert information.subset_bits(n, k) == pytest.approx(math.log2(math.comb(n, k)))
    assert np.isclose(information.subset_bits(8, 8), 0)

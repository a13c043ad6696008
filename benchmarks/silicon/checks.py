"""Published numbers of physics, and ours beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.silicon.chips import preset
from implant_sim.hardware.components.radio import Ble
from implant_sim.hardware.physics import amplifier, converter, heat, information, survey
from implant_sim.hardware.physics.constants import BODY, KARPOWICZ2024, Constants
from implant_sim.hardware.physics.modulation import qam_energy_j_bit
from implant_sim.hardware.physics.multiplexer import boxcar_folding, rc_folding
from implant_sim.hardware.physics.radio import ble_packet
from implant_sim.hardware.physics.supply import battery_s
from tests.hardware.pennes_fv import disc_w_k

ROOM = Constants(1.380649e-23, 300.0, 0.02585)
KARPOWICZ = "Karpowicz et al. 2024, fig. 1 (snel-repo/power-calculations)"
# amplifier: width of the band [Hz] and power [uW]; ADC: upper edge [Hz] and power [uW]
AMPLIFIERS = (
    (9995, 94.6866), (2500, 23.6835), (1000, 9.4734), (700, 6.6314), (300, 2.842),
    (100, 0.9473), (50, 0.4737), (25, 0.2368),
)  # fmt: skip
CONVERTERS = (
    (10000, 12.5893), (3000, 3.7768), (1000, 1.2589), (450, 0.5665), (200, 0.2518), (100, 0.1259),
    (50, 0.0629), (25, 0.0315),
)  # fmt: skip
SURVEY_PJ = {
    180: (23.8, 27.4, 44.1, 85.1, 185),
    65: (3.5, 4.04, 6.49, 12.5, 27.2),
    28: (0.719, 0.829, 1.33, 2.57, 5.58),
}  # node [nm]: 4, 6, 8, 10, 12 b at 1 MS/s
QAM_PJ = (21.831, 64.622, 148.88, 315.209, 644.06, 1294.918, 2584.12, 5139.414)
ENTROPY = ((5, 1000, 45.41), (5, 200, 33.73), (10, 200, 57.28), (20, 100, 72.19))
DISCS = ((1.0, 4.69), (2.26, 12.91), (4.0, 28.61), (6.77, 64.36), (11.5, 156.68))  # mm, mW/K
PROBE_TABLE = "billkarsh/ProbeTable: a turn is 1/(slots x rate)"
READOUTS = (
    ("Neuropixels 1.0", 12, 13, 30e3, 2564.1, PROBE_TABLE),
    ("Neuropixels 2.0", 16, 16, 30e3, 2083.3, PROBE_TABLE),
    ("Intan RHD2132", 32, 35, 30e3, 952.4, "data sheet: 1.05 MS/s"),
    ("Neuralink 2019", 256, 256, 19.3e3, 202.0, "quoted by a third party"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """A published value, ours, and the range that ours must keep to."""

    topic: str
    what: str
    unit: str
    ours: float
    published: float
    low: float
    high: float
    source: str

    @property
    def holds(self) -> bool:
        return self.low <= self.ours <= self.high


Given = tuple[str, str, float, float, float, str]
"""What, unit, ours, published, share of the published value that ours may be off, source."""


def near(topic: str, rows: Iterable[Given]) -> Iterator[Check]:
    """Checks within a share of the published value."""
    for what, unit, ours, published, share, source in rows:
        low, high = published * (1 - share), published * (1 + share)
        yield Check(topic, what, unit, ours, published, low, high, source)


def physics_checks() -> list[Check]:
    """Those that need no whole implant."""
    return [
        *near("Amplifier", _amplifiers()), *_bands(), *near("Converter", _converters()),
        *near("Coding", _coding()), *_multiplexers(), *near("Radio", _radio()),
        *near("Heat and supply", _heat()), *_bodies(),
    ]  # fmt: skip


def _amplifier_uw(width_hz: float) -> float:
    return 1e6 * amplifier.nef_power_w(4.0, 2e-6, width_hz, 3.3, KARPOWICZ2024)


def _converter_uw(top_hz: float) -> float:
    return 1e6 * converter.schreier_energy_j(96.0, 185.0) * 2 * top_hz


def _amplifiers() -> Iterator[Given]:
    for width, published in AMPLIFIERS:
        what = f"NEF 4, 2 uVrms, 3.3 V, {width} Hz"
        yield what, "uW", _amplifier_uw(width), published, 1e-3, KARPOWICZ
    broad = _amplifier_uw(9995)
    yield "broadband over spiking band", "", broad / _amplifier_uw(700), 14.28, 2e-3, KARPOWICZ
    yield "broadband over 150 to 450 Hz", "", broad / _amplifier_uw(300), 33.3, 2e-3, KARPOWICZ
    source = "1.60 uVrms in 1 kHz, 2.30 uW at 0.8 V, 300 K, 65 nm"
    nef = amplifier.nef(1.6e-6, 2.3e-6 / 0.8, 1000.0, ROOM)
    yield "NEF of a chopper", "", nef, 3.3, 0.01, source
    yield "its PEF", "V", amplifier.pef(nef, 0.8), 8.7, 0.015, source


def _bands() -> Iterator[Check]:
    spiking, broad = (
        _amplifier_uw(w) + _converter_uw(top) for w, top in ((700, 1000), (9995, 10000))
    )
    saved = 100 * (1 - spiking / broad)
    source = "Nason et al. 2020: about 90 % less at equal decoding"
    yield Check("Amplifier", "saved by 300 to 1000 Hz", "%", saved, 90, 85, 95, source)


def _converters() -> Iterator[Given]:
    for top, published in CONVERTERS:
        what = f"96 dB at 185 dB, {top} Hz"
        yield what, "uW", _converter_uw(top), published, 1e-3, KARPOWICZ
    three, eight = (converter.sar_energy_j(-1.72e-12, 1.34e-12, 0, b, b, 1.0) for b in (3, 8))
    yield "SAR: 8 bits over 3", "", eight / three, 3.9, 0.03, "O'Driscoll & Meng, EMBC 2009"
    hermese = converter.walden_energy_j(41.5e-15, converter.enob_from_sndr(60.3))
    yield "HermesE: a conversion", "pJ", 1e12 * hermese, 35, 0.02, "Walker, Gao et al., VLSI 2011"
    floor = 60 - 10 * math.log10(2 * converter.thermal_floor_j(60.0))
    yield "thermal floor, as a figure of merit", "dB", floor, 192, 3e-3, "E. Vittoz, ISCAS 1990"
    for node, row in SURVEY_PJ.items():
        for bits, published in zip((4, 6, 8, 10, 12), row, strict=True):
            ours = 1e12 * survey.accelergy_energy_j(bits, 1e6, node * 1e-9)
            what = f"best of the survey, {bits} b, {node} nm"
            yield what, "pJ", ours, published, 0.01, "ADC plug-in of Accelergy"


def _coding() -> Iterator[Given]:
    for spikes, bins, published in ENTROPY:
        ours = bins * information.binary_entropy_bit(spikes / bins)
        what = f"entropy of {spikes} spikes/s in {bins} bins/s"
        yield what, "bit/s", ours, published, 1e-3, "Marblestone et al. 2013"


def _multiplexers() -> Iterator[Check]:
    usual = preset("neuropixels_1").multiplexer
    for name, ways, slots, rate, published, source in READOUTS:
        mux = usual.model_copy(update={"ways": ways, "slots": slots, "groups": "contiguous"})
        turn = 1e9 * mux.delays_s(ways, ways, rate)[1]
        low, high = published - 1, published + 1
        yield Check("Multiplexer", f"{name}: a turn", "ns", turn, published, low, high, source)
    source = "24,320-electrode array: 1.48 to 5.4 uVrms at 8 to 32 ways; both laws must embrace it"
    boxcar, pole = boxcar_folding(8), rc_folding(10, 8)
    what = "noise of 8 ways without filter"
    yield Check("Multiplexer", f"{what}, boxcar", "", boxcar, 3.65, 2.8, 3.65, source)
    yield Check("Multiplexer", f"{what}, settling pole", "", pole, 3.65, 3.65, 5.6, source)


def _radio() -> Iterator[Given]:
    for n, published in enumerate(QAM_PJ, 1):
        ours = 1e12 * qam_energy_j_bit(n)
        what = f"QAM, {n} bit/symbol, 60 dB and 20 dB of margin"
        yield what, "pJ/bit", ours, published, 1e-3, "MINDFUL (MICRO 2025), QAM.py"
    source = "nRF52840 data sheet, 3 V; packets back to back"
    for name, rate, size, rate_mbps, published in (
        ("1 Mb/s, 244 bytes", 1e6, 244, 0.791, 24.19),
        ("2 Mb/s, 244 bytes", 2e6, 244, 1.402, 13.62),
        ("1 Mb/s, 20 bytes", 1e6, 20, 0.2367, 80.12),
    ):
        ours = 8e-6 * size / ble_packet(size, rate).total_s
        yield f"Bluetooth {name}: payload", "Mb/s", ours, rate_mbps, 1e-3, "packet arithmetic"
        radio = Ble(rate_bps=rate, payload_byte=size)
        ours = 1e9 * radio.energy_per_payload_bit_j
        yield f"Bluetooth {name}: a bit", "nJ", ours, published, 1e-3, source
    ours = 1e21 * BODY.landauer_j_bit
    yield "least energy of a bit at 310 K", "zJ", ours, 2.965, 2e-3, "Landauer, kT ln 2"
    ours = 1e15 * information.shannon_limit_j_bit(60.0)
    yield "least radiated through 60 dB", "fJ/bit", ours, 3, 0.02, "Shannon 1949"


def _heat() -> Iterator[Given]:
    for radius, published in DISCS:
        ours = 1e3 * heat.disc_conductance_w_k(math.pi * (radius * 1e-3) ** 2)
        what, source = f"disc of {radius} mm", "finite volumes in (r, z), "
        yield what, "mW/K", ours, published, 0.03, source + "coarse, near border"
        fine = 1e3 * disc_w_k(radius * 1e-3, heat.BRAIN)
        yield what, "mW/K", ours, fine, 0.01, source + "fine, far border (tests/hardware)"
    yield "decay length", "mm", 1e3 * heat.BRAIN.length_m, 3.59, 0.01, "Marblestone et al. 2013"
    ours = heat.plane_rise_k(400.0)
    yield "plane at 40 mW/cm2", "K", ours, 2.8, 0.02, "one-dimensional solution"
    ours = 2e3 * heat.bulk_conductance_w_k(500e-6)
    yield "mouse brain of 500 mg, 2 K", "mW", ours, 40, 0.1, "Marblestone et al. 2013"
    hours = battery_s(720.0, 3.7, 0.86, 90.6e-3) / 3600
    yield "200 mAh at 90.6 mW", "h", hours, 7.0, 0.02, "Borton et al. 2013"


def _bodies() -> Iterator[Check]:
    utah = 1e-3 / heat.disc_conductance_w_k(16e-6)
    source = "Kim et al. 2007; its needles and the fluid spread the heat"
    what, low, high = "Utah array, as a bare disc of 4 x 4 mm", 0.029 / 3, 0.029 * 3
    yield Check("Heat and supply", what, "K/mW", utah, 0.029, low, high, source)

"""What an implant refuses, and why; where its numbers come from."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from implant_sim.hardware.components.adc import AnyAdc
from implant_sim.hardware.components.amplifier import AnyAmplifier
from implant_sim.hardware.components.array import Array
from implant_sim.hardware.components.base import Block, Component, _numeric
from implant_sim.hardware.components.compression import Compression
from implant_sim.hardware.components.multiplexer import Multiplexer
from implant_sim.hardware.components.processing import Processing
from implant_sim.hardware.components.radio import AnyRadio
from implant_sim.hardware.components.supply import Battery, Limits, Overhead, Power
from implant_sim.hardware.implant import COMPONENTS, Implant
from implant_sim.hardware.physics.constants import BODY
from sbtt_models.errors import SpecError
from tests.hardware import hw

SHIPPED = sorted(p.name for p in files("scenarios").joinpath("implants").iterdir())
SHIPPED = [name for name in SHIPPED if name.endswith(".yaml")]
MEMBERS = [
    *(get_args(get_args(union)[0]) for union in (AnyAmplifier, AnyAdc, AnyRadio)),
    (Array, Multiplexer, Processing, Compression, Battery, Power, Overhead, Limits),
]
BLOCKS = [block for family in MEMBERS for block in family]


def shipped(name: str) -> Implant:
    text = files("scenarios").joinpath("implants", name).read_text(encoding="utf-8")
    return Implant.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_implants_load_and_read_back_the_same(name):
    implant = shipped(name)
    assert implant.name == name.removesuffix(".yaml")
    assert Implant.model_validate(implant.model_dump(mode="json")) == implant
    # a published chip has as many electrodes as it has; the others take those of the recording
    own = implant.array.electrodes
    assert implant.n_electrodes(1) == (1 if own == "from_recording" else own)
    for (component, _), priced in implant.price_list().items():
        assert component in COMPONENTS
        assert priced.price_j >= 0
        assert f"[{priced.source_kind}]" in priced.source


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_implants_cite_every_source_that_they_list(name):
    implant = shipped(name)
    cited = {
        block.source_of(field, implant.sources).text
        for block in implant._blocks().values()
        for field in block.numbers()
    }
    assert {source.text for source in implant.sources.values()} <= cited


def test_three_implants_are_shipped_one_of_which_sleeps():
    assert {"utah_ble.yaml", "cmos_uwb.yaml", "gated_uwb.yaml"} <= set(SHIPPED)
    assert shipped("gated_uwb.yaml").amplifier.gating == "per_bin"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.__name__)
def test_every_default_number_has_a_source(block):
    assert issubclass(block, Block)
    for name, field in block.model_fields.items():
        if _numeric(field.default):
            assert name in block.default_sources, f"{block.__name__}.{name}"
    assert set(block.default_sources) <= set(block.model_fields)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.__name__)
def test_yaml_keys_carry_no_unit(block):
    for name, field in block.model_fields.items():
        unit = name.rsplit("_", 1)[-1]
        if unit in {"w", "j", "s", "hz", "v", "bps", "m", "m2", "ohm", "k", "c", "db"}:
            plain = name.removesuffix(f"_{unit}")  # and the first half of K/W, V/m, S/m, W/m2
            assert field.alias == re.sub("_[wkvs]$", "", plain), name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amplifier.source": None}, "amplifier.nef: 4.0 has no source"),
        ({"amplifier.source": {"nef": "test"}}, "amplifier.noise: 2e-06 has no source"),
        ({"amplifier.source": "nobody"}, "unknown source 'nobody'"),
        ({"adc.source": {"fom": "test", "fum": "test"}}, "'fum' is no key of adc"),
        ({"limits": {"flux": "40 mW/cm2"}}, "limits.flux: 400.0 has no source"),
        ({"amplifier.nef": 0.9}, "below 1, the limit of a single stage"),
        ({"amplifier.noise": "1 nV"}, r"amplifier: noise: 1e-09 V over 700 Hz takes 26.6 W"),
        (
            {
                "amplifier.kind": "measured",
                "amplifier.power": "10 nW",
                "amplifier.nef": None,
                "amplifier.supply": None,
            },
            r"takes 1.35e-08 W at least, a power efficiency factor of 4 U_T = 0.107 V",
        ),
        (
            {
                "amplifier.kind": "pef",
                "amplifier.pef": "0.1 V",
                "amplifier.nef": None,
                "amplifier.supply": None,
            },
            r"one amplifier draws 1.26e-08 W; raise the noise or the power, or narrow the band",
        ),
        ({"amplifier.nef": -1}, "greater than 0"),
        ({"amplifier.noise": "2 mA"}, "wrong dimension"),
        ({"amplifier.noise": "nan"}, "expected a quantity"),
        ({"amplifier.band": ["1 kHz", "300 Hz"]}, "must rise"),
        ({"amplifier.gating": "static"}, "needs sleep_power"),
        ({**hw.GATED, "amplifier.wake_energy": None}, "needs wake_energy"),
        ({**hw.GATED, "amplifier.coupling": "ac"}, "takes 0.00368 s"),
        ({"adc.fom": "0.00001 fJ"}, "below the thermal floor"),
        ({"adc.kind": "schreier", "adc.fom": 193}, "below the thermal floor"),
        ({"adc.enob": 11}, "enob: 11 exceeds bits: 10"),
        ({"adc.sample_rate": "1.9 kHz"}, "the band would fold"),
        ({"adc.kind": "flash"}, "'walden', 'schreier', 'sar', 'survey'"),
        ({"adc.shared_by": 4}, "adc.shared_by: 4, but 1"),
        ({**hw.MUXED, "adc.shared_by": 2}, "adc.shared_by: 2, but 4"),
        ({**hw.HELD, "amplifier.shared_by": 1}, "amplifier.shared_by: 1, but 4"),
        ({"multiplexer": {"placement": "after_amplifier"}}, "has 2 ways or more"),
        ({"multiplexer": {"cycle": "bin"}}, "needs a multiplexer"),
        ({"processing.threshold_sigma": 4.5}, "needs array.spike_amplitude"),
        ({"processing.per_sample": None}, "needs per_sample or per_channel"),
        ({"processing.node": "65 nm"}, "go together"),
        ({"compression": {"kind": "raw"}}, "raw sends samples"),
        ({"processing.feature": "raw", "compression": {"kind": "rice"}}, "codes spike counts"),
        ({"limits": {"battery": "8 h", "source": "test"}}, "no power.battery"),
        ({"radio.colour": "red"}, "Extra inputs"),
        ({"overhead": None}, "Field required"),
        ({"array.electrodes": 0}, "greater than 0"),
        ({"power": {"regulator_efficiency": 0, "source": "test"}}, "greater than 0"),
    ],
)
def test_refusals_say_what_is_wrong(changes, says):
    with pytest.raises(ValidationError) as caught:
        hw.implant(changes)
    assert says in str(caught.value)


def test_all_faults_come_at_once():
    with pytest.raises(ValidationError) as caught:
        hw.implant({"amplifier.source": None, "adc.source": None, "adc.enob": 12})
    text = str(caught.value)
    assert all(part in text for part in ("amplifier.nef", "adc.fom", "enob: 12"))


def test_stacked_stages_may_reach_below_one():
    assert hw.implant({"amplifier.nef": 0.86, "amplifier.stacked": True}).amplifier.stacked


def test_karpowicz_2024_is_reproduced_by_a_whole_implant():
    implant = hw.implant(
        {
            "constants": "karpowicz2024", "amplifier.noise": "2 uV", "adc.kind": "schreier",
            "adc.fom": 185, "adc.bits": 16, "adc.enob": (96 - 1.76) / 6.02,
        }
    )  # fmt: skip
    prices = implant.price_list()
    assert prices["amplifier", "on"].price_j == pytest.approx(6.6314e-6, abs=6e-11)
    assert prices["adc", "convert"].price_j * 2000 == pytest.approx(1.2589e-6, abs=6e-11)


def test_radio_kind_can_be_swept_alone():
    for radio in get_args(get_args(AnyRadio)[0]):
        kind = radio.model_fields["kind"].default
        assert hw.implant({"radio": {"kind": kind}}).radio.kind == kind


def test_an_amplifier_shared_costs_what_its_channels_would():
    apart, shared = hw.implant(), hw.implant({**hw.HELD, "multiplexer.cycle": "sample"})
    assert shared.amplifier.on_power_w(BODY) == pytest.approx(4 * apart.amplifier.on_power_w(BODY))


def test_prices_scale_with_process_but_leakage_does_not():
    scaled = {
        "node": "65 nm",
        "priced_node": "130 nm",
        "supply": "0.6 V",
        "priced_supply": "1.2 V",
    }
    changes = {f"processing.{key}": value for key, value in scaled.items()}
    changes["processing.leakage"] = "1 nW"
    prices = hw.implant(changes).price_list()
    assert prices["processing", "sample"].price_j == pytest.approx(1e-12 / 8)
    assert prices["processing", "leak"].price_j == 1e-9


def test_measured_sar_energy():
    # O'Driscoll & Meng 2009: 0.23 uW at 3 bits, 0.90 uW at 8 bits, 100 kS/s
    for bits, watts in ((3, 0.23e-6), (8, 0.90e-6)):
        sar = {"kind": "sar", "bits": bits, "base": 0, "sample_rate": "100 kHz", "source": "test"}
        energy = hw.implant({"adc": sar}).price_list()["adc", "convert"].price_j
        assert energy * 100e3 == pytest.approx(watts, rel=0.8)
    slope = hw.implant({"adc": {**sar, "bits": 8}}).price_list()["adc", "convert"].price_j
    assert slope < 4.5 * 2.3e-12 * 1.2


def test_weakest_source_is_the_one_shown():
    strong = {"text": "a chip", "kind": "measured"}
    implant = hw.implant(
        {"sources.strong": strong, "amplifier.source": dict.fromkeys(
            ("nef", "noise", "band"), "strong") | {"supply": "test"}}
    )  # fmt: skip
    priced = implant.price_list()["amplifier", "on"]
    assert priced.source_kind == "recalled"
    assert "a chip [measured]" in priced.source


def test_every_component_of_the_implant_is_priced():
    known = {component for component, _ in hw.implant().price_list()}
    assert known == set(COMPONENTS) - {"delivery"}
    assert all(issubclass(b, Component) for b in BLOCKS if hasattr(b, "prices"))


def test_too_few_electrodes():
    implant = hw.implant({"array.electrodes": 4})
    with pytest.raises(SpecError, match="4 cannot record 5 channels"):
        implant.n_electrodes(5)
    assert hw.implant({"array.electrodes": 9}).n_electrodes(5) == 9


def test_noise_of_electrode_and_amplifier_adds_in_squares():
    plain, with_electrode = hw.implant(), hw.implant({"array.impedance": "100 kohm"})
    assert plain.input_noise_v == 2e-6
    expected = (2e-6**2 + 4 * BODY.thermal_energy_j * 100e3 * 700) ** 0.5
    assert with_electrode.input_noise_v == pytest.approx(expected)


def test_json_schema_speaks_yaml():
    text = str(Implant.model_json_schema())
    assert "'wake_time'" in text
    assert "wake_time_s" not in text
    assert "Supply voltage." in text

"""Published numbers of whole implants, and those of the shipped ones beside them."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from pydantic import TypeAdapter

from implant_sim.hardware.acquire import acquire
from implant_sim.hardware.activity import Activity
from implant_sim.hardware.energy import Ledger, price
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.study.silicon import packaged
from sbtt_models.signals import Recording, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.silicon.checks import Given

PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    # shipped implant: row of the table, components that its published power does not cover
    "an_2022_sbp": ("an22", ("radio",)),
    "bisc": ("bisc", ()),
    "borton_2013": ("borton13", ()),
    "chae_2009": ("chae09", ()),
    "fsrec": ("fsrec", ("radio",)),
    "halo": ("halo", ()),
    "hermese": ("hermese", ("radio",)),
    "lim_2021_mote": ("lim21", ()),
    "mea24k": ("mea24k", ("radio",)),
    "muller_2015": ("muller15", ("delivery",)),
    "neuralink_2019": ("neuralink19", ("radio",)),
    "neuropixels_1": ("np1", ("radio",)),
    "nisoc": ("nisoc", ("radio",)),
    "sinaps": ("sinaps", ("radio",)),
    "wimagine": ("wimagine", ()),
}
_BEFORE_AN22_W = 12e-3  # three RHD2132 in front of the ASIC that the table's power is of
_WAYS_MEA24K = 8  # electrodes that take turns on one readout channel
_DENSITY_MW_CM2 = {"bisc": 26.9}  # MINDFUL, over the footprint


def preset(name: str) -> Implant:
    """A shipped implant."""
    text = files("scenarios").joinpath(f"implants/{name}.yaml").read_text("utf-8")
    return Implant.model_validate(yaml.safe_load(text))


def acquired(
    implant: Implant, n_channels: int, schedule: dict[str, Any] | None = None
) -> tuple[Ledger, Activity]:
    """What an implant does and draws on a made-up recording; all is sampled unless told."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.2, (6, 16, n_channels)).astype(np.int32)
    split = Split(np.arange(3), np.arange(3, 4), np.arange(4, 6))
    recording = Recording("check", counts, 0.02, np.full(6, 16), split=split)
    chosen = TypeAdapter(AnySchedule).validate_python(schedule or {"kind": "full"})
    _, activity = acquire(recording, implant, chosen, rng)
    return price(activity, implant), activity


def shipped_w(name: str) -> tuple[int, float, float, float]:
    """Channels, our power, the published power [W], and the share of ours that is overhead."""
    row, uncovered = PRESETS[name]
    chip = next(chip for chip in packaged() if chip.id == row)
    channels, published = int(chip.channels or 1), chip.published_w or 0.0
    if name == "an_2022_sbp":
        published += _BEFORE_AN22_W
    if name == "mea24k":
        channels *= _WAYS_MEA24K
    ledger, _ = acquired(preset(name), channels)
    watts = {part: w for part, w in ledger.component_w.items() if part not in uncovered}
    ours = sum(watts.values())
    return channels, ours, published, watts["overhead"] / ours


def shipped_rows() -> Iterator[Given]:
    for name in PRESETS:
        channels, ours, published, fixed = shipped_w(name)
        what = f"{name}, {channels:,} channels; fixed: {100 * fixed:.0f} %"
        yield what, "mW", 1e3 * ours, 1e3 * published, 0.01, f"row {PRESETS[name][0]}"
    for name, published in _DENSITY_MW_CM2.items():
        chip = preset(name)
        flux = shipped_w(name)[1] / chip.array.area_m2 / 10
        yield f"{name}: over its footprint", "mW/cm2", flux, published, 0.01, "MINDFUL"


def system_rows() -> Iterator[Given]:
    watts = acquired(preset("an_2022_sbp"), 93)[0].component_w
    front = watts["amplifier"] + watts["adc"] + watts["overhead"]
    source = "An et al. 2022: 12 and 0.581 mW"
    what = "An 2022: front end over decoder"
    yield what, "", front / watts["processing"], 20.7, 0.02, source
    law = 100 * watts["amplifier"] / front
    yield "its part that the amplifier law explains", "%", law, 20, 0.1, "RHD2132 data sheet"
    gated = preset("gated_uwb")
    per_bin = {"gating": "per_bin", "wake_energy_j": 0.0, "wake_time_s": 0.0, "sleep_power_w": 0.0}
    asleep = _with_amplifier(gated, **per_bin)
    asleep = asleep.model_copy(
        update={"processing": asleep.processing.model_copy(update={"warm_up_s": 0.0})}
    )
    on, some = (
        acquired(asleep, 32, {"kind": "round_robin", "bandwidth": k})[0].component_w["amplifier"]
        for k in (32, 12)
    )
    source = "Lee et al. 2010: 12 of 32 at any time"
    yield "WINeR: amplifiers by turns", "", some / on, 0.375, 1e-3, source
    on_w = gated.amplifier.on_power_w(gated.physical)
    quiet = _with_amplifier(gated, gating="static", sleep_power_w=on_w / 4)
    ledger, _ = acquired(quiet, 100, {"kind": "static_subset", "fraction": 0.3, "order": "random"})
    ours = 15 * ledger.component_w["amplifier"] / (100 * on_w)
    source = "IEEE TBioCAS 2016: 15 uW, less where more than 70 % are silent"
    yield "frequency shaping: 70 % at a quarter", "uW", ours, 7.5, 0.1, source
    raw = 1e-6 * 1024 * 20e3 * 10
    yield "1,024 channels raw over a link of 1 Mb/s", "", raw, 205, 1e-2, "Neuralink: over 200"
    # 10 mW/cm2 over 2.5 x 2.5 mm; a fixed part, and each channel's processing and bits
    budget_uw, source = 625.0 - 161.8, "Savolainen et al. 2022: 20 nJ/bit, 0.96 uW a channel"
    for what, bps, published in (("raw, 1 kb/s", 1000.0, 22), ("Huffman, 27.2 b/s", 27.2, 308)):
        ours = budget_uw / (0.96 + 20e-3 * bps)
        yield f"channels in 0.625 mW, {what}", "", ours, published, 0.01, source


def _with_amplifier(implant: Implant, **fields: Any) -> Implant:
    """A copy with other fields of the amplifier, for which a check needs no source."""
    why = {"text": "as the check says", "kind": "recalled"}
    amplifier = implant.amplifier.model_copy(update=fields)
    tree = implant.model_copy(update={"amplifier": amplifier}).model_dump(by_alias=True)
    tree["amplifier"]["source"] = why
    return Implant.model_validate(tree)

"""Detectors and sorters as published: what one channel of them draws, and in which process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from implant_sim.hardware.components.base import Source, SourceKind

__all__ = ["DETECTORS", "SORTERS", "DetectorName", "Feature", "Published", "SorterName"]

Feature = Literal["raw", "spiking_band_power", "threshold"]
DetectorName = Literal[
    "neo_130nm",
    "energy_130nm",
    "fneo_130nm",
    "swt_teager_65nm",
    "energy_28nm",
    "adm",
    "sbp_kalman_180nm",
]
SorterName = Literal["salient_samples_130nm", "dwt_130nm"]


@dataclass(frozen=True, slots=True)
class Published:
    """A block of a published chip. None where the paper does not tell."""

    feature: Feature
    per_channel_w: float
    node_m: float | None
    supply_v: float | None
    source: Source


def _block(
    feature: Feature,
    per_channel_w: float,
    process: tuple[float | None, float | None],
    text: str,
    kind: SourceKind = "measured",
) -> Published:
    return Published(feature, per_channel_w, *process, Source(text=text, kind=kind))


DETECTORS: Mapping[str, Published] = MappingProxyType(
    {
        "neo_130nm": _block(
            "threshold", 0.05e-6, (130e-9, None),
            "non-linear energy operator that sets its own threshold, simulated in 130 nm: IEEE "
            "Trans. Biomed. Eng., article 2580319", "derived",
        ),
        "energy_130nm": _block(
            "threshold", 0.129e-6, (130e-9, 0.5),
            "analog energy detector of a pair with fNEO, 130 nm at 0.5 V",
        ),
        "fneo_130nm": _block(
            "threshold", 0.259e-6, (130e-9, 0.5),
            "analog fNEO detector of a pair with an energy detector, 130 nm at 0.5 V",
        ),
        "swt_teager_65nm": _block(
            "threshold", 0.532e-6, (65e-9, 1.2),
            "stationary wavelet transform and Teager operator, 65 nm at 1.2 V: J. Neural Eng., "
            "article adb5c4",
        ),
        "energy_28nm": _block(
            "threshold", 1.4e-6, (28e-9, None),
            "energy detector for 1,024 channels, 28 nm: Saggese & Strollo",
        ),
        "adm": _block(
            "threshold", 6.2e-6, (None, None),
            "delta modulator from signal to spikes, chip of 614 uW: Sharifshazileh et al. 2021, "
            "quoted at second hand", "recalled",
        ),
        "sbp_kalman_180nm": _block(
            "spiking_band_power", 6.2e-6, (180e-9, None),
            "spiking band power and Kalman filter, 0.581 mW for 93 channels, 180 nm: An et al. "
            "2022",
        ),
    }
)  # fmt: skip
"""By the name that YAML uses."""

SORTERS: Mapping[str, Published] = MappingProxyType(
    {
        "salient_samples_130nm": _block(
            "threshold", 0.164e-6, (130e-9, 1.0),
            "salient samples of each spike, 130 nm at 1 V: Nekoui & Sodagar 2025",
        ),
        "dwt_130nm": _block(
            "threshold", 25e-6, (130e-9, None),
            "wavelet coefficients with run-length code and packets, 130 nm: Yang et al. 2014",
        ),
    }
)  # fmt: skip
"""Features of each spike for sorting, beside its detection."""

"""Shapes and types of every public call are checked while tests run; recordings have a place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# The kernels stay out: the hook would sit under @njit and break its cache.
CHECKED = [
    "sbtt_models",
    "implant_sim.recordings",
    "implant_sim.hardware.acquire",
    "implant_sim.hardware.activity",
    "implant_sim.hardware.broadband",
    "implant_sim.hardware.channel",
    "implant_sim.hardware.components",
    "implant_sim.hardware.coverage",
    "implant_sim.hardware.detect",
    "implant_sim.hardware.export",
    "implant_sim.hardware.detection",
    "implant_sim.hardware.encode",
    "implant_sim.hardware.energy",
    "implant_sim.hardware.feedback",
    "implant_sim.hardware.front_end_count",
    "implant_sim.hardware.heat",
    "implant_sim.hardware.implant",
    "implant_sim.hardware.link",
    "implant_sim.hardware.payload_count",
    "implant_sim.hardware.physics",
    "implant_sim.hardware.schedules",
    "implant_sim.hardware.sense",
    "implant_sim.hardware.streaming",
    "implant_sim.hardware.trains",
    "implant_sim.hardware.verdict",
    "implant_sim.study",
    "implant_sim.report",
]
install_import_hook(
    CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
).__enter__()


@pytest.fixture
def data_dir() -> Path:
    """The folder of real recordings, or a skip that says what to set."""
    name = os.environ.get("IMPLANT_SIM_DATA")
    if not name:
        pytest.skip("IMPLANT_SIM_DATA is not set: no recordings to test with")
    path = Path(name)
    if not path.is_dir():
        pytest.skip(f"IMPLANT_SIM_DATA={name} is not a folder")
    return path

"""What electrodes offer to a count: of a recording, or of a population that is not drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import numpy as np

from implant_sim.hardware.detect import detect
from implant_sim.hardware.feedback import view_of
from implant_sim.hardware.grid import Grid
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.payload_count import Counts, Drawn, Recorded
from implant_sim.hardware.schedules.base import Groups, View
from sbtt_models.detector import Detector
from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording, within
from sbtt_models.undrawn import Population

__all__ = ["NoDataError", "detected", "offered"]


class NoDataError(SpecError):
    """Calibration data asked of a population that has none."""


def detected(
    recording: Recording | Population, implant: Implant, rng: np.random.Generator
) -> tuple[Recording | Population, Detector | None]:
    """As `detect`; of a population, it is the rates that change."""
    if isinstance(recording, Recording):
        return detect(recording, implant, rng)
    if implant.processing.threshold_sigma is None:
        return recording, None
    from implant_sim.hardware.detection import amplitudes_v, detection  # brings scipy: see detect

    found = detection(implant, amplitudes_v(implant, recording.n_channels, rng.spawn(3)[0]))
    false_per_bin = np.full(recording.n_channels, found.false_hz * recording.bin_s)
    seen = replace(recording, mean=recording.mean * found.probability + false_per_bin)
    return seen, Detector(found.probability, false_per_bin)


def offered(
    recording: Recording | Population, implant: Implant, grid: Grid, times: np.uint64
) -> tuple[View, Counts]:
    """What the schedule may know, and where counts come from."""
    if isinstance(recording, Recording):
        table = recording.counts[within(recording.lengths, recording.counts.shape[1])]
        return view_of(recording, implant, grid, table, times), Recorded(table)

    def unknown(*_: object) -> NoReturn:
        raise NoDataError(f"schedule: {recording.name} has no calibration data")

    n = recording.n_channels
    view = View(
        n_steps=grid.n_steps,
        step_s=grid.step_s,
        n_channels=n,
        groups=Groups.by_wire(implant.groups(n)),
        any_order=implant.multiplexer.any_order,
        trial_steps=grid.trial_steps,
        delay_steps=1,
        calibrate=unknown,
        observe=unknown,
    )
    return view, Drawn(recording)

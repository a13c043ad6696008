"""Write the schedule of a scenario for another machine to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from implant_sim.files import write_bytes
from implant_sim.hardware import export, intan
from implant_sim.hardware.acquire import plan
from implant_sim.hardware.grid import Grid
from implant_sim.study.keys import stage_seed
from implant_sim.study.load import load
from implant_sim.study.withhold import hold_out
from sbtt_models.errors import SpecError

__all__ = ["Form", "program"]

Form = Literal["table", "rom", "rhd"]
_HEX = (".hex", ".ihex")


def program(scenario: str, overrides: Sequence[str], form: Form, out: Path) -> dict[str, Any]:
    """Write what a scenario's one point samples in its first repeat.

    Of a schedule that repeats itself, one period is written. Channels are counted as the implant
    does: those that the scenario withholds from it are left out.

    Parameters
    ----------
    scenario : str
        A file, or the name of a shipped scenario.
    overrides : sequence of str
        As for `load`.
    form : {"table", "rom", "rhd"}
        CSV that `kind: file` reads; a ROM image, as Intel HEX if `out` ends in .hex; commands of
        an Intan RHD2000.
    out : pathlib.Path
        The file to write.

    Returns
    -------
    dict
        out, format, steps written, whether they repeat, channels, step_s.

    Raises
    ------
    SpecError
        For a scenario of several points, or a schedule that follows the data.
    """
    study = load(scenario, overrides)
    if len(study.points) > 1:
        raise SpecError(
            f"{scenario}: {len(study.points)} points, but one schedule is written; choose one: "
            "--set sweep=null and the swept key"
        )
    point = study.points[0].scenario
    recording = hold_out(point.recording.load(study.root), point.score, 0).held_in
    rng = np.random.default_rng(stage_seed(point.seed, 0, "schedule"))
    planned = plan(recording, point.implanted, point.schedule, rng)
    if planned.choice_bit is not None or planned.least_change is not None:
        raise SpecError(
            f"schedule.kind: {point.schedule.kind} follows the data, so that there is no pattern "
            "to write down; choose one that does not"
        )
    step_s = Grid.of(recording, point.schedule, point.implanted).step_s
    n_period = export.period(planned.sampled)
    sampled = planned.sampled[:n_period]
    if form == "table":
        content = export.table(sampled).encode()
    elif form == "rhd":
        content = intan.rhd(sampled, step_s, point.implanted.adc.sample_rate_hz).encode()
    else:
        content = export.rom(sampled, step_s)
        if out.suffix.lower() in _HEX:
            content = export.intel_hex(content).encode()
    write_bytes(out, content)
    return {
        "out": str(out),
        "format": form,
        "steps": n_period,
        "repeats": n_period < len(planned.sampled),
        "channels": recording.n_channels,
        "step_s": step_s,
    }

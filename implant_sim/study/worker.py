"""What happens in a worker process: one point is simulated, and kept whatever comes of it.

Kept apart from the coordinator, so that workers start without pandas.
"""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from implant_sim import files
from implant_sim.study.beginning import Beginning
from implant_sim.study.keys import code_digest, point_key
from implant_sim.study.reuse import Reprice
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import FINAL, Entry, Outcome, RunFolder
from sbtt_models.errors import DataError, DivergedError, SimError, SpecError

__all__ = ["Job", "Simulate", "give_up", "work"]

Simulate: TypeAlias = Callable[..., Outcome]
"""Scenario, repeat, root, device, progress, folder of the training, and the `Beginning` of a point
that begins with another's weights -> outcome. Importable by name: workers call it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to run one point."""

    scenario: Scenario
    entry: Entry
    root: Path
    folder: Path
    simulate: Simulate
    device: str
    code: str
    """Digest of the coordinator's code; results of any other would bear a wrong name."""
    sibling: str | None = None
    """A finished point that may have decoded the same data."""
    reprice: Reprice | None = None
    """Makes the outcome from the sibling's, if it has. Importable by name."""


def work(job: Job, report: Callable[[float], None]) -> str:
    """Simulate a point, keep what comes of it, and say its status.

    What a worker kept that died before it could say so is not run again.

    Raises
    ------
    SimError
        If this worker has other code than the coordinator, or the data have changed since the
        point was named.
    """
    folder = RunFolder(job.folder)
    if (kept := folder.result(job.entry.key, verify=True)) is not None:
        return str(kept["row"]["status"])
    if code_digest() != job.code:
        raise SimError(
            f"the worker on {platform.node()} runs other code than the coordinator; install the "
            "same version there and start its workers again"
        )
    _refuse_changed(job)
    base = _base_row(job)
    training = folder.training(job.entry.key)
    arguments = (job.scenario, job.entry.repeat, job.root, job.device, report, training)
    try:
        begun = () if job.entry.start is None else (Beginning.of(folder, job.entry.start),)
        outcome = _from_sibling(job, folder, *begun) or job.simulate(*arguments, *begun)
        outcome.row.update({k: v for k, v in base.items() if k not in outcome.row})
    except DivergedError as error:
        outcome = _without_result(base, "diverged", error)
    except (SpecError, DataError) as error:
        outcome = _without_result(base, "infeasible", error)
    except Exception as error:
        outcome = _without_result(base, "failed", error)
    _refuse_changed(job)
    folder.commit(job.entry, outcome)
    if outcome.row["status"] in FINAL:  # others are tried again, and go on from there
        files.remove_tree(training)
    return str(outcome.row["status"])


def _refuse_changed(job: Job) -> None:
    """Data that change while a study runs would be kept under the name of what they were."""
    if point_key(job.scenario, job.entry.repeat, job.root, job.entry.start) != job.entry.key:
        raise SimError(
            "the recording's file, or another of the scenario's, has changed since this study was "
            "begun; the same command runs the points anew that read it"
        )


def _from_sibling(job: Job, folder: RunFolder, *begun: Beginning) -> Outcome | None:
    if job.sibling is None or job.reprice is None:
        return None
    return job.reprice(job.scenario, job.entry.repeat, job.root, folder, job.sibling, *begun)


def give_up(job: Job, status: str, reason: str) -> None:
    """Keep that a point came to nothing."""
    row = _base_row(job) | {"status": status}
    RunFolder(job.folder).commit(job.entry, Outcome(row, detail={"error": reason}))


def _without_result(base: dict[str, Any], status: str, error: Exception) -> Outcome:
    detail = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return Outcome(base | {"status": status}, detail=detail)


def _base_row(job: Job) -> dict[str, Any]:
    """The columns that are known before anything has run."""
    scenario = job.scenario
    return {
        "scenario": scenario.name,
        "recording": scenario.recording.kind,
        "implant": scenario.implant.name if scenario.implant else None,
        "decoder": scenario.decoder.kind,
        "schedule": scenario.schedule.kind,
        "seed": scenario.seed + job.entry.repeat,
    }

"""What `run --dry-run` says: what would be run, and what that takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from implant_sim.cli import terminal

if TYPE_CHECKING:
    from implant_sim.study.load import Study

__all__ = ["print_plan"]


def print_plan(study: Study, folder: Path, jobs: int | None, as_json: bool) -> None:
    """Print points, memory, disk and time of a study that is not run.

    Raises
    ------
    LimitError
        If it does not fit.
    """
    from implant_sim.study import limits
    from implant_sim.study.engines.base import default_jobs
    from implant_sim.study.sweep import axes_text

    need = limits.predict(study)
    threads = max(point.scenario.training.threads for point in study.points)
    workers = limits.jobs_that_fit(need, jobs or default_jobs(threads))
    limits.refuse_disk(need, folder)
    if as_json:
        points = [{"point": p.index, "axes": p.axes} for p in study.points]
        plan = {"runs": need.runs, "repeats": need.repeats, "jobs": workers, "out": str(folder)}
        plan["skipped"] = len(study.skipped)
        terminal.print_json(
            plan
            | {"memory_b": workers * need.memory_b, "disk_b": need.disk_b}
            | {"training_s": need.training_s / workers, "choosing_s": need.choosing_s / workers}
            | {"points": points}
        )
        return
    for point in () if study.space else study.points:
        terminal.say(f"point {point.index}: {axes_text(point.axes) or study.name}")
    terminal.say(
        f"{need.points} points x {need.repeats} repeats = {need.runs} runs, {workers} at a time; "
        f"about {workers * need.memory_b / 1e9:.1f} GB of memory and {need.disk_b / 1e6:.0f} MB "
        f"of disk in {folder}" + _taking(need.training_s / workers, need.choosing_s / workers)
    )


def _taking(training_s: float, choosing_s: float) -> str:
    """What is known of the time; choices only where they are more than a tenth of it."""
    parts = [f"{terminal.duration(training_s)} of training"] if training_s else []
    if choosing_s > 0.1 * (training_s + choosing_s):
        parts.append(f"{terminal.duration(choosing_s)} of choosing channels")
    return f"; roughly {' and '.join(parts)}" if parts else ""

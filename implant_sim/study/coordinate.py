"""From a study to a finished run folder: what is missing is run, kept and listed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from implant_sim import files
from implant_sim.study import engines, limits
from implant_sim.study.claims import Claims
from implant_sim.study.clerk import Clerk, title_of
from implant_sim.study.engines.base import Task, default_jobs, drive
from implant_sim.study.events import Event, Events
from implant_sim.study.keys import code_digest, point_key
from implant_sim.study.progress import Progress
from implant_sim.study.provenance import now, provenance
from implant_sim.study.queue import Queue
from implant_sim.study.scenario import Study
from implant_sim.study.store import FINAL, Entry, RunFolder
from implant_sim.study.tables import write_tables
from implant_sim.study.worker import Job, Simulate, give_up, work
from sbtt_models.spec import SimError, SpecError

__all__ = ["Options", "coordinate", "entries_of"]

_KEY = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, without any effect on results."""

    device: str = "auto"
    jobs: int | None = None
    fresh: bool = False
    engine: engines.Choice = field(default_factory=engines.Choice)


def entries_of(study: Study) -> list[Entry]:
    """Every point and repeat of a study with the name of its result.

    Raises
    ------
    DataError
        If a data file is missing.
    """
    return [
        Entry(point.index, repeat, point_key(point.scenario, repeat, study.root), point.axes)
        for point in study.points
        for repeat in range(study.repeats)
    ]


def coordinate(study: Study, out: Path, simulate: Simulate, options: Options) -> pd.DataFrame:
    """Run what is not finished yet, and write the tables.

    Several coordinators may run the same study in the same folder; they share the work, and each
    returns when all of it is done.

    Parameters
    ----------
    study : Study
    out : pathlib.Path
        The run folder; made if need be.
    simulate : callable
        Runs one point; see `Simulate`.
    options : Options

    Returns
    -------
    pandas.DataFrame
        The results table.

    Raises
    ------
    SimError
        If nothing can be run or kept at all.
    """
    _refuse_beforehand(out, options.device)
    entries = entries_of(study)
    prediction = limits.predict(study)
    threads = max(point.scenario.training.threads for point in study.points)
    jobs = limits.jobs_that_fit(prediction, options.jobs or default_jobs(threads))
    limits.refuse_disk(prediction, out)
    folder = RunFolder(out)
    files.make_folder(folder.points)
    told = provenance(study, entries) | {
        "jobs": jobs,
        "device": options.device,
        "engine": options.engine.kind,
    }

    def tidy() -> None:
        files.remove_leftovers(folder.points)
        files.remove_leftovers(out)
        if options.fresh:
            _forget(folder)
        folder.forget_trainings(() if options.fresh else {entry.key for entry in entries})
        folder.write_scenario(study.tree)
        folder.write_run(told)

    with Claims(out, study.digest, when_alone=tidy) as claims:
        if options.fresh and claims.others:
            raise SimError(
                f"--fresh: {claims.others[0].title} is at work in {out}; wait for it or stop it"
            )
        started = time.perf_counter()
        crew = engines.Crew(jobs, threads, limits.allowed_memory_b() / jobs)
        try:
            computed = _run_all(study, folder, entries, claims, simulate, options, crew)
        finally:
            results = write_tables(folder, entries)
        finish = {"finished": now(), "duration_s": time.perf_counter() - started}
        folder.write_run(told | finish | {"computed": computed})
    return results


def _refuse_beforehand(out: Path, device: str) -> None:
    """What no point could survive is said once, before anything is written."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"--out {out}: is a file; name a folder")
    if device != "auto":
        from sbtt_models.device import device_of  # loads torch: only where it is asked about

        device_of(device)


def _forget(folder: RunFolder) -> None:
    for old in folder.points.iterdir():
        if _KEY.fullmatch(old.name):
            files.remove_tree(old)


def _run_all(
    study: Study,
    folder: RunFolder,
    entries: Sequence[Entry],
    claims: Claims,
    simulate: Simulate,
    options: Options,
    crew: engines.Crew,
) -> int:
    """Run what is missing; returns how many points were run here."""
    unique = list({entry.key: entry for entry in entries}.values())
    kept = folder.kept(entry.key for entry in unique)
    finished = [e for e in unique if e.key in kept and kept[e.key].status in FINAL]
    code = code_digest()

    def task_of(entry: Entry) -> Task:
        clerk.begins(entry)
        scenario = study.points[entry.point].scenario
        job = Job(
            scenario, entry, study.root, folder.path.absolute(), simulate, options.device, code
        )
        return Task(work, job, scenario.time_limit_s, give_up)

    events = Events(folder.path)
    with Progress(len(unique), len(finished)) as progress:
        for entry in finished:
            progress.known(title_of(entry), kept[entry.key].row)
        clerk = Clerk(folder, entries, claims, events, progress)
        queue = Queue(folder, unique, kept, claims, task_of, clerk.reused)
        begun: Event = "join" if claims.others else "resume" if finished else "start"
        events.tell(begun, runs=len(unique), finished=len(finished), jobs=crew.jobs)
        try:
            if len(queue):
                with options.engine.open(crew) as engine:
                    drive(engine, queue, clerk.ended, progress.running)
        except BaseException as error:
            events.tell("stop", reason=type(error).__name__, computed=clerk.n_computed)
            raise
        events.tell("end", computed=clerk.n_computed)
    return clerk.n_computed

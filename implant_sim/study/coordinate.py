"""From a study to a finished run folder: what is missing is run, kept and listed."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

import implant_sim
from implant_sim import files
from implant_sim.study import limits
from implant_sim.study.engines import local
from implant_sim.study.keys import code_digest, data_files, point_key
from implant_sim.study.progress import Progress
from implant_sim.study.scenario import Study
from implant_sim.study.store import FINAL, SCHEMA, Entry, Outcome, RunFolder
from implant_sim.study.sweep import axes_text
from implant_sim.study.tables import write_tables
from implant_sim.study.worker import Job, Simulate, base_row, work
from sbtt_models.spec import SpecError

__all__ = ["Options", "coordinate", "entries_of"]

_KEY = re.compile(r"[0-9a-f]{20}")
_TABLES_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, without any effect on results."""

    device: str = "auto"
    jobs: int | None = None
    fresh: bool = False


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
    jobs = limits.jobs_that_fit(prediction, options.jobs or local.default_jobs(threads))
    limits.refuse_disk(prediction, out)
    folder = RunFolder(out)
    files.make_folder(folder.points)
    with files.exclusive(out):
        files.remove_leftovers(folder.points)
        files.remove_leftovers(out)
        if options.fresh:
            for old in folder.points.iterdir():
                if _KEY.fullmatch(old.name):
                    files.remove_tree(old)
        folder.write_scenario(study.tree)
        provenance = _provenance(study, entries, jobs, options.device)
        folder.write_run(provenance)
        missing = [entry for entry in entries if not _finished(folder, entry)]
        missing = list({entry.key: entry for entry in missing}.values())
        started = time.perf_counter()
        try:
            _run_all(study, folder, entries, missing, simulate, options.device, jobs, threads)
        finally:
            results = write_tables(folder, entries)
        finish = {"finished": _now(), "duration_s": time.perf_counter() - started}
        folder.write_run(provenance | finish | {"computed": len(missing)})
    return results


def _refuse_beforehand(out: Path, device: str) -> None:
    """What no point could survive is said once, before anything is written."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"--out {out}: is a file; name a folder")
    if device != "auto":
        from sbtt_models.device import device_of  # loads torch: only where it is asked about

        device_of(device)


def _finished(folder: RunFolder, entry: Entry) -> bool:
    content = folder.result(entry.key, verify=True)
    return content is not None and content["row"].get("status") in FINAL


def _run_all(
    study: Study,
    folder: RunFolder,
    entries: list[Entry],
    missing: list[Entry],
    simulate: Simulate,
    device: str,
    jobs: int,
    threads: int,
) -> None:
    jobs_list = [
        Job(study.points[e.point].scenario, e, study.root, folder.path, simulate, device)
        for e in missing
    ]
    tasks = [local.Task(work, job, job.scenario.time_limit_s) for job in jobs_list]
    written = time.monotonic()
    with Progress(len(entries), len(entries) - len(missing)) as progress:

        def on_finish(end: local.Finished) -> None:
            nonlocal written
            job = jobs_list[end.index]
            if end.error:  # the worker is gone and could not keep it
                row = base_row(job) | {"status": end.status}
                folder.commit(job.entry, Outcome(row, detail={"error": end.error}))
            progress.finished(_title(job.entry), end.status, _reason(folder, job.entry))
            if time.monotonic() - written > _TABLES_EVERY_S:
                write_tables(folder, entries)
                written = time.monotonic()

        if tasks:
            local.run(tasks, jobs, threads, on_finish, progress.running)


def _title(entry: Entry) -> str:
    axes = axes_text(entry.axes)
    return f"point {entry.point}{f' ({axes})' if axes else ''}, repeat {entry.repeat}"


def _reason(folder: RunFolder, entry: Entry) -> str:
    content = folder.result(entry.key)
    return str((content or {}).get("error", ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _provenance(study: Study, entries: list[Entry], jobs: int, device: str) -> dict[str, Any]:
    names = ("implant-sim", "numpy", "torch", "numba", "scipy", "scikit-learn", "pandas", "h5py")
    return {
        "schema": SCHEMA,
        "name": study.name,
        "scenario_sha256": study.digest,
        "code_sha256": code_digest(),
        "version": implant_sim.__version__,
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in names},
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
        "data": sorted({f.name for p in study.points for f in data_files(p.scenario, study.root)}),
        "seeds": [study.seed + repeat for repeat in range(study.repeats)],
        "jobs": jobs,
        "device": device,
        "axes": list(study.axes),
        "started": _now(),
        "points": [
            {"point": e.point, "repeat": e.repeat, "key": e.key, "axes": e.axes} for e in entries
        ],
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

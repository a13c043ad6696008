"""From a study to a finished run folder: what is missing is run, kept and listed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from implant_sim import files
from implant_sim.study import engines, limits
from implant_sim.study.budget import Shop
from implant_sim.study.claims import Claims
from implant_sim.study.engines.base import default_jobs
from implant_sim.study.events import Event
from implant_sim.study.keys import PointKeys
from implant_sim.study.load import Study
from implant_sim.study.progress import Progress
from implant_sim.study.provenance import listed, now, provenance
from implant_sim.study.reuse import Reprice
from implant_sim.study.runner import Call, Runner
from implant_sim.study.search.answer import answer
from implant_sim.study.search.found import write_found
from implant_sim.study.search.loop import Evaluated, explore
from implant_sim.study.search.space import Space
from implant_sim.study.seldom import Seldom
from implant_sim.study.store import FINAL, Entry, RunFolder
from implant_sim.study.tables import write_tables
from implant_sim.study.worker import Simulate
from sbtt_models.errors import SimError, SpecError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Options", "coordinate", "entries_of"]


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
    found: dict[tuple[int, int], Entry] = {}
    keys = PointKeys(study.root)
    begun = [*(p.index for p in study.points if p.index not in study.starts), *study.starts]
    for point in (study.points[index] for index in begun):
        for repeat in range(study.repeats):
            before = found.get((study.starts.get(point.index, -1), repeat))
            start = None if before is None else before.key
            key = keys.of(point.scenario, repeat, start)
            found[point.index, repeat] = Entry(point.index, repeat, key, point.axes, start)
    return [found[place] for place in sorted(found)]


def coordinate(
    study: Study,
    out: Path,
    simulate: Simulate,
    options: Options,
    reprice: Reprice | None = None,
) -> pd.DataFrame:
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
    reprice : callable, optional
        Makes the result of a point from that of another which decoded the same data.

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
    entries = [] if study.space else entries_of(study)
    threads = max(point.scenario.training.threads for point in study.points)
    jobs = options.jobs or default_jobs(threads)
    if study.decodes:
        prediction = limits.predict(study)
        jobs = limits.jobs_that_fit(prediction, jobs)
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
            folder.forget()
        folder.forget_trainings(() if options.fresh else {entry.key for entry in entries})
        folder.write_scenario(study.tree)
        folder.write_run(told)

    with Claims(out, study.digest, when_alone=tidy) as claims:
        if options.fresh and claims.others:
            raise SimError(
                f"--fresh: {claims.others[0].title} is at work in {out}; wait for it or stop it"
            )
        started = time.perf_counter()
        call = Call(simulate, reprice, options.device)
        crew = engines.Crew(jobs, threads, limits.allowed_memory_b() / jobs)
        try:
            if study.space is None:
                computed = _run_all(study, folder, entries, claims, call, options, crew)
            else:
                computed = _search(
                    study, study.space, folder, entries, claims, call, options, crew, told
                )
        finally:
            results = write_tables(folder, entries)
        finish = {"finished": now(), "duration_s": time.perf_counter() - started}
        folder.write_run(
            told | listed(entries) | finish | {"computed": computed} | _reused(results)
        )
    return results


def _reused(results: pd.DataFrame) -> dict[str, int]:
    """How many runs share the decoder of another."""
    return {"decoders_shared": int(results["decoded_by"].notna().sum())}


def _shared(shop: Shop, found: Sequence[Evaluated]) -> dict[str, Any]:
    """How many points were priced, and for how many of them it was counted anew."""
    return {"priced": sum(e.state != "skipped" for e in found), "counted": len(shop.counts)}


def _refuse_beforehand(out: Path, device: str) -> None:
    """What no point could survive is said once, before anything is written."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"--out {out}: is a file; name a folder")
    if device != "auto":
        from sbtt_models.device import device_of  # loads torch: only where it is asked about

        device_of(device)


def _run_all(
    study: Study,
    folder: RunFolder,
    entries: Sequence[Entry],
    claims: Claims,
    call: Call,
    options: Options,
    crew: engines.Crew,
) -> int:
    """Run what is missing; returns how many points were run here."""
    unique = list({entry.key: entry for entry in entries}.values())
    kept = folder.kept(entry.key for entry in unique)
    n_finished = sum(found.status in FINAL for found in kept.values())
    with Progress(len(unique), n_finished) as progress:
        runner = Runner(
            folder, study.root, claims, list(entries), call, options.engine, crew, progress
        )
        begun: Event = "join" if claims.others else "resume" if n_finished else "start"
        runner.events.tell(begun, runs=len(unique), finished=n_finished, jobs=crew.jobs)
        with runner:
            runner.run(unique, {p.index: p.scenario for p in study.points}, kept)
    return runner.n_computed


def _search(  # noqa: PLR0913 - as `_run_all`, and what is written after each batch
    study: Study,
    space: Space,
    folder: RunFolder,
    entries: list[Entry],
    claims: Claims,
    call: Call,
    options: Options,
    crew: engines.Crew,
    told: dict[str, Any],
) -> int:
    """Go through a design space; returns how many points were run here."""
    shop = Shop(study.root)
    most = space.search.budget.points * (study.repeats + (space.search.pruning is not None))
    with Progress(most, 0) as progress:
        runner = Runner(folder, study.root, claims, entries, call, options.engine, crew, progress)
        begun: Event = "join" if claims.others else "start"
        runner.events.tell(begun, runs=most, finished=0, jobs=crew.jobs)

        def write(found: Sequence[Evaluated]) -> None:
            folder.write_run(told | listed(entries))
            write_found(study, space, folder, found, _shared(shop, found))

        with runner, Seldom(write) as on_batch:
            proposer, found = explore(study, space, folder, runner, entries, shop, on_batch)
        if space.search.question is not None and found:
            more = _shared(shop, found)
            more["answer"] = answer(study, space, shop, proposer, found)
            write_found(study, space, folder, found, more)
    return runner.n_computed

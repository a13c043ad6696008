"""Runs what is missing of some points, as often as it is asked; workers are kept between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from implant_sim.study import engines
from implant_sim.study.claims import Claims
from implant_sim.study.clerk import Clerk, title_of
from implant_sim.study.engines.base import Engine, Task, drive
from implant_sim.study.events import Events
from implant_sim.study.index import Kept
from implant_sim.study.keys import code_digest
from implant_sim.study.progress import Progress
from implant_sim.study.queue import Queue
from implant_sim.study.reuse import Reprice, siblings
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import FINAL, Entry, RunFolder
from implant_sim.study.worker import Job, Simulate, give_up, work

__all__ = ["Call", "Runner"]


@dataclass(frozen=True, slots=True)
class Call:
    """What a worker does for a point."""

    simulate: Simulate
    reprice: Reprice | None = None
    """Makes the result of a point from that of another which decoded the same data."""
    device: str = "auto"


class Runner:
    """One coordinator at work in a run folder.

    Parameters
    ----------
    folder : RunFolder
    root : pathlib.Path
        Where relative paths of the recording start.
    claims : Claims
        Entered.
    listed : list of Entry
        What the tables list; it may grow.
    call : Call
    engine : engines.Choice
    crew : engines.Crew
    progress : Progress
        Entered.
    """

    def __init__(
        self,
        folder: RunFolder,
        root: Path,
        claims: Claims,
        listed: list[Entry],
        call: Call,
        engine: engines.Choice,
        crew: engines.Crew,
        progress: Progress,
    ) -> None:
        self._folder, self._root, self._claims, self._call = folder, root, claims, call
        self._choice, self._crew, self._progress = engine, crew, progress
        self.events = Events(folder.path)
        self._clerk = Clerk(folder, listed, claims, self.events, progress)
        self._scenarios: dict[int, Scenario] = {}
        self._entries: dict[str, Entry] = {}
        self._code = code_digest()
        self._open = ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers, and say so in the log."""
        self._open.close()
        if kind is None:
            self.events.tell("end", computed=self.n_computed)
        else:
            self.events.tell("stop", reason=kind.__name__, computed=self.n_computed)

    @property
    def n_computed(self) -> int:
        """Points that were run by this coordinator."""
        return self._clerk.n_computed

    def run(
        self, entries: Sequence[Entry], scenarios: Mapping[int, Scenario], kept: dict[str, Kept]
    ) -> None:
        """Run what is missing; returns when all of it is in the folder.

        Parameters
        ----------
        entries : sequence of Entry
            Each key once.
        scenarios : mapping of int to Scenario
            Of each point.
        kept : mapping of str to Kept
            What the folder holds of them.
        """
        self._scenarios.update(scenarios)
        self._entries.update((entry.key, entry) for entry in entries)
        for entry in entries:
            if entry.key in kept and kept[entry.key].status in FINAL:
                self._progress.known(title_of(entry), kept[entry.key].row)
        self._siblings = self._siblings_now()
        queue = Queue(
            self._folder,
            entries,
            kept,
            self._claims,
            self._task,
            self._clerk.reused,
            {e.key: [k for k in (self._siblings.get(e.key), e.start) if k] for e in entries},
        )
        if not len(queue):
            return
        if self._engine is None:
            self._engine = self._open.enter_context(self._choice.open(self._crew))
        drive(self._engine, queue, self._clerk.ended, self._progress.running)

    def _siblings_now(self) -> dict[str, str]:
        if self._call.reprice is None:
            return {}
        return siblings(self._scenarios, self._entries.values())

    def _task(self, entry: Entry) -> Task:
        self._clerk.begins(entry)
        scenario = self._scenarios[entry.point]
        job = Job(
            scenario,
            entry,
            self._root,
            self._folder.path.absolute(),
            self._call.simulate,
            self._call.device,
            self._code,
            self._siblings.get(entry.key),
            self._call.reprice,
        )
        return Task(work, job, scenario.time_limit_s, give_up)

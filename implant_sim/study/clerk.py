"""Keeps the books while points run: what ended how, in the folder, the log and on the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from implant_sim.study.claims import Claims
from implant_sim.study.engines.base import Finished
from implant_sim.study.events import Event, Events
from implant_sim.study.progress import Progress
from implant_sim.study.seldom import Seldom
from implant_sim.study.store import Entry, RunFolder
from implant_sim.study.sweep import axes_text
from implant_sim.study.tables import write_tables
from implant_sim.study.worker import Job, give_up

__all__ = ["Clerk", "title_of"]


class Clerk:
    """Notes what runs and what has ended; keeps what a dead worker could not."""

    def __init__(
        self,
        folder: RunFolder,
        entries: Sequence[Entry],
        claims: Claims,
        events: Events,
        progress: Progress,
    ) -> None:
        self._folder, self._entries, self._claims = folder, entries, claims
        self._events, self._progress = events, progress
        self._begun: dict[str, float] = {}
        self._tables = Seldom(lambda _: write_tables(self._folder, self._entries))
        self.n_computed = 0

    def begins(self, entry: Entry) -> None:
        """A point was claimed and goes to a worker."""
        self._begun[entry.key] = time.monotonic()
        self._events.tell("run", **_named(entry))

    def reused(self, entry: Entry) -> None:
        """A point was finished by another coordinator meanwhile."""
        self._progress.elsewhere()
        content = self._folder.result(entry.key)
        if content is not None:
            self._progress.known(title_of(entry), content["row"])

    def ended(self, end: Finished) -> None:
        """A point has ended, well or not.

        Raises
        ------
        WriteError
            If nothing can be kept any more.
        """
        job: Job = end.task.argument
        key = job.entry.key
        if end.error:
            give_up(job, end.status, end.error)
        content = self._folder.result(key)
        if content is None:
            where = f"{self._folder.path} holds nothing of it"
            give_up(job, "failed", f"{where}; a worker elsewhere needs a shared file system")
            content = self._folder.result(key) or {"row": {"status": "failed"}}
        self._claims.release(key)
        self.n_computed += 1
        status, reason = str(content["row"]["status"]), str(content.get("error", ""))
        took = time.monotonic() - self._begun.pop(key)
        told = {"status": status, "duration_s": round(took, 3)}
        why = {"reason": reason.split("\n", 1)[0]} if reason else {}
        event: Event = "finish" if status == "ok" else "fail"
        self._events.tell(event, **_named(job.entry), **told, **why)
        self._progress.finished(title_of(job.entry), content["row"], reason)
        self._tables(None)


def title_of(entry: Entry) -> str:
    """A point and repeat, for people."""
    axes = axes_text(entry.axes)
    # what a search runs briefly first has a number of its own
    point = f"point {entry.point}" if entry.point >= 0 else f"point {-1 - entry.point}, briefly"
    return f"{point}{f' ({axes})' if axes else ''}, repeat {entry.repeat}"


def _named(entry: Entry) -> dict[str, object]:
    return {"point": entry.point, "repeat": entry.repeat, "key": entry.key, "axes": entry.axes}

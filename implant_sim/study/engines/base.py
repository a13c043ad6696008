"""What every engine does: take a task, give a future; and the one loop that drives them all.

Nothing heavy is imported here: a worker reads the thread limits before numpy and torch start.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any

__all__ = [
    "MAX_TRIES",
    "DiedError",
    "Engine",
    "Finished",
    "Source",
    "Task",
    "default_jobs",
    "drive",
]

MAX_TRIES = 3
"""How often a task is tried whose worker dies."""
_TICK_S = 0.2


class DiedError(Exception):
    """A worker that did not live to say how its task ended; another try may help."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One call in a worker."""

    work: Callable[..., str]
    """Called with `argument` and a function that takes progress, 0 to 1; returns a status."""
    argument: Any
    timeout_s: float | None = None
    give_up: Callable[[Any, str, str], None] | None = None
    """Called with `argument`, status and reason by a worker that must end itself; see `guard`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a task ended."""

    task: Task
    status: str
    """What the work returned, or ``timeout`` or ``failed``."""
    error: str = ""
    """Why, where the worker did not live to say it."""


class Source(ABC):
    """Where tasks come from, one at a time: what is free to run may change meanwhile."""

    @abstractmethod
    def take(self) -> Task | None:
        """The next task; None if there is none right now."""

    @abstractmethod
    def over(self) -> bool:
        """Whether no task will come any more."""


class Engine(ABC):
    """Runs tasks in other processes; ends them all when it is left."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many tasks it should hold at a time, so that no worker waits for the next."""

    @abstractmethod
    def submit(self, task: Task) -> Future[str]:
        """Start a task, or queue it.

        The future raises `DiedError` if another try may help, `TimeoutError` if the task took
        too long, and whatever the task raised.
        """

    @abstractmethod
    def close(self) -> None:
        """End every worker that this engine has started, and what still runs on others'."""

    def shares(self) -> Sequence[float]:
        """Progress of each running task, 0 to 1, where the engine knows it."""
        return ()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def drive(
    engine: Engine,
    source: Source,
    on_finish: Callable[[Finished], None],
    on_tick: Callable[[int, Sequence[float]], None] | None = None,
) -> None:
    """Run tasks until their source is over; those of dead workers again, up to 3 times.

    Parameters
    ----------
    engine : Engine
    source : Source
    on_finish : callable
        Called in this process with each end.
    on_tick : callable, optional
        Called about five times a second with the tasks at work and their progress, 0 to 1.
    """
    running: dict[Future[str], Task] = {}
    tries: dict[Task, int] = {}
    while True:
        while len(running) < engine.capacity and (task := source.take()) is not None:
            running[engine.submit(task)] = task
            tries[task] = 1
        if running:
            done, _ = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
        elif source.over():
            return
        else:
            done = set()
            time.sleep(_TICK_S)
        for future in done:
            task = running.pop(future)
            end = _end(task, future)
            if end is None and tries[task] < MAX_TRIES:
                tries[task] += 1
                running[engine.submit(task)] = task
                continue
            del tries[task]
            on_finish(end or _died(task, future))
        if on_tick is not None:
            on_tick(len(running), engine.shares())


def _end(task: Task, future: Future[str]) -> Finished | None:
    """How it ended; None where the worker died and another try may help."""
    try:
        return Finished(task, future.result())
    except DiedError:
        return None
    except TimeoutError:
        return Finished(task, "timeout", "took longer than time_limit")
    except Exception as error:
        return Finished(task, "failed", f"{type(error).__name__}: {error}")


def _died(task: Task, future: Future[str]) -> Finished:
    why = str(future.exception()) or "out of memory?"
    return Finished(task, "failed", f"the worker died {MAX_TRIES} times; {why}")


def default_jobs(threads: int) -> int:
    """How many workers the cores allow, `threads` each."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on Linux
        cores = os.cpu_count() or 1
    return max(1, cores // threads)

"""Points on the processes of this machine: a worker that dies costs its own point only.

Nothing heavy is imported here: a worker reads the thread limits before numpy and torch start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import types
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pebble import ProcessExpired, ProcessPool

__all__ = ["Finished", "Task", "default_jobs", "run"]

MAX_TRIES = 3
"""How often a point is tried whose worker dies."""
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_PR_SET_PDEATHSIG = 1
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """One call in a worker."""

    work: Callable[..., str]
    """Called with `argument` and a function that takes progress, 0 to 1; returns a status."""
    argument: Any
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """How a task ended."""

    index: int
    status: str
    """What the work returned, or ``timeout`` or ``failed``."""
    error: str = ""
    """Why, where the worker did not live to say it."""


def default_jobs(threads: int) -> int:
    """How many workers the cores allow, `threads` each."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on Linux
        cores = os.cpu_count() or 1
    return max(1, cores // threads)


def run(
    tasks: Sequence[Task],
    jobs: int,
    threads: int,
    on_finish: Callable[[Finished], None],
    on_tick: Callable[[Sequence[float]], None] | None = None,
) -> None:
    """Run all tasks; those of dead workers again, up to 3 times.

    Parameters
    ----------
    tasks : sequence of Task
    jobs : int
        Workers. Results do not depend on it.
    threads : int
        Threads of each worker's libraries.
    on_finish : callable
        Called in this process with each end.
    on_tick : callable, optional
        Called five times a second with the progress of each task, 0 to 1.

    Raises
    ------
    KeyboardInterrupt
        And whatever else interrupts: the workers are stopped first.
    """
    context = _Quiet()
    progress = context.RawArray("d", max(1, len(tasks)))
    pool = ProcessPool(
        max_workers=min(jobs, len(tasks)) or 1,
        initializer=_begin,
        initargs=(os.getpid(), threads, progress),
        context=context,
    )
    tries = [0] * len(tasks)

    def submit(index: int) -> Future[str]:
        tries[index] += 1
        task = tasks[index]
        return pool.schedule(_call, args=(index, task), timeout=task.timeout_s)

    try:
        waiting = {submit(index): index for index in range(len(tasks))}
        while waiting:
            done, _ = wait(waiting, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in done:
                index = waiting.pop(future)
                end = _end(index, future)
                if end is None and tries[index] < MAX_TRIES:
                    waiting[submit(index)] = index
                    continue
                if end is None:
                    end = Finished(
                        index, "failed", f"the worker died {MAX_TRIES} times; out of memory?"
                    )
                progress[index] = 1.0
                on_finish(end)
            if on_tick is not None:
                on_tick(list(progress[: len(tasks)]))
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _end(index: int, future: Future[str]) -> Finished | None:
    """How it ended; None where the worker died and another try may help."""
    try:
        return Finished(index, future.result())
    except ProcessExpired:
        return None
    except TimeoutError:
        return Finished(index, "timeout", "took longer than time_limit")
    except Exception as error:
        return Finished(index, "failed", f"{type(error).__name__}: {error}")


# In the worker.

_progress: Any = None


def _begin(parent: int, threads: int, progress: Any) -> None:
    """Prepare a fresh worker: die with the parent, leave Ctrl-C to it, keep to the threads."""
    global _progress
    _progress = progress
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that was set
            os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, str(threads)))


def _call(index: int, task: Task) -> str:
    slots = _progress

    def report(done: float) -> None:
        slots[index] = done  # its own slot: no lock that a killed worker could keep

    report(1e-6)  # it has begun
    return task.work(task.argument, report)


class _QuietProcess(SpawnProcess):
    """A spawned process that does not run the caller's script again.

    Python's own would import ``__main__`` anew in each worker; a user's script that calls
    `run` without a guard would then start workers of workers.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Quiet(SpawnContext):
    """Spawn, with quiet processes."""

    Process = _QuietProcess

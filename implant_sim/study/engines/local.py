"""Points on the processes of this machine: a worker that dies costs its own point only."""

from __future__ import annotations

import os
import signal
import sys
import types
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessPool
from typing_extensions import override

from implant_sim.study.engines.base import DiedError, Engine, Task
from implant_sim.study.engines.child import die_with, keep_to

__all__ = ["Local"]


class Local(Engine):
    """Worker processes; each may be killed for its time or its memory without harm to others.

    Parameters
    ----------
    jobs : int
        Workers. Results do not depend on it.
    threads : int
        Threads of each worker's libraries.
    memory_b : float, optional
        A worker that holds more is killed, and its point fails. [byte]
    """

    def __init__(self, jobs: int, threads: int, memory_b: float | None = None) -> None:
        self._memory_b = memory_b
        self._context = _Quiet()
        self._progress = self._context.RawArray("d", jobs)
        self._pids = self._context.RawArray("q", jobs)
        self._begin = (os.getpid(), threads, self._progress, self._pids)
        # A pool for each worker: those that share one share locks, too, and one that is killed
        # while it holds them, or before its first task, would break the pool of all.
        self._pools = [self._pool() for _ in range(jobs)]
        self._free = list(range(jobs))
        self._killed: dict[int, str] = {}

    def _pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1, initializer=_begin, initargs=self._begin, context=self._context
        )

    @property
    @override
    def capacity(self) -> int:
        return len(self._pools)

    @override
    def submit(self, task: Task) -> Future[str]:
        slot = self._free.pop()
        self._progress[slot], self._pids[slot] = 0.0, 0
        if not self._pools[slot].active:
            _end(self._pools[slot])
            self._pools[slot] = self._pool()
        told = Future[str]()
        inner = self._pools[slot].schedule(_call, args=(slot, task), timeout=task.timeout_s)

        def pass_on(ended: Future[str]) -> None:
            self._pids[slot] = 0
            why = self._killed.pop(slot, None)
            self._free.append(slot)
            try:
                told.set_result(ended.result())
            except (ProcessExpired, BrokenProcessPool) as error:
                told.set_exception(MemoryError(why) if why else DiedError(_how(error)))
            except BaseException as error:  # cancelled by `close`, too
                told.set_exception(error)

        inner.add_done_callback(pass_on)
        return told

    @override
    def shares(self) -> Sequence[float]:
        if self._memory_b is not None:
            self._watch(self._memory_b)
        return [share for share, pid in zip(self._progress, self._pids, strict=True) if pid]

    def _watch(self, memory_b: float) -> None:
        """Kill whoever holds too much, before the machine does it to someone else."""
        for slot, pid in enumerate(self._pids):
            try:
                if not pid:
                    continue
                process = psutil.Process(pid)
                held = process.memory_info().rss
                if held > memory_b:
                    self._killed[slot] = (
                        f"used {held / 1e9:.1f} GB of memory; a worker's share is "
                        f"{memory_b / 1e9:.1f} GB: lower --jobs, or take fewer trials or channels"
                    )
                    process.kill()
            except psutil.Error:  # it has ended meanwhile
                continue

    @override
    def close(self) -> None:
        for pool in self._pools:
            pool.stop()  # type: ignore[no-untyped-call]
        for pool in self._pools:
            _end(pool)


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _how(error: ProcessExpired | BrokenProcessPool) -> str:
    code = getattr(error, "exitcode", None)
    if code is None:
        return "before it could begin"
    return f"exit status {code}" + ("; out of memory?" if code == -signal.SIGKILL else "")


# In the worker.

_progress: Any = None
_pids: Any = None


def _begin(parent: int, threads: int, progress: Any, pids: Any) -> None:
    """Prepare a fresh worker: die with the parent, leave Ctrl-C to it, keep to the threads."""
    global _progress, _pids
    _progress, _pids = progress, pids
    die_with(parent)
    keep_to(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _call(slot: int, task: Task) -> str:
    slots = _progress

    def report(done: float) -> None:
        slots[slot] = done  # its own slot: no lock that a killed worker could keep

    _pids[slot] = os.getpid()  # it has begun
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

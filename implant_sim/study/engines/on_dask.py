"""Points on a dask cluster: one that runs already, or a small one of our own on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

from distributed import Client, KilledWorker
from typing_extensions import override

from implant_sim.study.engines import Crew
from implant_sim.study.engines.base import Engine, Task
from implant_sim.study.engines.guard import guarded
from sbtt_models.errors import SpecError

__all__ = ["Dask"]

_START_S = 60.0
_LOOK_EVERY_S = 2.0


class Dask(Engine):
    """Workers of a dask scheduler, each with one thread.

    Parameters
    ----------
    crew : Crew
        The workers to start where no address is given.
    address : str, optional
        Of a scheduler, or the path of its scheduler file; it keeps running when this is closed.

    Raises
    ------
    SpecError
        If no scheduler or no worker answers, or workers run several threads.
    """

    def __init__(self, crew: Crew, address: str | None) -> None:
        self._cluster = None if address is not None else _Cluster(crew)
        try:
            where = address if self._cluster is None else str(self._cluster.file)
            self._client = _connected(str(where))
        except BaseException:
            if self._cluster is not None:
                self._cluster.close()
            raise
        self._executor = self._client.get_executor(pure=False)
        self._workers, self._looked = 0, -_LOOK_EVERY_S

    @property
    @override
    def capacity(self) -> int:
        """One for each worker, and one that waits; workers may come and go."""
        if time.monotonic() - self._looked > _LOOK_EVERY_S:
            threads = self._client.nthreads()
            several = [name for name, n in threads.items() if n > 1]
            if several:
                raise SpecError(
                    f"the dask worker {several[0]} runs {threads[several[0]]} points in one "
                    "process, where one that fails takes the others with it; start it with "
                    "--nthreads 1, and several with --nworkers"
                )
            self._workers, self._looked = len(threads), time.monotonic()
        return self._workers + 1

    @override
    def submit(self, task: Task) -> Future[str]:
        told = Future[str]()
        inner = self._executor.submit(guarded, task)

        def pass_on(ended: Future[str]) -> None:
            try:
                told.set_result(ended.result())
            except KilledWorker as error:  # dask has tried it several times already
                tries = error.allowed_failures + 1
                told.set_exception(RuntimeError(f"its worker died {tries} times; out of memory?"))
            except BaseException as error:
                told.set_exception(error)

        inner.add_done_callback(pass_on)
        return told

    @override
    def close(self) -> None:
        try:
            self._executor.shutdown(wait=False)  # cancels what has not begun
            self._client.close(timeout=2)
        finally:
            if self._cluster is not None:
                self._cluster.close()


def _connected(where: str) -> Client:
    end = time.monotonic() + _START_S
    is_file = "://" not in where and Path(where).suffix == ".json"
    while is_file and not Path(where).exists() and time.monotonic() < end:
        time.sleep(0.05)
    try:
        client = (
            Client(scheduler_file=where, set_as_default=False, timeout=_START_S)
            if is_file
            else Client(where, set_as_default=False, timeout=_START_S)
        )
        client.wait_for_workers(1, timeout=max(1.0, end - time.monotonic()))
    except (OSError, TimeoutError, ValueError) as error:
        raise SpecError(
            f"--address {where}: no dask scheduler with workers answers ({error}); start "
            "`dask scheduler` and `dask worker`, or leave the address out"
        ) from error
    return client


class _Cluster:
    """A scheduler and workers as processes of their own, which no other machine can reach."""

    def __init__(self, crew: Crew) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="implant-sim-dask-")
        self.file = Path(self._place.name) / "scheduler.json"
        shared = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self.file)]
        workers = ["--nworkers", str(crew.jobs), "--nthreads", "1", "--death-timeout", "60"]
        memory = ["--memory-limit", str(int(crew.memory_b)), "--local-directory", self._place.name]
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start(crew.threads, "dask_scheduler", [*shared, "--port", "0"])
            while not self.file.exists() and self._processes[0].poll() is None:
                time.sleep(0.05)
            self._start(crew.threads, "dask_worker", [*shared, *workers, *memory])
        except BaseException:
            self.close()
            raise

    def _start(self, threads: int, program: str, arguments: list[str]) -> None:
        module = f"distributed.cli.{program}"
        launcher = [sys.executable, "-m", "implant_sim.study.engines.child"]
        paths = [str(Path.cwd()), *(path for path in sys.path if path)]
        self._processes.append(
            subprocess.Popen(
                [*launcher, str(os.getpid()), str(threads), module, *arguments],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        )

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()  # the nanny's workers notice, and end
            process.wait()
        self._place.cleanup()

"""For workers that others have started: a point's time is watched from inside the process.

Neither dask nor ray ends a task that hangs. Here a thread keeps how the point ended and ends the
process; the cluster starts another, which finds the end kept and does not run the point again.
"""

from __future__ import annotations

import os
import threading

from implant_sim.study.engines.base import Task

__all__ = ["guarded"]


def guarded(task: Task) -> str:
    """Call a task, in time or not at all."""
    ending = threading.Lock()

    def expire() -> None:
        with ending:  # never given back: what comes too late is not kept
            if task.give_up is not None:
                task.give_up(task.argument, "timeout", "took longer than time_limit")
            os._exit(1)

    timer = None
    if task.timeout_s is not None:
        timer = threading.Timer(task.timeout_s, expire)
        timer.daemon = True
        timer.start()
    try:
        return task.work(task.argument, lambda _: None)
    finally:
        if timer is not None:
            with ending:
                timer.cancel()

"""What a worker process does before anything heavy is imported.

As a program, it starts a module so: ``python -m implant_sim.study.engines.child PARENT THREADS
MODULE ARGUMENTS...``
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

__all__ = ["THREAD_LIMITS", "die_with", "keep_to"]

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What the libraries read, once, when they are imported."""
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """End this process when `parent` ends, however that comes about."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that was set
            os._exit(1)


def keep_to(threads: int) -> None:
    """Tell libraries that are not imported yet how many threads they may use."""
    os.environ.update(dict.fromkeys(THREAD_LIMITS, str(threads)))


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    keep_to(int(sys.argv[2]))
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

"""Points on a ray cluster: one that runs already, or ray on this machine."""

from __future__ import annotations

import os
import secrets
import sys
from concurrent.futures import Future
from contextlib import redirect_stdout

from typing_extensions import override

from implant_sim.study.engines import Crew
from implant_sim.study.engines.base import DiedError, Engine, Task
from implant_sim.study.engines.child import THREAD_LIMITS
from implant_sim.study.engines.guard import guarded
from sbtt_models.errors import SpecError

__all__ = ["Ray"]

_STORE_B = 80_000_000
"""Results go through the run folder; the object store is as small as ray allows. [byte]"""


class Ray(Engine):
    """Workers of ray.

    Parameters
    ----------
    crew : Crew
        The workers to start where no address is given; threads of one point where one is.
    address : str, optional
        Of a cluster; it keeps running when this is closed. On another machine it must ask for a
        token, since whoever reaches an open one runs what he likes there.
    gpus : float
        Share of a GPU that one point takes.

    Raises
    ------
    SpecError
        If no cluster answers, or one that is open to everyone would.
    """

    def __init__(self, crew: Crew, address: str | None, gpus: float) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if address is None:
            _ask_for_token()
        else:
            _refuse_open(address)
        import ray  # reads the environment once, when it is imported

        self._ray = ray
        # ray tells of dead workers on stdout, which is for data
        self._aside = redirect_stdout(sys.stderr)
        self._aside.__enter__()
        limits = dict.fromkeys(THREAD_LIMITS, str(crew.threads))
        own = {
            "include_dashboard": False,
            "num_cpus": crew.jobs * crew.threads,
            "object_store_memory": _STORE_B,
        }
        where = own if address is None else {"address": address}
        try:
            ray.init(
                runtime_env={"env_vars": limits},
                logging_level="error",
                log_to_driver=False,
                **where,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            self._aside.__exit__(None, None, None)
            raise SpecError(f"--engine ray: no cluster answers: {error}") from error
        self._threads = crew.threads
        self._call = ray.remote(
            num_cpus=crew.threads,
            num_gpus=gpus,
            max_retries=0,  # tried again where all engines are
            max_calls=0,
        )(guarded)

    @property
    @override
    def capacity(self) -> int:
        """One for each point that the cluster's cores hold, and one that waits."""
        cores = self._ray.cluster_resources().get("CPU", 0)
        return max(1, int(cores // self._threads)) + 1

    @override
    def submit(self, task: Task) -> Future[str]:
        told = Future[str]()

        def pass_on(ended: Future[str]) -> None:
            try:
                told.set_result(ended.result())
            except self._ray.exceptions.RayTaskError as error:
                told.set_exception(error.cause if error.cause is not None else error)
            except self._ray.exceptions.RayError as error:
                told.set_exception(DiedError(str(error).split("\n", 1)[0]))
            except BaseException as error:
                told.set_exception(error)

        self._call.remote(task).future().add_done_callback(pass_on)
        return told

    @override
    def close(self) -> None:
        self._ray.shutdown()
        self._aside.__exit__(None, None, None)


def _ask_for_token() -> None:
    """Close the cluster of our own to others: ray listens on every address of the machine."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        if "ray" in sys.modules:
            raise SpecError(
                "--engine ray: ray was imported already, without a token; set RAY_AUTH_MODE=token "
                "and RAY_AUTH_TOKEN before, or give the address of a cluster"
            )
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _refuse_open(address: str) -> None:
    host = address.removeprefix("ray://").rsplit(":", 1)[0]
    if host in ("auto", "local", "127.0.0.1", "localhost", "[::1]"):
        return
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise SpecError(
            f"--address {address}: is not on this machine, and RAY_AUTH_MODE is not 'token'; "
            "start the cluster with a token, and set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        )

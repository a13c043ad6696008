"""Who runs the points of a study, and where.

Nothing heavy is imported here; an engine is when it is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from implant_sim.study.engines.base import Engine

__all__ = ["Choice", "Crew", "Kind"]

Kind: TypeAlias = Literal["local", "dask", "ray"]


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers this machine gives, and what each may use."""

    jobs: int
    threads: int
    """Of each worker's libraries."""
    memory_b: float
    """Of each worker. [byte]"""


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, chosen but not started."""

    kind: Kind = "local"
    address: str | None = None
    """Of a cluster that runs already, or the scheduler file of a dask cluster; None starts one on
    this machine."""
    gpus: float = 0.0
    """Share of a GPU that one point takes; ray alone knows."""

    def open(self, crew: Crew) -> Engine:
        """Start or join it.

        Raises
        ------
        SpecError
            If the engine is not installed, does not take the address, or cannot be reached.
        """
        from sbtt_models.errors import SpecError

        if self.kind == "local":
            if self.address is not None:
                raise SpecError(
                    "--address: the local engine has none; choose --engine dask or ray"
                )
            from implant_sim.study.engines.local import Local

            return Local(crew.jobs, crew.threads, crew.memory_b)
        try:
            if self.kind == "dask":
                from implant_sim.study.engines.on_dask import Dask

                return Dask(crew, self.address)
            from implant_sim.study.engines.on_ray import Ray

            return Ray(crew, self.address, self.gpus)
        except ModuleNotFoundError as error:
            raise SpecError(
                f"--engine {self.kind}: {error.name} is not installed; "
                f"pip install 'implant-sim[{self.kind}]'"
            ) from None

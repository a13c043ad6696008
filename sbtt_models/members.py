"""The members of a population, and how a generation of them is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sbtt_models.checkpoint import State
from sbtt_models.errors import DataError
from sbtt_models.tuning import Tuning

__all__ = ["Generations", "Member", "smoothed_loss"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One training of a population."""

    values: dict[str, float]
    """Its numbers."""
    parent: int
    """Whose weights it began its last generation with."""
    state: State | None = None
    """None: nothing trained yet, or what was trained diverged."""
    loss: float = float("inf")
    """Smoothed; compared in tournaments."""

    @property
    def lowest(self) -> float:
        """The lowest validation loss that its weights have reached."""
        loss = self.state.facts["best_loss"] if self.state else None
        return float("inf") if loss is None else float(loss)

    def row(self, generation: int, number: int) -> dict[str, float]:
        """What the table tells of it after a generation, counted from 0."""
        told = {"generation": generation + 1.0, "member": float(number)}
        told |= {"parent": float(self.parent), **self.values}
        if self.state is not None:
            told |= {"epoch": float(self.state.epoch), "loss": self.loss}
            told["best_loss"] = float(self.state.facts["best_loss"])
        return told

    def facts(self) -> dict[str, Any]:
        """What is no array, as JSON can hold it."""
        told: dict[str, Any] = {"values": self.values, "parent": self.parent}
        if self.state is None:
            return told | {"loss": None, "epoch": None, "facts": None}
        return told | {
            "loss": self.loss,
            "epoch": self.state.epoch,
            "facts": dict(self.state.facts),
        }

    @classmethod
    def of(cls, tuning: Tuning, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> Member:
        """The member that :meth:`facts` tells of."""
        values = {key: float(facts["values"][key]) for key in tuning.ranges}
        if not facts["facts"]:
            return cls(values, int(facts["parent"]))
        state = State(int(facts["epoch"]), arrays, dict(facts["facts"]))
        return cls(values, int(facts["parent"]), state, float(facts["loss"]))


@dataclass(frozen=True, slots=True, eq=False)
class Generations:
    """A population between two generations."""

    members: list[Member]
    table: list[dict[str, float]]
    """One row for each member and generation so far."""
    bests: list[float]
    """Lowest smoothed loss after each generation."""

    @property
    def state(self) -> State:
        """All that the next generation depends on."""
        arrays = {
            f"{i}/{name}": array
            for i, member in enumerate(self.members)
            if member.state is not None
            for name, array in member.state.arrays.items()
        }
        members = [member.facts() for member in self.members]
        facts = {"members": members, "table": self.table, "bests": self.bests}
        return State(len(self.bests), arrays, facts)

    @classmethod
    def of(cls, tuning: Tuning, state: State) -> Generations:
        """The population that was kept.

        Raises
        ------
        DataError
            If the state is of another make, or of another population.
        """
        arrays: dict[int, dict[str, Any]] = {}
        try:
            for key, array in state.arrays.items():
                number, _, name = key.partition("/")
                arrays.setdefault(int(number), {})[name] = array
            members = [
                Member.of(tuning, told, arrays.get(i, {}))
                for i, told in enumerate(state.facts["members"])
            ]
            table = [{str(k): float(v) for k, v in row.items()} for row in state.facts["table"]]
            bests = [float(loss) for loss in state.facts["bests"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"generation {state.epoch}: no state of a population") from error
        if len(members) != tuning.members or len(bests) != state.epoch:
            raise DataError(f"generation {state.epoch}: another population")
        return cls(members, table, bests)


def smoothed_loss(state: State | None, smoothing: float) -> float:
    """The validation loss that a member is compared by; infinite where it diverged. [nat]

    Parameters
    ----------
    state : State, optional
    smoothing : float
        Weight of the epochs before.
    """
    smooth = None
    for row in state.facts["history"] if state else ():
        if "valid_loss" in row:
            before = row["valid_loss"] if smooth is None else smooth
            smooth = smoothing * before + (1 - smoothing) * row["valid_loss"]
    return float("inf") if smooth is None else float(smooth)

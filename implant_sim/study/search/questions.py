"""Questions that are asked by name: what is to be found, and where; conditions stand beside them.

Each is a search whose objective is known. The union below is registry, schema and documentation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field
from typing_extensions import override

from sbtt_models.spec import Spec

if TYPE_CHECKING:
    from implant_sim.study.scenario import Scenario

__all__ = ["AnyQuestion", "Question", "Way"]

Way: TypeAlias = Literal["min", "max"]


class Question(Spec, ABC):
    """What is asked of the designs that keep all conditions, and the limits of their implant."""

    is_end: ClassVar[bool] = False
    """Whether the answer is one end of the values that will do: then it is bisected."""

    @abstractmethod
    def objectives(self) -> dict[str, Way]:
        """The column, or the key, that the answer has the most or the least of."""

    def space(self) -> dict[str, Any]:
        """The design space, where the scenario names none."""
        return {}

    def lacks(self, scenario: Scenario, keys: Sequence[str]) -> str:  # noqa: ARG002
        """What the scenario lacks to answer; empty if nothing.

        Parameters
        ----------
        scenario : Scenario
            As written, without any choice.
        keys : sequence of str
            What the space varies.
        """
        return ""


class MostChannels(Question):
    """How many channels of such a population one implant can carry."""

    is_end = True
    kind: Literal["most_channels"] = "most_channels"
    up_to: int = Field(65_536, ge=2, le=10_000_000)
    """Where the space names no range: the most that are looked at."""

    @override
    def objectives(self) -> dict[str, Way]:
        return {"n_channels": "max"}

    @override
    def space(self) -> dict[str, Any]:
        return {"recording.channels": {"from": 1, "to": self.up_to, "scale": "log_integer"}}

    @override
    def lacks(self, scenario: Scenario, keys: Sequence[str]) -> str:
        kind = scenario.recording.kind
        if keys != ("recording.channels",) or isinstance(_channels(scenario), int):
            return ""
        return (
            f"a recording of kind {kind} has the channels that it has; ask of a population: "
            "recording={kind: poisson, channels: 100, rate: 10 Hz, duration: 10 s, bin: 50 ms}, "
            "with its own rate and bin"
        )


class LongestBattery(Question):
    """Which design runs longest between charges."""

    kind: Literal["longest_battery"] = "longest_battery"

    @override
    def objectives(self) -> dict[str, Way]:
        return {"battery_h": "max"}

    @override
    def lacks(self, scenario: Scenario, keys: Sequence[str]) -> str:
        varied = any(key == "implant" or key.startswith("implant.power") for key in keys)
        if varied or scenario.implanted.power.battery is not None:
            return ""
        return (
            "the implant has no battery; give it one: "
            "implant.power.battery={capacity: 200 mAh, voltage: 3.7 V}, with its source"
        )


class LeastPower(Question):
    """Which design draws least."""

    kind: Literal["least_power"] = "least_power"

    @override
    def objectives(self) -> dict[str, Way]:
        return {"power_w": "min"}


class Most(Question):
    """The highest value of one key that will do."""

    is_end = True
    kind: Literal["most"] = "most"
    of: str
    """The dotted key; the space gives its range."""

    @override
    def objectives(self) -> dict[str, Way]:
        return {self.of: "max"}

    @override
    def lacks(self, scenario: Scenario, keys: Sequence[str]) -> str:
        return _alone(self.of, keys)


class Least(Question):
    """The lowest value of one key that will do."""

    is_end = True
    kind: Literal["least"] = "least"
    of: str
    """The dotted key; the space gives its range."""

    @override
    def objectives(self) -> dict[str, Way]:
        return {self.of: "min"}

    @override
    def lacks(self, scenario: Scenario, keys: Sequence[str]) -> str:
        return _alone(self.of, keys)


class WhatLimits(Question):
    """Which condition is nearest to its bound, and which number would have to change how far."""

    kind: Literal["what_limits"] = "what_limits"

    @override
    def objectives(self) -> dict[str, Way]:
        return {"margin": "max"}


def _channels(scenario: Scenario) -> Any:
    """A number for a population; a recording in a file names a dataset."""
    return getattr(scenario.recording, "channels", None)


def _alone(of: str, keys: Sequence[str]) -> str:
    if tuple(keys) == (of,):
        return ""
    return f"it asks of {of}, so space must give the range of {of}, and of nothing else"


def _by_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


_Named = Annotated[
    MostChannels | LongestBattery | LeastPower | Most | Least | WhatLimits,
    Field(discriminator="kind"),
]
AnyQuestion = Annotated[_Named, BeforeValidator(_by_name, json_schema_input_type=_Named | str)]
"""A block with its `kind`; the name alone where nothing else is to be said."""

"""What there is to choose from, read off the unions that a scenario is made of."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.recordings import AnyRecording
from implant_sim.study.find import shipped
from implant_sim.study.names import members, tags_of
from implant_sim.study.scenario import Scenario
from implant_sim.study.search.questions import AnyQuestion
from sbtt_models.decoders import AnyDecoder
from sbtt_models.errors import SpecError

__all__ = ["catalog", "json_schema"]

_UNIONS = {
    "schedules": AnySchedule,
    "decoders": AnyDecoder,
    "recordings": AnyRecording,
    "questions": AnyQuestion,
}


def catalog(what: str) -> list[tuple[str, str]]:
    """Names with one line about each.

    Parameters
    ----------
    what : str
        "schedules", "components", "decoders", "recordings", "questions", "implants" or
        "scenarios".

    Raises
    ------
    SpecError
        For anything else.
    """
    if what in _UNIONS:
        return [(_kind(member), _about(member)) for member in members(_UNIONS[what])]
    if what == "components":
        return list(_components())
    if what in ("implants", "scenarios"):
        folder = files("scenarios").joinpath("implants" if what == "implants" else "")
        names = shipped("implants" if what == "implants" else "")
        return [(name, _title(Path(str(folder.joinpath(f"{name}.yaml"))))) for name in names]
    raise SpecError(f"{what!r} cannot be listed")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario; ``implant`` may also be a path."""
    schema = Scenario.model_json_schema()
    block = schema["properties"]["implant"]
    path = {"type": "string", "description": "path of a YAML file that holds an implant"}
    schema["properties"]["implant"] = {"anyOf": [block, path]}
    return schema


def _components() -> Iterator[tuple[str, str]]:
    for name, field in Implant.model_fields.items():
        for member in members(field.annotation):
            if name != "sources":
                kind = _kind(member)
                yield (f"{name}.{kind}" if kind else name), _about(member)


def _kind(member: type[BaseModel]) -> str:
    tags = tags_of(member)
    return tags[0] if len(tags) == 1 else ""


def _about(member: type[BaseModel]) -> str:
    return (member.__doc__ or "").strip().split("\n", 1)[0]


def _title(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").split("\n"))
    return " ".join(line.strip("# ") for line in lines).split(". ")[0].removesuffix(".")

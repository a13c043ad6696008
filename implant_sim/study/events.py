"""What happened in a run folder and when: ``events.jsonl``, one JSON object on each line."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from implant_sim import files
from implant_sim.study.sealed import jsonable

__all__ = ["EVENTS", "Event", "Events", "read_events"]

EVENTS = "events.jsonl"
Event: TypeAlias = Literal["start", "resume", "join", "run", "finish", "fail", "end", "stop"]
"""start, resume, join: a coordinator begins, alone with nothing finished, with something
finished, beside another. run, finish, fail: of one point. end, stop: the coordinator ends, done
or not."""


class Events:
    """Appends to the log of a run folder; several coordinators may."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._by = f"{platform.node()}:{os.getpid()}"

    def tell(self, event: Event, **told: Any) -> None:
        """Add a line.

        Raises
        ------
        WriteError
            If the disk is full or may not be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": event, "by": self._by} | told
        files.append_line(self._path, json.dumps(jsonable(line), ensure_ascii=False))


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of a run folder, oldest first; torn lines are left out."""
    try:
        text = (folder / EVENTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event

"""What is written while a study runs: not oftener than is worth the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Seldom"]

_EVERY_S = 5.0
_SHARE = 20.0
"""Nothing is written oftener than so many times what writing it took."""


class Seldom:
    """Calls a function with what came last, when it is due, and at the end.

    Parameters
    ----------
    write : callable
        Of one argument.
    """

    def __init__(self, write: Callable[[Any], object]) -> None:
        self._write, self._due = write, time.monotonic() + _EVERY_S
        self._waiting: list[Any] = []

    def __enter__(self) -> Seldom:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, also where the study was interrupted."""
        self._now()

    def __call__(self, content: Any) -> None:
        """Note what may be written, in place of what waits."""
        self._waiting = [content]
        if time.monotonic() > self._due:
            self._now()

    def _now(self) -> None:
        begun = time.monotonic()
        for content in self._waiting:
            self._write(content)
        self._waiting = []
        now = time.monotonic()
        self._due = now + max(_EVERY_S, _SHARE * (now - begun))

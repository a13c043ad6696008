"""How far a study is, on stderr: a bar on a terminal, else one line for each finished point."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from implant_sim.study.yaml_loader import printable

__all__ = ["Progress"]


class Progress:
    """Shows runs done, running and failed, and the time left."""

    def __init__(self, runs: int, done_before: int) -> None:
        self._runs, self._done, self._failed = runs, done_before, 0
        self._bar: Any = None
        self._task: Any = None
        if done_before:
            self._say(f"{done_before} of {runs} runs are finished already")

    def __enter__(self) -> Progress:
        """Start the bar, where someone can see it."""
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[note]}"),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(elapsed_when_finished=False),
                console=Console(stderr=True),
                transient=True,
            )
            # what was done before is no measure of speed
            self._task = self._bar.add_task("runs", total=self._runs - self._done, note="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def running(self, shares: Sequence[float]) -> None:
        """Show the progress of each run of this call, 0 to 1."""
        if self._bar is not None:
            busy = sum(0 < share < 1 for share in shares)
            note = f"{self._done}/{self._runs} done, {busy} running, {self._failed} failed"
            self._bar.update(self._task, completed=sum(shares), note=note)

    def finished(self, title: str, status: str, reason: str) -> None:
        """Say that a run has ended."""
        self._done += 1
        self._failed += status != "ok"
        first = printable(reason.split("\n", 1)[0])
        self._say(
            f"[{self._done}/{self._runs}] {printable(title)}: {status}"
            f"{': ' + first if first else ''}"
        )

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

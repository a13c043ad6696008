"""How far a study is, on stderr: a bar on a terminal, else one line for each finished point."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from implant_sim.study.yaml_loader import printable

__all__ = ["Progress"]

_OBJECTIVES = (
    ("velocity_r2", 1),
    ("rate_r2_expected", 1),
    ("bits_per_spike_all", 1),
    ("power_w", -1),
)
"""Columns that say how good a point is, the one that matters most first; and which way."""
_SUMMARY_EVERY_S = 30.0


class Progress:
    """Shows runs done, running and failed, the time left, and the best so far."""

    def __init__(self, runs: int, done_before: int) -> None:
        self._runs, self._done, self._failed, self._running = runs, done_before, 0, 0
        self._begun, self._finished_here = time.monotonic(), 0
        self._said = self._begun
        self._best: tuple[int, float, str, str] | None = None
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

    def running(self, n_running: int, shares: Sequence[float]) -> None:
        """Show how many runs are at work, and how far those are of which it is known, 0 to 1."""
        self._running = n_running
        if self._bar is not None:
            done = self._finished_here + sum(shares)
            self._bar.update(self._task, completed=done, note=self.summary(with_time=False))
        elif time.monotonic() - self._said > _SUMMARY_EVERY_S:
            self._say(self.summary())

    def finished(self, title: str, row: Mapping[str, Any], reason: str) -> None:
        """Say that a run has ended, whose row of the results table this is."""
        status = str(row.get("status"))
        self._done += 1
        self._finished_here += 1
        self._failed += status != "ok"
        if status == "ok":
            self._compare(title, row)
        first = printable(reason.split("\n", 1)[0])
        self._say(
            f"[{self._done}/{self._runs}] {printable(title)}: {status}"
            f"{': ' + first if first else ''}"
        )

    def known(self, title: str, row: Mapping[str, Any]) -> None:
        """Take a run that was finished before, or elsewhere, into account as a rival."""
        if row.get("status") == "ok":
            self._compare(title, row)

    def elsewhere(self) -> None:
        """Count a run that another coordinator has finished."""
        self._done += 1

    def summary(self, *, with_time: bool = True) -> str:
        """All of it on one line."""
        left_s = self.left_s
        parts = [
            f"{self._done}/{self._runs} done, {self._running} running, {self._failed} failed",
            "" if left_s is None or not with_time else f"about {_duration(left_s)} left",
            "" if self._best is None else f"best {self._best[2]}: {printable(self._best[3])}",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def left_s(self) -> float | None:
        """Time left, at the pace of this call so far; None before anything has finished. [s]"""
        if not self._finished_here:
            return None
        pace = (time.monotonic() - self._begun) / self._finished_here
        return pace * (self._runs - self._done)

    def _compare(self, title: str, row: Mapping[str, Any]) -> None:
        for rank, (column, sign) in enumerate(_OBJECTIVES):
            value = row.get(column)
            if isinstance(value, int | float):
                # a column that matters more beats any value of one that matters less
                if self._best is None or (-rank, sign * value) > self._best[:2]:
                    self._best = -rank, sign * value, f"{column} {value:.3g}", title
                return

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""The ``implant-sim`` command. Heavy imports wait inside the commands, so that help is quick."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from implant_sim.cli import studies, tools
from implant_sim.cli.command import TerminatedError, app

__all__ = ["app", "main", "studies", "tools"]


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a terminal that knows no UTF-8 must not end the run
            reconfigure(errors="replace")
    app(prog_name="implant-sim")


def _terminated(*_: object) -> NoReturn:
    raise TerminatedError

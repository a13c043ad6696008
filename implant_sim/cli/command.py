"""What every command shares: the application, options, exit statuses, errors as lines."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from implant_sim.cli import terminal

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "INVALID",
    "OK",
    "PARTIAL",
    "TERMINATED",
    "Debug",
    "Json",
    "ScenarioName",
    "Set",
    "TerminatedError",
    "app",
    "faults_told",
]

OK, FAILED, INVALID, PARTIAL, INTERRUPTED, TERMINATED = 0, 1, 2, 4, 130, 143

app = typer.Typer(
    help="Trade the fidelity of decoded population activity against the power of the implant.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A YAML file, or the name of a shipped scenario.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class TerminatedError(BaseException):
    """SIGTERM, as an exception: finally-blocks stop the workers."""


@contextmanager
def faults_told(debug: bool) -> Iterator[None]:
    """Errors become lines on stderr and an exit status."""
    from sbtt_models.errors import SimError

    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except SimError as error:
        terminal.complain(traceback.format_exc() if debug else str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        terminal.complain("interrupted; finished points are kept, the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    except TerminatedError:
        terminal.complain("terminated; finished points are kept, the same command goes on")
        raise typer.Exit(TERMINATED) from None
    except BrokenPipeError:  # the reader of stdout has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except Exception as error:
        hint = "" if debug else " (a fault of the program; --debug shows where)"
        terminal.complain(
            traceback.format_exc() if debug else f"{type(error).__name__}: {error}{hint}"
        )
        raise typer.Exit(FAILED) from None

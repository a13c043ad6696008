"""The ``implant-sim`` command. Heavy imports wait inside the commands, so that help is quick."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from implant_sim import terminal
from implant_sim.terminal_search import found, print_answer, print_found

if TYPE_CHECKING:
    import pandas as pd

    from implant_sim.study.scenario import Study

__all__ = ["app", "main"]

_MOST_LEDGERS = 50
"""Points that `energy` shows one by one; more are shown as a table."""
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


@app.command()
def run(  # noqa: PLR0913 - one argument for each option of the command
    scenario: ScenarioName,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/NAME]", show_default=False)
    ] = None,
    set_: Set = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the scenario's.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option()] = "auto",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time. [default: one per core]")
    ] = None,
    engine: Annotated[
        Literal["local", "dask", "ray"], typer.Option(help="Who runs the points.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|FILE",
            help="A dask or ray cluster that runs already. [default: start one here]",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0, help="With ray: share of a GPU that one point takes.")
    ] = 0.0,
    fresh: Annotated[bool, typer.Option(help="Run finished points again, too.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be run.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run one point, a sweep or a search; write the run folder and its report."""
    with _faults_told(debug):
        from implant_sim.study.scenario import load

        study = load(scenario, [*(set_ or []), *([] if seed is None else [f"seed={seed}"])])
        terminal.print_skipped(study.skipped)
        folder = out or Path("runs") / study.name
        if dry_run:
            _dry_run(study, folder, jobs, as_json)
            return
        results = _run(study, folder, (device, jobs, fresh), (engine, address, gpus))
        code = _exit_code(_failing(study, results))
        page = _build_report(folder)
        if as_json:
            terminal.print_json(
                {
                    "out": str(folder),
                    "report": str(page),
                    "exit": code,
                    "results": terminal.rows(results),
                }
                | found(folder)
            )
        else:
            terminal.print_results(results, study.axes)
            if study.space is not None:
                print_found(folder)
            typer.echo(f"report: {page}")
    raise typer.Exit(code)


@app.command()
def energy(
    scenario: ScenarioName,
    set_: Set = None,
    tornado: Annotated[
        bool, typer.Option("--tornado", help="Say which number moves power and verdict most.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Price the implant of each point: ledger, link, heat, battery. No decoder is trained."""
    with _faults_told(debug):
        from implant_sim.hardware.kernels.compile import without_blas
        from implant_sim.study.budget import Shop, budgets
        from implant_sim.study.equal_power import settled
        from implant_sim.study.scenario import load

        without_blas()
        study = load(scenario, set_ or [])
        shop = Shop(study.root)
        study = settled(study, shop)
        terminal.print_skipped(study.skipped)
        statuses: list[str] = []
        texts: list[str] = []
        lines: list[dict[str, Any]] = []
        for b in budgets(study, tornado, shop=shop):
            statuses.append(str(b.row["status"]))
            if as_json:
                told = {
                    "point": b.point,
                    "axes": b.axes,
                    "row": b.row,
                    "energy": b.energy,
                    "error": b.error,
                    "band": b.band and asdict(b.band),
                    "tornado": b.tornado and b.tornado.as_json(),
                }
                texts.append(terminal.json_text(told))
            elif len(study.points) > _MOST_LEDGERS:
                lines.append({"point": b.point, **b.axes, **b.row, "error": b.error})
            else:
                terminal.print_budget(b.title, b.row, b.energy, b.error)
                if b.tornado is not None:
                    terminal.print_tornado(b.tornado)
        if as_json:  # only now, so that an error leaves no half of it
            terminal.print_json_list({"scenario": study.name}, "points", texts)
        elif lines:
            terminal.print_budgets(lines, study.axes)
        code = _exit_code(statuses)
    raise typer.Exit(code)


@app.command()
def ask(  # noqa: PLR0913 - one argument for each option of the command
    scenario: ScenarioName,
    question: Annotated[
        Literal["most_channels", "longest_battery", "least_power", "most", "least", "what_limits"],
        typer.Argument(metavar="QUESTION", help="One of those that `list questions` names."),
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="As 'heat_k < 1'; may be repeated."),
    ] = None,
    of: Annotated[
        str | None, typer.Option(metavar="KEY", help="What most and least ask of.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="The design space; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run folder. [default: runs/NAME_QUESTION]", show_default=False),
    ] = None,
    set_: Set = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time. [default: one per core]")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask of a scenario what it takes: the most channels, the longest battery, what limits."""
    with _faults_told(debug):
        from implant_sim.study.ask import asked

        study = asked(scenario, question, of, where or [], vary or [], set_ or [])
        folder = out or Path("runs") / study.name
        _run(study, folder, ("auto", jobs, False), ("local", None, 0.0))
        answer = found(folder).get("search", {}).get("answer", {})
        if as_json:
            terminal.print_json({"out": str(folder), "answer": answer})
        else:
            print_answer(answer)
            typer.echo(f"run folder: {folder}")
    raise typer.Exit(OK if answer.get("found") else INVALID)


@app.command()
def validate(
    scenarios: Annotated[list[str], typer.Argument(metavar="SCENARIO...")],
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check scenarios without running them: all faults at once, with file:line:column."""
    with _faults_told(debug):
        from implant_sim.study.scenario import load
        from sbtt_models.spec import SimError

        checked: list[dict[str, Any]] = []
        code = OK
        for name in scenarios:
            try:
                study = load(name, set_ or [])
            except SimError as error:
                code = max(code, error.exit_code)
                checked.append({"scenario": name, "ok": False, "faults": str(error).split("\n")})
                if not as_json:
                    terminal.complain(str(error))
                continue
            points, repeats = study.n_points, study.repeats
            checked.append(
                {"scenario": name, "ok": True, "points": points, "repeats": repeats}
                | {"skipped": len(study.skipped)}
            )
            if not as_json:
                left_out = f", {len(study.skipped)} skipped" if study.skipped else ""
                terminal.say(f"{name}: valid ({points} points x {repeats} repeats{left_out})")
        if as_json:
            terminal.print_json(checked)
    raise typer.Exit(code)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write histories as TensorBoard events.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Rebuild tables and report from a run folder."""
    with _faults_told(debug):
        from implant_sim.study.store import RunFolder
        from implant_sim.study.tables import write_tables

        results = write_tables(RunFolder(folder))
        page = _build_report(folder)
        if tensorboard:
            from implant_sim.report.tensorboard import write_histories

            terminal.say(f"histories: tensorboard --logdir {write_histories(folder)}")
        if as_json:
            terminal.print_json(
                {"out": str(folder), "report": str(page), "results": terminal.rows(results)}
            )
        else:
            terminal.say(f"report: {page}")


@app.command()
def silicon(
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CSV]",
            help="Published chips. [default: those of the package]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the power of published chips from the others, and score it."""
    with _faults_told(debug):
        from implant_sim.study.silicon import packaged, read, score

        scored = score(packaged() if table is None else read(table))
        if as_json:
            terminal.print_json(scored.as_json())
        else:
            terminal.print_silicon(scored)


@app.command()
def calibrate(
    scenario: ScenarioName,
    measured: Annotated[
        Path, typer.Option(metavar="YAML", help="Component, or total: measured power, as 5 mW.")
    ],
    out: Annotated[Path, typer.Option(help="Where the fitted implant is written, as YAML.")],
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit the implant of a scenario to powers measured on a chip that did the same."""
    with _faults_told(debug):
        from implant_sim.study.fit_chip import fit_chip

        found = fit_chip(scenario, set_ or [], measured, out)
        if as_json:
            terminal.print_json(found)
        else:
            terminal.print_fit(found)


@app.command()
def schedule(
    scenario: ScenarioName,
    out: Annotated[Path, typer.Option(help="The file to write; .hex makes a ROM Intel HEX.")],
    form: Annotated[
        Literal["table", "rom", "rhd"],
        typer.Option("--format", help="CSV, a memory image, or commands of an Intan RHD2000."),
    ] = "table",
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the schedule of a scenario for another machine to run."""
    with _faults_told(debug):
        from implant_sim.study.program import program

        told = program(scenario, set_ or [], form, out)
        if as_json:
            terminal.print_json(told)
        else:
            again = ", which repeat" if told["repeats"] else ""
            terminal.say(
                f"{told['out']}: {told['steps']} steps of {told['step_s']:g} s{again}, "
                f"{told['channels']} channels"
            )


@app.command("list")
def list_(
    what: Annotated[
        Literal[
            "schedules",
            "components",
            "decoders",
            "recordings",
            "questions",
            "implants",
            "scenarios",
        ],
        typer.Argument(),
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what there is, one line each."""
    with _faults_told(debug):
        from implant_sim.study.catalog import catalog

        items = catalog(what)
        if as_json:
            terminal.print_json([{"name": name, "about": about} for name, about in items])
            return
        width = max((len(name) for name, _ in items), default=0)
        for name, about in items:
            terminal.say(f"{name:<{width}}  {about}".rstrip())


@app.command()
def schema(debug: Debug = False) -> None:
    """Print the JSON Schema of a scenario, for editors."""
    with _faults_told(debug):
        from implant_sim.study.catalog import json_schema

        terminal.print_json(json_schema())


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a terminal that knows no UTF-8 must not end the run
            reconfigure(errors="replace")
    app(prog_name="implant-sim")


class _TerminatedError(BaseException):
    """SIGTERM, as an exception: finally-blocks stop the workers."""


def _terminated(*_: object) -> NoReturn:
    raise _TerminatedError


@contextmanager
def _faults_told(debug: bool) -> Iterator[None]:
    """Errors become lines on stderr and an exit status."""
    from sbtt_models.spec import SimError

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
    except _TerminatedError:
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


def _run(
    study: Study, folder: Path, how: tuple[str, int | None, bool], who: tuple[Any, ...]
) -> pd.DataFrame:
    """Run a study; `how` is device, jobs and fresh, `who` the engine, its address and GPUs."""
    if study.decodes:
        from implant_sim.study import limits

        limits.refuse_declared(study)  # before pandas is loaded
    from implant_sim.study.coordinate import Options, coordinate
    from implant_sim.study.engines import Choice
    from implant_sim.study.equal_power import settled
    from implant_sim.study.reuse import reprice
    from implant_sim.study.run import simulate

    n_skipped, study = len(study.skipped), settled(study)
    terminal.print_skipped(study.skipped[n_skipped:])
    return coordinate(study, folder, simulate, Options(*how, Choice(*who)), reprice)


def _failing(study: Study, results: pd.DataFrame) -> list[str]:
    """The statuses; a search looks at designs that will not do, which is no failure of it."""
    statuses = [str(status) for status in results["status"]]
    if study.space is None or "ok" not in statuses:
        return statuses
    return [status for status in statuses if status != "infeasible"]


def _exit_code(statuses: Sequence[str]) -> int:
    if all(status == "ok" for status in statuses):
        return OK
    if any(status == "ok" for status in statuses):
        return PARTIAL
    return INVALID if set(statuses) == {"infeasible"} else FAILED


def _dry_run(study: Study, folder: Path, jobs: int | None, as_json: bool) -> None:
    from implant_sim.study import limits
    from implant_sim.study.engines.base import default_jobs
    from implant_sim.study.sweep import axes_text

    need = limits.predict(study)
    threads = max(point.scenario.training.threads for point in study.points)
    workers = limits.jobs_that_fit(need, jobs or default_jobs(threads))
    limits.refuse_disk(need, folder)
    if as_json:
        points = [{"point": p.index, "axes": p.axes} for p in study.points]
        plan = {"runs": need.runs, "repeats": need.repeats, "jobs": workers, "out": str(folder)}
        plan["skipped"] = len(study.skipped)
        terminal.print_json(
            plan
            | {"memory_b": workers * need.memory_b, "disk_b": need.disk_b}
            | {"training_s": need.training_s / workers, "points": points}
        )
        return
    took_s = need.training_s / workers
    for point in () if study.space else study.points:
        terminal.say(f"point {point.index}: {axes_text(point.axes) or study.name}")
    terminal.say(
        f"{need.points} points x {need.repeats} repeats = {need.runs} runs, {workers} at a time; "
        f"about {workers * need.memory_b / 1e9:.1f} GB of memory and {need.disk_b / 1e6:.0f} MB "
        f"of disk in {folder}"
        + (f"; roughly {terminal.duration(took_s)} of training" if took_s else "")
    )


def _build_report(folder: Path) -> Path:
    from implant_sim import report as reports

    return reports.build(folder)

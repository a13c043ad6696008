"""Commands that run or price a study, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from implant_sim.cli import terminal
from implant_sim.cli.command import (
    FAILED,
    INVALID,
    OK,
    PARTIAL,
    Debug,
    Json,
    ScenarioName,
    Set,
    app,
    faults_told,
)
from implant_sim.cli.dry_run import print_plan
from implant_sim.cli.terminal_search import found, print_answer, print_found

if TYPE_CHECKING:
    import pandas as pd

    from implant_sim.study.load import Study

__all__ = ["ask", "energy", "report", "run"]

_MOST_LEDGERS = 50
"""Points that `energy` shows one by one; more are shown as a table."""


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
    with faults_told(debug):
        from implant_sim.study.load import load

        study = load(scenario, [*(set_ or []), *([] if seed is None else [f"seed={seed}"])])
        terminal.print_skipped(study.skipped)
        folder = out or Path("runs") / study.name
        if dry_run:
            print_plan(study, folder, jobs, as_json)
            return
        results = _run(study, folder, (device, jobs, fresh), (engine, address, gpus))
        told = found(folder) if study.space is not None else {}
        code = _exit_code(_failing(study, results, told.get("search", {})))
        page = _build_report(folder)
        if as_json:
            terminal.print_json(
                {
                    "out": str(folder),
                    "report": str(page),
                    "exit": code,
                    "results": terminal.rows(results),
                }
                | told
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
    with faults_told(debug):
        from implant_sim.study.load import load

        study = load(scenario, set_ or [])  # what it refuses needs nothing more
        from implant_sim.hardware.kernels.compile import without_blas
        from implant_sim.study.budget import Shop, budgets
        from implant_sim.study.equal_power import settled

        without_blas()
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
    with faults_told(debug):
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
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write histories as TensorBoard events.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Rebuild tables and report from a run folder."""
    with faults_told(debug):
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


def _failing(study: Study, results: pd.DataFrame, told: Mapping[str, Any]) -> list[str]:
    """The statuses; a search looks at designs that will not do, which is no failure of it.

    Unless none will do: then the scenario asks for what there is not.
    """
    statuses = [str(status) for status in results["status"]]
    if study.space is None or "ok" not in statuses:
        return statuses
    left = [status for status in statuses if status not in ("infeasible", "pruned")]
    return left if told.get("front") else ["infeasible", *(s for s in left if s != "ok")]


def _exit_code(statuses: Sequence[str]) -> int:
    if all(status == "ok" for status in statuses):
        return OK
    if any(status == "ok" for status in statuses):
        return PARTIAL
    return INVALID if set(statuses) == {"infeasible"} else FAILED


def _build_report(folder: Path) -> Path:
    from implant_sim import report as reports

    return reports.build(folder)

"""Commands around studies: checks, chips, patterns for other machines, what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from implant_sim.cli import terminal
from implant_sim.cli.command import OK, Debug, Json, ScenarioName, Set, app, faults_told

__all__ = ["calibrate", "inspect", "list_", "schedule", "schema", "silicon", "validate"]


@app.command()
def validate(
    scenarios: Annotated[list[str], typer.Argument(metavar="SCENARIO...")],
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check scenarios without running them: all faults at once, with file:line:column."""
    with faults_told(debug):
        from implant_sim.study.load import load
        from sbtt_models.errors import SimError

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
def inspect(
    what: Annotated[
        str, typer.Argument(metavar="FILE|SCENARIO", help="A recording's file, or a scenario.")
    ],
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a file holds, array by array, or what a scenario makes of its recording."""
    with faults_told(debug):
        from implant_sim.study.inspecting import is_recording, listed, seen

        if is_recording(what):
            told = listed(what)
            if as_json:
                terminal.print_json(told)
            else:
                for entry in told:
                    entry["shape"] = " x ".join(map(str, entry["shape"]))
                terminal.print_table(["name", "shape", "dtype", "values", "unit"], told)
        elif as_json:
            terminal.print_json(seen(what, set_ or []))
        else:
            for name, value in seen(what, set_ or []).items():
                terminal.say(f"{name}: {terminal.cell(value)}")


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
    with faults_told(debug):
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
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the fitted implant is written. [default: fitted_MEASURED here]",
            show_default=False,
        ),
    ] = None,
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit the implant of a scenario to powers measured on a chip that did the same."""
    with faults_told(debug):
        from implant_sim.study.fit_chip import fit_chip

        found = fit_chip(scenario, set_ or [], measured, out or Path(f"fitted_{measured.name}"))
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
    with faults_told(debug):
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
    with faults_told(debug):
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
    with faults_told(debug):
        from implant_sim.study.catalog import json_schema

        terminal.print_json(json_schema())

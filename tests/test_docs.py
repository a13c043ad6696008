"""What the pages say can be typed, can be typed: YAML blocks load, commands parse, links lead."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from implant_sim.cli import app
from implant_sim.study.find import shipped
from implant_sim.study.load import load
from implant_sim.study.yaml_loader import parse
from sbtt_models.training import Training

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BASE = """
name: page
recording: {kind: lorenz, variant: demo, seed: 5}
implant: implants/gated_uwb.yaml
schedule: {kind: random_subset, bandwidth: 10}
decoder: {kind: state_space}
"""
AXES = {"schedule.bandwidth": [29, 15], "implant.radio.kind": ["ble", "uwb"]}


def yaml_blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(r"```yaml\n(.*?)```", page.read_text(), re.S):
            line = page.read_text()[: found.start()].count("\n") + 1
            yield f"{page.relative_to(ROOT)}:{line}", found[1]


def typed(program: str, pages: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """Every ``program ...`` of an indented line or between back quotes, without the program."""
    for page in pages:
        text = page.read_text().replace("\\\n", " ")  # a line that goes on
        found = re.findall(rf"^    (?:[A-Z_]+=\S+ )?{program} ([^#\n]*)", text, re.M)
        found += [" ".join(f.split()) for f in re.findall(rf"`{program} ([^`]*)`", text)]
        for command in found:
            reader = shlex.shlex(command, posix=True, punctuation_chars=True)
            reader.whitespace_split = True
            ours = takewhile(lambda word: word not in ("|", ">", "&", ";", "&&"), reader)
            yield str(page.relative_to(ROOT)), list(ours)


def scripts() -> Iterator[tuple[str, list[str]]]:
    """Every ``python benchmarks/...``, once."""
    pages = [*PAGES, *sorted((ROOT / "benchmarks").rglob("*.md"))]
    seen = {}
    for page, (script, *given) in typed("python", pages):
        if script.startswith("benchmarks/"):
            seen.setdefault((script, *given), page)
    for words, page in seen.items():
        yield page, list(words)


@pytest.mark.parametrize(("where", "text"), [*yaml_blocks()], ids=lambda v: v[:40])
def test_every_yaml_block_is_a_valid_part_of_a_scenario(where: str, text: str) -> None:
    given = parse(text, where).plain()
    tree = parse(BASE, "base").plain() | given
    if "sweep" in given and set(given["sweep"]) <= {"skip", "missing"}:
        tree["sweep"] = AXES | given["sweep"]
    if "question" in given.get("search", {}):
        tree["implant"] = "implants/utah_ble.yaml"  # it has a battery to ask about
    if "recording" in given and given["recording"].get("kind") == "calcium":
        tree.pop("implant")
    assert load(tree).n_points >= 1


@pytest.mark.parametrize(("page", "words"), [*typed("implant-sim", PAGES)], ids=str)
def test_every_command_can_be_typed(page: str, words: list[str]) -> None:
    """Its options exist, and the shipped scenario that it names takes what is set."""
    command, *given = words
    known = typer.main.get_command(app).commands
    assert command in known, f"{page}: implant-sim {command}"
    parsed = known[command].make_context(command, given, resilient_parsing=not given).params
    names = [parsed.get("scenario"), *(parsed.get("scenarios") or ())]
    for name in filter(None, names):
        if name in shipped() or name.startswith("scenarios/"):
            where = name if name in shipped() else str(ROOT / name)
            assert load(where, parsed.get("set_") or []).n_points >= 1


@pytest.mark.parametrize(("page", "words"), [*scripts()], ids=str)
def test_every_script_takes_what_is_typed(
    page: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and its parser, if it has one, accepts the arguments; nothing is run."""
    script, *given = words
    text = (ROOT / script).read_text()
    if "ArgumentParser(" not in text:
        places = [int(number) for number in re.findall(r"sys\.argv\[(\d)\]", text)]
        assert len(given) >= max(places, default=0), f"{page}: {' '.join(words)}"
        return
    # words in brackets may be left out
    monkeypatch.setattr(sys, "argv", [script, *(w for w in given if w[0] not in "[.")])
    with pytest.raises(_Accepted):
        parse_only(script, monkeypatch)


class _Accepted(Exception):
    """A parser took its arguments."""


def parse_only(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script up to where it has read its arguments."""
    read = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        read(parser, *given, **named)
        raise _Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "path", [str((ROOT / script).parent), *sys.path])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    runpy.run_path(str(ROOT / script), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_on_training_tells_every_option_and_its_default() -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| `([^|]*)` \|", page, re.M))
    assert set(told) == set(Training.model_fields)
    lines = "\n".join(f"{name}: {default}" for name, default in told.items())
    assert Training.model_validate(parse(lines, "page").plain()) == Training()


PAPER = ROOT / "docs" / "paper"


def table_rows(path: Path) -> Counter[str]:
    lines = path.read_text().splitlines()
    return Counter(line.strip() for line in lines if re.match(r"\|(?!-)", line))


@pytest.mark.parametrize(
    ("page", "generated"),
    [
        ("lorenz", "lorenz/tables.md"),
        ("recordings", "recordings/overview.md"),
        ("power", "power/recordings.md"),
        ("power", "power/claims.md"),
        ("pretraining", "pretraining/table.md"),
    ],
)
def test_generated_tables_stand_in_their_page(page: str, generated: str) -> None:
    shown, rows = table_rows(PAPER / f"{page}.md"), table_rows(PAPER / generated)
    assert {row: shown[row] for row in rows} == rows  # a stale copy beside them would show


@pytest.mark.parametrize("page", ["lorenz", "recordings"])
def test_every_row_of_a_page_was_generated(page: str) -> None:
    generated = set[str]().union(*map(table_rows, (PAPER / page).glob("*.md")))
    assert not set(table_rows(PAPER / f"{page}.md")) - generated

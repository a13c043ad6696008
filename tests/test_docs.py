"""What the pages say can be typed, can be typed: YAML blocks load, commands parse, links lead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

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


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``implant-sim ...`` of an indented line or between back quotes."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")  # a line that goes on
        typed = re.findall(r"^    (?:[A-Z_]+=\S+ )?(implant-sim [^#\n]*)", text, re.M)
        typed += [" ".join(found.split()) for found in re.findall(r"`(implant-sim [^`]*)`", text)]
        for command in typed:
            reader = shlex.shlex(command, posix=True, punctuation_chars=True)
            reader.whitespace_split = True
            ours = takewhile(lambda word: word not in ("|", ">", "&", ";", "&&"), reader)
            yield str(page.relative_to(ROOT)), list(ours)[1:]


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


@pytest.mark.parametrize(("page", "words"), [*commands()], ids=str)
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

"""One HTML page that opens offline, and a picture and table for a document."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup

from implant_sim import files
from implant_sim.report import leaderboard, tables, words
from implant_sim.report.captions import captions, of_pairs
from implant_sim.report.certainty import certainty
from implant_sim.report.curves import along, heading
from implant_sim.report.figure_data import write_figure_data
from implant_sim.report.figures import draw_all
from implant_sim.report.gathered import gather
from implant_sim.report.handout import cell, markdown, write_summary
from implant_sim.report.load import clean
from implant_sim.report.priced import shared
from implant_sim.report.sampling import sampling
from implant_sim.report.searched import searched
from implant_sim.report.summary import Summary

__all__ = ["build", "export_docs"]

_ALTS = {
    "fidelity": "Fidelity against power and against what the sweep varied, or point by point.",
    "further": "Small curves of the other fidelity measures.",
    "search": "Points of a search with their front, and hypervolume after each point.",
    "energy": "Stacked bars of power by component.",
    "tornado": "Bars from the power at 10 % to that at 90 % of each number's spread.",
    "raster": "Cells of bins and channels, coloured where sampled and where a spike fell.",
    "rates": "True and inferred firing rates over time.",
    "behaviour": "True and decoded behaviour over time.",
}


def build(folder: Path) -> Path:
    """Write report.html into a run folder, from what lies there, and its handouts beside it.

    Parameters
    ----------
    folder : pathlib.Path
        A run folder with results.csv; everything else is used as far as it is there.

    Returns
    -------
    pathlib.Path
        The page. It holds its figures, loads nothing and runs no script but its own.

    Raises
    ------
    DataError
        If this is no run folder.
    WriteError
        If the page cannot be written.
    """
    of = gather(folder)
    run, summary = of.run, of.summary
    ledgers = tables.energy(run, summary)
    covered, in_common = sampling(summary)
    style, script = _own("page.css"), _own("page.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_own("page.html")).render(
        title=run.name,
        what=words.what(run, summary),
        tiles=words.tiles(summary),
        notes=words.notes(run, summary),
        figures={name: _embedded(svg) for name, svg in draw_all(of, "svg").items()},
        alts=_ALTS,
        imaged=not summary.powered,
        along=along(summary),
        fidelity_heading=heading(summary),
        **captions(summary, of.shown),
        **certainty(summary, shared(of.known), of.looked_at),
        compared=tables.comparison(summary),
        searched=searched(run, summary.measures),
        limits=tables.limits(summary),
        sampling=covered,
        sampling_common=in_common,
        detects=any(np.isfinite(p.mean("detection_probability")) for p in summary.points),
        results=tables.results(summary),
        boards=[(b.title, leaderboard.table(b)) for b in leaderboard.boards(run, summary)],
        left_out=leaderboard.left_out(run),
        failures=words.failures(run),
        ledgers=ledgers,
        ledgers_left_out=len(summary.points) - len(ledgers) if ledgers else 0,
        metrics=_explained(summary),
        provenance=words.provenance(run),
        scenario=clean(run.scenario),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    path = folder / "report.html"
    files.write_text(path, page)
    write_summary(folder, run, summary)
    write_figure_data(folder, of)
    return path


def export_docs(folder: Path, out: Path) -> list[Path]:
    """Write the figures as PNG and the results as Markdown, for a README or a paper.

    Parameters
    ----------
    folder : pathlib.Path
        A run folder.
    out : pathlib.Path
        Where to write; made if missing.

    Returns
    -------
    list of pathlib.Path
        What was written: ``fidelity.png``, ``energy.png``, ... and ``results.md``.

    Raises
    ------
    DataError
        If `folder` is no run folder.
    """
    of = gather(folder)
    run, summary = of.run, of.summary
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, image in draw_all(of, "png").items():
        written.append(out / f"{name}.png")
        files.write_bytes(written[-1], image)
    compared = tables.comparison(summary)
    text = f"# {cell(run.name)}\n\n{cell(words.what(run, summary))}\n\n"
    text += "Mean ± standard deviation over repeats.\n\n" + markdown(tables.results(summary))
    if compared is not None:
        text += f"\n{of_pairs(summary)}\n\n" + markdown(compared)
    for note in words.notes(run, summary):
        text += f"\n- {cell(note)}"
    written.append(out / "results.md")
    files.write_text(written[-1], text.rstrip() + "\n")
    return written


def _explained(summary: Summary) -> list[dict[str, str]]:
    return [{"label": m.label, "says": m.says} for m in summary.measures]


def _own(name: str) -> str:
    return resources.files("implant_sim.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(svg: bytes) -> Markup:
    """As an image: whatever stands in it cannot run, and needs no leave from the page's policy.

    Escaped text is shorter than base64; what is left as it is ends neither attribute nor address.
    """
    text = " ".join(svg.decode().split())
    if "'" not in text:
        text = text.replace('"', "'")
    return Markup("data:image/svg+xml," + quote(text, safe=" '=:/;,()-._~!*+?"))

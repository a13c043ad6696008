"""Decode once, price many: points whose implants deliver the same data share one decoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from implant_sim import files
from implant_sim.study.acquisition import Acquisition, acquisition
from implant_sim.study.keys import DataKeys
from implant_sim.study.rows import calibration_mean, energy_rows, hardware_row, power_band
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import RESULT, Entry, Outcome, RunFolder

__all__ = ["Reprice", "decoded_detail", "hardware_of", "reprice", "siblings"]

Reprice: TypeAlias = Callable[[Scenario, int, Path, RunFolder, str], Outcome | None]
"""Scenario, repeat, root, run folder, key of a sibling -> outcome, or None if it has to be run."""
_NOT_DELIVERED = ("radio", "limits", "counted", "chance")
"""Parts of a data key that mostly leave the delivered stream as it is; `reprice` makes sure."""
_NOT_DECODED = {"name", "repeats", "implant", "sweep", "search", "time_limit_s"}


def siblings(scenarios: Mapping[int, Scenario], entries: Iterable[Entry]) -> dict[str, str]:
    """Which points may share the decoder of which.

    Parameters
    ----------
    scenarios : mapping of int to Scenario
        Of each point.
    entries : iterable of Entry

    Returns
    -------
    dict of str to str
        Key of a point -> key of the first one that may have got the same data. Points that are
        the first, or alone, are not in it.
    """
    keys = DataKeys()
    first: dict[str, str] = {}
    found = {}
    for entry in entries:
        leader = first.setdefault(_hint(keys, scenarios[entry.point], entry.repeat), entry.key)
        if leader != entry.key:
            found[entry.key] = leader
    return found


def _hint(keys: DataKeys, scenario: Scenario, repeat: int) -> str:
    """Names what a decoder is trained on, as far as the scenario tells."""
    data = [part for part in keys.of(scenario, 1.0) if part[0] not in _NOT_DELIVERED]
    return json.dumps([data, scenario.model_dump_json(exclude=_NOT_DECODED), repeat])


def decoded_detail(got: Acquisition, columns: Iterable[str]) -> dict[str, Any]:
    """What a sibling has to know: the data that was decoded, and which columns came of it."""
    return {"decoded": {"sha256": _digest(got), "columns": list(columns)}}


def _digest(got: Acquisition) -> str:
    """Of all that decoder and scores look at, beside what siblings have in common."""
    recording = got.offered.held_in
    stream = got.stream
    found = hashlib.sha256(repr((stream.counts.shape, stream.detector)).encode())
    mean = calibration_mean(recording, got.activity)
    values = [stream.counts, stream.exposure, stream.lengths, mean]
    if got.dense is not None:  # a packet lost between the sparse samples shows only here
        first = got.dense.dense
        values += [first.counts, first.exposure, first.split.train]
    for part in values:
        found.update(b"\0" if part is None else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def hardware_of(scenario: Scenario, got: Acquisition) -> dict[str, Any]:
    """The columns of a point that need no decoder."""
    spread = power_band(scenario.implant, got.activity, scenario.seed)
    return hardware_row(got.offered.held_in, got.activity, got.ledger, got.verdict, spread)


def reprice(
    scenario: Scenario, repeat: int, root: Path, folder: RunFolder, sibling: str
) -> Outcome | None:
    """Price a point whose decoder was trained for another one.

    Parameters
    ----------
    scenario, repeat, root
        As for :func:`~implant_sim.study.acquisition.acquisition`.
    folder : RunFolder
        Where the sibling is kept.
    sibling : str
        Its key.

    Returns
    -------
    Outcome or None
        As the whole pipeline would give it; None if the sibling is missing, damaged, did not end
        well, or got other data, be it one lost packet.
    """
    kept = folder.result(sibling, verify=True)
    decoded = None if kept is None else kept.get("decoded")
    if kept is None or not decoded or kept["row"].get("status") != "ok":
        return None
    got = acquisition(scenario, repeat, root)
    if _digest(got) != decoded["sha256"]:
        return None
    scores = {name: kept["row"].get(name) for name in decoded["columns"]}
    hardware = hardware_of(scenario, got)
    names = (
        "history", "pretraining_history", "sources", "held_out_channels", "decoded", "tuning",
    )  # fmt: skip
    own = [name for name in names if name in kept]
    return Outcome(
        row={"status": "ok"} | hardware | scores | {"decoded_by": sibling},
        energy=energy_rows(got.ledger),
        detail={name: kept[name] for name in own} | {"notes": list(got.activity.notes)},
        save=partial(_copy, folder.points / sibling, list(kept["files"])),
    )


def _copy(source: Path, names: Iterable[str], target: Path) -> None:
    """What the sibling has kept; so every point's folder is whole."""
    for name in names:
        if name != RESULT:
            files.make_folder((target / name).parent)
            files.write_bytes(target / name, (source / name).read_bytes())

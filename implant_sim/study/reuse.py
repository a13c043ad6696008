"""Decode once, price many: points whose implants deliver the same data share one decoder.

Points that differ in what happens after training share it, too, and are scored by themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from implant_sim import files
from implant_sim.study.acquisition import Acquisition, acquisition
from implant_sim.study.beginning import Beginning
from implant_sim.study.delivery import delivery_name
from implant_sim.study.keys import DataKeys
from implant_sim.study.rescore import rescored
from implant_sim.study.rows import Offer, calibration_mean, energy_rows, hardware_row, power_band
from implant_sim.study.scenario import Scenario
from implant_sim.study.store import RESULT, Entry, Outcome, RunFolder

__all__ = ["Reprice", "decoded_detail", "hardware_of", "notes_of", "reprice", "siblings"]

Reprice: TypeAlias = Callable[..., Outcome | None]
"""Scenario, repeat, root, run folder, key of a sibling, and what the point begins with, if it does
-> outcome, or None if it has to be run."""


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
    keys, listed = DataKeys(), list(entries)
    named = {entry.key: entry for entry in listed}
    first: dict[str, str] = {}
    hints: dict[str, str] = {}
    found = {}
    for entry in listed:
        begun, at = list[Entry](), named.get(entry.key)
        while at is not None and at.key not in hints:  # back to where its weights began
            begun.append(at)
            at = None if at.start is None else named.get(at.start)
        for one in reversed(begun):
            before = one.start and hints.get(one.start)
            hints[one.key] = delivery_name(keys, scenarios[one.point], one.repeat, before)
        leader = first.setdefault(hints[entry.key], entry.key)
        if leader != entry.key:
            found[entry.key] = leader
    return found


def decoded_detail(
    got: Acquisition, columns: Iterable[str], beginning: Beginning | None = None
) -> dict[str, Any]:
    """What a sibling has to know: the data that was decoded, and which columns came of it.

    And what a point has to know that begins with the decoder.
    """
    stream = got.stream
    return {
        "decoded": {
            "sha256": _digest(got, beginning),
            "learned_sha256": _learned(got, beginning),
            "columns": list(columns),
            "training_bins": int(stream.lengths[stream.split.train].sum()),
        }
    }


def _digest(got: Acquisition, beginning: Beginning | None) -> str:
    """Of all that decoder and scores look at, beside what siblings have in common."""
    recording = got.offered.held_in
    stream = got.stream
    begun = "" if beginning is None else beginning.digest
    found = hashlib.sha256(repr((stream.counts.shape, stream.detector, begun)).encode())
    mean = calibration_mean(recording, got.activity)
    values = [stream.counts, stream.exposure, stream.lengths, mean]
    if got.dense is not None:  # a packet lost between the sparse samples shows only here
        first = got.dense.dense
        values += [first.counts, first.exposure, first.split.train]
    for part in values:
        found.update(b"\0" if part is None else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def _learned(got: Acquisition, beginning: Beginning | None) -> str:
    """Digest of what a decoder is trained and stopped on, beside what siblings have in common."""
    stream, split = got.stream, got.stream.split
    trials = np.union1d(split.train, split.valid)
    begun = "" if beginning is None else beginning.digest
    found = hashlib.sha256(repr((stream.counts.shape, stream.detector, begun)).encode())
    values = [split.train, split.valid, stream.lengths]
    for seen in (stream, *(() if got.dense is None else (got.dense.dense,))):
        values += [seen.split.train, seen.counts[trials], seen.exposure[trials]]
    for part in values:
        found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def hardware_of(scenario: Scenario, got: Acquisition) -> dict[str, Any]:
    """The columns of a point that need no decoder."""
    implant = scenario.implant
    spread = None if implant is None else power_band(implant, got.activity, scenario.seed)
    return hardware_row(
        Offer.of(got.offered.held_in), got.activity, got.ledger, got.verdict, spread
    )


def reprice(
    scenario: Scenario,
    repeat: int,
    root: Path,
    folder: RunFolder,
    sibling: str,
    beginning: Beginning | None = None,
) -> Outcome | None:
    """Price a point whose decoder was trained for another one, and score it if it must be.

    Parameters
    ----------
    scenario, repeat, root
        As for :func:`~implant_sim.study.acquisition.acquisition`.
    folder : RunFolder
        Where the sibling is kept.
    sibling : str
        Its key.
    beginning : Beginning, optional
        What the decoder begins with.

    Returns
    -------
    Outcome or None
        As the whole pipeline would give it; None if the sibling is missing, damaged, did not end
        well, or learned from other data, be it one lost packet.
    """
    kept = folder.result(sibling, verify=True)
    decoded = None if kept is None else kept.get("decoded")
    if kept is None or not decoded or kept["row"].get("status") != "ok":
        return None
    got = acquisition(scenario, repeat, root)
    own: dict[str, Any]
    if _digest(got, beginning) == decoded["sha256"]:
        scores = {name: kept["row"].get(name) for name in decoded["columns"]}
        own = {"row": scores, "save": partial(_copy, folder.points / sibling, list(kept["files"]))}
        told = {"decoded": decoded}
    elif _learned(got, beginning) == decoded.get("learned_sha256"):
        own = rescored(scenario, repeat, got, folder.points / sibling, kept["row"])
        told = decoded_detail(got, own["row"], beginning)
    else:
        return None
    names = ("history", "pretraining_history", "sources", "held_out_channels", "tuning")
    told |= {name: kept[name] for name in names if name in kept}
    begun = {} if beginning is None else beginning.columns()
    row = {"status": "ok"} | hardware_of(scenario, got) | own["row"] | begun
    return Outcome(
        **own | {"row": row | {"decoded_by": sibling}},
        energy=energy_rows(got.ledger),
        detail=told | {"notes": notes_of(scenario, got, beginning)},
    )


def notes_of(scenario: Scenario, got: Acquisition, beginning: Beginning | None) -> list[str]:
    """What the report says of a point."""
    notes = [*got.activity.notes]
    if beginning is not None:
        notes.append(beginning.note())
    if got.stream.external is not None and not scenario.decoder.hears_external:
        notes.append(f"external inputs are not used by the decoder {scenario.decoder.kind}")
    if passed_over := scenario.decoder.passed_over(scenario.training):
        notes.append(
            f"training options not used by the decoder {scenario.decoder.kind}: "
            + ", ".join(passed_over)
        )
    return notes


def _copy(source: Path, names: Iterable[str], target: Path) -> None:
    """What the sibling has kept; so every point's folder is whole."""
    for name in names:
        if name != RESULT:
            files.make_folder((target / name).parent)
            files.write_bytes(target / name, (source / name).read_bytes())

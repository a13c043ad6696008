"""What an NWB file holds, as plain arrays. No pynwb import: its objects are passed in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from implant_sim.recordings.assemble import check_size
from implant_sim.recordings.attached import as_text
from implant_sim.recordings.events import check_times
from implant_sim.recordings.files import near
from sbtt_models.errors import DataError

__all__ = [
    "Units",
    "column",
    "conditions",
    "matching",
    "observed",
    "quiet",
    "read_units",
    "refuse_links",
    "series",
    "span",
]

_Allowed = dict[str, tuple[bool | int | str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Spike times of the units kept, and when each was observed."""

    spikes: list[Float[np.ndarray, "..."]]
    """One array of ascending times for each unit. [s]"""
    intervals: list[Float[np.ndarray, "..."]] | None
    """Start and stop of the times in which each unit was recorded, shape (interval, 2) [s]; None:
    throughout."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pynwb's remarks on namespaces and old files to itself while it reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def refuse_links(raw: h5py.File, where: str) -> None:
    """Refuse links into other files, virtual and external storage, and arrays too large.

    Raises
    ------
    DataError
        Names the first of them.
    """
    faults: list[str] = []  # an exception cannot pass through the visitor

    def look(name: str | bytes, link: object) -> None:
        if isinstance(link, h5py.ExternalLink):
            faults.append(f"{name!r} is a link into another file ({link.filename!r})")

    def visit(name: str | bytes, item: object) -> None:
        if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
            faults.append(f"{name!r} is virtual, or stored in another file")

    raw.visititems_links(look)
    raw.visititems(visit)
    if faults:
        raise DataError(
            f"{where}: {faults[0]}, which is not followed; export the file with its data in it"
        )


def _read(data: Any, where: str) -> Shaped[np.ndarray, "..."]:
    """Read what may be an array, a data set or a list, its size checked beforehand."""
    shape = tuple(getattr(data, "shape", None) or (len(data),))
    check_size(shape, getattr(getattr(data, "dtype", None), "itemsize", 8), where)
    return np.asarray(data[:])


def column(table: Any, name: str, where: str) -> Shaped[np.ndarray, " row"]:
    """One column of a table.

    Raises
    ------
    DataError
        If the table has no such column of one value a row.
    """
    if name not in table.colnames:
        raise DataError(f"{where}: no column {name!r}; {near(name, list(table.colnames))}")
    values = np.asarray(table[name][:])
    if values.ndim != 1 or len(values) != len(table):
        raise DataError(f"{where}: column {name!r} does not hold one value for each row")
    return values


def matching(table: Any, allowed: _Allowed, where: str) -> Bool[np.ndarray, " row"]:
    """Rows whose columns hold allowed values."""
    chosen = np.ones(len(table), bool)
    for name, values in allowed.items():
        found = as_text(column(table, name, where))
        # true, True and 1 are one value: YAML, numpy and HDF5 spell it differently
        wanted = [str(int(v)) if isinstance(v, bool) else str(v) for v in values]
        one = np.isin(found, wanted)
        if not one.any():
            shown = ", ".join(np.unique(found)[:10])
            raise DataError(f"{where}: column {name!r} has none of {wanted}; it holds {shown}")
        chosen &= one
    return chosen


def conditions(
    table: Any, names: tuple[str, ...], rows: Int[np.ndarray, " trial"], where: str
) -> Int[np.ndarray, " trial"] | None:
    """Number of the combination of values of each trial, in alphabetical order."""
    if not names:
        return None
    texts = [as_text(column(table, name, f"{where}: trials")[rows]) for name in names]
    joined = np.array(["\x1f".join(parts) for parts in zip(*texts, strict=True)])
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def read_units(nwb: Any, allowed: _Allowed, where: str) -> Units:
    """Spike times of the units kept.

    Raises
    ------
    DataError
        Without units or spike times, or with times that are not finite.
    """
    table = nwb.units
    if table is None or len(table) == 0 or "spike_times" not in table.colnames:
        raise DataError(f"{where}: holds no units with spike_times")
    rows = np.flatnonzero(matching(table, allowed, f"{where}: units"))
    if rows.size == 0:
        raise DataError(f"{where}: no unit fulfils all of `keep_units`")
    check_size(tuple(table["spike_times"].target.data.shape), 8, f"{where}: spike_times")
    spikes = [
        np.sort(check_times(np.asarray(table["spike_times"][int(row)]), f"{where}: unit {row}"))
        for row in rows
    ]
    if "obs_intervals" not in table.colnames:
        return Units(spikes, None)
    found = [np.asarray(table["obs_intervals"][int(row)], np.float64) for row in rows]
    return Units(spikes, [f.reshape(-1, 2)[np.argsort(f.reshape(-1, 2)[:, 0])] for f in found])


def span(units: Units, where: str) -> Float[np.ndarray, " 2"]:
    """First and last moment of the recording: of its intervals, or of its spikes. [s]"""
    source = units.spikes if units.intervals is None else [i.ravel() for i in units.intervals]
    times = np.concatenate([*source, np.zeros(0)])
    if times.size < 2:
        raise DataError(f"{where}: fewer than two spikes; they bound no recording")
    return np.array([times.min(), times.max()])


def observed(
    units: Units, edges: list[Float[np.ndarray, "..."]]
) -> Bool[np.ndarray, "row channel"] | None:
    """Which bins lie within an interval of each unit; None if all do."""
    if units.intervals is None:
        return None
    left = np.concatenate([e[:-1] for e in edges])
    right = np.concatenate([e[1:] for e in edges])
    slack = 1e-6 * (right - left)
    seen = np.zeros((left.size, len(units.intervals)), bool)
    for channel, intervals in enumerate(units.intervals):
        if intervals.size:
            at = np.searchsorted(intervals[:, 0], left + slack, side="right") - 1
            seen[:, channel] = (at >= 0) & (intervals[at, 1] >= right - slack)
    return None if seen.all() else seen


def series(
    nwb: Any, name: str, where: str
) -> tuple[Float[np.ndarray, " sample"], Float[np.ndarray, "sample dim"], str]:
    """Times [s], values and unit of a time series.

    Raises
    ------
    DataError
        If there is none or several of the name, or its times do not ascend.
    """
    known: dict[str, list[Any]] = {}
    for item in nwb.objects.values():
        if hasattr(item, "conversion") and hasattr(item, "data") and hasattr(item, "rate"):
            parent = getattr(item.parent, "name", "")
            for spelling in {item.name, f"{parent}/{item.name}"}:
                known.setdefault(spelling, []).append(item)
    found = known.get(name, [])
    if len(found) != 1:
        fault = "several time series are" if found else "no time series is"
        raise DataError(f"{where}: {fault} called {name!r}; {near(name, sorted(known))}")
    item, here = found[0], f"{where}: {name}"
    values = _read(item.data, here)
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2) or len(values) == 0:
        raise DataError(f"{here}: must hold numbers by sample and dimension, got {values.shape}")
    values = values.reshape(len(values), -1) * float(item.conversion) + float(item.offset or 0)
    if item.timestamps is None:
        times = float(item.starting_time or 0) + np.arange(len(values)) / float(item.rate)
    else:
        times = check_times(_read(item.timestamps, here), here)
    if times.size != len(values) or (np.diff(times) < 0).any():
        raise DataError(f"{here}: needs one time for each of {len(values)} samples, ascending")
    return times, values, str(item.unit)

"""Counts of a group as one flat table, and the rows that each trial or segment takes of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from implant_sim.recordings import attached, cutting, traces
from implant_sim.recordings.cutting import Rows
from implant_sim.recordings.scope import Scope, Table
from sbtt_models.counts import as_counts
from sbtt_models.errors import DataError

__all__ = ["counts_table"]


def counts_table(scope: Scope, bin_s: float) -> Table:
    """Read the counts of a group.

    Raises
    ------
    DataError
        If they are no spike counts, or the layout does not fit them.
    """
    layout, name = scope.layout, scope.layout.counts or ""
    where = scope.where(name)
    raw = _ordered(scope, scope.numbers(name), where)
    trial_axis = (raw.shape[0], raw.shape[1]) if raw.ndim == 3 else None
    flat = raw.reshape(-1, raw.shape[-1])
    rows = _rows(scope, len(flat), trial_axis)
    flat, recorded = traces.without_missing(flat, layout.missing)
    if layout.fluorescence is not None:
        starts = rows.starts
        flat, recorded = traces.calcium_events(flat, recorded, starts, layout.fluorescence, bin_s)
        if layout.imaged and np.isfinite(flat).all():
            return Table(flat, rows, recorded)
    try:
        counts = as_counts(flat, where)
    except DataError as error:
        # the way out, where there is one: only floats can be traces or hold NaN
        hint = (
            ". If they are missing samples, declare `missing: nan` (or negative); if they are "
            "calcium traces, add a `fluorescence` block"
        )
        raise DataError(f"{error}{hint if flat.dtype.kind == 'f' else ''}") from None
    return Table(counts, rows, recorded)


def _ordered(
    scope: Scope, raw: Shaped[np.ndarray, "..."], where: str
) -> Shaped[np.ndarray, "..."]:
    """Bring the axes to (trial,) bin, channel."""
    usual = {1: ("bin",), 2: ("bin", "channel"), 3: ("trial", "bin", "channel")}
    axes = usual.get(raw.ndim, ())
    if scope.layout.axes is not None and raw.ndim > 1:
        axes = scope.layout.axes
    if raw.ndim not in usual or sorted(axes) != sorted(usual[raw.ndim]):
        raise DataError(
            f"{where}: has shape {raw.shape}, which cannot be read"
            + (f" as {', '.join(axes)}" if axes else "")
            + "; counts have axes bin and channel, or trial, bin and channel (see `axes`)"
        )
    if 0 in raw.shape:
        raise DataError(f"{where}: has shape {raw.shape}: nothing in it")
    raw = raw.transpose([axes.index(axis) for axis in usual[raw.ndim]])
    return raw[:, None] if raw.ndim == 1 else raw


def _rows(scope: Scope, n_rows: int, trial_axis: tuple[int, int] | None) -> Rows:
    layout, read, where = scope.layout, scope.read, scope.where
    if trial_axis is not None:
        ways = ("segments", "trial", "start", "timestep")
        given = next((way for way in ways if getattr(layout, way) is not None), None)
        if given is not None:
            raise DataError(f"{where(layout.counts or '')}: has a trial axis; drop `{given}`")
        lengths = None if layout.length is None else read(layout.length)
        return cutting.by_trial_axis(trial_axis, lengths, where(layout.length or ""))
    if layout.segments is not None:
        rows = cutting.by_segment(read(layout.segments), n_rows, where(layout.segments))
    elif layout.trial is not None:
        labels = read(layout.trial)
        labels = attached.as_text(labels) if labels.dtype.kind in "OS" else labels
        rows = cutting.by_label(labels, n_rows, where(layout.trial))
    elif layout.start is not None:
        start, end = read(layout.start), read(layout.stop or layout.length or "")
        lasts = layout.stop is None
        rows = cutting.by_start(start, end, n_rows, where(layout.start), lengths=lasts)
    elif layout.length is not None:
        raise DataError(f"{where(layout.length)}: `length` needs `start`, or a trial axis")
    else:
        rows = Rows(np.array([0]), np.array([n_rows]), n_rows, continuous=True)
    if layout.timestep is None:
        return rows
    return rows.with_slots(read(layout.timestep), where(layout.timestep))

"""What goes with the counts of a group: conditions, parts, channels kept, behaviour, truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from implant_sim.recordings import cutting, events
from implant_sim.recordings.clocked import clock_s
from implant_sim.recordings.cutting import Rows
from implant_sim.recordings.fields import BehaviourField, ExternalField
from implant_sim.recordings.scope import Scope, Table
from sbtt_models.errors import DataError

__all__ = [
    "behaviour",
    "columns",
    "condition",
    "condition_names",
    "external",
    "kept",
    "trains",
    "truth",
]

_TO_HZ = {"Hz": 1.0, "spikes/s": 1.0, "spikes/ms": 1e3}


def columns(scope: Scope, n_channels: int) -> Int[np.ndarray, " kept"]:
    """Channels to keep, in their order."""
    layout = scope.layout
    chosen, where = np.arange(n_channels), f"{scope.file.name}: channels"
    if isinstance(layout.channels, str):
        where = scope.where(layout.channels)
        chosen = cutting.as_indices(scope.read(layout.channels).ravel(), where)
    elif layout.channels is not None:
        chosen = np.array(layout.channels, np.int64)
    wrong = [int(c) for c in (*chosen, *layout.drop) if not 0 <= c < n_channels]
    if wrong or np.unique(chosen).size < chosen.size:
        fault = f"{wrong[0]} is not one of them" if wrong else "one is named twice"
        raise DataError(f"{where}: the file has channels 0 to {n_channels - 1}; {fault}")
    chosen = chosen[~np.isin(chosen, layout.drop)]
    if chosen.size == 0:
        raise DataError(f"{where}: none is left; keep at least one")
    return chosen


def condition_names(scopes: Sequence[Scope]) -> Shaped[np.ndarray, " name"] | None:
    """All conditions of all groups in their order, so that equal ones get equal numbers.

    None where they are whole numbers, which are what they are called.
    """
    name = scopes[0].layout.condition
    if name is None:
        return None
    found = [scope.read(name).ravel() for scope in scopes]
    if any(values.dtype.kind in "OSU" for values in found):
        return np.unique(np.concatenate([as_text(values) for values in found]))
    if all(values.dtype.kind in "biuf" for values in found):
        numbers = np.unique(np.concatenate(found))
        if np.isfinite(numbers).all() and (numbers != np.round(numbers)).any():
            return numbers  # angles, contrasts
    return None


def condition(
    scope: Scope, rows: Rows, names: Shaped[np.ndarray, " name"] | None
) -> Int[np.ndarray, " piece"] | None:
    """Number of the condition of each piece: its own, or its place among `names`."""
    name = scope.layout.condition
    if name is None:
        return None
    values = rows.by_piece(scope.read(name), scope.where(name))
    if names is None:
        return cutting.as_indices(values, scope.where(name))
    values = as_text(values) if names.dtype.kind == "U" else values
    return np.searchsorted(names, values).astype(np.int64)


def as_text(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, " value"]:
    """Text of each value; bytes are UTF-8, numbers without a trailing ``.0``."""
    return np.array([
        v.decode("utf-8", "replace") if isinstance(v, bytes)
        else f"{v:g}" if isinstance(v, float | np.floating)
        else str(int(v)) if isinstance(v, bool | np.bool_)
        else str(v)
        for v in values.ravel().tolist()
    ], dtype=str)  # fmt: skip


def trains(scope: Scope, rows: Rows) -> Bool[np.ndarray, " piece"] | None:
    """Which pieces the file itself gives to training."""
    name = scope.layout.split.is_train
    if name is None:
        return None
    return (
        cutting.as_indices(rows.by_piece(scope.read(name), scope.where(name)), scope.where(name))
        != 0
    )


def kept(scope: Scope, rows: Rows) -> Bool[np.ndarray, " piece"]:
    """Pieces that fulfil all of `keep`."""
    chosen = np.ones(len(rows.starts), bool)
    for name, allowed in scope.layout.keep.items():
        values = as_text(rows.by_piece(scope.read(name), scope.where(name)))
        one = np.isin(values, [str(value) for value in allowed])
        if not one.any():
            shown = ", ".join(np.unique(values)[:10])
            raise DataError(
                f"{scope.where(name)}: no trial has one of {list(allowed)}; it holds {shown}"
            )
        chosen &= one
    if not chosen.any():
        raise DataError(f"{scope.file.name}: no trial fulfils all of `keep`")
    return chosen


def truth(
    scope: Scope, table: Table, conditions: Int[np.ndarray, " piece"] | None, bin_s: float
) -> dict[str, Float[np.ndarray, "row channel"]]:
    """True rates [1/s] and expected counts, bin by bin."""
    spec = scope.layout.truth
    if spec is None:
        return {}
    found = {}
    if spec.rates is not None:
        factor = _TO_HZ.get(spec.unit, 1 / bin_s)
        found["rates_hz"] = factor * _true(scope, spec.rates, table, conditions)
    if spec.expected is not None:
        found["expected"] = _true(scope, spec.expected, table, conditions)
    return found


def _true(
    scope: Scope, name: str, table: Table, conditions: Int[np.ndarray, " piece"] | None
) -> Float[np.ndarray, "row channel"]:
    where, rows = scope.where(name), table.rows
    raw = scope.numbers(name).astype(np.float64)
    axis = rows.trial_axis
    if raw.ndim == 3 and axis is not None and raw.shape[0] != axis[0] and conditions is not None:
        if raw.shape[1] != axis[1]:
            raise DataError(f"{where}: {raw.shape[1]} bins a trial, but the counts have {axis[1]}")
        out = (conditions < 0) | (conditions >= raw.shape[0])
        if out.any():
            raise DataError(
                f"{where}: rates of {raw.shape[0]} conditions, but a trial has condition "
                f"{conditions[out][0]}; conditions count from 0"
            )
        flat = raw[conditions].reshape(rows.n_rows, -1)
    else:
        flat = rows.flatten(raw, "bin", where)
    if flat.shape[1] != table.counts.shape[1]:
        raise DataError(
            f"{where}: has {flat.shape[1]} channels, the counts have {table.counts.shape[1]}"
        )
    if not (np.isfinite(flat) & (flat >= 0)).all():
        raise DataError(f"{where}: rates must be finite and at least 0")
    return flat


def behaviour(scope: Scope, table: Table, bin_s: float) -> list[Float[np.ndarray, "..."]] | None:
    """Behaviour of each piece, NaN where unknown."""
    spec = scope.layout.behaviour
    if spec is None:
        return None
    n_pieces = len(table.rows.starts)
    if spec.time is not None and table.starts_s is not None:
        made = _on_own_clock(scope, spec, table, bin_s)
    else:
        flat = _signal(scope, spec, spec.data, table.rows)
        if spec.minus is not None:
            less = _signal(scope, spec, spec.minus, table.rows)
            if less.shape[1] != flat.shape[1]:
                raise DataError(
                    f"{scope.where(spec.minus)}: has {less.shape[1]} dimensions, "
                    f"{spec.data} has {flat.shape[1]}"
                )
            flat = flat - less
        made = [table.rows.take(flat, i, np.nan) for i in range(n_pieces)]
    return [_directions(piece) if spec.direction else piece for piece in made]


def external(scope: Scope, table: Table) -> list[Float32[np.ndarray, "bin dim"]] | None:
    """Inputs from outside of each piece.

    Raises
    ------
    DataError
        Where they are not finite, or the file skips bins: what drove those is not known.
    """
    spec = scope.layout.external
    if spec is None:
        return None
    where = scope.where(spec.data)
    flat = _signal(scope, spec, spec.data, table.rows).astype(np.float32)
    if not np.isfinite(flat).all():
        raise DataError(
            f"{where}: {int((~np.isfinite(flat)).sum())} external inputs are NaN or infinite; "
            "decoders need them for every bin: fill them, or leave out `external`"
        )
    pieces = [table.rows.take(flat, i, np.nan) for i in range(len(table.rows.starts))]
    if any(np.isnan(piece).any() for piece in pieces):
        raise DataError(f"{where}: `timestep` skips bins, for which there are no external inputs")
    return pieces


def _signal(
    scope: Scope, spec: BehaviourField | ExternalField, name: str, rows: Rows
) -> Float[np.ndarray, "row dim"]:
    where = scope.where(name)
    raw = _chosen(spec, scope.numbers(name), where)
    per = spec.per if name == spec.data else "auto"
    return rows.flatten(raw, per, where).astype(np.float64)


def _chosen(
    spec: BehaviourField | ExternalField, raw: Shaped[np.ndarray, "..."], where: str
) -> Shaped[np.ndarray, "..."]:
    """Bring axes to (trial,) bin, dim, and keep the dimensions wanted."""
    if spec.axes is not None:
        order = [axis for axis in ("trial", "bin", "dim") if axis in spec.axes]
        if len(order) != len(spec.axes) or raw.ndim != len(order):
            raise DataError(f"{where}: shape {raw.shape} cannot be read as {spec.axes}")
        raw = raw.transpose([spec.axes.index(axis) for axis in order])
    if spec.columns is None:
        return raw
    if raw.ndim < 2 or not all(0 <= c < raw.shape[-1] for c in spec.columns):
        raise DataError(f"{where}: shape {raw.shape} has no dimensions {list(spec.columns)}")
    return raw[..., list(spec.columns)]


def _on_own_clock(
    scope: Scope, spec: BehaviourField, table: Table, bin_s: float
) -> list[Float[np.ndarray, "..."]]:
    clock, starts_s = scope.layout.events, table.starts_s
    if clock is None or spec.time is None or starts_s is None or spec.minus is not None:
        raise DataError(
            f"{scope.where(spec.data)}: behaviour with a `time` of its own goes with `events`, "
            "and without `minus`"
        )
    where = scope.where(spec.time)
    times = clock_s(scope, spec.time, spec.clock_hz or clock.clock_hz).ravel()
    values = _chosen(spec, scope.numbers(spec.data), scope.where(spec.data)).astype(np.float64)
    values = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
    if len(values) != times.size:
        raise DataError(f"{where}: {times.size} times for {len(values)} samples of {spec.data}")
    falls = np.flatnonzero(np.diff(times) < 0)
    if falls.size:
        raise DataError(f"{where}: times must ascend; sample {falls[0] + 1} is before the last")
    stops_s = starts_s + bin_s * table.rows.lengths
    if times.size and (times[-1] <= starts_s.min() or times[0] >= stops_s.max()):
        raise DataError(
            f"{where}: its times run from {times[0]:g} to {times[-1]:g} s, the recording from "
            f"{starts_s.min():g} to {stops_s.max():g} s: nothing goes together; see "
            "`behaviour.clock` and `events.clock`, ticks in a second"
        )
    return [
        events.bin_means(times, values, start + bin_s * np.arange(size + 1), spec.max_gap_s)
        for start, size in zip(starts_s, table.rows.lengths, strict=True)
    ]


def _directions(values: Float[np.ndarray, "bin dim"]) -> Float[np.ndarray, "bin dim"]:
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, norm, out=np.full_like(values, np.nan), where=norm > 0)

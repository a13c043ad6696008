"""Neurodata Without Borders: sorted units with spike times, trials, and behavioural series."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Float, Int, Int32
from pydantic import Field, model_validator
from typing_extensions import override

from implant_sim.recordings import cutting, events, nwb_parts
from implant_sim.recordings.assemble import Draft, Piece, assemble, check_size
from implant_sim.recordings.base import MAX_BIN_S, FileSplit, RecordingSource
from implant_sim.recordings.files import digest, find
from implant_sim.recordings.opening import opening, reading
from implant_sim.recordings.splits import Part
from sbtt_models.counts import as_counts
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Seconds

__all__ = ["Align", "NwbSource", "SeriesField"]

_PART: dict[str, Part] = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
_NO_PART: list[Part | None] = [None]


class Align(Spec):
    """A window around an event of each trial, instead of the whole trial."""

    field: str
    """Column of the trials table, in seconds. Trials without the event (NaN) are left out."""
    before_s: Seconds = Field(alias="before", ge=-3600, le=3600)
    after_s: Seconds = Field(alias="after", ge=-3600, le=3600)

    @model_validator(mode="after")
    def _positive(self) -> Align:
        if self.before_s + self.after_s <= 0:
            raise ValueError("before + after must be positive; the window has no bins")
        return self


class SeriesField(Spec):
    """A behavioural time series, averaged over each bin."""

    name: str
    """Name of the series, or ``container/name`` where several have it."""
    unit: str | None = Field(None, max_length=40)
    """Unit of the values; the file's own where not given."""
    columns: tuple[int, ...] | None = None
    """Dimensions to keep, counted from 0."""
    lag_s: Seconds = Field(0.0, alias="lag", ge=-10, le=10)
    """How much later than the spikes the behaviour is read (80 ms in the benchmark's maze)."""
    max_gap_s: Seconds = Field(0.25, alias="max_gap", gt=0)
    """Bins that touch a longer gap between samples are not scored."""


class NwbSource(RecordingSource):
    """An NWB file. Counts are spikes per bin, never smoothed: smoothing is a decoder's choice."""

    kind: Literal["nwb"] = "nwb"
    path: Path
    bin_s: Seconds = Field(0.02, alias="bin", gt=0, le=MAX_BIN_S)
    align: Align | None = None
    """None: whole trials, from ``start_time`` to ``stop_time``."""
    continuous: bool = False
    """Leave the trials aside, and read from the first to the last spike."""
    keep: dict[str, tuple[bool | int | str, ...]] = Field(default_factory=dict)
    """Trials to keep, as column: allowed values."""
    keep_units: dict[str, tuple[bool | int | str, ...]] = Field(default_factory=dict)
    """Units to keep, as column: allowed values (``heldout: [false]``)."""
    condition: tuple[str, ...] = ()
    """Columns that together name what a trial repeats."""
    split_column: str | None = None
    """Column that says train, val or test; trials with other words are left out."""
    behaviour: SeriesField | None = None
    split: FileSplit = FileSplit()
    window_s: Seconds | None = Field(None, alias="window", gt=0)
    """What a decoder sees at once. 2 s where time is split into blocks, else whole trials."""

    @model_validator(mode="after")
    def _consistent(self) -> NwbSource:
        if self.continuous and (self.align or self.keep or self.condition or self.split_column):
            raise ValueError(
                "a continuous recording takes no align, keep, condition, split_column"
            )
        return self

    @override
    def load(self, root: Path) -> Recording:
        path = find(self.path, root)
        try:
            import pynwb  # half a second, and only this format needs it
        except ImportError:
            raise DataError(
                f"{path.name}: reading NWB needs pynwb: pip install 'implant-sim[nwb]'"
            ) from None
        with opening(path, "HDF5"), h5py.File(path, "r") as raw:
            nwb_parts.refuse_links(raw, path.name)
        with (
            reading(f"{path.name}: as NWB"),
            nwb_parts.quiet(),
            pynwb.NWBHDF5IO(path, "r", load_namespaces=True) as io,
        ):
            draft = self._draft(io.read(), path)
        return assemble(draft, self.split, self.window_s)

    def _draft(self, nwb: Any, path: Path) -> Draft:
        units = nwb_parts.read_units(nwb, self.keep_units, path.name)
        continuous = self.continuous or nwb.trials is None
        if continuous and (self.align is not None or self.keep or self.split_column):
            raise DataError(f"{path.name}: holds no trials table; drop align, keep, split_column")
        trials, parts, conditions = np.zeros(1, np.int64), _NO_PART, None
        if continuous:
            bounds = nwb_parts.span(units, path.name)[None]
        else:
            bounds, trials, parts = self._trials(nwb, path.name)
            conditions = nwb_parts.conditions(nwb.trials, self.condition, trials, path.name)
        sizes = [events.whole_bins(float(b - a), self.bin_s) for a, b in bounds]
        if min(sizes) < 1:
            raise DataError(
                f"{path.name}: trial {trials[int(np.argmin(sizes))]} is shorter than one bin of "
                f"{self.bin_s:g} s; use narrower bins, or leave it out by `keep`"
            )
        check_size((sum(sizes), len(units.spikes)), 4, f"{path.name}: binned units")
        cutting.refuse_overlap(bounds[:, 0], bounds[:, 1] - 1e-6 * self.bin_s, path.name)
        edges = [
            a + self.bin_s * np.arange(n + 1) for (a, _), n in zip(bounds, sizes, strict=True)
        ]
        counts = self._counts(units, bounds[:, 0], sizes, path.name)
        seen = nwb_parts.observed(units, edges)
        moved, unit = self._moved(nwb, edges, path.name)
        stops = np.cumsum(sizes)
        pieces = [
            Piece(
                counts=counts[stop - n : stop],
                recorded=None if seen is None else seen[stop - n : stop],
                behaviour=None if moved is None else moved[k],
                condition=None if conditions is None else int(conditions[k]),
                part=parts[k],
                origin=(int(trials[k]), 0),
            )
            for k, (n, stop) in enumerate(zip(sizes, stops, strict=True))
        ]
        label = (self.behaviour.name, unit) if self.behaviour else ("", "")
        return Draft(path.stem, self.bin_s, pieces, continuous, label, (digest(path),), path.name)

    def _trials(
        self, nwb: Any, where: str
    ) -> tuple[Float[np.ndarray, "trial 2"], Int[np.ndarray, " trial"], list[Part | None]]:
        """Start and stop [s], row in the trials table, and part of each trial kept."""
        table = nwb.trials
        chosen = nwb_parts.matching(table, self.keep, f"{where}: trials")
        parts: list[Part | None] = [None] * len(chosen)
        if self.split_column is not None:
            words = nwb_parts.column(table, self.split_column, f"{where}: trials").astype(str)
            parts = [_PART.get(word) for word in words]
            chosen &= np.array([part is not None for part in parts])
        if self.align is None:
            bounds = np.stack(
                [
                    nwb_parts.column(table, name, f"{where}: trials").astype(np.float64)
                    for name in ("start_time", "stop_time")
                ],
                axis=1,
            )
        else:
            event = nwb_parts.column(table, self.align.field, f"{where}: trials")
            event = event.astype(np.float64)
            bounds = np.stack([event - self.align.before_s, event + self.align.after_s], axis=1)
        rows = np.flatnonzero(chosen & np.isfinite(bounds).all(axis=1))
        if rows.size == 0:
            raise DataError(f"{where}: no trial is left after keep, split_column and align")
        return bounds[rows], rows, [parts[row] for row in rows]

    def _counts(
        self,
        units: nwb_parts.Units,
        starts_s: Float[np.ndarray, " piece"],
        sizes: list[int],
        where: str,
    ) -> Int32[np.ndarray, "row channel"]:
        times = np.concatenate([*units.spikes, np.zeros(0)])
        channels = np.repeat(np.arange(len(units.spikes)), [len(s) for s in units.spikes])
        order = np.argsort(times, kind="stable")
        times, channels = times[order], channels[order]
        binned = [
            events.bin_spikes(times, channels, float(start), (n, len(units.spikes)), self.bin_s)
            for start, n in zip(starts_s, sizes, strict=True)
        ]
        return as_counts(np.concatenate(binned), f"{where}: units")

    def _moved(
        self, nwb: Any, edges: list[Float[np.ndarray, "..."]], where: str
    ) -> tuple[list[Float[np.ndarray, "..."]] | None, str]:
        spec = self.behaviour
        if spec is None:
            return None, ""
        times, values, unit = nwb_parts.series(nwb, spec.name, where)
        if spec.columns is not None:
            if not all(0 <= c < values.shape[1] for c in spec.columns):
                raise DataError(
                    f"{where}: {spec.name} has {values.shape[1]} dimensions, not "
                    f"{list(spec.columns)}"
                )
            values = values[:, list(spec.columns)]
        moved = [events.bin_means(times, values, e + spec.lag_s, spec.max_gap_s) for e in edges]
        return moved, spec.unit or unit

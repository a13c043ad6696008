"""HDF5 files of the LFADS family, and of the published SBTT demo."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from implant_sim.recordings import cutting
from implant_sim.recordings.assemble import Draft, Piece, assemble
from implant_sim.recordings.base import MAX_BIN_S, FileSplit, RecordingSource
from implant_sim.recordings.files import ArrayFile, Hdf5File, digest, find
from implant_sim.recordings.splits import Part
from implant_sim.recordings.tensors import Tensors, behaviour_tensor, counts_tensor, three_axes
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Seconds

__all__ = ["LfadsSource", "NamedBehaviour"]

_COUNTS = ("recon_data", "data", "encod_data")  # the first of them that a file has
_BEHAVIOUR = ("behavior", "behaviour")


class NamedBehaviour(Spec):
    """Name and unit of a behaviour that the format itself places."""

    name: str = Field("behaviour", min_length=1, max_length=80)
    unit: str = Field(max_length=40)


class LfadsSource(RecordingSource):
    """``{train,valid}_{recon,encod}_data`` or ``{train,valid}_data``, with ``*_truth`` if any.

    Where a file has both, ``recon_data`` is read: it holds the held-out channels and bins too. NaN
    marks samples that were not taken. A file without test trials gives up some of its validation
    trials (``split.valid`` : ``split.test``), or reuses them (``split.reuse_valid``).
    """

    kind: Literal["lfads_h5"] = "lfads_h5"
    path: Path
    bin_s: Seconds = Field(alias="bin", gt=0, le=MAX_BIN_S)
    """The files do not hold it."""
    truth_unit: Literal["file", "Hz", "spikes/s", "spikes/ms", "spikes/bin"] = "file"
    """Unit of ``*_truth``. ``file``: truth = conversion_factor x spikes/bin, as LFADS has it."""
    behaviour: NamedBehaviour | None = None
    """Read from ``{train,valid}_behavior``."""
    split: FileSplit = FileSplit()

    @override
    def load(self, root: Path) -> Recording:
        path = find(self.path, root)
        pieces: list[Piece] = []
        with Hdf5File(path) as file:
            parts: tuple[Part, ...] = ("train", "valid", "test")
            for part in parts:
                if part != "test" or any(file.has(f"test_{name}") for name in _COUNTS):
                    pieces += self._part(file, part).pieces(len(pieces), file.name)
        label = (self.behaviour.name, self.behaviour.unit) if self.behaviour else ("", "")
        draft = Draft(
            path.stem, self.bin_s, pieces, behaviour=label, sources=(digest(path),), file=path.name
        )
        return assemble(draft, self.split, None)

    def _part(self, file: ArrayFile, part: Part) -> Tensors:
        found = [name for name in _COUNTS if file.has(f"{part}_{name}")]
        counts, recorded = counts_tensor(file, f"{part}_{(found or _COUNTS)[0]}")
        behaviour = None
        if self.behaviour is not None:
            names = [name for name in _BEHAVIOUR if file.has(f"{part}_{name}")]
            behaviour = behaviour_tensor(file, f"{part}_{(names or _BEHAVIOUR)[0]}")
        index = None
        if file.has(f"{part}_inds"):
            where = file.where(f"{part}_inds")
            index = cutting.as_indices(file.read(f"{part}_inds").ravel(), where)
        truth = self._truth(file, f"{part}_truth") if file.has(f"{part}_truth") else None
        return Tensors(part, counts, recorded, truth, behaviour, index)

    def _truth(self, file: ArrayFile, name: str) -> Float[np.ndarray, "trial bin channel"]:
        """True rates. [1/s]"""
        where = file.where(name)
        raw = three_axes(file.numbers(name), where).astype(np.float64)
        if not (np.isfinite(raw) & (raw >= 0)).all():
            raise DataError(f"{where}: rates must be finite and at least 0")
        if self.truth_unit != "file":
            factor = {"spikes/ms": 1e3, "spikes/bin": 1 / self.bin_s}.get(self.truth_unit, 1.0)
            return raw * factor
        if not file.has("conversion_factor"):
            raise DataError(
                f"{where}: the file holds no conversion_factor, so the unit of its rates is "
                "unknown; state it, as `truth_unit: spikes/ms`"
            )
        values = file.numbers("conversion_factor").ravel()
        if not (values.size == 1 and np.isfinite(values[0]) and values[0] > 0):
            raise DataError(f"{file.where('conversion_factor')}: must be one positive number")
        return raw / float(values[0]) / self.bin_s

"""Tensors of the Neural Latents Benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from implant_sim.recordings.assemble import Draft, Piece, assemble
from implant_sim.recordings.base import MAX_BIN_S, FileSplit, RecordingSource
from implant_sim.recordings.files import ArrayFile, Hdf5File, digest, find
from implant_sim.recordings.lfads import NamedBehaviour
from implant_sim.recordings.tensors import Tensors, behaviour_tensor, counts_tensor
from sbtt_models.errors import DataError
from sbtt_models.signals import Recording
from sbtt_models.units import Seconds

__all__ = ["NlbSource"]


class NlbSource(RecordingSource):
    """``{train,eval}_spikes_{heldin,heldout}`` and ``{train,eval}_behavior``.

    Held-in channels come first, held-out ones after them. The eval trials test; of the train
    trials some validate (``split.train`` : ``split.valid``). NaN marks bins that do not exist.
    Behaviour is taken as the tensors have it: with the benchmark's lag already in it.
    """

    kind: Literal["nlb"] = "nlb"
    path: Path
    """The training and evaluation input, in one file."""
    target_path: Path | None = None
    """The evaluation target, where it is a file of its own: held-out spikes and behaviour."""
    group: str = ""
    """Folder of the target file, such as ``mc_maze_20``."""
    bin_s: Seconds = Field(alias="bin", gt=0, le=MAX_BIN_S)
    heldout: bool = True
    """Whether the held-out channels are read."""
    behaviour: NamedBehaviour | None = None
    split: FileSplit = FileSplit()

    @override
    def load(self, root: Path) -> Recording:
        path = find(self.path, root)
        target = None if self.target_path is None else find(self.target_path, root)
        pieces: list[Piece] = []
        with Hdf5File(path) as first, Hdf5File(target or path) as second:
            files: list[ArrayFile] = [first, second]
            for prefix in ("train", "eval"):
                pieces += self._part(files, prefix).pieces(len(pieces), first.name)
        label = (self.behaviour.name, self.behaviour.unit) if self.behaviour else ("", "")
        sources = tuple(digest(p) for p in (path, target) if p is not None)
        draft = Draft(
            path.stem, self.bin_s, pieces, behaviour=label, sources=sources, file=path.name
        )
        return assemble(draft, self.split, None)

    def _place(self, files: list[ArrayFile], name: str) -> tuple[ArrayFile, str] | None:
        """File and full name of a tensor, wherever it is."""
        for file in files:
            for full in (name, f"{self.group}/{name}".strip("/")):
                if file.has(full):
                    return file, full
        return None

    def _part(self, files: list[ArrayFile], prefix: str) -> Tensors:
        file, name = self._place(files, f"{prefix}_spikes_heldin") or (
            files[0],
            f"{prefix}_spikes_heldin",
        )
        counts, recorded = counts_tensor(file, name)
        n_heldout = self._n_heldout(files)
        if n_heldout:
            place = self._place(files, f"{prefix}_spikes_heldout")
            shape = (*counts.shape[:2], n_heldout)
            if place is None:  # as in the public test phase: those spikes are kept secret
                more, known = np.zeros(shape, np.int32), np.zeros(shape, bool)
            else:
                more, seen = counts_tensor(*place)
                known = np.ones(more.shape, bool) if seen is None else seen
                if more.shape[:2] != counts.shape[:2]:
                    raise DataError(
                        f"{place[0].where(place[1])}: shape {more.shape} does not go with "
                        f"held-in counts of shape {counts.shape}"
                    )
            recorded = np.ones(counts.shape, bool) if recorded is None else recorded
            counts = np.concatenate([counts, more], axis=2)
            recorded = np.concatenate([recorded, known], axis=2)
        return Tensors(
            "train" if prefix == "train" else "test",
            counts,
            None if recorded is None or recorded.all() else recorded,
            behaviour=self._moved(files, prefix) if self.behaviour else None,
        )

    def _n_heldout(self, files: list[ArrayFile]) -> int:
        place = self._place(files, "train_spikes_heldout") if self.heldout else None
        return 0 if place is None else counts_tensor(*place)[0].shape[2]

    def _moved(self, files: list[ArrayFile], prefix: str) -> Float[np.ndarray, "trial bin dim"]:
        name = f"{prefix}_behavior"
        moved = behaviour_tensor(*(self._place(files, name) or (files[0], name)))
        masked = self._place(files, f"{prefix}_decode_mask")
        if masked is None:
            return moved
        file, full = masked
        raw = file.numbers(full)
        mask = (raw != 0).reshape(raw.shape[0] if raw.ndim else 1, -1)
        if len(mask) != len(moved):
            raise DataError(f"{file.where(full)}: {len(mask)} trials, but {len(moved)} in {name}")
        # one column for each bin, or for each group of trials that has a decoder of its own
        scored = mask if mask.shape[1] == moved.shape[1] else mask.any(axis=1, keepdims=True)
        return np.where(scored[:, :, None], moved, np.nan)

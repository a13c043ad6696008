"""Checkpoints: all that a training needs to go on as if it had never stopped.

Each is a safetensors file and a manifest that names its digest; the manifest is written last, so
a checkpoint without one was never finished. The last two are kept.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbtt_models import kept
from sbtt_models.atomic import TEMPORARY
from sbtt_models.errors import DataError, SpecError

__all__ = ["Checkpoints", "State"]

_FORMAT = "sbtt_models checkpoint 1"
_NAME = re.compile(r"checkpoint-(\d{6})\.(json|safetensors)")
_KEPT = 2


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A training between two epochs."""

    epoch: int
    """Epochs done."""
    arrays: kept.Arrays
    facts: Mapping[str, Any]
    """What is not an array, as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one training in its folder."""

    folder: Path
    identity: Mapping[str, Any]
    """What makes a training this one: dotted key -> value, as JSON can hold it."""

    def save(self, state: State) -> None:
        """Keep a state, and let go of all but the last two.

        Raises
        ------
        SimError
            If it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        data = kept.pack(state.arrays)
        name = f"checkpoint-{state.epoch:06d}"
        content = {
            "format": _FORMAT,
            "epoch": state.epoch,
            "identity": dict(self.identity),
            "facts": dict(state.facts),
            "arrays": {"sha256": kept.digest_of(data), "bytes": len(data)},
        }
        kept.write_file(self.folder / f"{name}.safetensors", data)
        kept.write_file(self.folder / f"{name}.json", kept.sealed(content))
        epochs = self._epochs()
        done = [epoch for epoch in epochs if epoch <= state.epoch]
        # one of a later epoch was refused, or this training would not be here
        for epoch in set(epochs) - set(done[:_KEPT]):
            self._remove(epoch)

    def resume(self, put_back: Callable[[State], None]) -> bool:
        """Put the last state back that can be trusted; False if there is none.

        One that is damaged is named in a warning, and the one before it is used.

        Parameters
        ----------
        put_back : callable
            Takes a state; raises `DataError` if it cannot be.

        Raises
        ------
        SpecError
            If the folder holds checkpoints of another training; names what differs.
        """
        self._sweep()
        refused, reached = [], 0
        for epoch in self._epochs():
            try:
                put_back(self._read(epoch))
                reached = epoch
                break
            except DataError as error:
                refused.append(str(error))
        if refused:
            instead = f"epoch {reached}" if reached else "the beginning"
            warnings.warn(
                f"checkpoint refused: {'; '.join(refused)}; training goes on from {instead}",
                stacklevel=2,
            )
        return reached > 0

    def clear(self) -> None:
        """Remove all checkpoints, and what a writer that died has left."""
        for epoch in self._epochs():
            self._remove(epoch)
        self._sweep()

    def _epochs(self) -> list[int]:
        """Of checkpoints with a manifest, the last first."""
        found = (_NAME.fullmatch(path.name) for path in self.folder.glob("checkpoint-*.json"))
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def _remove(self, epoch: int) -> None:
        for ending in ("json", "safetensors"):  # the manifest first: without, the rest is nothing
            (self.folder / f"checkpoint-{epoch:06d}.{ending}").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a writer that died has left."""
        whole = {f"checkpoint-{epoch:06d}" for epoch in self._epochs()}
        for path in self.folder.glob("checkpoint-*"):
            if TEMPORARY in path.name or path.stem not in whole:
                path.unlink(missing_ok=True)

    def _read(self, epoch: int) -> State:
        path = self.folder / f"checkpoint-{epoch:06d}.json"
        content = kept.read_sealed(path)
        facts, arrays = content.get("facts"), content.get("arrays")
        ours = content.get("format") == _FORMAT and content.get("epoch") == epoch
        if not ours or not isinstance(facts, dict) or not isinstance(arrays, dict):
            raise DataError(f"{path}: not the manifest of epoch {epoch} of a {_FORMAT!r}")
        self._refuse_another(content.get("identity"))
        file = path.with_suffix(".safetensors")
        data = kept.read_file(file, str(arrays.get("sha256")), arrays.get("bytes", -1))
        return State(epoch, kept.unpack(data, file), facts)

    def _refuse_another(self, theirs: object) -> None:
        theirs = theirs if isinstance(theirs, dict) else {}
        for key in (*self.identity, *theirs):
            before, now = theirs.get(key), self.identity.get(key)
            if before != now:
                raise SpecError(
                    f"folder {self.folder}: holds checkpoints of another training ({key} was "
                    f"{before}, is {now}); choose another folder, or remove the checkpoints"
                )

"""What a point with a warm start takes over from the one whose weights it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sbtt_models
from implant_sim.study.store import RunFolder
from sbtt_models.decoders.base import Fitted
from sbtt_models.errors import SimError, SpecError

__all__ = ["Beginning"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """An earlier point, as far as a later one has to know it."""

    key: str
    folder: Path
    """Of that point."""
    digest: str
    """Of all that its weights have learned from."""
    epochs: int
    """That its weights have trained, in it and before it."""
    energy_j: float
    """Of the implant, over the training trials of all points that they learned from. [J]"""

    @classmethod
    def of(cls, folder: RunFolder, key: str) -> Beginning:
        """Look at an earlier point.

        Raises
        ------
        SpecError
            If it ended without weights, and would again.
        SimError
            If it is missing or damaged, or another try may help it.
        """
        kept = folder.result(key, verify=True)
        row = {} if kept is None else kept["row"]
        status = row.get("status", "missing")
        if kept is None or status != "ok":
            told = (
                f"warm_start: point {key}, whose weights this one begins with, is {status}; "
                "mend it, or leave its value out of the sweep"
            )
            raise (SpecError if status in ("diverged", "infeasible") else SimError)(told)
        decoded = kept["decoded"]
        return cls(
            key,
            folder.points / key,
            decoded["sha256"],
            row["epochs"] + (row.get("epochs_before") or 0),
            row["energy_per_bin_j"] * decoded["training_bins"] + (row.get("start_energy_j") or 0),
        )

    def columns(self) -> dict[str, Any]:
        """What the results table tells of it."""
        return {
            "started_from": self.key,
            "epochs_before": self.epochs,
            "start_energy_j": self.energy_j,
        }

    def fitted(self, device: str) -> Fitted:
        """Its decoder."""
        return sbtt_models.load(self.folder, device=device)

    def note(self) -> str:
        """What the report says."""
        return (
            f"warm start: begins with the weights of point {self.key}, which {self.epochs:,} "
            f"epochs on samples worth {self.energy_j:.3g} J of the implant have taught; that "
            "energy is not charged"
        )

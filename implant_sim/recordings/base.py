"""What every source of a recording shares: the abstract class, and how its trials are split."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction

__all__ = ["MAX_BIN_S", "Declared", "FileSplit", "RecordingSource", "Shares"]

MAX_BIN_S = 10.0
"""The widest bin: nothing that is decoded here lasts so long, and `bin: 50` is meant in ms. [s]"""


class Shares(Spec):
    """How much of a recording trains, validates and tests."""

    train: Fraction = Field(0.6, gt=0, lt=1)
    valid: Fraction = Field(0.15, gt=0, lt=1)
    test: Fraction = Field(0.25, gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Shares:
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train, valid and test must add up to 1, got {self.train:g} + {self.valid:g} + "
                f"{self.test:g} = {total:g}; give all three"
            )
        return self

    def padded(self, n_bins: int) -> int:
        """At most so many bins has a continuous recording in three blocks, each as the longest."""
        return 3 * math.ceil(max(self.train, self.valid, self.test) * n_bins)


class FileSplit(Shares):
    """How the trials of a file are split."""

    by: Literal["auto", "trials", "blocks"] = "auto"
    """``trials``: whole trials, at random, alike in every condition. ``blocks``: stretches of
    time, train before valid before test, with gaps of one window and the longest decoding lag.
    ``auto``: blocks for a continuous recording, trials for trials."""
    seed: int = Field(0, ge=0)
    """Which trials go where; without effect on blocks."""
    rounds: int = Field(1, ge=1, le=1000)
    """Blocks only: how often the sequence train, valid, test is run through."""
    is_train: str | None = None
    """A data set, true for the trials that train. The others are divided by valid : test."""
    reuse_valid: bool = False
    """Test on the validation trials, as the published demo does. Only for two-set files."""

    @model_validator(mode="after")
    def _one_way(self) -> FileSplit:
        if self.by == "blocks" and self.is_train is not None:
            raise ValueError("`by: blocks` and `is_train` contradict each other; give one")
        return self


@dataclass(frozen=True, slots=True)
class Declared:
    """The size of a recording that was not made yet; at least what it will be."""

    n_bins: int
    """Of all trials."""
    n_channels: int
    bin_s: float
    window_bins: int | None = None
    """Of the longest window, where trials of one length are made."""


class RecordingSource(Spec, ABC):
    """A place that a recording comes from. One method: `load`."""

    @property
    def declared(self) -> Declared | None:
        """How large `load` will find it, where that is known without loading."""
        return None

    @property
    def imaged(self) -> bool:
        """Whether `load` gives real values that a microscope has read, rather than spikes."""
        return False

    @abstractmethod
    def load(self, root: Path) -> Recording:
        """Read or make the recording.

        Parameters
        ----------
        root : pathlib.Path
            Folder of the scenario; relative paths start there.

        Raises
        ------
        DataError
            Where the file is missing, damaged, of another layout, or holds no spike counts.
        """

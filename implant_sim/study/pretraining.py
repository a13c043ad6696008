"""Learning in two stages: first from some densely sampled trials, then from the sparse rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

from implant_sim.hardware.activity import Activity
from implant_sim.hardware.calibration import with_dense_trials
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.hardware.schedules.file import FromFile
from implant_sim.hardware.schedules.full import Full
from sbtt_models.decoders.base import Adapt
from sbtt_models.errors import SpecError
from sbtt_models.signals import MaskedStream, Recording, Split
from sbtt_models.spec import Spec
from sbtt_models.training import Training
from sbtt_models.units import Fraction, Seconds

__all__ = ["DenseTrials", "Pretraining"]

_DAY_S = 86_400.0


class Pretraining(Spec):
    """Some training trials are sampled densely, and the decoder learns from them first.

    They replace as many sparse ones: the decoder is then adapted on the other training trials.
    Validation and test trials are sampled as `schedule` of the scenario says. What dense sampling
    costs beyond that is charged to the design, as rows of their own.
    """

    trials: int | None = Field(None, ge=1)
    """How many; or `fraction`."""
    fraction: Fraction | None = Field(None, gt=0, lt=1)
    """Share of the training trials."""
    schedule: AnySchedule = Full()
    """How they are sampled."""
    training: Training | None = None
    """How the decoder learns from them. None: as from the others."""
    adapt: Adapt = "all"
    """What still learns on the sparse trials: all weights, the encoder, or its first layer."""
    every_s: Seconds = Field(_DAY_S, gt=0, alias="every")
    """Time over which the energy of the dense trials is spread, until they are retaken."""

    @model_validator(mode="after")
    def _one_amount(self) -> Pretraining:
        if (self.trials is None) == (self.fraction is None):
            raise ValueError("give trials or fraction: how many training trials are dense")
        if isinstance(self.schedule, FromFile):
            raise ValueError("schedule: one from a file does not say which of its bins are dense")
        return self

    def chosen(self, split: Split, rng: np.random.Generator) -> Int[np.ndarray, " dense"]:
        """Draw the dense ones; more of them hold those that fewer would be.

        Raises
        ------
        SpecError
            If no training trial would be left to adapt on.
        """
        n_train = split.train.size
        n_dense = self.trials or max(1, round((self.fraction or 0.0) * n_train))
        if n_dense >= n_train:
            key = "trials" if self.trials is not None else "fraction"
            raise SpecError(
                f"pretraining.{key}: {n_dense} of {n_train} training trials leave none to adapt "
                f"on; take at most {n_train - 1}"
            )
        return np.sort(rng.permutation(split.train)[:n_dense])

    def charge(
        self,
        activity: Activity,
        densely: Activity,
        recording: Recording,
        trials: Int[np.ndarray, " dense"],
    ) -> Activity:
        """Add what the dense trials cost; see :func:`with_dense_trials`."""
        seconds = float(recording.lengths[trials].sum()) * recording.bin_s
        return with_dense_trials(activity, densely, seconds, self.every_s)


@dataclass(frozen=True, slots=True, eq=False)
class DenseTrials:
    """What the two stages learn from."""

    dense: MaskedStream
    """Its training trials are the dense ones."""
    sparse: MaskedStream
    """Its training trials are the others."""

    @classmethod
    def of(
        cls, stream: MaskedStream, densely: MaskedStream, trials: Int[np.ndarray, " dense"]
    ) -> DenseTrials:
        """Put together what was delivered.

        Parameters
        ----------
        stream, densely : MaskedStream
            All trials, sampled as the scenario says, and densely.
        trials : numpy.ndarray
            The dense ones.
        """
        counts, exposure = stream.counts.copy(), stream.exposure.copy()
        counts[trials], exposure[trials] = densely.counts[trials], densely.exposure[trials]
        split = stream.split
        rest = np.setdiff1d(split.train, trials)
        return cls(
            replace(stream, counts=counts, exposure=exposure, split=replace(split, train=trials)),
            replace(stream, split=replace(split, train=rest)),
        )

    def delivered(self) -> MaskedStream:
        """All trials at the sparse samples, for scores; of the dense ones only what they hold."""
        gone = self.dense.exposure < self.sparse.exposure
        split = self.dense.split
        whole = np.union1d(split.train, self.sparse.split.train)
        return replace(self.sparse.hide(gone), split=replace(split, train=whole))

"""Electrodes that change between training and test, while nothing is trained again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int32
from pydantic import Field

from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction

__all__ = ["Drift"]


class Drift(Spec):
    """What becomes of the electrodes before the test trials are recorded.

    Training, validation, calibration and ranking see the electrodes as they were; decoder and
    read-outs are those of before. Neurons and behaviour stay as they are, and scores are taken
    against them: what is lost is lost between neuron and implant. On a recording that is split by
    trials, the test trials stand for a later day.
    """

    silent: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the electrodes that give no spikes any more. Larger shares hold smaller ones."""
    noticed: bool = False
    """The receiver knows which those are: their samples, taken and paid for as before, are not
    observed. Otherwise it takes their silence for data."""
    walk: float = Field(0.0, ge=0, le=2)
    """Standard deviation of one day's step of the logarithm of each electrode's gain: spikes
    found for each spike that was found before. [per square root of a day]"""
    days: float = Field(1.0, gt=0, le=36_500)
    """Between training and test; the walk's deviation grows by its square root."""

    def apply(self, recording: Recording, rng: np.random.Generator) -> Recording:
        """What the electrodes give of a recording.

        Parameters
        ----------
        recording : Recording
            What they gave when the decoder was trained.
        rng : numpy.random.Generator
            Draws which electrodes, how far their gains walk, and which spikes are concerned.

        Returns
        -------
        Recording
            The same outside the test trials; with `noticed`, a gap where an electrode is silent.

        Raises
        ------
        SpecError
            Where the test trials also validate, so that training would see the drift.
        """
        if not recording.split.judged_once:
            raise SpecError(
                f"drift: the test trials of {recording.name} also validate, so that training "
                "would see them; take a recording of three sets (lorenz: variant standard; files: "
                "split.reuse_valid false)"
            )
        for_silent, for_gain, for_spikes = rng.spawn(3)
        n, test = recording.n_channels, recording.split.test
        dead = for_silent.permutation(n)[: round(self.silent * n)]
        gain = np.exp(self.walk * np.sqrt(self.days) * for_gain.standard_normal(n))
        counts = recording.counts.copy()
        if self.walk:
            counts[test] = scaled(counts[test], gain, for_spikes)
        counts[np.ix_(test, np.arange(counts.shape[1]), dead)] = 0
        if not self.noticed or not dead.size:
            return replace(recording, counts=counts)
        recorded = recording.available.copy()
        recorded[np.ix_(test, np.arange(counts.shape[1]), dead)] = False
        return replace(recording, counts=counts, recorded=recorded)

    @property
    def note(self) -> str:
        """What the reader of a result must know."""
        parts = []
        if self.silent:
            known = "noticed" if self.noticed else "unnoticed"
            parts.append(f"{self.silent:.3g} of the electrodes are silent, {known}")
        if self.walk:
            parts.append(
                f"log gains walk by {self.walk:.3g} per root day for {self.days:.3g} days"
            )
        return "in the test trials " + " and ".join(parts) if parts else ""


def scaled(
    counts: Int32[np.ndarray, "trial bin channel"],
    gain: Float[np.ndarray, " channel"],
    rng: np.random.Generator,
) -> Int32[np.ndarray, "trial bin channel"]:
    """Find each spike `gain` times in the mean: a whole number of times, and once more by chance.

    Below 1 this thins a Poisson count to a Poisson count; above, counts spread by more than
    Poisson's.
    """
    whole = np.floor(gain).astype(np.int64)
    extra = rng.binomial(counts, gain - whole)
    return (counts * whole + extra).astype(np.int32)

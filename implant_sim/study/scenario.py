"""A scenario: what a YAML file says of one operating point, and what varies."""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from implant_sim.hardware.implant import Implant
from implant_sim.hardware.schedules import AnySchedule
from implant_sim.recordings import AnyRecording
from implant_sim.study.drift import Drift
from implant_sim.study.pretraining import Pretraining
from implant_sim.study.search.spec import Search
from implant_sim.study.sweep import Sweep
from implant_sim.study.warm_start import WarmStart
from implant_sim.study.withhold import ScoreOptions
from implant_sim.study.yaml_loader import printable
from sbtt_models.decoders import AnyDecoder
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.training import Training
from sbtt_models.tuning import Tuning
from sbtt_models.units import Seconds

__all__ = ["MOST_REPEATS", "Scenario"]

_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10)),
}


MOST_REPEATS = 1000


class Scenario(Spec):
    """One implant, one recording, one way to sample and to decode; and what varies."""

    name: str = Field(min_length=1, max_length=80)
    """Names the default run folder."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seeds schedule, link, initial weights and batches; repeats count up from it."""
    repeats: int = Field(1, ge=1, le=MOST_REPEATS)
    recording: AnyRecording
    implant: Implant | None = None
    """A block, or the path of a YAML file that holds one. None where a microscope has read the
    recording."""
    schedule: AnySchedule
    decoder: AnyDecoder
    training: Training = Training()
    tuning: Tuning | None = None
    """Find numbers of decoder and training by a population instead of one training."""
    pretraining: Pretraining | None = None
    """Dense trials that the decoder learns from first."""
    drift: Drift | None = None
    """What becomes of the electrodes between training and test."""
    warm_start: WarmStart | None = None
    """Points that begin with the weights of their neighbour along an axis of the sweep."""
    score: ScoreOptions = ScoreOptions()
    time_limit_s: Seconds | None = Field(None, gt=0, alias="time_limit")
    """The longest that one point may take; beyond it its status is `timeout`."""
    sweep: Sweep = Sweep()
    """A grid: dotted key -> values, or a range. A value may be a whole block, with a `label`."""
    search: Search | None = None
    """Instead of a sweep: which designs there are, and which are good."""

    @model_validator(mode="after")
    def _implanted_or_imaged(self) -> Scenario:
        if not self.recording.imaged:
            if self.implant is None:
                raise ValueError(
                    "'implant' is missing: a block, or a path such as implants/NAME.yaml"
                )
            return self
        given = [
            name for name in ("implant", "pretraining", "drift", "search") if getattr(self, name)
        ]
        if given:
            raise ValueError(
                f"{' and '.join(given)}: a microscope has read this recording, and there is no "
                "implant to price; leave it out"
            )
        return self

    @property
    def implanted(self) -> Implant:
        """The implant.

        Raises
        ------
        SpecError
            Where there is none.
        """
        if self.implant is None:
            raise SpecError(
                f"recording.kind: {self.recording.kind} was read by a microscope, and there is no "
                "implant to price; choose a recording of spikes, or `run` for its scores"
            )
        return self.implant

    @model_validator(mode="after")
    def _tunable(self) -> Scenario:
        if self.tuning is None:
            return self
        try:
            self.tuning.refuse(self.decoder, self.training)
        except SpecError as error:  # told with its place, among other faults
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _decodable(self) -> Scenario:
        """Where the recording tells its size without being loaded."""
        size = self.recording.declared
        if size is None:
            return self
        try:
            self.decoder.refuse_channels(size.n_channels)
            if size.window_bins is not None:
                self.decoder.refuse_window(size.window_bins)
        except SpecError as error:
            raise ValueError(f"decoder: {error}") from None
        return self

    @model_validator(mode="after")
    def _may_be_pretrained(self) -> Scenario:
        if self.pretraining is None:
            return self
        if not self.decoder.goes_on:
            raise ValueError(
                f"pretraining: decoder {self.decoder.kind} does not go on from an earlier fit; "
                "choose a network, or trial_mixture"
            )
        if self.tuning is not None:
            raise ValueError("pretraining: a population is not pretrained; leave out tuning")
        return self

    @model_validator(mode="after")
    def _may_begin_warm(self) -> Scenario:
        if self.warm_start is None:
            return self
        if self.tuning is not None or self.pretraining is not None:
            block = "tuning" if self.tuning is not None else "pretraining"
            raise ValueError(f"warm_start: does not go with {block}; leave one of them out")
        if self.search is not None:
            raise ValueError("warm_start: a search has no neighbours to begin with; sweep instead")
        return self

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name.endswith("."):
            raise ValueError(
                f"{printable(name)!r} cannot name a folder; use letters, digits, '_', '-', '.'"
            )
        if name.split(".")[0].lower() in _RESERVED:
            raise ValueError(f"{name!r} is a reserved file name; choose another")
        return name

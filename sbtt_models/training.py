"""How a decoder is trained: the one record of optimiser, stop rule, regularisation and budget."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sbtt_models.spec import Spec
from sbtt_models.units import Fraction

__all__ = ["Plateau", "Training"]


class Plateau(Spec):
    """When and how a learning rate falls; numbers as lfads-torch publishes them for MC_Maze."""

    decay: float = Field(0.95, gt=0, lt=1)
    """What the rate is multiplied with."""
    patience: int = Field(6, ge=0)
    """Validations without a better loss that are borne before."""
    stop: float = Field(1e-5, ge=0)
    """The rate falls no further than this."""


class Training(Spec):
    """The training budget and its rules. Decoders that need no training ignore it."""

    threads: int = Field(1, ge=1, le=256)
    """Threads that one training uses; part of the result, since sums depend on their order."""
    epochs: int = Field(150, ge=1, le=100_000)
    """The longest a training may take, in passes over its windows."""
    batch_size: int = Field(64, ge=1, le=65_536)
    learning_rate: float = Field(4e-3, gt=0, le=1)
    schedule: Literal["one_cycle", "constant", "plateau"] = "one_cycle"
    """Learning rate over the training: one warm-up and one cosine decay; constant; or constant
    until the loss no longer falls, then lower."""
    plateau: Plateau = Plateau()
    """How a rate of schedule `plateau` falls."""
    weight_decay: float = Field(0.0, ge=0)
    """L2 penalty added to the gradient, as Adam does it."""
    clip_norm: float = Field(200.0, gt=0)
    """Gradients are scaled down to this global norm."""
    coordinated_dropout: Fraction = Field(0.3, ge=0, lt=1)
    """Share of observed inputs hidden in each step; only what was hidden sends a gradient back."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better validation loss. None: never."""
    ramp_epochs: int = Field(80, ge=0)
    """Epochs over which the KL and L2 terms rise to their full weight."""
    validate_every: int = Field(1, ge=1)
    """Epochs from one validation to the next."""
    sample_validation: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the observed training entries that is neither shown nor taught, ever; the history
    tells their loss, ``sample_loss``."""
    stop_by: Literal["valid_loss", "sample_loss"] = "valid_loss"
    """The loss that best weights, patience and plateaus go by."""
    loss_over: Literal["observed", "all"] = "observed"
    """Entries that the loss is a mean over. With `all`, missing entries count as 0, so that sparse
    sampling weakens it against the KL and L2 terms, as in autolfads-tf2."""
    redrawn_mask: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the delivered training entries that each epoch sets aside, drawn anew: neither
    shown nor taught in it."""
    jitter_bins: int = Field(0, ge=0, le=1000)
    """Each epoch moves each training spike by up to so many bins, to an observed bin of its trial;
    where it would not be observed, it stays."""
    shift_bins: int = Field(0, ge=0, le=1000)
    """Each epoch shifts each training trial whole by up to so many bins, and its mask with it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products in a training step (torch's autocast). Recurrences whose gradient is written
    by hand, validation and inference stay in float32."""
    checkpoint_every: int | None = Field(25, ge=1)
    """Epochs from one checkpoint to the next, where a folder for them is given; one more is kept
    at the end of a longer training. One that was killed then goes on, and gives what it would have
    given. None: no checkpoints."""
    withheld_validation: Fraction = Field(0.2, ge=0, lt=1)
    """Share of the observed validation entries that is hidden from the encoder and alone scored,
    so that copying the input is no virtue. 0 scores what the encoder saw, as published."""

    @model_validator(mode="after")
    def _something_to_stop_by(self) -> Training:
        if self.stop_by == "sample_loss" and self.sample_validation == 0:
            raise ValueError("stop_by sample_loss needs a sample_validation above 0")
        return self

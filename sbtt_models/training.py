"""How a decoder is trained: the one record of optimiser, stop rule, regularisation and budget."""

from __future__ import annotations

from pydantic import Field

from sbtt_models.spec import Fraction, Spec

__all__ = ["Training"]


class Training(Spec):
    """The training budget and its rules. Decoders that need no training ignore it."""

    threads: int = Field(1, ge=1, le=256)
    """Threads that one training uses; part of the result, since sums depend on their order."""
    epochs: int = Field(150, ge=1, le=100_000)
    """The longest a training may take, in passes over its windows."""
    batch_size: int = Field(64, ge=1, le=65_536)
    learning_rate: float = Field(4e-3, gt=0, le=1)
    schedule: str = Field("one_cycle", pattern="^(one_cycle|constant)$")
    """Learning rate over the training: one warm-up and one cosine decay, or constant."""
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
    checkpoint_every: int | None = Field(25, ge=1)
    """Epochs from one checkpoint to the next, where a folder for them is given; one more is kept
    at the end of a longer training. One that was killed then goes on, and gives what it would have
    given. None: no checkpoints."""
    withheld_validation: Fraction = Field(0.2, ge=0, lt=1)
    """Share of the observed validation entries that is hidden from the encoder and alone scored,
    so that copying the input is no virtue. 0 scores what the encoder saw, as published."""

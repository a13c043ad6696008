"""A parallel-in-time model: bidirectional linear state spaces, mixed nonlinearly. Torch-free."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.units import Fraction

__all__ = ["StateSpace"]


class StateSpace(NeuralSpec):
    """Blocks of diagonal linear recurrences over time and one nonlinear mixing of features each.

    Each feature has a few damped oscillators that run forward, and as many that run backward; all
    bins of a window are computed at once, as products with decaying kernels. So a training step
    costs a fraction of that of a recurrent network, and a few thousand parameters suffice. It
    bears learning rates of 1e-2, and is then done after 30 to 60 epochs.

    References
    ----------
    Gu et al., "On the parameterization and initialization of diagonal state space models",
    NeurIPS 2022, arXiv:2206.11893. Orvieto et al., "Resurrecting recurrent neural networks for
    long sequences", ICML 2023, arXiv:2303.06349.
    """

    kind: Literal["state_space"] = "state_space"
    hidden: int = Field(32, ge=1, le=4096)
    """Features of a bin."""
    blocks: int = Field(5, ge=1, le=64)
    """Each is a filter in time and a mixing of features; depth pays more than width."""
    modes: int = Field(4, ge=1, le=256)
    """Damped oscillators of each feature, in each direction."""
    dropout: Fraction = Field(0.0, ge=0, lt=1)
    """Share of the features dropped in each block, for a whole window at a time."""
    trained_causal: bool = True
    """Train a causal decoder to look back only. False: train it to look both ways, and end its
    windows at the present when it infers."""

    @property
    @override
    def one_way(self) -> bool:
        return self.causal and self.trained_causal

    @override
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        from sbtt_models.nets.state_space import StateSpaceNetwork

        return StateSpaceNetwork(self, n_channels, n_bins, start)

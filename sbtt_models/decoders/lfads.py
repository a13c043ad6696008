"""LFADS: latent factor analysis via dynamical systems. Torch-free record."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.decoders.priors import AnyPrior, Autoregressive, InitialPrior, Normal
from sbtt_models.errors import SpecError
from sbtt_models.spec import Spec
from sbtt_models.units import Fraction

__all__ = ["LFADS", "Controller", "InitialCondition"]


class InitialCondition(Spec):
    """The encoder of a window into a Gaussian posterior over its initial condition."""

    encoder: int = Field(64, ge=1, le=4096)
    """Units of the bidirectional encoder, of each direction."""
    size: int = Field(64, ge=1, le=4096)
    prior: InitialPrior = Normal()
    least_variance: float = Field(1e-4, ge=0)
    """Added to the posterior variance, so that it cannot collapse."""
    kl_scale: float = Field(1e-7, ge=0)


class Controller(Spec):
    """The network that infers inputs to the generator, bin by bin."""

    encoder: int = Field(64, ge=1, le=4096)
    """Units of the bidirectional encoder that it listens to, of each direction."""
    size: int = Field(64, ge=1, le=4096)
    outputs: int = Field(4, ge=1, le=1024)
    """Dimension of the inferred input."""
    lag: int = Field(1, ge=0, le=100)
    """Bins by which it hears the encoder late, so that an input precedes its effect."""
    prior: AnyPrior = Autoregressive()
    kl_scale: float = Field(1e-7, ge=0)


class LFADS(NeuralSpec):
    """Sequential variational autoencoder with inferred inputs and low-dimensional factors.

    Sizes, priors and scales default to the values that the lfads-torch library publishes for the
    MC_Maze recording; ``loss_scale`` there (1e4) is left out. It scales Adam's epsilon, and what
    gradients are clipped at: the ``clip_norm`` of 200 there is 0.02 here.

    References
    ----------
    Pandarinath et al., "Inferring single-trial neural population dynamics using sequential
    auto-encoders", Nature Methods 15:805-815, 2018. Sedler & Pandarinath, "lfads-torch", 2023.
    """

    kind: Literal["lfads"] = "lfads"
    generator: int = Field(200, ge=1, le=4096)
    factors: int = Field(100, ge=1, le=4096)
    initial_condition: InitialCondition = InitialCondition()
    controller: Controller | None = Controller()
    """None: an autonomous generator, without inferred inputs."""
    dropout: Fraction = Field(0.3, ge=0, lt=1)
    state_clip: float = Field(5.0, gt=0)
    """Recurrent states are kept within plus or minus this."""
    l2_scale: float = Field(0.0, ge=0)
    """Weight of the mean square of the generator's and controller's recurrent weights."""
    samples: int = Field(0, ge=0, le=10_000)
    """Rates are the mean over so many posterior samples. 0: those of the posterior's mean."""
    external: Literal["generator", "controller", "both", "none"] = "generator"
    """Where the external inputs of a stream go, if it has any."""

    @property
    @override
    def hears_external(self) -> bool:
        return self.external != "none"

    @override
    def refuse_window(self, n_bins: int) -> None:
        """Also where the controller would hear nothing of the encoder in any bin."""
        super().refuse_window(n_bins)
        heard = min(n_bins, self.encoder_bins or n_bins)
        if self.controller is not None and self.controller.lag >= heard:
            raise SpecError(
                f"controller.lag: {self.controller.lag} bins late the controller never hears the "
                f"{heard} bins that the encoder sees; take at most {heard - 1}, or controller "
                "null"
            )

    @override
    def build(self, n_channels: int, n_bins: int, start: Any, n_external: int = 0) -> Any:
        from sbtt_models.nets.lfads import LFADSNetwork

        return LFADSNetwork(self, n_channels, start, n_external)

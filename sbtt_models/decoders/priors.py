"""Priors of what LFADS infers: this union is registry, schema and documentation. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sbtt_models.spec import Spec

__all__ = ["AnyPrior", "Autoregressive", "InitialPrior", "Normal", "StudentT"]


class Normal(Spec):
    """Independent Gaussians; the divergence is exact."""

    kind: Literal["normal"] = "normal"
    variance: float = Field(0.1, gt=0)
    learn_mean: bool = True
    """Otherwise it is 0."""
    learn_variance: bool = False


class StudentT(Spec):
    """Independent Student-t: inputs that are mostly small and sometimes large.

    The posterior is a Student-t of the same degrees of freedom, and the divergence is that of one
    sample, as in lfads-torch; the location starts at 0.
    """

    kind: Literal["student_t"] = "student_t"
    df: float = Field(5.0, ge=0.5, le=1000)
    """Degrees of freedom: the fewer, the heavier the tails. Draws of fewer than 0.4 exceed what
    float32 can hold."""
    scale: float = Field(0.3, gt=0)
    """Half-width, or its first guess."""
    learn: bool = True
    """Learn location and scale of each dimension."""


class Autoregressive(Spec):
    """A first-order autoregressive Gaussian in time; the divergence is that of one sample."""

    kind: Literal["autoregressive"] = "autoregressive"
    tau: float = Field(10.0, gt=0)
    """Autocorrelation time, or its first guess. [bins]"""
    variance: float = Field(0.1, gt=0)
    """Variance of the innovations, or its first guess."""
    learn: bool = True
    """Learn both, for each dimension."""


InitialPrior = Annotated[Normal | StudentT, Field(discriminator="kind")]
AnyPrior = Annotated[Autoregressive | Normal | StudentT, Field(discriminator="kind")]

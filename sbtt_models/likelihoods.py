"""How an entry is distributed, given what a network reads out of a bin. Torch-free records.

This union is registry, schema and documentation at once; the arithmetic is in
:mod:`sbtt_models.nets.likelihoods`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field
from typing_extensions import override

from sbtt_models.counts import first_at
from sbtt_models.errors import DataError
from sbtt_models.means import Moments, channel_rates
from sbtt_models.signals import MaskedStream
from sbtt_models.spec import Spec
from sbtt_models.value_unit import Unit

__all__ = [
    "AnyLikelihood",
    "Gamma",
    "Gaussian",
    "Likelihood",
    "Poisson",
    "ZeroInflatedGamma",
    "refuse_real",
]

_LEAST_VARIANCE = 1e-6  # of real values, as torch's gaussian_nll_loss


class Likelihood(Spec, ABC):
    """The distribution of an observed entry; members only say which."""

    width: ClassVar[int] = 1
    """Numbers that are read out for each channel."""

    @abstractmethod
    def check(self, stream: MaskedStream) -> None:
        """Refuse values that this distribution cannot give.

        Raises
        ------
        DataError
            Names the first such entry, and a likelihood that takes it.
        """

    def unit(self, stream: MaskedStream) -> Unit | None:
        """What a network is shown values in, from the training trials; None: as they are."""
        del stream
        return None

    @abstractmethod
    def start(self, stream: MaskedStream) -> Float32[np.ndarray, " output"]:
        """What is read out of every bin by the null model, from which networks start.

        Parameters
        ----------
        stream : MaskedStream
            Training trials: the null model says of each bin how a channel is distributed in them.

        Returns
        -------
        numpy.ndarray
            First one number of each channel, then the next.
        """

    @abstractmethod
    def head(self, start: Any) -> Any:
        """Make the read-out's last step, a :class:`sbtt_models.nets.likelihoods.Head`.

        Parameters
        ----------
        start : Tensor
            What is read out at first; see :meth:`start`.
        """


class Poisson(Likelihood):
    """Counts: Poisson of rate times exposure. The read-out is the log rate."""

    kind: Literal["poisson"] = "poisson"

    @override
    def check(self, stream: MaskedStream) -> None:
        refuse_real("poisson", stream)

    @override
    def start(self, stream: MaskedStream) -> Float32[np.ndarray, " output"]:
        return np.log(channel_rates(stream)).astype(np.float32)

    @override
    def head(self, start: Any) -> Any:
        from sbtt_models.nets.likelihoods import PoissonHead

        return PoissonHead(start)


class Gaussian(Likelihood):
    """Real values of any sign. The read-out is mean and log variance of a full bin.

    A part of a bin, of exposure e, has e times the mean and e times the variance: values add up
    over a bin, as counts do.
    """

    width: ClassVar[int] = 2

    kind: Literal["gaussian"] = "gaussian"

    @override
    def check(self, stream: MaskedStream) -> None:
        del stream  # a stream holds finite numbers only, and that is all that is asked

    @override
    def unit(self, stream: MaskedStream) -> Unit:
        return Unit.of(stream)

    @override
    def start(self, stream: MaskedStream) -> Float32[np.ndarray, " output"]:
        found = Moments.of(stream)
        return _side_by_side(found.mean, np.log(np.maximum(found.variance, _LEAST_VARIANCE)))

    @override
    def head(self, start: Any) -> Any:
        from sbtt_models.nets.likelihoods import GaussianHead

        return GaussianHead(start)


class Gamma(Likelihood):
    """Positive values. The read-out is log shape and log rate (the inverse scale).

    A part of a bin, of exposure e, has e times the shape: values add up over a bin.
    """

    width: ClassVar[int] = 2

    kind: Literal["gamma"] = "gamma"

    @override
    def check(self, stream: MaskedStream) -> None:
        bad = stream.observed & (stream.counts <= 0)
        if bad.any():
            raise DataError(
                f"gamma: {int(bad.sum())} observed values are 0 or negative (first at "
                f"{first_at(bad)}), but a Gamma variable is positive; use `likelihood: {{kind: "
                "zero_inflated_gamma}`, or gaussian"
            )

    @override
    def unit(self, stream: MaskedStream) -> Unit:
        return Unit.of_sizes(stream)

    @override
    def start(self, stream: MaskedStream) -> Float32[np.ndarray, " output"]:
        found = Moments.of(stream)
        mean = np.maximum(found.mean, _LEAST_VARIANCE)
        rate = mean / np.maximum(found.variance, _LEAST_VARIANCE * mean**2)
        return _side_by_side(np.log(mean * rate), np.log(rate))

    @override
    def head(self, start: Any) -> Any:
        from sbtt_models.nets.likelihoods import GammaHead

        return GammaHead(start)


class ZeroInflatedGamma(Likelihood):
    r"""Deconvolved calcium events: none with probability 1 - q, else at least a least size.

    .. math::
        p(0) = 1 - q, \quad p(x) = q \, \mathrm{Gamma}(x - s; \alpha, \beta) \text{ for } x > s

    The read-out is, through logistic functions, :math:`\alpha` and :math:`\beta` as shares of two
    scales that each channel learns, and q. The expected value is :math:`q (\alpha / \beta + s)`.

    References
    ----------
    Zhu et al., "A deep learning framework for inference of single-trial neural population dynamics
    from calcium imaging with subframe temporal resolution", Nature Neuroscience 25:1724, 2022;
    the scales and their penalty as in lfads-torch's ``ZeroInflatedGamma``.
    """

    width: ClassVar[int] = 3

    kind: Literal["zero_inflated_gamma"] = "zero_inflated_gamma"
    least_event: float = Field(0.1, ge=0)
    """s: no event is this small. In the unit of the values."""
    scale: float = Field(20.0, gt=0)
    """Where the scales of each channel begin, and where the penalty draws them to."""
    scale_penalty: float = Field(1e-4, ge=0)
    """Weight of half the squared distance of the scales from there."""

    @override
    def check(self, stream: MaskedStream) -> None:
        bad = (stream.counts != 0) & (stream.counts <= self.least_event)
        if bad.any():
            raise DataError(
                f"zero_inflated_gamma: {int(bad.sum())} values are neither 0 nor above "
                f"least_event {self.least_event:g} (first {float(stream.counts[bad].flat[0]):g} "
                f"at {first_at(bad)}); lower least_event, set them to 0, or use gaussian"
            )
        partial = stream.observed & (stream.exposure < 1)
        if partial.any():
            raise DataError(
                f"zero_inflated_gamma: {int(partial.sum())} entries see a part of their bin only "
                f"(first exposure {float(stream.exposure[partial].flat[0]):g} at "
                f"{first_at(partial)}); an event has no parts: let exposure be 0 or 1, or use "
                "gaussian"
            )

    @override
    def start(self, stream: MaskedStream) -> Float32[np.ndarray, " output"]:
        found = Moments.of(stream, events_only=True)
        mean = np.maximum(found.mean - self.least_event, 1e-5 * self.scale)
        shape = mean**2 / np.maximum(found.variance, _LEAST_VARIANCE * mean**2)
        # logistic functions are not started close to their ends, where they learn nothing
        shape = np.clip(shape, 1e-3 * self.scale, 0.95 * self.scale)
        rate = np.clip(shape / mean, 1e-3 * self.scale, 0.95 * self.scale)
        share = np.clip(found.share, 1e-3, 1 - 1e-3)
        return _side_by_side(*map(_logit, (shape / self.scale, rate / self.scale, share)))

    @override
    def head(self, start: Any) -> Any:
        from sbtt_models.nets.likelihoods import ZeroInflatedGammaHead

        return ZeroInflatedGammaHead(self, start)


AnyLikelihood = Annotated[
    Poisson | Gaussian | Gamma | ZeroInflatedGamma, Field(discriminator="kind")
]


def refuse_real(name: str, stream: MaskedStream) -> None:
    """Refuse a stream that holds anything but counts.

    Raises
    ------
    DataError
        Says what the first such value is, and what takes it.
    """
    if not stream.real:
        return
    bad = (stream.counts < 0) | (stream.counts != np.round(stream.counts))
    if bad.any():
        raise DataError(
            f"{name}: {int(bad.sum())} values of the stream are no counts (first "
            f"{float(stream.counts[bad].flat[0]):g} at {first_at(bad)}); for real values use a "
            "network with `likelihood: {kind: gaussian}`, gamma or zero_inflated_gamma, or a "
            "Gaussian model (kalman, factor_analysis, gpfa, smoothing)"
        )


def _side_by_side(*parts: Float[np.ndarray, " channel"]) -> Float32[np.ndarray, " output"]:
    return np.concatenate(parts).astype(np.float32)


def _logit(share: Float[np.ndarray, " channel"]) -> Float[np.ndarray, " channel"]:
    return np.log(share) - np.log1p(-share)

"""Factor analysis with missing entries: each bin alone, channels with noise of their own.

Rows of the loading matrix are selected in each bin by what was observed there, so a missing entry
adds no information and nothing is filled in.

References
----------
Rubin & Thayer, "EM algorithms for ML factor analysis", Psychometrika 47:69-76, 1982.
Ghahramani & Jordan, "Supervised learning from incomplete data via an EM approach", NIPS 6, 1994.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float

from sbtt_models.chain_filter import RowFilter
from sbtt_models.linear_data import Batch
from sbtt_models.linear_dynamics import initial_guess
from sbtt_models.linear_fit import Choice, Family
from sbtt_models.means import smoothed_rates
from sbtt_models.moments import ReadOut, ReadOutMoments, by_bin
from sbtt_models.small_matrices import inverse_positive

__all__ = ["FactorFamily", "FactorModel", "factor_log_likelihood", "factors_of"]

_SMOOTHING = 1.0  # [bins] of the first guess: a wider kernel loses what each bin has of its own


def factors_of(
    model: ReadOut,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
) -> tuple[
    Float[np.ndarray, "sequence bin factor"], Float[np.ndarray, "sequence bin factor factor"]
]:
    r"""Mean and covariance of the factors of each bin, :math:`x \sim N(0, I)` beforehand.

    Parameters
    ----------
    values : numpy.ndarray
        Count over exposure; anything where exposure is 0. [spikes/bin]
    exposure : numpy.ndarray
        0 where missing; the noise variance of a bin is that of a full one over its exposure.
    """
    size = model.loading.shape[1]
    outer = (model.loading[:, :, None] * model.loading[:, None, :]).reshape(-1, size * size)
    precision = by_bin(exposure) @ (outer / model.noise[:, None])
    covariance, _ = inverse_positive(precision.reshape(-1, size, size) + np.eye(size))
    pull = by_bin(exposure * (values - model.offset)) @ (model.loading / model.noise[:, None])
    mean = (covariance @ pull[:, :, None])[:, :, 0]
    shape = exposure.shape[1], exposure.shape[0]
    return (
        mean.reshape(*shape, size).swapaxes(0, 1),
        covariance.reshape(*shape, size, size).swapaxes(0, 1),
    )


def factor_log_likelihood(
    model: ReadOut,
    values: Float[np.ndarray, "sequence bin channel"],
    exposure: Float[np.ndarray, "sequence bin channel"],
) -> Float[np.ndarray, "sequence bin"]:
    """Of the observed entries of each bin, the factors integrated out. [nat]"""
    mean, covariance = factors_of(model, values, exposure)
    seen = exposure > 0
    variance = model.noise / np.where(seen, exposure, 1.0)
    off = values - model.offset
    alone = -0.5 * (np.log(2 * np.pi * variance) + off**2 / variance)
    pull = (exposure * off / model.noise) @ model.loading
    gain = 0.5 * ((pull * mean).sum(-1) + np.linalg.slogdet(covariance)[1])
    return np.where(seen, alone, 0.0).sum(-1) + gain


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Factor analysis; see :class:`sbtt_models.linear_fit.LatentModel`."""

    read_out: ReadOut

    @property
    def n_parameters(self) -> int:
        """Loadings, offsets and noise variances."""
        n_channels, size = self.read_out.loading.shape
        return n_channels * (size + 2)

    def rates(
        self, batch: Batch, lookahead: int | None
    ) -> Float[np.ndarray, "sequence bin channel"]:
        """Read the mean factors out; each bin needs no other, so `lookahead` changes nothing."""
        del lookahead
        parts = batch.parts(self.read_out.loading.shape[1])
        means = (factors_of(self.read_out, part.values, part.exposure)[0] for part in parts)
        return batch.joined(means) @ self.read_out.loading.T + self.read_out.offset

    def filter(self, n_sequences: int, lookahead: int) -> RowFilter:
        """Each bin alone, given out late."""
        del n_sequences
        waiting: deque[np.ndarray] = deque()

        def step(counts: np.ndarray, exposure: np.ndarray) -> np.ndarray | None:
            values = np.divide(counts, exposure, out=np.zeros_like(counts), where=exposure > 0)
            factors, _ = factors_of(self.read_out, values[:, None], exposure[:, None])
            waiting.append(factors[:, 0] @ self.read_out.loading.T + self.read_out.offset)
            return waiting.popleft() if len(waiting) > lookahead else None

        return step

    def arrays(self) -> Mapping[str, Float[np.ndarray, "..."]]:
        """All parameters by name."""
        return {field.name: getattr(self.read_out, field.name) for field in fields(ReadOut)}


@dataclass(frozen=True, slots=True, eq=False)
class FactorFamily(Family[FactorModel]):
    """Factor analysis. Setting: `prior`, the pull of the loadings towards 0."""

    means: Float[np.ndarray, " channel"]
    least_noise: Float[np.ndarray, " channel"]

    def first(self, batch: Batch, choice: Choice) -> FactorModel:
        """Principal components of smoothed rates."""
        smoothed = smoothed_rates(batch.counts, batch.exposure, self.means, _SMOOTHING, 0.5)
        size = min(choice.size, self.means.size)
        guess = initial_guess(smoothed, batch.inside, size, self.least_noise)
        return FactorModel(ReadOut(guess.loading, guess.offset, guess.noise))

    def climb(self, model: FactorModel, batch: Batch, choice: Choice) -> Iterator[FactorModel]:
        """Expectation maximisation."""
        parts = batch.parts(model.read_out.loading.shape[1])
        while True:
            sums = [_moments(model.read_out, part) for part in parts]
            model = FactorModel(reduce(add, sums).best(self.least_noise, choice.settings["prior"]))
            yield model


def _moments(model: ReadOut, part: Batch) -> ReadOutMoments:
    mean, covariance = factors_of(model, part.values, part.exposure)
    second = covariance + mean[..., :, None] * mean[..., None, :]
    return ReadOutMoments.of(mean, second, part.values, part.exposure)

"""How well rates describe counts, or a truth: pure functions of arrays and boolean masks.

Everywhere `where` marks the entries that are scored; what it leaves out is never read into a
score, whatever stands there (padding, gaps, garbage).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from sbtt_models.errors import DataError

__all__ = [
    "LOG_FLOOR",
    "R2",
    "RATE_FLOOR",
    "bits_per_spike",
    "channel_means",
    "log_rates",
    "poisson_nll",
    "r2",
]

RATE_FLOOR = 1e-9
"""Rates below this are scored as this, as the Neural Latents Benchmark does. [spikes/bin]"""

LOG_FLOOR = 1e-4
"""Added before a logarithm of rates, as the Neural Latents Benchmark does. [spikes/bin]"""

_CONSTANT = 1e-12  # relative to the square of the mean: below, a channel's truth is constant


@dataclass(frozen=True, slots=True, eq=False)
class R2:
    """Coefficients of determination, channel by channel."""

    mean: float | None
    """Uniform mean over the channels that could be scored; None if there is none."""
    per_channel: Float[np.ndarray, " channel"]
    """One value per channel; 0 where not scored."""
    scored: Bool[np.ndarray, " channel"]
    """False for channels without entries, or whose truth does not vary."""

    @property
    def n_left_out(self) -> int:
        """Channels that could not be scored."""
        return int((~self.scored).sum())


def poisson_nll(
    counts: Shaped[np.ndarray, "*shape"],
    rates: Float[np.ndarray, "*shape"],
    *,
    where: Bool[np.ndarray, "*shape"] | None = None,
    exposure: Float[np.ndarray, "*shape"] | None = None,
    stirling: bool = False,
) -> float:
    r"""Mean negative log likelihood of counts under Poisson rates.

    .. math:: \frac1n \sum \left( \lambda e - k \ln(\lambda e) \; [+ \ln k!] \right)

    Parameters
    ----------
    counts : numpy.ndarray
        Spikes in the observed part of each bin. [1]
    rates : numpy.ndarray
        Expected spikes per full bin. [1/bin]
    where : numpy.ndarray of bool, optional
        Entries that are scored; all if None.
    exposure : numpy.ndarray, optional
        Observed fraction of each bin, above 0 where scored; full bins if None.
    stirling : bool
        Add :math:`\ln k!`, the exact form of the term that Stirling approximates. It does not
        depend on the rates, so the published demo leaves it out.

    Returns
    -------
    float
        Mean over the scored entries. [nat/entry]

    Raises
    ------
    DataError
        If nothing is scored, or a scored entry has no exposure.

    Examples
    --------
    >>> round(poisson_nll(np.array([0, 2]), np.array([1.0, 1.0])), 6)
    1.0
    """
    k, mean = _selected(counts, rates, where, exposure)
    entries = mean - k * np.log(mean)
    if stirling:
        from scipy.special import gammaln  # slow to import, and not needed for means

        entries = entries + gammaln(k + 1.0)
    return float(entries.mean())


def bits_per_spike(
    counts: Shaped[np.ndarray, "*lead channel"],
    rates: Float[np.ndarray, "*lead channel"],
    null: Float[np.ndarray, " channel"] | None = None,
    *,
    where: Bool[np.ndarray, "*lead channel"] | None = None,
    exposure: Float[np.ndarray, "*lead channel"] | None = None,
) -> float | None:
    r"""Information that rates give about each spike, beyond each channel's mean rate.

    .. math:: (\mathrm{NLL}_\mathrm{null} - \mathrm{NLL}_\mathrm{model}) / (n \ln 2)

    Parameters
    ----------
    counts : numpy.ndarray, shape (..., channel)
        Spikes in the observed part of each bin. [1]
    rates : numpy.ndarray, shape (..., channel)
        Expected spikes per full bin. [1/bin]
    null : numpy.ndarray, shape (channel,), optional
        Each channel's rate under the null model; its mean over the scored entries if None, as
        the benchmark defines it. [1/bin]
    where : numpy.ndarray of bool, optional
        Entries that are scored; all if None.
    exposure : numpy.ndarray, optional
        Observed fraction of each bin; full bins if None.

    Returns
    -------
    float or None
        None where there is nothing to divide by: no scored entry holds a spike. [bit/spike]

    Raises
    ------
    DataError
        If nothing is scored, or a scored entry has no exposure.

    References
    ----------
    .. [1] F. Pei et al., "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks, 2021.
    """
    if null is None:
        null = channel_means(counts, where=where, exposure=exposure)
    k, mean = _selected(counts, rates, where, exposure)
    n_spikes = float(k.sum())
    if n_spikes == 0:
        return None
    _, flat = _selected(counts, np.broadcast_to(null, counts.shape), where, exposure)
    gain = (flat - mean) + k * (np.log(mean) - np.log(flat))
    return float(gain.sum() / (n_spikes * np.log(2.0)))


def channel_means(
    counts: Shaped[np.ndarray, "*lead channel"],
    *,
    where: Bool[np.ndarray, "*lead channel"] | None = None,
    exposure: Float[np.ndarray, "*lead channel"] | None = None,
) -> Float[np.ndarray, " channel"]:
    """Mean spikes per full bin of each channel: all its spikes over all its exposure.

    Parameters
    ----------
    counts : numpy.ndarray, shape (..., channel)
        Spikes in the observed part of each bin. [1]
    where : numpy.ndarray of bool, optional
        Entries that count; all if None.
    exposure : numpy.ndarray, optional
        Observed fraction of each bin; full bins if None.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        0 for a channel without exposure. [1/bin]

    Examples
    --------
    >>> channel_means(np.array([[1, 0], [3, 0]]))
    array([2., 0.])
    """
    seen = np.ones(counts.shape) if exposure is None else np.asarray(exposure, float)
    if where is not None:
        seen = np.where(where, seen, 0.0)
    lead = tuple(range(counts.ndim - 1))
    spikes = np.where(seen > 0, counts, 0).sum(axis=lead, dtype=float)
    total = seen.sum(axis=lead)
    return np.divide(spikes, total, out=np.zeros_like(total), where=total > 0)


def r2(
    truth: Float[np.ndarray, "*lead channel"],
    inferred: Float[np.ndarray, "*lead channel"],
    *,
    where: Bool[np.ndarray, "*lead channel"] | None = None,
) -> R2:
    """Coefficient of determination of each channel, pooled over all its scored entries.

    Equal to scikit-learn's ``r2_score`` on the flattened trials and bins, except that channels
    whose truth does not vary, where it is not defined, are left out of the mean and counted.

    Parameters
    ----------
    truth, inferred : numpy.ndarray, shape (..., channel)
        In the same unit.
    where : numpy.ndarray of bool, optional
        Entries that are scored; all if None.

    Returns
    -------
    R2
        Per channel, and the uniform mean.
    """
    n_channels = truth.shape[-1]
    y = np.asarray(truth, float).reshape(-1, n_channels)
    f = np.asarray(inferred, float).reshape(-1, n_channels)
    keep = np.ones(y.shape, bool) if where is None else where.reshape(-1, n_channels)
    y = np.where(keep, y, 0.0)
    error = np.where(keep, f, 0.0) - y
    n = keep.sum(axis=0)
    mean = y.sum(axis=0) / np.maximum(n, 1)
    spread = (np.where(keep, y - mean, 0.0) ** 2).sum(axis=0)
    scored = (n > 1) & (spread > _CONSTANT * n * mean**2) & (spread > 0)
    values = np.zeros(n_channels)
    values[scored] = 1.0 - (error**2).sum(axis=0)[scored] / spread[scored]
    return R2(float(values[scored].mean()) if scored.any() else None, values, scored)


def log_rates(rates: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Logarithm of rates in spikes per bin, kept finite at 0.

    Examples
    --------
    >>> log_rates(np.array([0.0, 1.0])).round(4).tolist()
    [-9.2103, 0.0001]
    """
    return np.log(np.maximum(np.asarray(rates, float), 0.0) + LOG_FLOOR)


def _selected(
    counts: Shaped[np.ndarray, "*shape"],
    rates: Float[np.ndarray, "*shape"],
    where: Bool[np.ndarray, "*shape"] | None,
    exposure: Float[np.ndarray, "*shape"] | None,
) -> tuple[Float[np.ndarray, " entry"], Float[np.ndarray, " entry"]]:
    """Scored counts, and the floored means that their exposure leaves, flat."""
    keep = np.ones(counts.shape, bool) if where is None else where
    if not keep.any():
        raise DataError("no entry is scored: the mask of scored entries is False everywhere")
    k = np.asarray(counts[keep], float)
    bad = (k < 0) | (k != np.round(k)) if counts.dtype.kind == "f" else np.zeros(0, bool)
    if bad.any():  # NaN is no count either
        raise DataError(
            f"{int(bad.sum())} scored values are no counts (first {k[bad][0]:g}), so that Poisson "
            "scores say nothing of them; score real values by r2"
        )
    mean = np.asarray(rates[keep], float)
    if not np.isfinite(mean).all():
        raise DataError(f"{int((~np.isfinite(mean)).sum())} scored rates are NaN or infinite")
    if exposure is not None:
        seen = np.asarray(exposure[keep], float)
        if not (seen > 0).all():
            raise DataError(
                f"{int((seen <= 0).sum())} scored entries have no exposure; score observed "
                "entries only, or give the recording's full counts without exposure"
            )
        mean = mean * seen
    return k, np.maximum(mean, RATE_FLOOR)

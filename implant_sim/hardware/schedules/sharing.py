"""Turn weights into visiting rates that fit budget and wires."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.schedules.view import Calibration, Groups
from sbtt_models.errors import SpecError

__all__ = ["WEIGHT_BIT", "calibrated_weights", "eight_bits", "visit_rates"]

WEIGHT_BIT = 8  # of a weight that is told to the implant

_WINDOW_S = 0.1  # spikes are summed over so long before their variance is taken
_SPARE = 1e-12  # weight of a channel without one, against the lightest other
_HALVINGS = 200  # of a doubling search: past what a double resolves


def visit_rates(
    weights: Float[np.ndarray, " channel"], groups: Groups, k: int, least_share: float
) -> Float[np.ndarray, " channel"]:
    """Share k places a step among channels, in proportion to their weights.

    What a channel cannot use, because it is visited in every step or its wire is always busy, goes
    to the others; to those without weight only what is left then.

    Parameters
    ----------
    weights : numpy.ndarray, shape (channel,)
        Not negative, any scale, not all 0. Less than 1e-12 of the largest counts as 0.
    groups : Groups
        Channels that share a wire, which holds one of them.
    k : int
        Places in a step, at most one for each wire.
    least_share : float
        The least rate of a channel, as a share of the even rate k / n.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        Visits of each channel per step: their sum is k, at most 1 on a wire.
    """
    weights = weights / weights.max()
    weights[weights < _SPARE] = 0.0
    size = np.diff(groups.start)[groups.of]
    least = np.minimum(least_share * k / len(weights), 1 / size)
    if _demand(np.inf, weights, least, groups).sum() < k * (1 - 1e-9):
        weights = np.where(weights > 0, weights, _SPARE * weights[weights > 0].min())
    demand = _demand(_level(weights, least, groups, k), weights, least, groups)
    demand *= k / demand.sum()
    if groups.free:  # a wire's share is its channel's
        return np.minimum(demand[groups.of], 1.0)
    rates = np.empty(len(weights))
    for g in range(groups.n):
        own = groups.members[groups.start[g] : groups.start[g + 1]]
        alone = Groups.by_wire(np.arange(len(own)))
        level = _level(weights[own], least[own], alone, demand[g])
        part = np.clip(level * weights[own], least[own], 1.0)
        rates[own] = part * (demand[g] / part.sum()) if part.sum() > 0 else 0.0
    return np.minimum(rates, 1.0)


def _demand(
    level: float,
    weights: Float[np.ndarray, " channel"],
    least: Float[np.ndarray, " channel"],
    groups: Groups,
) -> Float[np.ndarray, " group"]:
    """Visits per step of each wire, if each channel had `level` times its weight."""
    with np.errstate(invalid="ignore"):
        wish = np.where(weights > 0, level * weights, 0.0)
    each = np.clip(wish, least, 1.0)
    return np.minimum(1.0, np.bincount(groups.of, each, groups.n))


def _level(
    weights: Float[np.ndarray, " channel"],
    least: Float[np.ndarray, " channel"],
    groups: Groups,
    total: float,
) -> float:
    """The level at which the demands add up to `total`, by bisection."""
    largest = float(weights.max(initial=0.0))
    if largest == 0:
        return 0.0
    low, high = 0.0, 1.0 / largest
    while _demand(high, weights, least, groups).sum() < total * (1 - 1e-12) and high < 1e300:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        short = _demand(middle, weights, least, groups).sum() < total
        low, high = (middle, high) if short else (low, middle)
    return high


def calibrated_weights(data: Calibration, by: str) -> Float[np.ndarray, " channel"]:
    """Weigh channels by calibration data.

    Parameters
    ----------
    data : Calibration
        Training and validation trials, sampled in full.
    by : {"rate", "variance"}
        Mean spikes per bin; or the variance of spikes in windows of 0.1 s.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        0 for a channel that was never recorded.
    """
    counts = np.where(data.recorded, data.counts, 0)
    if by == "rate":
        return counts.sum(axis=(0, 1)) / np.maximum(1, data.recorded.sum(axis=(0, 1)))
    n_trials, n_bins, n_channels = counts.shape
    width = min(n_bins, max(1, round(_WINDOW_S / data.bin_s)))
    whole = n_bins // width
    cut = (n_trials, whole, width, n_channels)
    spikes = counts[:, : whole * width].reshape(cut).sum(axis=2)
    seen = data.recorded[:, : whole * width].reshape(cut).all(axis=2)
    n = np.maximum(1, seen.sum(axis=(0, 1)))
    mean = np.where(seen, spikes, 0).sum(axis=(0, 1)) / n
    return (np.where(seen, spikes - mean, 0.0) ** 2).sum(axis=(0, 1)) / n


def eight_bits(weights: Float[np.ndarray, " channel"], of: str) -> Float[np.ndarray, " channel"]:
    """Round weights to what is sent of them: whole numbers up to 255.

    Raises
    ------
    SpecError
        If all are 0; `of` says what they are.
    """
    if not weights.any():
        raise SpecError(
            f"schedule: the {of} of every channel is 0 on the calibration data, so that they have "
            "no weights; use weighted with weights of your own, or another schedule"
        )
    return np.rint(weights / weights.max() * (2**WEIGHT_BIT - 1))

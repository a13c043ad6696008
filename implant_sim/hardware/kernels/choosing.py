"""Choose channels one by one: by score, or by what they tell of a hidden state."""

from __future__ import annotations

import math

import numpy as np

from implant_sim.hardware.kernels.compile import kernel

__all__ = ["forecast_gain", "most_informative", "top_channels"]


@kernel
def _fill(order, group, taken, chosen, n_chosen, n_wanted):
    """Take channels in order, at most one of a group, until there are enough."""
    for channel in order:
        if n_chosen == n_wanted:
            break
        if not taken[group[channel]]:
            taken[group[channel]] = True
            chosen[n_chosen] = channel
            n_chosen += 1
    return n_chosen


@kernel
def top_channels(score, last, group, n_groups, k, n_oldest):
    """Choose k channels: first the `n_oldest` whose last choice is longest ago, then by score.

    At most one of a group. Equals go to the one chosen longest ago, then to the lower number.
    Asks for ``n_oldest <= k <= n_groups``.
    """
    chosen = np.empty(k, dtype=np.int64)
    taken = np.zeros(n_groups, dtype=np.bool_)
    by_age = np.argsort(last, kind="mergesort")
    n_chosen = _fill(by_age, group, taken, chosen, 0, n_oldest)
    by_score = by_age[np.argsort(-score[by_age], kind="mergesort")]
    _fill(by_score, group, taken, chosen, n_chosen, k)
    return chosen


@kernel
def _dot(a, b):
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@kernel
def _along(covariance, loading, scale, out):
    """Write the covariance of the state with one measurement, times `scale`."""
    for i in range(len(out)):
        out[i] = scale * _dot(covariance[i], loading)


@kernel
def _most_telling(by_age, spread, noise, group, taken, oldest):
    """Find the channel that tells most of those whose group is free; or the oldest of them."""
    best, most = -1, -1.0
    for c in by_age:
        if not taken[group[c]]:
            ratio = spread[c] / noise[c]
            if ratio > most:
                best, most = c, ratio
            if oldest:
                break
    return best


@kernel
def most_informative(covariance, loadings, noise, last, group, n_groups, k, n_oldest):
    """Choose k channels that together tell most of a Gaussian state, greedily.

    Channel c measures ``loadings[c] @ state`` with variance ``noise[c]``, and lowers the state's
    entropy by ``log(1 + spread / noise) / 2``, where `spread` is the variance of what it measures,
    given those chosen before. First the `n_oldest` whose last choice is longest ago; at most one
    of a group; equals go to the one chosen longest ago, then to the lower number. Returns the
    channels, and the covariance after all of them are known.
    """
    n, size = loadings.shape
    after = covariance.copy()
    chosen = np.empty(k, dtype=np.int64)
    taken = np.zeros(n_groups, dtype=np.bool_)
    spread = np.empty(n, dtype=np.float64)
    step = np.empty(size, dtype=np.float64)
    for c in range(n):
        _along(after, loadings[c], 1.0, step)
        spread[c] = _dot(step, loadings[c])
    by_age = np.argsort(last, kind="mergesort")
    for place in range(k):
        best = _most_telling(by_age, spread, noise, group, taken, place < n_oldest)
        chosen[place] = best
        taken[group[best]] = True
        # Kalman's step for one scalar: P - P c c' P / (r + c' P c)
        _along(after, loadings[best], 1.0 / math.sqrt(noise[best] + spread[best]), step)
        for i in range(size):
            for j in range(size):
                after[i, j] -= step[i] * step[j]
        for c in range(n):
            told = _dot(step, loadings[c])
            spread[c] = max(0.0, spread[c] - told * told)  # rounding may cross zero
    return chosen, after


@kernel
def _log_predictive(count, shape, rate):
    """Log probability of a Poisson count whose rate is Gamma(shape, rate): a negative binomial."""
    known = math.lgamma(shape + count) - math.lgamma(shape) - math.lgamma(count + 1.0)
    return known + shape * math.log(rate / (rate + 1.0)) - count * math.log(rate + 1.0)


@kernel
def forecast_gain(counts, shape, rate, usual_shape, usual_rate):
    """Log probability of each count in one gamma-Poisson forecast, less that in another. [nat]"""
    gain = np.empty(len(counts), dtype=np.float64)
    for i in range(len(counts)):
        count = float(counts[i])
        gain[i] = _log_predictive(count, shape[i], rate[i]) - _log_predictive(
            count, usual_shape[i], usual_rate[i]
        )
    return gain

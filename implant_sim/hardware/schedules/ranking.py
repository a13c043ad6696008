"""Choose channels to stay on: at random, or by what calibration data say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from implant_sim.hardware.schedules.adaptive import in_steps
from implant_sim.hardware.schedules.allocation import behaviour_rates
from implant_sim.hardware.schedules.linear_model import USUAL_SIZE, LinearModel, fit_linear_model
from implant_sim.hardware.schedules.random_subset import draw_subsets
from implant_sim.hardware.schedules.regression import Moments, moments
from implant_sim.hardware.schedules.view import Calibration, Groups, View

__all__ = ["Order", "by_behaviour", "by_information", "by_rate", "choose", "greedy"]

Order = Literal["random", "rate", "greedy", "information", "behaviour"]

_LAGS = 3  # windows of 0.1 s back from the bin
_FORGOTTEN = 1e-9  # of what a state was, after so many steps

Rank = Callable[[Calibration, Groups, int], Int[np.ndarray, " chosen"]]


def choose(
    order: Order, view: View, k: int, rng: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """Choose k channels to stay on, at most one of a group.

    Parameters
    ----------
    order : Order
        At random, or the ranking of calibration data by this name.
    view : View
        Channels, wires and calibration data.
    k : int
        Channels.
    rng : numpy.random.Generator
        Of the random choice.

    Raises
    ------
    SpecError
        For calibration data that do not suit the ranking.
    """
    ranks: dict[str, Rank] = {
        "rate": by_rate,
        "greedy": greedy,
        "information": by_information,
        "behaviour": by_behaviour,
    }
    if order == "random":
        return np.flatnonzero(draw_subsets(1, view.groups, k, rng)[0])
    return ranks[order](view.calibrate(), view.groups, k)


def by_rate(data: Calibration, groups: Groups, k: int) -> Int[np.ndarray, " chosen"]:
    """Take the k most active channels, at most one of a group; ties go to the lower number."""
    seen = np.maximum(1, (data.recorded).sum(axis=(0, 1)))
    return _largest(np.where(data.recorded, data.counts, 0).sum(axis=(0, 1)) / seen, groups, k)


def by_behaviour(data: Calibration, groups: Groups, k: int) -> Int[np.ndarray, " chosen"]:
    """Take the k channels that the best allocation of samples to behaviour visits most.

    All channels are weighed at once, as :func:`allocation.behaviour_rates` does it; ``greedy``
    takes one after the other, and keeps what it took first.
    """
    return _largest(behaviour_rates(data, groups, k, 0.0), groups, k)


def _largest(
    values: Float[np.ndarray, " channel"], groups: Groups, k: int
) -> Int[np.ndarray, " chosen"]:
    """The k largest, at most one of a group; ties go to the lower number."""
    chosen: list[int] = []
    taken = np.zeros(groups.n, dtype=np.bool_)
    for channel in np.argsort(-values, kind="stable"):
        if len(chosen) < k and not taken[groups.of[channel]]:
            chosen.append(int(channel))
            taken[groups.of[channel]] = True
    return np.array(chosen)


def by_information(data: Calibration, groups: Groups, k: int) -> Int[np.ndarray, " chosen"]:
    r"""Take the channel that lowers the entropy of the population's state most, k times.

    A linear Gaussian model of the population is fitted as the schedule ``information`` fits it.
    With the channels chosen so far sampled in every bin, the state has in the long run the
    covariance `P`; the next channel is that of the largest :math:`C_c P C_c^T / r_c`, its share of
    the state's variance over its own noise: the same greedy rule, for a choice that stays.
    Behaviour is not looked at. Ties, as of silent channels, go to the lower number.

    Returns
    -------
    numpy.ndarray
        k channels, in order of choice.
    """
    model = fit_linear_model(in_steps(data, data.bin_s), min(USUAL_SIZE, data.counts.shape[2]))
    noise = model.noise_ratio * np.where(model.mean > 0, model.mean, 1.0)
    told = model.loadings / np.sqrt(noise)[:, None]
    information = np.zeros((told.shape[1], told.shape[1]))
    free = np.ones(len(told), dtype=np.bool_)
    chosen: list[int] = []
    for _ in range(k):
        gains = ((told @ _settled(model, information)) * told).sum(axis=1)
        best = int(np.argmax(np.where(free, gains, -np.inf)))
        chosen.append(best)
        free[groups.of == groups.of[best]] = False
        information += np.outer(told[best], told[best])
    return np.array(chosen)


def _settled(
    model: LinearModel, information: Float[np.ndarray, "latent latent"]
) -> Float[np.ndarray, "latent latent"]:
    """A filter's covariance in the long run, with so much information in every step.

    Doubling: each round looks twice as many steps back [1]_.

    References
    ----------
    .. [1] B. D. O. Anderson, "Second-order convergent algorithms for the steady-state Riccati
       equation", Int. J. Control 28, 1978.
    """
    one = np.eye(len(information))
    remembers, told, ahead = model.dynamics.T, information, model.innovation
    while np.abs(remembers).max() > _FORGOTTEN:
        passed = np.linalg.solve(one + told @ ahead, np.hstack([remembers, told @ remembers.T]))
        kept, learnt = np.hsplit(passed, 2)
        ahead = ahead + remembers.T @ ahead @ kept
        told = told + remembers @ learnt
        remembers = remembers @ kept
    return np.linalg.solve(one + ahead @ information, ahead)


def greedy(data: Calibration, groups: Groups, k: int) -> Int[np.ndarray, " chosen"]:
    """Take the channel that lowers the validation error most, k times.

    Ridge regression of behaviour (or of the population's leading principal components) on spikes
    in windows of the last 0.3 s, fitted on training trials. All from second moments: after each
    choice the features still free are freed of what the chosen ones explain, a step of Gaussian
    elimination, so that no regression is ever solved anew.

    Returns
    -------
    numpy.ndarray
        k channels, in order of choice.
    """
    found = moments(data, _LAGS)
    train, valid = found.train, found.valid
    left = _Unexplained(train, valid, k)
    free = np.ones(data.counts.shape[2], dtype=np.bool_)
    chosen: list[int] = []
    for _ in range(k):
        best = int(np.argmax(np.where(free, left.gains(), -np.inf)))
        chosen.append(best)
        free[groups.of == groups.of[best]] = False
        left.eliminate(best)
    return np.array(chosen)


class _Unexplained:
    """Second moments of what the chosen channels do not explain.

    Kept of each channel with itself and with the targets. Between two channels they are asked for
    only when one is chosen, and follow from its row at the start and from the steps since.
    """

    def __init__(self, train: Moments, valid: Moments, k: int) -> None:
        n_features = len(train.features)
        self._n, self._train, self._valid = n_features // _LAGS, train, valid
        at = np.arange(n_features).reshape(self._n, _LAGS)
        self._own, self._own_valid = (
            m.features[at[:, :, None], at[:, None, :]] for m in (train, valid)
        )
        self._cross, self._cross_valid = (m.cross[at] for m in (train, valid))
        # of each step: its rows, the weights that predict all features from its own, and half of
        # what the validation moments lose
        self._rows, self._weights, self._lost = np.empty((3, k * _LAGS, n_features))
        self._n_rows = 0

    def gains(self) -> Float[np.ndarray, " channel"]:
        """Fall of the squared validation error if a channel joined."""
        weights = np.linalg.solve(self._own, self._cross)
        linear = 2 * np.einsum("cld,cld->c", weights, self._cross_valid)
        return linear - np.einsum("cld,clm,cmd->c", weights, self._own_valid, weights)

    def eliminate(self, channel: int) -> None:
        """Take what a channel explains out of all others and out of the targets."""
        own, own_valid = self._own[channel].copy(), self._own_valid[channel].copy()
        rows, rows_valid = self._now(channel)
        weights = np.linalg.solve(own, rows)
        to_targets = np.linalg.solve(own, self._cross[channel])
        left_valid = self._cross_valid[channel] - own_valid @ to_targets
        lost = rows_valid - own_valid @ weights / 2
        step = slice(self._n_rows, self._n_rows + _LAGS)
        self._rows[step], self._weights[step], self._lost[step] = rows, weights, lost
        self._n_rows += _LAGS
        by_channel = (_LAGS, self._n, _LAGS)
        r, w, u = (part.reshape(by_channel) for part in (rows, weights, lost))
        self._own -= np.einsum("lcm,lcn->cmn", r, w)
        either = np.einsum("lcm,lcn->cmn", w, u)
        self._own_valid -= either + either.transpose(0, 2, 1)
        valid_rows = rows_valid.reshape(by_channel)
        self._cross -= np.einsum("lcm,ld->cmd", r, to_targets)
        self._cross_valid -= np.einsum("lcm,ld->cmd", w, left_valid)
        self._cross_valid -= np.einsum("lcm,ld->cmd", valid_rows, to_targets)
        # what is left of the chosen channel is zero; keep it invertible, it is never chosen again
        self._own[channel] = np.eye(_LAGS)

    def _now(
        self, channel: int
    ) -> tuple[Float[np.ndarray, "lag feature"], Float[np.ndarray, "lag feature"]]:
        """Moments of a channel with all features, in training and in validation."""
        at, done = slice(channel * _LAGS, (channel + 1) * _LAGS), slice(self._n_rows)
        weights, lost = self._weights[done], self._lost[done]
        train = self._train.features[at] - self._rows[done, at].T @ weights
        valid = self._valid.features[at] - weights[:, at].T @ lost - lost[:, at].T @ weights
        return train, valid

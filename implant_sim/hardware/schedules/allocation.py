"""How often to visit each channel so that behaviour is predicted best."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from implant_sim.hardware.schedules.regression import moments
from implant_sim.hardware.schedules.sharing import visit_rates
from implant_sim.hardware.schedules.view import Calibration, Groups

__all__ = ["behaviour_rates"]

_LAGS = 5  # windows of 0.1 s back from the bin: what a read-out of behaviour commonly sees
_ROUNDS = 200
_SETTLED = 1e-6  # of what is explained: no round adds more


def behaviour_rates(
    data: Calibration, groups: Groups, k: int, least_share: float
) -> Float[np.ndarray, " channel"]:
    r"""Visiting rates with the least squared error of a linear read-out of behaviour.

    A channel visited in a share :math:`\pi_c` of the steps shows its spikes in a window with a
    variance of :math:`\mu_c (1 / \pi_c - 1)` more than if it were always on, where
    :math:`\mu_c` are its expected spikes. Of a read-out with weights `w` the squared error is then

    .. math:: E|b - w^T x|^2 + \sum_c |w_c|^2 \mu_c (1 / \pi_c - 1),

    convex in weights and rates together. For given rates the weights are those of a ridge
    regression; for given weights the best rates are proportional to
    :math:`|w_c| \sqrt{\mu_c}`, within their bounds: Neyman's allocation [1]_. Doing one after the
    other leads to the least error of both, here until a round explains no millionth more. With the
    rates put in, the penalty is that of a group lasso [2]_: channels that say nothing new get no
    visits beyond the least.

    Without behaviour the population's five leading principal components take its place. Where
    no channel spikes, or the behaviour never changes, all are visited alike; what channels say by
    chance in the training trials is not told from what they know.

    Parameters
    ----------
    data : Calibration
        Training and validation trials; of the latter nothing but mean rates is used.
    groups : Groups
        Channels that share a wire.
    k : int
        Places in a step.
    least_share : float
        The least rate, as a share of the even rate.

    Returns
    -------
    numpy.ndarray, shape (channel,)
        Visits per step, at most 1; their sum is k.

    References
    ----------
    .. [1] J. Neyman, "On the two different aspects of the representative method", J. R. Stat. Soc.
       97, 1934.
    .. [2] M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped variables",
       J. R. Stat. Soc. B 68, 2006.
    """
    from scipy import linalg  # which most commands need not load

    found = moments(data, _LAGS, filled=True)
    noise = np.where(found.poisson > 0, found.poisson, 1.0)  # a silent channel is never weighed
    n = len(groups.of)
    rates, explained = visit_rates(np.ones(n), groups, k, least_share), 0.0
    for _ in range(_ROUNDS):
        # weights over the root of the rates: so a channel that is never visited has none
        root = np.repeat(np.sqrt(rates), _LAGS)
        energy = found.train.features * root[:, None] * root
        energy[np.diag_indices(len(root))] += noise * (1 - np.minimum(root, 1.0) ** 2)
        cross = root[:, None] * found.train.cross
        scaled = linalg.solve(energy, cross, assume_a="pos")
        before, explained = explained, float((scaled * cross).sum())
        if explained <= before * (1 + _SETTLED):
            break
        size = ((root[:, None] * scaled) ** 2).sum(axis=1) * noise
        rates = visit_rates(np.sqrt(size.reshape(n, _LAGS).sum(axis=1)), groups, k, least_share)
    return rates

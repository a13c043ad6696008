"""A subset drawn anew for each bin, or each trial: the sampling of the SBTT paper."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import override

from implant_sim.hardware.kernels import masks
from implant_sim.hardware.schedules.base import Budgeted, Groups, Plan, View
from implant_sim.hardware.schedules.wires import refuse_fixed_order
from sbtt_models.errors import SpecError

__all__ = ["RandomSubset", "draw_subsets"]


class RandomSubset(Budgeted):
    """As many channels in each step, all subsets that the wires allow equally likely.

    Implant and receiver share the seed, so that no side information is sent.
    """

    kind: Literal["random_subset"] = "random_subset"
    per: Literal["bin", "trial"] = "bin"
    """How often a subset is drawn. On a continuous recording a trial is a whole block."""

    @override
    def plan(self, view: View, rng: np.random.Generator) -> Plan:
        k = self.channels_per_bin(view)
        refuse_fixed_order(view, self.kind)
        if self.per == "bin":
            return Plan(draw_subsets(view.n_steps, view.groups, k, rng))
        if view.trial_steps is None:
            raise SpecError(
                f"schedule.dwell: {view.step_s:g} s reaches from one trial into the next, but "
                "per: trial draws for each trial; leave dwell out"
            )
        of_trial = draw_subsets(len(view.trial_steps), view.groups, k, rng)
        return Plan(np.repeat(of_trial, view.trial_steps, axis=0))


def draw_subsets(
    n_rows: int, groups: Groups, k: int, rng: np.random.Generator
) -> Bool[np.ndarray, "row channel"]:
    """Draw a subset of k channels, at most one of a group, for each row."""
    seed = rng.integers(0, 2**64, dtype=np.uint64)
    if groups.free:
        n_channels = len(groups.members)
        n_threads = masks.threads_for(n_rows * n_channels)
        return masks.random_subsets(seed, n_rows, n_channels, k, n_threads)
    take = _take(np.diff(groups.start).astype(float), k)
    return masks.random_grouped(seed, n_rows, groups.start, groups.members, take, k)


def _take(size: Float[np.ndarray, " group"], k: int) -> Float[np.ndarray, "group places"]:
    """Probability that group g is taken, with r places left for it and the groups behind it.

    The subsets of r from groups g and on number e_r(size[g:]), an elementary symmetric polynomial;
    those with g, size[g] e_(r-1)(size[g+1:]). In logarithms: the numbers exceed any double.
    """
    n = len(size)
    log_e = np.full((n + 1, k + 1), -np.inf)
    log_e[:, 0] = 0.0
    take = np.zeros((n, k + 1))
    for g in range(n - 1, -1, -1):
        with_g = np.log(size[g]) + log_e[g + 1, :-1]
        log_e[g, 1:] = np.logaddexp(log_e[g + 1, 1:], with_g)
        possible = np.isfinite(log_e[g, 1:])
        take[g, 1:][possible] = np.exp(with_g[possible] - log_e[g, 1:][possible])
        take[g, 1:][possible & ~np.isfinite(log_e[g + 1, 1:])] = 1.0  # none to spare: exactly sure
    return take

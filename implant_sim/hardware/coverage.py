"""How well a schedule covers the array: gaps, evenness, changes, places used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from implant_sim.hardware.kernels import patterns

__all__ = ["Coverage", "Visits", "gini", "measure", "of_visits"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a schedule gives the channels, and what it makes the implant do."""

    duty: float
    """Share of all (step, channel) that is sampled."""
    revisit_gap_max_s: float | None
    """Longest time from one sampled step of a channel to its next, each from its start; None where
    no channel is sampled twice."""
    revisit_gap_mean_s: float | None
    """Mean of the same, over all channels."""
    covered: float
    """Share of the channels that are ever sampled."""
    gini: float
    """Inequality of visits among all channels: 0 is even, towards 1 one channel has them all."""
    switch_hz: float
    """Channels that a step takes up anew, per second, over the whole array."""
    valid_fraction: float
    """Share of the sampled time left after settling and warm-up."""
    slots_used: float
    """Channels in one step, on average."""
    slots_available: int
    """Most channels that the wires allow in one step."""
    side_info_bps: float
    latency_s: float
    """Longest time until a change of a channel's rate is at the receiver: the longest pause of any
    channel that is sampled at all, and the latency of the link."""


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """What a mask gives its channels, counted in steps."""

    n_steps: int
    visits: Int[np.ndarray, " channel"]
    """Steps in which each is sampled."""
    longest: int
    """The most steps from a visit to the next, of any channel; 0 where none has two."""
    between: int
    """Steps from the first visit of a channel to its last, added up."""
    pause: int
    """The most steps in a row without a visit, of any channel that is visited."""
    starts: int
    """How often a channel is sampled that was not in the step before; the first step is none."""


def measure(
    sampled: Bool[np.ndarray, "step channel"],
    step_s: float,
    slots: int,
    *,
    valid_fraction: float = 1.0,
    side_info_bps: float = 0.0,
    link_latency_s: float = 0.0,
) -> Coverage:
    """Measure a mask.

    Parameters
    ----------
    sampled : numpy.ndarray, shape (step, channel)
        The mask, on the schedule's own steps.
    step_s : float
        Length of a step. [s]
    slots : int
        Most channels that the wires allow in one step.
    valid_fraction : float
        Share of the sampled time that is valid.
    side_info_bps : float
        Side information. [bit/s]
    link_latency_s : float
        From the start of a bin to its arrival. [s]

    Returns
    -------
    Coverage

    Examples
    --------
    >>> rotation = np.tile(np.eye(4, dtype=bool), (5, 1))
    >>> found = measure(rotation, step_s=0.01, slots=4)
    >>> found.revisit_gap_max_s, found.switch_hz, found.duty, found.gini
    (0.04, 95.0, 0.25, 0.0)
    """
    n_steps = len(sampled)
    visits, first, last, longest, starts = patterns.revisits(sampled)
    seen = visits > 0
    pause = np.maximum(np.maximum(first, n_steps - 1 - last), longest - 1)[seen]
    found = Visits(
        n_steps=n_steps,
        visits=visits,
        longest=int(longest.max()),
        between=int((last - first).sum()),
        pause=int(pause.max(initial=0)),
        starts=int(starts),
    )
    return of_visits(
        found,
        step_s,
        slots,
        valid_fraction=valid_fraction,
        side_info_bps=side_info_bps,
        link_latency_s=link_latency_s,
    )


def of_visits(
    found: Visits,
    step_s: float,
    slots: int,
    *,
    valid_fraction: float,
    side_info_bps: float,
    link_latency_s: float,
) -> Coverage:
    """Turn what was counted in steps into shares and times; arguments as of :func:`measure`."""
    n_visits, n_channels = int(found.visits.sum()), len(found.visits)
    seen = int((found.visits > 0).sum())
    n_gaps = n_visits - seen
    return Coverage(
        duty=n_visits / (found.n_steps * n_channels),
        revisit_gap_max_s=found.longest * step_s if n_gaps else None,
        revisit_gap_mean_s=found.between / n_gaps * step_s if n_gaps else None,
        covered=seen / n_channels,
        gini=gini(found.visits),
        switch_hz=found.starts / (found.n_steps * step_s),
        valid_fraction=valid_fraction,
        slots_used=n_visits / found.n_steps,
        slots_available=slots,
        side_info_bps=side_info_bps,
        latency_s=found.pause * step_s + link_latency_s,
    )


def gini(visits: Int[np.ndarray, " channel"]) -> float:
    r"""Find the Gini coefficient of visits.

    .. math:: G = \frac{\sum_i \sum_j |x_i - x_j|}{2 n \sum_i x_i}

    Parameters
    ----------
    visits : numpy.ndarray, shape (channel,)
        Not negative.

    Returns
    -------
    float
        From 0, all equal, to 1 - 1/n, one has all; 0 where there are none.

    References
    ----------
    .. [1] C. Gini, "Variabilità e mutabilità", Bologna 1912.

    Examples
    --------
    >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    n, total = len(visits), int(visits.sum())
    if total == 0:
        return 0.0
    rank = 2 * np.arange(1, n + 1) - n - 1
    return float(rank @ np.sort(visits)) / (n * total)

"""Who trains, who validates, who tests: whole trials, or stretches of time with gaps between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from implant_sim.recordings.base import FileSplit, Shares
from sbtt_models.errors import DataError
from sbtt_models.signals import Split

__all__ = [
    "LONGEST_LAG_S",
    "PARTS",
    "Block",
    "blocks",
    "by_repeat",
    "by_trial",
    "gap_bins",
    "held_back",
    "judged",
]

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
LONGEST_LAG_S = 0.5
"""Decoders of behaviour look back so far [s]; a gap between blocks must exceed it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of bins of one part; `stop` is the first bin after it."""

    part: Part
    start: int
    stop: int


def by_trial(groups: Int[np.ndarray, " trial"], shares: FileSplit, where: str) -> Split:
    """Divide trials at random, each group (condition) as nearly as possible in the same shares.

    Parameters
    ----------
    groups : numpy.ndarray, shape (trial,)
        Group of each trial; all alike for no stratification.
    shares : FileSplit
        Fractions of the three parts, and the seed of the order of trials in their group.
    where : str
        Name of the recording, for the error.

    Raises
    ------
    DataError
        With fewer than three trials.
    """
    weights = np.array([shares.train, shares.valid, shares.test])
    parts = _deal(groups, weights, shares.seed, where)
    return Split(*(np.flatnonzero(parts == k) for k in range(3)))


def _deal(
    groups: Int[np.ndarray, " trial"], weights: Float[np.ndarray, " part"], seed: int, where: str
) -> Int[np.ndarray, " trial"]:
    """Give each trial to the part that lags furthest behind its share, group after group."""
    if groups.size < weights.size:
        raise DataError(
            f"{where}: {groups.size} trial(s) cannot be divided into {weights.size} parts; give "
            "at least one for each, or cut the recording in time with `split: {by: blocks}`"
        )
    shuffled = np.random.default_rng(seed).permutation(groups.size)
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    parts = np.empty(groups.size, np.int64)
    given = np.zeros(weights.size)
    for k, trial in enumerate(order, start=1):
        part = int(np.argmax(k * weights - given))
        parts[trial] = part
        given[part] += 1
    for empty in np.flatnonzero(given == 0):
        richest = int(np.argmax(given))
        parts[order[parts[order] == richest][-1]] = empty
        given[richest] -= 1
        given[empty] += 1
    return parts


def judged(
    groups: Int[np.ndarray, " trial"],
    trains: Bool[np.ndarray, " trial"],
    shares: FileSplit,
    where: str,
) -> Split:
    """Keep the file's own training trials, and divide the others between valid and test."""
    others = np.flatnonzero(~trains)
    weights = np.array([shares.valid, shares.test]) / (shares.valid + shares.test)
    parts = _deal(groups[others], weights, shares.seed, f"{where}: trials that do not train")
    return Split(np.flatnonzero(trains), others[parts == 0], others[parts == 1])


def held_back(
    groups: Int[np.ndarray, " trial"],
    trains: Bool[np.ndarray, " trial"],
    test: Int[np.ndarray, " n_test"],
    shares: FileSplit,
    where: str,
) -> Split:
    """Keep the file's own test trials, and hold some training trials back to validate."""
    own = np.flatnonzero(trains)
    weights = np.array([shares.train, shares.valid]) / (shares.train + shares.valid)
    parts = _deal(groups[own], weights, shares.seed, f"{where}: trials that train")
    return Split(own[parts == 0], own[parts == 1], test)


def by_repeat(n_conditions: int, n_repeats: int, shares: Shares, where: str) -> Split:
    """Divide the repeats of each condition: the first train, then valid, the last test.

    Trial is condition x repeats + repeat.

    Raises
    ------
    DataError
        With fewer than three repeats.
    """
    if n_repeats < 3:
        raise DataError(
            f"{where}: {n_repeats} repeat(s) of each condition cannot be divided into train, "
            "valid and test; give at least 3"
        )
    n_valid = max(1, round(shares.valid * n_repeats))
    n_test = max(1, round(shares.test * n_repeats))
    n_train = max(1, n_repeats - n_valid - n_test)
    n_valid = min(n_valid, n_repeats - n_train - 1)
    trials = np.arange(n_conditions * n_repeats).reshape(n_conditions, n_repeats)
    cuts = np.split(trials, [n_train, n_train + n_valid], axis=1)
    return Split(*(cut.ravel() for cut in cuts))


def gap_bins(window_bins: int, bin_s: float) -> int:
    """Bins to leave out between two parts: one window, and the longest decoding lag.

    Examples
    --------
    >>> gap_bins(window_bins=40, bin_s=0.05)
    50
    """
    return window_bins + int(np.ceil(LONGEST_LAG_S / bin_s - 1e-9))


def blocks(n_bins: int, gap: int, shares: Shares, rounds: int, where: str) -> list[Block]:
    """Cut a stretch of bins into blocks of train, valid and test, with a gap between neighbours.

    Parameters
    ----------
    n_bins : int
        Length of the whole.
    gap : int
        Bins left out between two blocks.
    shares : Shares
        Fractions of what remains.
    rounds : int
        How often the three parts follow each other.
    where : str
        Name of the recording, for the error.

    Raises
    ------
    DataError
        If gaps leave too little.
    """
    usable = n_bins - gap * (3 * rounds - 1)
    ends = np.cumsum(np.tile([shares.train, shares.valid, shares.test], rounds)) / rounds
    edges = np.concatenate([[0], np.round(ends * max(usable, 0)).astype(int)])
    if (np.diff(edges) < 1).any():
        raise DataError(
            f"{where}: {n_bins} bins are too few for {3 * rounds} blocks with gaps of {gap} bins "
            "(one window and 0.5 s); shorten `window`, or lower `split.rounds`"
        )
    return [
        Block(PARTS[k % 3], int(edges[k]) + k * gap, int(edges[k + 1]) + k * gap)
        for k in range(3 * rounds)
    ]

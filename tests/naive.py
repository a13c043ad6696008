"""A slow twin of each compiled kernel, written from its docstring alone."""

from __future__ import annotations

import itertools

import numpy as np

WORD = 2**64


def _mix(state: int) -> int:
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


class SplitMix:
    """Python integers, so that nothing can overflow unseen."""

    def __init__(self, seed: int, row: int) -> None:
        self.state = _mix((seed + (row + 1) * 0xD1342543DE82EF95) % WORD)

    def word(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % WORD
        return _mix(self.state)

    def below(self, n: int) -> int:
        """Uniform in [0, n): the high half of a product, rejected where its low half is short."""
        while True:
            product = (self.word() >> 32) * n
            if product % 2**32 >= 2**32 % n:
                return product >> 32

    def unit(self) -> float:
        return (self.word() >> 11) * 2.0**-53


def random_subsets(seed: int, n_rows: int, n_channels: int, k: int) -> np.ndarray:
    observed = np.zeros((n_rows, n_channels), dtype=bool)
    few = min(k, n_channels - k)
    for row in range(n_rows):
        rng, chosen = SplitMix(seed, row), set()
        for j in range(n_channels - few, n_channels):
            draw = rng.below(j + 1)
            chosen.add(j if draw in chosen else draw)
        if k > n_channels - k:
            chosen = set(range(n_channels)) - chosen
        observed[row, sorted(chosen)] = True
    return observed


def random_grouped(seed, n_rows, start, members, take, k) -> np.ndarray:
    observed = np.zeros((n_rows, len(members)), dtype=bool)
    for row in range(n_rows):
        rng, wanted = SplitMix(seed, row), k
        for g in range(len(start) - 1):
            if wanted and rng.unit() < take[g, wanted]:
                group = list(members[start[g] : start[g + 1]])
                observed[row, group[rng.below(len(group))]] = True
                wanted -= 1
    return observed


def round_robin(n_rows, start, members, k) -> np.ndarray:
    groups = [list(members[a:b]) for a, b in itertools.pairwise(start)]
    observed = np.zeros((n_rows, len(members)), dtype=bool)
    for place in range(n_rows * k):
        visit, g = divmod(place, len(groups))
        observed[place // k, groups[g][visit % len(groups[g])]] = True
    return observed


def _runs(column: np.ndarray) -> list[tuple[bool, int, int]]:
    """(value, first, last + 1) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(column.astype(int))) + 1), len(column)]
    return [(bool(column[a]), int(a), int(b)) for a, b in itertools.pairwise(edges)]


def gate(needed, least_gap):
    n_rows, n_units = needed.shape
    on, wakes = np.zeros(n_units, dtype=int), np.zeros(n_units, dtype=int)
    woken = np.zeros(needed.shape, dtype=bool)
    for u in range(n_units):
        if not needed[:, u].any():
            continue
        for value, a, b in _runs(needed[:, u]):
            if value or b - a < least_gap:
                on[u] += b - a
            else:
                wakes[u] += 1
                if b < n_rows:
                    woken[b, u] = True
    return on, wakes, woken


def warm_ups(sampled, limit):
    before, starts = np.zeros(len(sampled)), np.zeros(sampled.shape, dtype=bool)
    for c in range(sampled.shape[1]):
        for value, a, b in _runs(sampled[:, c]):
            if not value and b < len(sampled):
                starts[b, c] = True
                before[b] += min(b - a, limit)
    return before, starts


def switches_shared(sampled, group, n_groups):
    loads = [[int(row[group == g].sum()) for g in range(n_groups)] for row in sampled]
    return sum(load for row in loads for load in row if load > 1)


def switches_held(sampled, group, n_groups):
    total = 0
    for g in range(n_groups):
        held = [int(c) for row in sampled for c in np.flatnonzero(row & (group == g))]
        total += sum(a != b for a, b in itertools.pairwise(held))
    return total


def tally(counts, sampled):
    kept = np.where(sampled, counts, 0)
    return sampled.sum(axis=1), kept.sum(axis=1), int(kept.max(initial=0))


def rice_bits(counts, sampled, shift):
    code = [[len("1" * (n >> shift) + "0") + shift for n in row] for row in counts.tolist()]
    return np.where(sampled, np.array(code), 0).sum(axis=1)

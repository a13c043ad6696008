from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from implant_sim.report.pareto import difference, front, standings

NAN = float("nan")


def naive_front(cost, value):
    def beats(a, b):
        return (
            cost[a] <= cost[b]
            and value[a] >= value[b]
            and (cost[a] < cost[b] or value[a] > value[b])
        )

    n = len(cost)
    ok = [np.isfinite(cost[i]) and np.isfinite(value[i]) for i in range(n)]
    return [ok[i] and not any(ok[j] and beats(j, i) for j in range(n)) for i in range(n)]


numbers = st.one_of(st.integers(0, 6).map(float), st.just(NAN))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_front_equals_the_definition(pairs):
    cost = np.array([a for a, _ in pairs], float)
    value = np.array([b for _, b in pairs], float)
    assert front(cost, value).tolist() == naive_front(cost, value)


def test_equal_points_are_both_on_the_front():
    assert front(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 1.0])).tolist() == [
        True,
        True,
        False,
    ]


def test_difference_is_paired():
    """Repeats that rise and fall together differ by a constant: no error at all."""
    a = np.array([1.0, 5.0, 9.0])
    assert difference(a + 0.5, a) == (0.5, 0.0)
    assert difference(np.array([1.0, NAN]), np.array([0.0, 3.0])) == (1.0, 0.0)
    mean, se = difference(np.array([0.0, 2.0]), np.array([0.0, 0.0]))
    assert (mean, se) == (1.0, pytest.approx(1.0))


def test_ties_are_ties_and_losers_are_losers():
    cost = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    values = np.array(
        [
            [0.50, 0.52, 0.48],  # cheapest
            [0.70, 0.72, 0.68],  # best of its power
            [0.71, 0.66, 0.67],  # within error of it
            [0.30, 0.32, 0.28],  # beaten, even by the cheapest
            [NAN, NAN, NAN],  # never finished
        ]
    )
    assert standings(cost, values) == ["front", "front", "tie", "dominated", None]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 8), st.integers(0, 3)), max_size=9))
def test_one_repeat_knows_no_ties_but_equals(points):
    cost = np.array([c for c, _, _ in points], float)
    values = np.array([[v] for _, v, _ in points], float).reshape(len(points), 1)
    on = front(cost, values[:, 0])
    assert standings(cost, values) == ["front" if o else s for o, s in zip(
        on, ["dominated" if any(
            cost[j] <= cost[i] and values[j, 0] > values[i, 0] for j in range(len(points))
        ) else "tie" for i in range(len(points))], strict=True)]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
@example(3939)  # a rival is ahead by two standard errors to the last digit: a tie
def test_standings_agree_with_pairwise_differences(seed):
    rng = np.random.default_rng(seed)
    cost = rng.integers(1, 5, 8).astype(float)
    values = rng.normal(0, 1, (8, 3)).round(1)
    values[rng.random(values.shape) < 0.15] = NAN
    for i, standing in enumerate(standings(cost, values)):
        better = [
            difference(values[j], values[i])
            for j in range(8)
            if j != i and cost[j] <= cost[i] and np.nanmean([*values[j], -99.0]) > -99.0
        ]
        if standing == "dominated":
            assert any(d > 2 * se for d, se in better if d > 0)

"""Visiting rates for behaviour: least error of all, within bounds and wires."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from implant_sim.hardware.calibration import calibration_data
from implant_sim.hardware.schedules.allocation import behaviour_rates
from implant_sim.hardware.schedules.regression import moments
from implant_sim.hardware.schedules.view import Groups
from sbtt_models.errors import SpecError
from tests.hardware import hw

LAGS = 5


def alone(n):
    return Groups.by_wire(np.arange(n))


def read_out_error(data, rates):
    """Squared error of the best read-out of what these rates show, less what none would leave."""
    found = moments(data, LAGS, filled=True)
    seen = np.repeat(rates > 0, LAGS)
    noise = (found.poisson * (1 / np.maximum(np.repeat(rates, LAGS), 1e-12) - 1))[seen]
    cross = found.train.cross[seen]
    weights = np.linalg.solve(found.train.features[np.ix_(seen, seen)] + np.diag(noise), cross)
    return -float((weights * cross).sum())


def known_by(axes, n=6, seed=0, rate=0.3):
    """A population whose first channels tell of one dimension of behaviour each, and noisily."""
    recording = hw.moving(n_channels=n, tuned=tuple(range(max(axes) + 1)), seed=seed)
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, recording.counts.shape).astype(np.int32)
    for channel, axis in enumerate(axes):
        told = recording.behaviour.values[..., axis]
        counts[:, :, channel] = rng.poisson(rate * np.exp(told * (1 - 0.1 * channel)))
    return replace(recording, counts=counts)


def test_no_subset_of_channels_and_no_other_rates_have_less_error():
    data = calibration_data(known_by((0, 1, 2)))
    rates = behaviour_rates(data, alone(6), 2, 0.0)
    least = read_out_error(data, rates)
    of_subsets = []
    for chosen in combinations(range(6), 2):
        always = np.zeros(6)
        always[list(chosen)] = 1
        of_subsets.append(read_out_error(data, always))
    assert least < min(of_subsets) * 1.02  # errors are negative: by 2 % of what is explained
    rng = np.random.default_rng(1)
    for _ in range(200):
        others = rng.dirichlet(np.full(6, 0.5)) * 2
        if others.max() <= 1:
            assert least <= read_out_error(data, others) + 1e-9


@pytest.mark.parametrize(
    ("wires", "k", "least_share"),
    [(range(6), 3, 0.2), ([0, 0, 0, 0, 0, 1], 2, 0.0), ([0, 0, 0, 1, 2, 3], 2, 0.1)],
)
def test_a_general_optimiser_finds_no_less_error(wires, k, least_share):
    data = calibration_data(known_by((0, 1, 0, 2), seed=3))
    of = np.array(list(wires))
    rates = behaviour_rates(data, Groups.by_wire(of), k, least_share)
    even = k / len(np.unique(of)) / np.bincount(of)[of]
    found = minimize(
        lambda r: read_out_error(data, r),
        even,
        method="SLSQP",
        bounds=[(max(least_share * k / 6, 1e-6), 1.0)] * 6,
        constraints=[
            {"type": "eq", "fun": lambda r: r.sum() - k},
            {"type": "ineq", "fun": lambda r: 1 - np.bincount(of, r)},
        ],
        options={"ftol": 1e-10, "maxiter": 500},
    )
    assert rates.sum() == pytest.approx(k)
    assert np.bincount(of, rates).max() <= 1 + 1e-9
    assert found.fun < read_out_error(data, even)  # it got somewhere
    assert read_out_error(data, rates) <= found.fun * (1 - 1e-3)


@pytest.mark.parametrize("least_share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_rates_keep_to_budget_and_bounds(k, least_share):
    data = calibration_data(hw.moving())
    rates = behaviour_rates(data, alone(12), k, least_share)
    assert rates.sum() == pytest.approx(k)
    assert rates.max() <= 1
    assert rates.min() >= least_share * k / 12 - 1e-9


def test_channels_that_know_the_behaviour_stay_on_and_the_others_get_the_least():
    rates = behaviour_rates(calibration_data(hw.moving()), alone(12), 3, 0.2)
    assert rates[[2, 7]] == pytest.approx([1, 1])
    even = 3 / 12
    assert np.sort(rates)[:6] == pytest.approx([0.2 * even] * 6, abs=1e-3)


def test_on_a_wire_that_holds_one_channel_visits_add_up_to_one_at_most():
    rates = behaviour_rates(
        calibration_data(hw.moving()), Groups.by_wire(np.array([0, 1, 2] * 4)), 2, 0.0
    )
    by_wire = rates.reshape(4, 3).sum(axis=0)
    assert rates.sum() == pytest.approx(2)
    assert by_wire.max() <= 1 + 1e-9
    assert rates[2] + rates[7] > 0.9 * 2  # wires 2 and 1


def test_a_copy_shares_the_visits_of_what_it_copies():
    recording = hw.moving()
    counts = recording.counts.copy()
    counts[:, :, 3] = counts[:, :, 2]
    rates = behaviour_rates(calibration_data(replace(recording, counts=counts)), alone(12), 2, 0.0)
    assert rates[7] == pytest.approx(1)
    assert rates[2] == pytest.approx(rates[3], rel=0.05)


def test_a_silent_channel_gets_what_no_other_can_use():
    recording = replace(hw.moving(), behaviour=None)
    counts = recording.counts.copy()
    counts[:, :, 4] = 0
    data = calibration_data(replace(recording, counts=counts))
    assert behaviour_rates(data, alone(12), 3, 0.0)[4] == pytest.approx(0, abs=1e-9)
    assert behaviour_rates(data, alone(12), 12, 0.0) == pytest.approx(np.ones(12))


def test_where_nothing_is_told_all_are_visited_alike():
    recording = hw.moving()
    silent = replace(recording, counts=np.zeros_like(recording.counts))
    held = replace(recording.behaviour, values=np.full_like(recording.behaviour.values, 3.7))
    for still in (silent, replace(recording, behaviour=held)):
        rates = behaviour_rates(calibration_data(still), alone(12), 3, 0.0)
        assert rates == pytest.approx(np.full(12, 0.25))


@pytest.mark.parametrize("order", ["greedy", "behaviour"])
def test_behaviour_that_is_missing_or_not_finite_is_told(order):
    recording = hw.moving()
    tree = {"kind": "static_subset", "bandwidth": 2, "order": order}
    values, valid = recording.behaviour.values.copy(), recording.behaviour.valid.copy()
    values[0, 3, 0] = np.nan
    broken = replace(recording, behaviour=replace(recording.behaviour, values=values))
    with pytest.raises(
        SpecError, match="behaviour is not finite in bins that are marked as valid"
    ):
        hw.run(broken, hw.implant(), tree)
    valid[recording.split.train] = False
    unknown = replace(recording, behaviour=replace(recording.behaviour, valid=valid))
    with pytest.raises(SpecError, match="no bin of the training trials lies inside its trial"):
        hw.run(unknown, hw.implant(), tree)


def test_short_windows_at_a_trials_beginning_tell_no_time():
    """Constant rates and a behaviour that only follows the clock: nothing is to be predicted."""
    recording = hw.moving()
    counts = np.random.default_rng(0).poisson(2.0, recording.counts.shape).astype(np.int32)
    shown = np.zeros_like(recording.behaviour.values)
    shown[:, :5] = 1
    behaviour = replace(recording.behaviour, values=shown)
    data = calibration_data(replace(recording, counts=counts, behaviour=behaviour))
    explained = {}
    for filled in (False, True):
        train = moments(data, LAGS, filled).train
        weights = np.linalg.solve(train.features, train.cross)
        rows = (data.scored & ~data.valid[:, None]).sum()
        explained[filled] = (weights * train.cross).sum() / (rows * shown.shape[2])
    assert explained[False] > 0.5
    assert explained[True] < 0.2  # 60 features of 840 rows

"""Schedules that follow the data: causal, paid for, better where there is something to know."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from implant_sim.hardware.acquire import plan
from implant_sim.hardware.calibration import calibration_data
from implant_sim.hardware.kernels import choosing
from implant_sim.hardware.schedules.adaptive import Fading, InSteps, Turns, in_steps
from implant_sim.hardware.schedules.base import Adaptive, Groups, Policy
from implant_sim.hardware.schedules.information import _MostInformative, _StateClock
from implant_sim.hardware.schedules.linear_model import fit_linear_model
from sbtt_models.errors import SpecError
from sbtt_models.signals import Recording, Split
from tests import naive
from tests.hardware import hw

RULES = {
    "rate": {"kind": "activity"},
    "variance": {"kind": "activity", "by": "variance"},
    "calibrated": {"kind": "activity", "by": "variance", "calibrated": True},
    "information": {"kind": "information"},
    "information explores": {"kind": "information", "explore": 0.3},
    "ucb": {"kind": "bandit"},
    "thompson": {"kind": "bandit", "rule": "thompson"},
}
LISTENS = {"radio": {"kind": "uwb", "receive_energy_per_bit": "50 pJ", "source": "test"}}


def steps(tree, rec, changes=None, seed=0):
    schedule = hw.SCHEDULE.validate_python(tree)
    return plan(rec, hw.implant(changes), schedule, np.random.default_rng(seed)).sampled


def driven(n=12, loud=(), tuned=(), n_bins=400, seed=0, memory=0.97, depth=0.8):
    """Three trials, 1 spike a bin; `loud` channels fire 5, `tuned` ones follow a hidden state."""
    rng = np.random.default_rng(seed)
    hidden = np.zeros((3, n_bins))
    hidden[:, 0] = rng.normal(size=3)
    for t in range(1, n_bins):
        hidden[:, t] = memory * hidden[:, t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=3)
    rates = np.ones((3, n_bins, n))
    rates[:, :, list(loud)] = 5.0
    rates[:, :, list(tuned)] *= np.exp(depth * hidden - depth**2 / 2)[:, :, None]
    counts = rng.poisson(rates).astype(np.int32)
    split = Split(np.array([0]), np.array([1]), np.array([2]))
    return Recording("driven", counts, 0.02, np.full(3, n_bins), split)


# kernels


@st.composite
def problems(draw, free=False):
    """A Gaussian state, channels that measure it, wires, and a budget."""
    n, size = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    root = rng.normal(size=(size, size))
    covariance = root @ root.T + 0.1 * np.eye(size)
    loadings = rng.normal(size=(n, size)) * rng.integers(0, 2, size=(n, 1))
    noise, last = rng.uniform(0.1, 3, n), rng.integers(-1, 4, n)
    wire = np.arange(n) if free else np.array(draw(st.lists(st.integers(0, 3), min_size=n,
                                                             max_size=n)))  # fmt: skip
    groups = Groups.by_wire(wire)
    k = draw(st.integers(1, groups.n))
    return covariance, loadings, noise, last, groups.of, groups.n, k, draw(st.integers(0, k))


@settings(deadline=None, max_examples=50)
@given(problem=problems())
def test_informative_choices_equal_their_twin(problem):
    chosen, after = choosing.most_informative(*problem)
    slow, slow_after = naive.most_informative(*problem)
    assert chosen.tolist() == slow.tolist()
    np.testing.assert_allclose(after, slow_after, rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(problem=problems(), ties=st.booleans())
def test_top_channels_equal_their_twin(problem, ties):
    _, loadings, noise, last, group, n_groups, k, n_oldest = problem
    score = np.round(noise) if ties else noise
    score[loadings[:, 0] == 0] = np.inf
    rest = last, group, n_groups, k, n_oldest
    assert (
        choosing.top_channels(score, *rest).tolist() == naive.top_channels(score, *rest).tolist()
    )


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    numbers=st.lists(st.floats(0.05, 50), min_size=16, max_size=16),
)
def test_forecasts_equal_their_twin(counts, numbers):
    given_numbers = np.array(numbers).reshape(4, 4)[:, : len(counts)]
    fast = choosing.forecast_gain(np.array(counts), *given_numbers)
    slow = naive.forecast_gain(np.array(counts), *given_numbers)
    np.testing.assert_allclose(fast, slow, rtol=1e-7, atol=1e-7)


def test_every_kernel_has_a_twin():
    assert all(callable(getattr(naive, name)) for name in choosing.__all__)


@settings(deadline=None, max_examples=40)
@given(problem=problems(free=True))
def test_greedy_reaches_its_guarantee(problem):
    """At least 1 - 1/e of the best gain of any subset (Nemhauser et al. 1978)."""
    covariance, loadings, noise, *_, k, _ = problem
    n = len(noise)

    def gain(channels):
        c = loadings[list(channels)] / np.sqrt(noise[list(channels)])[:, None]
        return np.linalg.slogdet(np.eye(len(c)) + c @ covariance @ c.T)[1]

    chosen, _ = choosing.most_informative(*problem[:-1], 0)
    best = max(gain(channels) for channels in combinations(range(n), k))
    assert gain(chosen) >= (1 - 1 / np.e) * best - 1e-9


def test_subsets_are_counted_as_the_wires_allow():
    for wire in ([0, 1, 2, 3], [0, 0, 1, 1, 1, 2], [0, 0, 0]):
        groups = Groups.by_wire(np.array(wire))
        for k in range(1, groups.n + 1):
            n = sum(
                len({wire[c] for c in chosen}) == k for chosen in combinations(range(len(wire)), k)
            )
            assert groups.subset_bit(k) == pytest.approx(np.log2(n))


# what every one of them keeps


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("decided", "dwell", "changes", "delay"),
    [
        ("implant", None, {}, 1),
        ("implant", "10 ms", {}, 1),
        ("implant", None, {"processing.warm_up": "30 ms"}, 3),
        ("receiver", None, {"radio": {"kind": "uwb", "interval": "60 ms", "source": "test"}}, 4),
        ("receiver", "5 ms", {}, 4),
        ("receiver", "5 ms", {"processing.warm_up": "7 ms"}, 6),
        ("receiver", "40 ms", {}, 1),
    ],
    ids=str,
)
def test_causal(name, decided, dwell, changes, delay):
    """No choice is touched by a spike that it could not know of; a later one is."""
    tree = {**RULES[name], "bandwidth": 3, "decided": decided, "dwell": dwell}
    rec, implant = driven(n_bins=60, tuned=(1, 4)), hw.implant(changes)
    schedule = hw.SCHEDULE.validate_python(tree)
    first_bin = 150  # inside the test trial, so that calibration is the same
    counts = rec.counts.copy().reshape(180, -1)
    counts[first_bin:] = np.random.default_rng(9).poisson(6, counts[first_bin:].shape)
    other = replace(rec, counts=counts.reshape(rec.counts.shape))
    one, two = (plan(r, implant, schedule, np.random.default_rng(3)).sampled for r in (rec, other))
    parts = len(one) / 180
    known = int(first_bin * parts) + delay
    assert (one[:known] == two[:known]).all()
    if not name.startswith("information"):  # which may stay with its channels
        assert (one[known:] != two[known:]).any()


@settings(deadline=None, max_examples=25)
@given(
    name=st.sampled_from(sorted(RULES)),
    n_channels=st.integers(1, 10),
    ways=st.integers(1, 4),
    share=st.floats(0, 1),
    explore=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_budget_wires_and_seeds(name, n_channels, ways, share, explore, seed):
    mux = {"placement": "after_amplifier", "ways": ways, "cycle": "bin", "source": "test"}
    changes = {"multiplexer": mux, "adc.shared_by": ways} if ways > 1 else {}
    wire = hw.implant(changes).groups(n_channels)
    k = max(1, round(share * len(np.unique(wire))))
    rec = hw.recording(n_bins=9, n_channels=n_channels, seed=seed)
    tree = {**RULES[name], "bandwidth": k, "explore": explore}
    mask = steps(tree, rec, changes, seed)
    assert (mask.sum(axis=1) == k).all()
    for g in np.unique(wire):
        assert mask[:, wire == g].sum(axis=1).max() <= 1
    assert (mask == steps(tree, rec, changes, seed)).all()


def test_thompson_draws_lots():
    rec = driven(n_bins=60)
    tree = {**RULES["thompson"], "bandwidth": 3}
    assert (steps(tree, rec, seed=0) != steps(tree, rec, seed=1)).any()
    assert (
        steps({**tree, "rule": "ucb"}, rec) == steps({**tree, "rule": "ucb"}, rec, seed=1)
    ).all()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("ways", [1, 4])
def test_no_channel_starves(name, ways):
    """With a share of the places for the oldest, none waits longer than all others take."""
    n, k, explore = 12, 3, 0.25
    mux = {"placement": "after_amplifier", "ways": ways, "cycle": "bin", "source": "test"}
    changes = {"multiplexer": mux, "adc.shared_by": ways} if ways > 1 else {}
    rec = driven(n, loud=(0, 5, 9), tuned=(0, 5), n_bins=100)
    mask = steps({**RULES[name], "bandwidth": k, "explore": explore}, rec, changes)
    longest = int(np.ceil(n / (explore * k))) + 1
    for channel in range(n):
        visits = np.concatenate([[-1], np.flatnonzero(mask[:, channel]), [len(mask)]])
        assert np.diff(visits).max() <= longest


def test_without_exploring_a_channel_may_starve():
    mask = steps({"kind": "activity", "bandwidth": 2, "explore": 0}, driven(loud=(3, 8)))
    assert mask[20:, [3, 8]].all()
    assert mask.sum(axis=0).min() < 5


@pytest.mark.parametrize("name", ["rate", "variance", "calibrated", "information explores", "ucb"])
def test_a_silent_channel_is_visited_rarely(name):
    rec = driven(tuned=(2, 7), loud=(2, 7), depth=1.0)
    counts = rec.counts.copy()
    counts[:, :, 4] = 0
    share = steps({**RULES[name], "bandwidth": 2}, replace(rec, counts=counts)).mean(axis=0)
    assert 0 < share[4] < 0.15
    assert share[4] < share[[2, 7]].min() / 3


# activity


@pytest.mark.parametrize("by", ["rate", "variance"])
def test_activity_finds_the_two_channels_that_carry_everything(by):
    rec = driven(loud=(3, 8))
    counts = rec.counts.copy()
    counts[:, :, [c for c in range(12) if c not in (3, 8)]] = 0
    tree = {"kind": "activity", "by": by, "bandwidth": 2, "explore": 0.1}
    mask = steps(tree, replace(rec, counts=counts))
    assert mask[60:, [3, 8]].mean() > 0.88
    # known from calibration data, they are taken at once
    start = steps({**tree, "calibrated": True}, replace(rec, counts=counts))
    assert start[0, [3, 8]].all()


def test_rate_and_variance_follow_different_things():
    """A steady channel is most active, one that bursts most variable."""
    rec = driven(4)
    counts = np.zeros_like(rec.counts)
    counts[:, :, 1] = 4
    counts[:, ::6, 2] = 12
    share = {
        by: steps({"kind": "activity", "by": by, "bandwidth": 1}, replace(rec, counts=counts))
        for by in ("rate", "variance")
    }
    assert share["rate"][100:, 1].mean() > 0.8
    assert share["variance"][100:, 2].mean() > 0.8


def test_activity_forgets():
    """The loud channel falls silent in the last trial; another takes over within the memory."""
    rec = driven(loud=(3,))
    counts = rec.counts.copy()
    counts[2, :, 3], counts[2, :, 6] = 0, 5
    changed = replace(rec, counts=counts)
    tree = {"kind": "activity", "bandwidth": 1, "explore": 0.2, "memory": "0.4 s"}
    late = steps(tree, changed)[-300:]
    assert late[:, 6].mean() > 0.6
    stubborn = steps({**tree, "memory": "1 h"}, changed)[-300:]
    assert stubborn[:, 6].mean() < 0.3


@settings(deadline=None)
@given(
    memory=st.floats(0.5, 50),
    counts=st.lists(st.integers(0, 9), min_size=2, max_size=9),
    gaps=st.lists(st.integers(1, 7), min_size=9, max_size=9),
)
def test_fading_sums(memory, counts, gaps):
    when = np.cumsum(gaps[: len(counts)])
    past = Fading(memory, (1.0, 2.0), 3)
    for step, count in zip(when, counts, strict=True):
        past.add(int(step), np.array([1]), np.array([[float(count)], [1.0]]))
    now = int(when[-1]) + 4
    age = (now - when) / memory
    expected = [np.exp(-age) @ np.array(counts), np.exp(-2 * age).sum()]
    np.testing.assert_allclose(past.at(now)[:, 1], expected, rtol=1e-9, atol=1e-300)
    assert (past.at(now)[:, [0, 2]] == 0).all()


@pytest.mark.parametrize("step_s", [0.01, 0.02, 0.06])
def test_calibration_in_steps_of_any_length(step_s):
    rec = driven(5, loud=(1,), n_bins=100)
    data = calibration_data(rec)
    known = in_steps(data, step_s)
    m = max(1, round(step_s / 0.02))
    assert known.counts.shape == (2, 100 // m, 5)
    assert known.share == pytest.approx(min(1.0, step_s / 0.02))
    whole = data.counts[:, : 100 // m * m]
    assert (known.counts.sum(axis=1) == whole.sum(axis=1)).all()
    # and the first choices of a calibrated schedule rank by it
    tree = {"kind": "activity", "bandwidth": 1, "calibrated": True, "dwell": f"{step_s} s"}
    assert steps(tree, rec)[:5, 1].all()


def test_gaps_of_the_file_teach_nothing():
    """A channel with a gap is not taken for silent."""
    rec = driven(loud=(3,))
    recorded = np.ones(rec.counts.shape, dtype=bool)
    recorded[:, 100:200, 3] = False
    counts = np.where(recorded, rec.counts, 0)
    mask = steps(
        {"kind": "activity", "bandwidth": 1, "memory": "0.2 s"},
        replace(rec, counts=counts, recorded=recorded),
    )
    assert mask[110:200, 3].mean() > 0.8


@pytest.mark.parametrize("name", RULES)
def test_gaps_do_not_stop_a_schedule(name):
    rec = driven(n_bins=60)
    recorded = np.random.default_rng(0).random(rec.counts.shape) > 0.3
    changed = replace(rec, counts=np.where(recorded, rec.counts, 0), recorded=recorded)
    mask = steps({**RULES[name], "bandwidth": 3, "dwell": "40 ms"}, changed)
    assert (mask.sum(axis=1) == 3).all()


# information


def hidden_system(n=16, size=2, n_steps=3000, seed=0):
    """Calibration data of a linear system with Poisson noise; its dynamics and loadings."""
    rng = np.random.default_rng(seed)
    dynamics = 0.95 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    loadings = rng.normal(size=(n, size))
    mean = np.full(n, 12.0)
    root = np.sqrt(1 - 0.95**2)
    x, states = rng.normal(size=size), []
    for _ in range(n_steps):
        states.append(x)
        x = dynamics @ x + root * rng.normal(size=size)
    rates = np.maximum(0.1, mean + np.array(states) @ loadings.T)
    return rng.poisson(rates).astype(np.int32), dynamics, loadings, mean


def test_the_linear_model_finds_the_system():
    counts, dynamics, loadings, mean = hidden_system(n_steps=20_000)
    data = InSteps(counts[None].astype(float), np.ones((1, *counts.shape), bool), 1.0)
    model = fit_linear_model(data, 2)
    # up to a turn of the state: eigenvalues, and the covariance between channels
    found, true = (np.sort_complex(np.linalg.eigvals(a)) for a in (model.dynamics, dynamics))
    np.testing.assert_allclose(found, true, atol=0.03)
    common = loadings @ loadings.T
    error = np.linalg.norm(model.loadings @ model.loadings.T - common)
    assert error < 0.15 * np.linalg.norm(common)
    np.testing.assert_allclose(model.mean, mean, rtol=0.05)
    assert np.median(model.noise_ratio) == pytest.approx(1.0, abs=0.05)
    # stationary, and a covariance
    stays = model.dynamics @ model.dynamics.T + model.innovation
    np.testing.assert_allclose(stays, np.eye(2), atol=1e-12)
    assert np.linalg.eigvalsh(model.innovation).min() > 0


def test_fluctuations_of_its_own_are_noise():
    counts, *_ = hidden_system(n_steps=8000)
    counts[:, 3] = np.random.default_rng(1).negative_binomial(1.5, 0.1, 8000)
    data = InSteps(counts[None].astype(float), np.ones((1, *counts.shape), bool), 1.0)
    model = fit_linear_model(data, 2)
    assert model.noise_ratio[3] > 5
    assert np.delete(model.noise_ratio, 3).max() < 1.3


def test_a_model_with_gaps_and_silence():
    counts, dynamics, *_ = hidden_system(n_steps=12_000)
    counts[:, 5] = 0
    recorded = np.random.default_rng(1).random((1, *counts.shape)) > 0.3
    data = InSteps(np.where(recorded, counts[None], 0).astype(float), recorded, 1.0)
    model = fit_linear_model(data, 2)
    found, true = (np.sort_complex(np.linalg.eigvals(a)) for a in (model.dynamics, dynamics))
    np.testing.assert_allclose(found, true, atol=0.05)
    assert (model.loadings[5] == 0).all()
    assert model.mean[5] == 0


def system_recording(n_steps=600, seed=0, weak=10):
    """Three trials of a hidden system, of which `weak` channels know next to nothing."""
    counts, dynamics, loadings, mean = hidden_system(n_steps=3 * n_steps, seed=seed)
    rng = np.random.default_rng(seed)
    counts[:, :weak] = rng.poisson(12, counts[:, :weak].shape)
    loadings[:weak] = 0
    split = Split(np.array([0]), np.array([1]), np.array([2]))
    shaped = counts.reshape(3, n_steps, -1)
    rec = Recording("system", shaped, 0.02, np.full(3, n_steps), split)
    return rec, dynamics, loadings, mean


def posterior_trace(mask, dynamics, loadings, mean):
    """Mean trace of the state's covariance, by a Kalman filter that knows the true system."""
    p, total = np.eye(2), 0.0
    for row in mask:
        p = dynamics @ p @ dynamics.T + (1 - 0.95**2) * np.eye(2)
        c = loadings[row] / np.sqrt(mean[row])[:, None]
        p = np.linalg.inv(np.linalg.inv(p) + c.T @ c)
        total += np.trace(p)
    return total / len(mask)


@pytest.mark.parametrize("decided", ["implant", "receiver"])
def test_information_knows_the_state_better_than_chance_or_activity(decided):
    rec, *system = system_recording()
    trace = {
        name: posterior_trace(steps({**tree, "bandwidth": 3}, rec)[-600:], *system)
        for name, tree in {
            "information": {"kind": "information", "size": 2, "decided": decided},
            "random": {"kind": "random_subset"},
            "round robin": {"kind": "round_robin"},
            "activity": {"kind": "activity"},
        }.items()
    }
    best = posterior_trace(np.ones((600, 16), bool), *system)
    assert best < trace["information"]
    assert trace["information"] < 0.75 * min(t for n, t in trace.items() if n != "information")


def test_information_finds_the_two_channels_that_carry_everything():
    mask = steps({"kind": "information", "bandwidth": 2, "size": 1}, driven(tuned=(3, 8)))
    assert mask[:, [3, 8]].mean() > 0.95


class _Logged(_MostInformative):
    """Remembers the noise that it reckoned with."""

    def _noise(self, step):
        self.log = [*getattr(self, "log", []), super()._noise(step)]
        return self.log[-1]


@pytest.mark.parametrize(("parts", "delay"), [(1, 1), (1, 5), (4, 1), (4, 7)])
def test_the_filter_of_information_is_kalmans(parts, delay):
    """Its mean and covariance are those of a filter run over the finished mask, step by step."""
    counts, *_ = hidden_system(n_steps=300)
    data = InSteps(counts[None].astype(float), np.ones((1, *counts.shape), bool), 1 / parts)
    model = fit_linear_model(data, 2)
    n_steps, trial = 40 * parts, 16 * parts
    starts = np.zeros(n_steps + 1, bool)
    starts[[trial, 2 * trial]] = True
    policy = _Logged(
        model, _StateClock(starts, parts, delay), Groups.by_wire(np.arange(16)), Turns(16, 3, 0.2)
    )
    thin = np.random.default_rng(0).binomial(counts[np.arange(n_steps) // parts], 1 / parts)
    chosen = []
    for step in range(n_steps):
        if step >= delay:
            past = chosen[step - delay]
            policy.learn(step - delay, past, thin[step - delay, past])
        chosen.append(policy.choose(step))
    c, usual = model.loadings / parts, model.mean / parts
    x, p, known = np.zeros(2), np.eye(2), None
    for step, channels in enumerate(chosen):
        if starts[step]:
            x, p = np.zeros(2), np.eye(2)
        elif step % parts == 0 and step > 0:
            x, p = model.dynamics @ x, model.dynamics @ p @ model.dynamics.T + model.innovation
        if step == n_steps - delay:
            known = x  # the first step whose counts have not come back
        s = c[channels] @ p @ c[channels].T + np.diag(policy.log[step][channels])
        gain = p @ c[channels].T @ np.linalg.inv(s)
        x = x + gain @ (thin[step, channels] - usual[channels] - c[channels] @ x)
        p = p - gain @ c[channels] @ p
    np.testing.assert_allclose(policy.covariance, p, atol=1e-9)
    np.testing.assert_allclose(policy.mean, known, atol=1e-9)
    assert len({tuple(sorted(row)) for row in chosen}) > 1


@pytest.mark.parametrize(("parts", "delay"), [(1, 1), (1, 3), (4, 6)])
def test_the_rate_expected_runs_ahead_of_the_data(parts, delay):
    """At a choice the state has moved on, since the last step known, by whole bins."""
    starts = np.zeros(41, bool)
    starts[20] = True
    clock = _StateClock(starts, parts, delay)
    for step in range(40):
        first = max(0, step - delay + 1)
        moved = sum(clock.moves(s) for s in range(first + 1, step + 1))
        crossed = starts[first + 1 : step + 1].any()
        assert clock.ahead(step) == (None if crossed else moved)


@pytest.mark.parametrize(
    ("tree", "rec", "says"),
    [
        ({"kind": "information", "size": 20}, {}, "20 latent dimensions of 8 channels"),
        ({"kind": "information", "dwell": "400 ms"}, {}, "no three steps in a row"),
        ({"kind": "information"}, {"n_bins": 1}, "no three steps in a row"),
        (
            {"kind": "bandit", "calibration": {"every": "1 ms"}, "bandwidth": 9}, {}, "has 8",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_planned(tree, rec, says):
    with pytest.raises(SpecError, match=says):
        steps({"bandwidth": 3, **tree}, hw.recording(**rec))


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"kind": "activity", "by": "mood"}, "'rate' or 'variance'"),
        ({"kind": "activity", "memory": "0 s"}, "greater than 0"),
        ({"kind": "activity", "memory": "5 mV"}, "memory"),
        ({"kind": "activity", "explore": 1.5}, "less than or equal to 1"),
        ({"kind": "activity", "explore": "nan"}, "number"),
        ({"kind": "activity", "decided": "cloud"}, "'implant' or 'receiver'"),
        ({"kind": "information", "size": 0}, "greater than 0"),
        ({"kind": "information", "calibrated": True}, "Extra inputs"),
        ({"kind": "bandit", "rule": "greedy"}, "'ucb' or 'thompson'"),
        ({"kind": "bandit", "confidence": -1}, "greater than or equal to 0"),
        ({"kind": "bandit", "follow": "-1 s"}, "greater than 0"),
    ],
)
def test_what_cannot_be_written(tree, says):
    with pytest.raises(ValidationError, match=says):
        hw.SCHEDULE.validate_python({"bandwidth": 3, **tree})


# bandit


@pytest.mark.parametrize("rule", ["ucb", "thompson"])
def test_the_bandit_finds_what_is_worth_following(rule):
    """Not the loud steady channels, but those whose own past tells their future."""
    rec = driven(10, loud=(0, 1, 2), tuned=(3, 8), n_bins=500)
    mask = steps({"kind": "bandit", "rule": rule, "bandwidth": 2, "confidence": 0.4}, rec)
    late = mask[500:].mean(axis=0)
    assert late[[3, 8]].min() > 0.4
    assert np.delete(late, [3, 8]).max() < 0.2
    assert mask[500:].any(axis=0).sum() > 4  # its doubt about the others grows


def test_a_bandit_without_doubt_stays_with_what_it_has():
    rec = driven(10, tuned=(3, 8), n_bins=200)
    share = {
        doubt: steps({"kind": "bandit", "bandwidth": 2, "confidence": doubt}, rec)
        .mean(axis=0)
        .std()
        for doubt in (0.2, 1, 20)
    }
    assert share[0.2] > share[1] > share[20]


# who chooses, who pays


class _Echo(Policy):
    operations = 0.0

    def __init__(self, view):
        self.view = view

    def choose(self, step):
        return np.array([0])

    def learn(self, step, channels, counts):
        self.view.observe(step + 1, np.array([1]))


class _Peeper(Adaptive):
    kind: Literal["peeper"] = "peeper"

    def policy(self, view, k, rng):
        return _Echo(view)


def test_a_policy_cannot_ask_for_itself():
    with pytest.raises(SpecError, match="a policy asked for the counts of 1 channels in step 1"):
        plan(hw.recording(), hw.implant(), _Peeper(bandwidth=1), np.random.default_rng(0))


@pytest.mark.parametrize("name", RULES)
def test_the_way_down_must_have_a_price(name):
    rec = driven(n_bins=40)
    tree = {**RULES[name], "bandwidth": 3, "decided": "receiver"}
    with pytest.raises(SpecError, match="no price for receiving"):
        hw.run(rec, hw.implant(), tree)
    _, activity, ledger, _ = hw.run(rec, hw.implant(LISTENS), tree)
    commands = ledger.energy_of("radio", "receive bit")
    # 120 messages with 48 bit of header, and log2 C(12, 3) = 7.78 bit in each, at 50 pJ
    assert commands == pytest.approx(120 * (48 + np.log2(220)) * 50e-12, rel=0.01)
    assert activity.side_info_bps == pytest.approx(np.log2(220) / 0.02, rel=1e-3)
    assert ledger.energy_of("processing", "choose") == 0


def count(activity, component, action):
    return sum(
        a.n_actions for a in activity.actions if (a.component, a.action) == (component, action)
    )


@pytest.mark.parametrize("name", ["rate", "variance", "calibrated", "ucb", "thompson"])
def test_choosing_on_the_implant_pays_arithmetic_and_uplink(name):
    rec = driven(n_bins=40)
    tree = {**RULES[name], "bandwidth": 3, "decided": "implant"}
    _, activity, ledger, _ = hw.run(rec, hw.implant(), tree)
    _, fixed, _, _ = hw.run(rec, hw.implant(), {"kind": "round_robin", "bandwidth": 3})
    extra = count(activity, "radio", "bit") - count(fixed, "radio", "bit")
    # 8 bit a bin for the choice; busier channels, or idler ones, change the payload a little
    assert 120 * 7.5 <= extra < 120 * 12
    per_step = count(activity, "processing", "choose") / 120
    assert 3 < per_step < 1000
    assert ledger.energy_of("processing", "choose") == pytest.approx(
        per_step * 120 * 12.89e-12, rel=1e-9
    )
    rows = sum(row.energy_j for row in ledger.rows)
    assert ledger.energy_j == pytest.approx(rows, rel=1e-12)


def test_information_on_the_implant_pays_for_the_model():
    rec = driven(n_bins=40)
    tree = {"kind": "information", "bandwidth": 3, "size": 2, "decided": "implant"}
    with pytest.raises(SpecError, match="no price for receiving"):
        hw.run(rec, hw.implant(), tree)
    _, activity, _, _ = hw.run(rec, hw.implant(LISTENS), tree)
    # 12 channels with 2 loadings, mean and noise, two 2 x 2 matrices, 16 bit each, and headers
    down = count(activity, "radio", "calibrate receive bit") * 86_400 / activity.duration_s
    assert 16 * (12 * 4 + 8) <= down < 16 * (12 * 4 + 8) + 200
    # a filter costs more than a ranking
    _, simple, _, _ = hw.run(rec, hw.implant(), {"kind": "activity", "bandwidth": 3})
    ratio = count(activity, "processing", "choose") / count(simple, "processing", "choose")
    assert ratio > 5


@pytest.mark.parametrize("name", RULES)
def test_calibration_is_charged_where_it_is_used(name):
    rec = driven(n_bins=40)
    _, activity, _, _ = hw.run(rec, hw.implant(LISTENS), {**RULES[name], "bandwidth": 3})
    charged = count(activity, "adc", "calibrate convert")
    assert (charged > 0) == (name == "calibrated" or name.startswith("information"))
    often = {**RULES[name], "bandwidth": 3, "calibration": {"every": "1 h"}}
    _, more, _, _ = hw.run(rec, hw.implant(LISTENS), often)
    assert count(more, "adc", "calibrate convert") == pytest.approx(24 * charged)


def test_more_side_information_takes_more_energy():
    """Shorter steps name more subsets; larger arrays name them with more bits."""
    rec = driven(n_bins=60)
    for decided in ("implant", "receiver"):
        joules = []
        for dwell in ("40 ms", "20 ms", "10 ms", "5 ms"):
            tree = {"kind": "activity", "bandwidth": 3, "decided": decided, "dwell": dwell}
            _, activity, ledger, _ = hw.run(rec, hw.implant(LISTENS), tree)
            joules.append((activity.side_info_bps, ledger.energy_of("radio")))
        assert joules == sorted(joules)
        assert joules[-1][0] == pytest.approx(8 * joules[0][0])


def test_choosing_all_channels_needs_no_words():
    _, activity, ledger, _ = hw.run(
        driven(n_bins=30), hw.implant(), {**RULES["ucb"], "bandwidth": 12, "decided": "receiver"}
    )
    assert activity.side_info_bps == 0
    assert ledger.energy_of("radio", "receive bit") == 0

"""The linear baselines against dense textbook solutions and the laws of EM and of gaps."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import sbtt_models
from sbtt_models import linear_data
from sbtt_models.chain import Chain, smooth_chain
from sbtt_models.chain_filter import ChainFilter
from sbtt_models.common_factors import FactorFamily, factor_log_likelihood, factors_of
from sbtt_models.decoders import GPFA, FactorAnalysis, Kalman, PoissonLDS, ZeroFilled
from sbtt_models.decoders.linear import LinearSpec
from sbtt_models.decoders.zero_filled import zero_filled
from sbtt_models.gaussian_models import GaussianModel, GaussianProcessFamily, KalmanFamily
from sbtt_models.linear_data import Batch
from sbtt_models.linear_dynamics import LinearDynamics, log_likelihood
from sbtt_models.linear_fit import Choice, Search, Validation, find
from sbtt_models.matern import better_scales, matern_chain, matern_kernel
from sbtt_models.moments import ChainMoments, ReadOut, second_moments
from sbtt_models.poisson_dynamics import PoissonDynamics, laplace, log_posterior
from sbtt_models.poisson_model import PoissonFamily, PoissonModel
from sbtt_models.poisson_read_out import (
    ExpectedStates,
    better_read_out,
    expected_rates,
    learned_prior,
    read_out_gain,
)
from sbtt_models.signals import MaskedStream, Split

SPECS: dict[str, LinearSpec] = {
    "kalman": Kalman(size=2, prior=1.0, iterations=3),
    "factor_analysis": FactorAnalysis(size=2, prior=1.0, iterations=3),
    "gpfa": GPFA(size=2, order=2, scale_bins=3.0, prior=1.0, iterations=3),
    "poisson_lds": PoissonLDS(size=2, prior=1.0, iterations=2),
}
CAUSAL = {name: spec for name, spec in SPECS.items() if name != "factor_analysis"}


def chain(seed: int = 0, size: int = 2) -> Chain:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(size, size))
    return Chain(
        0.9 * np.linalg.qr(rng.normal(size=(size, size)))[0],
        0.1 * noise @ noise.T + 0.05 * np.eye(size),
        np.diag(rng.uniform(0.5, 1.5, size)),
    )


def prior_covariance(prior: Chain, n_bins: int) -> np.ndarray:
    """Of all states at once."""
    size = prior.size
    whole = np.zeros((n_bins, size, n_bins, size))
    now = prior.initial
    for t in range(n_bins):
        block = now
        for u in range(t, n_bins):
            whole[u, :, t], whole[t, :, u] = block, block.T
            block = prior.transition @ block
        now = prior.transition @ now @ prior.transition.T + prior.innovation
    return whole.reshape(n_bins * size, n_bins * size)


def block_diagonal(blocks: np.ndarray) -> np.ndarray:
    n_bins, size, _ = blocks.shape
    whole = np.zeros((n_bins, size, n_bins, size))
    for t in range(n_bins):
        whole[t, :, t] = blocks[t]
    return whole.reshape(n_bins * size, n_bins * size)


def evidence(seed: int, shape: tuple[int, int], size: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Random factors; every third bin says nothing."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(*shape, size, 1))
    precision = root @ root.swapaxes(-1, -2)  # rank 1: not even invertible
    pull = (precision @ rng.normal(size=(*shape, size, 1)))[..., 0]
    precision[:, ::3], pull[:, ::3] = 0.0, 0.0
    return precision, pull


def stream(
    seed: int = 0, lengths: tuple[int, ...] = (14,) * 12, n_channels: int = 5, share: float = 0.6
) -> MaskedStream:
    rng = np.random.default_rng(seed)
    n_bins, n_trials = max(lengths), len(lengths)
    phase = rng.uniform(0, 6.3, (n_trials, 1, 1)) + np.arange(n_bins)[None, :, None] / 3
    counts = rng.poisson(np.exp(np.sin(phase + np.arange(n_channels))))
    exposure = (rng.random(counts.shape) < share) * rng.choice([0.5, 1.0], counts.shape)
    exposure *= (np.arange(n_bins) < np.array(lengths)[:, None])[:, :, None]
    order = np.arange(n_trials)
    return MaskedStream(
        np.where(exposure > 0, counts, 0).astype(np.int32),
        exposure.astype(np.float32),
        np.array(lengths),
        0.02,
        Split(order[:-4], order[-4:-2], order[-2:]),
    )


def batch(seed: int = 0, shape: tuple[int, int, int] = (6, 10, 5), share: float = 0.6) -> Batch:
    data = stream(seed, (shape[1],) * max(shape[0], 5), shape[2], share)
    rows = slice(shape[0])
    made = data.counts[rows].astype(float), data.exposure[rows].astype(float)
    return Batch.made(*made, data.lengths[rows])


# --- the chain -----------------------------------------------------------------------------------


def test_the_smoother_is_the_dense_gaussian() -> None:
    prior = chain()
    precision, pull = evidence(1, (3, 7))
    lengths = np.array([4, 7, 1])
    precision[np.arange(7) >= lengths[:, None]] = 0.0
    pull[np.arange(7) >= lengths[:, None]] = 0.0
    found = smooth_chain(prior, precision.copy(), pull, lengths, np.arange(3))
    for s, n in enumerate(lengths):
        k = prior_covariance(prior, n)
        j, h = block_diagonal(precision[s, :n]), pull[s, :n].ravel()
        covariance = np.linalg.inv(np.linalg.inv(k) + j)
        np.testing.assert_allclose(found.mean[s, :n].ravel(), covariance @ h, atol=1e-10)
        dense = covariance.reshape(n, 2, n, 2)
        for t in range(n):
            np.testing.assert_allclose(found.covariance[s, t], dense[t, :, t], atol=1e-10)
        for t in range(n - 1):
            np.testing.assert_allclose(found.lagged[s, t], dense[t + 1, :, t], atol=1e-10)
        log_det = np.linalg.slogdet(np.eye(2 * n) + k @ j)[1]
        assert found.evidence[s] == pytest.approx(0.5 * (h @ covariance @ h - log_det))
        assert not found.mean[s, n:].any()
        assert not found.covariance[s, n:].any()


def test_equal_gaps_share_their_covariances() -> None:
    prior = chain(1, 3)
    precision, pull = evidence(2, (5, 6), 3)
    pattern = np.array([0, 1, 0, 2, 1])
    lengths = np.array([6, 3, 6, 5, 3])
    every = precision[[0, 1, 0, 3, 1]] * (np.arange(6) < lengths[:, None])[..., None, None]
    pull *= (np.arange(6) < lengths[:, None])[..., None]
    alone = smooth_chain(prior, every.copy(), pull, lengths, np.arange(5))
    shared = smooth_chain(prior, every[[0, 1, 3]].copy(), pull, lengths, pattern)
    for name in ("mean", "covariance", "lagged", "evidence"):
        np.testing.assert_allclose(getattr(shared, name), getattr(alone, name), atol=1e-12)


@pytest.mark.parametrize("lookahead", [0, 2, 20])
def test_the_filter_is_the_smoother_of_what_came_so_far(lookahead: int) -> None:
    prior = chain(3)
    precision, pull = evidence(4, (2, 9))

    running = ChainFilter(prior, 2, lookahead)
    for newest in range(9 + lookahead):
        seen = (
            (precision[:, newest], pull[:, newest])
            if newest < 9
            else (np.zeros((2, 2, 2)), np.zeros((2, 2)))
        )
        state = running.step(lambda known, given, seen=seen: seen)
        t = newest - lookahead
        assert (state is None) == (t < 0)
        if state is None:
            continue
        n = min(t + lookahead + 1, 9)
        whole = np.full(2, n)
        found = smooth_chain(prior, precision[:, :n].copy(), pull[:, :n], whole, np.arange(2))
        np.testing.assert_allclose(state.mean, found.mean[:, t], atol=1e-10)
        np.testing.assert_allclose(state.covariance, found.covariance[:, t], atol=1e-10)


# --- Gaussian linear dynamics --------------------------------------------------------------------


def linear(seed: int = 0, n_channels: int = 5) -> LinearDynamics:
    rng = np.random.default_rng(seed)
    prior = chain(seed)
    return LinearDynamics(
        prior.transition,
        prior.innovation,
        prior.initial,
        rng.normal(size=(n_channels, 2)),
        rng.uniform(1, 3, n_channels),
        rng.uniform(0.2, 1.0, n_channels),
    )


def dense_log_likelihood(
    prior: Chain, read_out: ReadOut, values: np.ndarray, exposure: np.ndarray
) -> float:
    """Of the observed entries of one sequence, as one big Gaussian."""
    seen = np.argwhere(exposure > 0)
    size = prior.size
    h = np.zeros((len(seen), values.shape[0] * size))
    for row, (t, c) in enumerate(seen):
        h[row, t * size : (t + 1) * size] = read_out.loading[c]
    y = np.array([values[t, c] - read_out.offset[c] for t, c in seen])
    noise = np.diag([read_out.noise[c] / exposure[t, c] for t, c in seen])
    k = h @ prior_covariance(prior, values.shape[0]) @ h.T + noise
    return -0.5 * (
        y @ np.linalg.solve(k, y) + np.linalg.slogdet(k)[1] + y.size * np.log(2 * np.pi)
    )


def test_the_likelihood_is_the_dense_gaussian() -> None:
    model, data = linear(), batch()
    read_out = ReadOut(model.loading, model.offset, model.noise)
    found = log_likelihood(model, data.values, data.exposure, data.lengths)
    for s in range(data.lengths.size):
        dense = dense_log_likelihood(model.chain, read_out, data.values[s], data.exposure[s])
        assert found[s] == pytest.approx(dense)


def test_a_gap_is_a_channel_left_out() -> None:
    """Marginalising a Gaussian channel is the same as never having had it."""
    model, data = linear(), batch()
    exposure = data.exposure.copy()
    exposure[..., 3] = 0.0
    kept = [0, 1, 2, 4]
    fewer = LinearDynamics(
        model.transition,
        model.innovation,
        model.initial,
        model.loading[kept],
        model.offset[kept],
        model.noise[kept],
    )
    np.testing.assert_allclose(
        log_likelihood(model, data.values, exposure, data.lengths),
        log_likelihood(fewer, data.values[..., kept], exposure[..., kept], data.lengths),
    )


def test_parts_add_up() -> None:
    """EM over many small parts is EM over all."""
    data, means = batch(shape=(8, 10, 5)), np.ones(5)
    family, choice = KalmanFamily(means, 0.1 * means), Choice(2, {"prior": 1.0})
    first = family.first(data, choice)
    whole = next(family.climb(first, data, choice)).system

    class Small(Batch):
        def parts(self, size: int):  # type: ignore[no-untyped-def]
            del size
            return [self.some(slice(i, i + 3)) for i in range(0, 8, 3)]

    small = Small(data.counts, data.exposure, data.lengths, data.pattern, data.values)
    parted = next(family.climb(first, small, choice)).system
    for name in ("transition", "innovation", "initial", "loading", "offset", "noise"):
        np.testing.assert_allclose(getattr(parted, name), getattr(whole, name), atol=1e-9)


def test_a_simulated_system_is_recovered() -> None:
    """Poles of the dynamics and the subspace of the loadings, from 40 % of the samples."""
    rng = np.random.default_rng(0)
    angle = 0.5
    turn = 0.95 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    loading = rng.normal(size=(12, 2))
    x, values = rng.normal(size=(20, 2)), np.zeros((20, 70, 12))
    for t in range(70):
        values[:, t] = x @ loading.T + 3 + 0.5 * rng.normal(size=(20, 12))
        x = x @ turn.T + 0.3 * rng.normal(size=(20, 2))
    exposure = (rng.random(values.shape) < 0.4).astype(float)
    data = Batch.made(values * exposure, exposure, np.full(20, 70))
    family, choice = KalmanFamily(np.full(12, 3.0), np.full(12, 1e-3)), Choice(2, {"prior": 1e-3})
    models = family.climb(family.first(data, choice), data, choice)
    found = next(itertools.islice(models, 20, None)).system
    poles = np.linalg.eigvals(found.transition)
    np.testing.assert_allclose(np.abs(poles), 0.95, atol=0.02)
    np.testing.assert_allclose(np.abs(np.angle(poles)), angle, atol=0.03)
    basis = np.linalg.qr(found.loading)[0]
    left = loading - basis @ (basis.T @ loading)
    assert np.linalg.norm(left) < 0.1 * np.linalg.norm(loading)
    np.testing.assert_allclose(found.noise, 0.25, rtol=0.3)


def test_fast_states_are_found_from_few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow first guess alone would leave EM where it is."""
    rng = np.random.default_rng(0)
    angle = 1.0
    turn = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    loading, x = rng.normal(size=(20, 2)), rng.normal(size=(60, 2))
    rates = np.zeros((60, 40, 20))
    for t in range(40):
        rates[:, t] = np.exp(0.8 * x @ loading.T / np.sqrt(2) - 0.5)
        x = x @ turn.T + 0.43 * rng.normal(size=(60, 2))
    mask = rng.random(rates.shape) < 0.1
    split = Split(np.arange(40), np.arange(40, 60), np.arange(40, 60))
    seen = MaskedStream(
        np.where(mask, rng.poisson(rates), 0).astype(np.int32),
        mask.astype(np.float32),
        np.full(60, 40),
        0.02,
        split,
    )
    losses = []
    for dampings in ((0.95,), (0.95, 0.6)):
        monkeypatch.setattr(KalmanFamily, "dampings", dampings)
        found = sbtt_models.fit(Kalman(size=4, prior=10, iterations=6), seen)
        losses.append(min(row["valid_loss"] for row in found.history))
    assert losses[1] < losses[0] - 0.005


# --- factor analysis -----------------------------------------------------------------------------


def test_factors_are_the_dense_gaussian() -> None:
    rng, data = np.random.default_rng(0), batch()
    model = ReadOut(rng.normal(size=(5, 3)), rng.normal(size=5), rng.uniform(0.2, 1, 5))
    mean, covariance = factors_of(model, data.values, data.exposure)
    likelihood = factor_log_likelihood(model, data.values, data.exposure)
    still = Chain(np.zeros((3, 3)), np.eye(3), np.eye(3))
    for s, t in itertools.product(range(6), range(10)):
        seen = data.exposure[s, t] > 0
        c = model.loading[seen]
        k = c @ c.T + np.diag(model.noise[seen] / data.exposure[s, t, seen])
        gain = c.T @ np.linalg.inv(k)
        y = data.values[s, t, seen] - model.offset[seen]
        np.testing.assert_allclose(mean[s, t], gain @ y, atol=1e-10)
        np.testing.assert_allclose(covariance[s, t], np.eye(3) - gain @ c, atol=1e-10)
        one = data.values[s, t : t + 1], data.exposure[s, t : t + 1]
        assert likelihood[s, t] == pytest.approx(dense_log_likelihood(still, model, *one))


def test_factor_em_raises_the_likelihood() -> None:
    data = batch(shape=(9, 20, 6))
    family, choice = FactorFamily(np.ones(6), np.full(6, 1e-3)), Choice(2, {"prior": 0.0})
    model = family.first(data, choice)
    reached = []
    for better in itertools.islice(family.climb(model, data, choice), 12):
        found = factor_log_likelihood(model.read_out, data.values, data.exposure)
        reached.append(float(found.sum()))
        model = better
    assert (np.diff(reached) > -1e-3).all()
    assert reached[-1] > reached[0] + 1


# --- Gaussian processes --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.5, 4.0, 60.0])
def test_the_matern_chain_is_its_kernel(order: int, scale: float) -> None:
    prior = matern_chain(np.array([scale, 2.0]), order)
    whole = prior_covariance(prior, 9)[::order, ::order].reshape(9, 2, 9, 2)
    lag = np.arange(9.0)[:, None] - np.arange(9.0)
    np.testing.assert_allclose(whole[:, 0, :, 0], matern_kernel(lag, scale, order), atol=1e-9)
    np.testing.assert_allclose(whole[:, 1, :, 1], matern_kernel(lag, 2.0, order), atol=1e-9)
    assert not whole[:, 0, :, 1].any()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gpfa_is_the_dense_process(order: int) -> None:
    """Posterior rates from kernel matrices with rows and columns of missing entries left out."""
    data, rng = batch(), np.random.default_rng(0)
    scales = np.array([6.0, 2.5])
    prior = matern_chain(scales, order)
    loading = np.zeros((5, prior.size))
    loading[:, ::order] = c = rng.normal(size=(5, 2))
    noise, offset = rng.uniform(0.2, 1, 5), rng.normal(size=5)
    system = LinearDynamics(
        prior.transition, prior.innovation, prior.initial, loading, offset, noise
    )
    rates = GaussianModel(system, 0, scales).rates(data, None)
    lag = np.arange(10.0)[:, None] - np.arange(10.0)
    kernels = [matern_kernel(lag, scale, order) for scale in scales]
    k = sum(np.kron(kernel, np.outer(c[:, i], c[:, i])) for i, kernel in enumerate(kernels))
    for s in range(6):
        exposure = data.exposure[s].ravel()
        seen = exposure > 0
        r = np.diag(np.tile(noise, 10)[seen] / exposure[seen])
        y = (data.values[s] - offset).ravel()[seen]
        mean = k[:, seen] @ np.linalg.solve(k[np.ix_(seen, seen)] + r, y)
        np.testing.assert_allclose(rates[s], mean.reshape(10, 5) + offset, atol=1e-7)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gpfa_em_raises_the_likelihood(order: int) -> None:
    data = batch(shape=(9, 20, 6))
    family = GaussianProcessFamily(np.ones(6), np.full(6, 1e-3), learn_scales=True)
    choice = Choice(2, {"order": order, "scale_bins": 1.0, "prior": 0.0})
    model = family.first(data, choice)
    reached, start = [], model.scales
    for better in itertools.islice(family.climb(model, data, choice), 8):
        found = log_likelihood(model.system, data.values, data.exposure, data.lengths)
        reached.append(float(found.sum()))
        model = better
    assert (np.diff(reached) > -1e-3).all()
    assert reached[-1] > reached[0] + 1
    assert (model.scales > start).all()  # the data turn slowly


@pytest.mark.parametrize("order", [1, 2, 3])
def test_time_constants_are_recovered(order: int) -> None:
    """From states that are known, an M step goes to the scale that they were drawn with."""
    truth = np.array([3.0, 9.0])
    prior = matern_chain(truth, order)
    root = np.linalg.cholesky(prior_covariance(prior, 60))
    drawn = np.random.default_rng(0).normal(size=(100, root.shape[0])) @ root.T
    mean = drawn.reshape(100, 60, prior.size)
    nothing, whole = np.zeros((100, 60, *prior.initial.shape)), np.full(100, 60)
    found = smooth_chain(prior, nothing, np.zeros_like(mean), whole, np.arange(100))
    known = replace(
        found,
        mean=mean,
        covariance=np.zeros_like(found.covariance),
        lagged=np.zeros_like(found.lagged),
    )
    moments = ChainMoments.of(known, second_moments(known), np.ones((100, 60)))
    scales = np.array([5.0, 5.0])
    for _ in range(3):
        scales = better_scales(scales, order, moments)
    np.testing.assert_allclose(scales, truth, rtol=0.05)


# --- Poisson linear dynamics ---------------------------------------------------------------------


def poisson(seed: int = 0, n_channels: int = 5) -> PoissonDynamics:
    rng, prior = np.random.default_rng(seed), chain(seed)
    return PoissonDynamics(
        prior.transition,
        prior.innovation,
        prior.initial,
        0.7 * rng.normal(size=(n_channels, 2)),
        rng.normal(size=n_channels),
    )


def test_laplace_finds_the_mode_and_its_curvature() -> None:
    """Zero gradient and dense Hessian of the log posterior, written out without any recursion."""
    model, data = poisson(), batch()
    found = laplace(model, data.counts, data.exposure, data.lengths)
    found = laplace(model, data.counts, data.exposure, data.lengths, found.mean)
    whole = np.linalg.inv(prior_covariance(model.chain, 10))
    for s in range(6):
        x = found.mean[s]
        rates = data.exposure[s] * np.exp(x @ model.loading.T + model.offset)
        slope = ((data.counts[s] - rates) @ model.loading).ravel() - whole @ x.ravel()
        np.testing.assert_allclose(slope, 0, atol=1e-6)
        blocks = np.einsum("tc,ci,cj->tij", rates, model.loading, model.loading)
        hessian = whole + block_diagonal(blocks)
        dense = np.linalg.inv(hessian).reshape(10, 2, 10, 2)
        for t in range(10):
            np.testing.assert_allclose(found.covariance[s, t], dense[t, :, t], atol=1e-6)
        height = log_posterior(model, found.mean, data.counts, data.exposure, data.lengths)[s]
        log_det = np.linalg.slogdet(whole)[1] - np.linalg.slogdet(hessian)[1]
        assert found.evidence[s] == pytest.approx(height + 0.5 * log_det, abs=1e-6)


def test_newton_is_damped() -> None:
    """A count far above what the start expects would send a full step to exp(hundreds)."""
    model, data = poisson(), batch()
    counts = data.counts.copy()
    counts[0, 3, 0], counts[1, :, 2] = 90_000, 20_000
    counts[data.exposure == 0] = 0
    start = np.full((6, 10, 2), -8.0)
    found = laplace(model, counts, data.exposure, data.lengths, start)
    again = laplace(model, counts, data.exposure, data.lengths)
    assert np.isfinite(found.mean).all()
    np.testing.assert_allclose(found.mean, again.mean, atol=1e-3)


def test_expected_rates_are_those_of_a_lognormal() -> None:
    rng, model = np.random.default_rng(0), poisson()
    mean, covariance = rng.normal(size=(1, 1, 2)), np.array([[[[0.3, 0.1], [0.1, 0.2]]]])
    drawn = rng.multivariate_normal(mean[0, 0], covariance[0, 0], 400_000)
    sampled = np.exp(drawn @ model.loading.T + model.offset).mean(0)
    found = expected_rates(model.loading, model.offset, mean, covariance)[0, 0]
    np.testing.assert_allclose(found, sampled, rtol=0.02)


@pytest.mark.parametrize("spread", [1.0, 30.0], ids=["sure", "unsure"])
def test_the_read_out_climbs_to_a_maximum(spread: float) -> None:
    """Each M step raises every channel's expected likelihood; in the end no direction is left.

    Of unsure states most of the pull comes from their covariance.
    """
    model, data, prior = poisson(), batch(), np.array([[2.0, 0.5], [0.5, 1.0]])
    found = laplace(model, data.counts, data.exposure, data.lengths)
    states = ExpectedStates.of(found, data.counts, data.exposure)
    states = replace(states, spread=spread * states.spread)
    loading, offset = model.loading, model.offset
    gain = read_out_gain(loading, offset, states, prior)
    for _ in range(25):
        loading, offset, _ = better_read_out(loading, offset, states, prior)
        better = read_out_gain(loading, offset, states, prior)
        assert (better >= gain - 1e-9).all()
        gain = better
    for step in (-1e-3, 1e-3):
        for i in range(2):
            there = loading + step * np.eye(2)[i]
            assert (read_out_gain(there, offset, states, prior) < gain).all()
        assert (read_out_gain(loading, offset + step, states, prior) < gain).all()


def test_a_learned_prior_does_not_depend_on_the_coordinates() -> None:
    rng = np.random.default_rng(0)
    loading, half, turn = (rng.normal(size=size) for size in ((7, 3), (7, 3, 3), (3, 3)))
    unsure, begun, back = half @ half.transpose(0, 2, 1), np.diag([1.0, 2, 5]), np.linalg.inv(turn)
    there = learned_prior(loading @ back, back.T @ unsure @ back, turn @ begun @ turn.T)
    np.testing.assert_allclose(there, turn @ learned_prior(loading, unsure, begun) @ turn.T)
    many = 3 * rng.normal(size=(100_000, 3)) * [1, 0.1, 2]
    found = learned_prior(many, np.zeros((100_000, 3, 3)), begun)
    np.testing.assert_allclose(1 / np.diag(found), [9, 0.09, 36], rtol=0.03)


def test_channels_that_are_rarely_sampled_borrow_from_the_others() -> None:
    rng = np.random.default_rng(4)
    loading = np.pad(0.5 * rng.normal(size=(40, 2)), ((0, 0), (0, 4)))  # of six states two show
    x = rng.normal(size=(20, 60, 6))
    for t in range(1, 60):
        x[:, t] = 0.95 * x[:, t - 1] + 0.3 * x[:, t]
    log_rates = x @ loading.T - 0.5
    exposure = (rng.random(log_rates.shape) < np.repeat([0.6, 0.015], 20)).astype(float)
    counts = rng.poisson(np.exp(log_rates) * exposure).astype(float)
    data, error = Batch.made(counts, exposure, np.full(20, 60)), {}
    for learned in (False, True):
        family, choice = PoissonFamily(np.full(40, 0.7), learned), Choice(6, {"prior": 1.0})
        models = family.climb(family.first(data, choice), data, choice)
        found = next(itertools.islice(models, 8, None))
        rare = (np.log(found.rates(data, None)) - log_rates)[:, :, 20:]
        error[learned] = (rare**2).mean()
    assert error[True] < 0.85 * error[False]


def test_poisson_em_raises_the_approximate_likelihood() -> None:
    data = batch(shape=(9, 20, 6))
    family, choice = PoissonFamily(np.ones(6)), Choice(2, {"prior": 1e-3})
    model = family.first(data, choice)
    reached = []
    for better in itertools.islice(family.climb(model, data, choice), 8):
        found = laplace(model.system, data.counts, data.exposure, data.lengths)
        reached.append(float(found.evidence.sum()))
        model = better
    assert (np.diff(reached) > -0.1).all()
    assert reached[-1] > reached[0] + 5


def test_a_simulated_poisson_system_is_recovered() -> None:
    rng, angle = np.random.default_rng(1), 0.5
    turn = 0.95 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    loading, x, rates = 0.5 * rng.normal(size=(12, 2)), rng.normal(size=(20, 2)), []
    for _ in range(70):
        rates.append(np.exp(x @ loading.T + 0.5))
        x = x @ turn.T + 0.3 * rng.normal(size=(20, 2))
    exposure = (rng.random((20, 70, 12)) < 0.4) * rng.choice([0.5, 1.0], (20, 70, 12))
    counts = rng.poisson(np.stack(rates, 1) * exposure).astype(float)
    data = Batch.made(counts, exposure, np.full(20, 70))
    family, choice = PoissonFamily(np.full(12, 1.6)), Choice(2, {"prior": 1e-3})
    models = family.climb(family.first(data, choice), data, choice)
    found = next(itertools.islice(models, 12, None))
    poles = np.linalg.eigvals(found.system.transition)
    np.testing.assert_allclose(np.abs(poles), 0.95, atol=0.06)
    np.testing.assert_allclose(np.abs(np.angle(poles)), angle, atol=0.05)
    assert isinstance(found, PoissonModel)
    error = np.log(found.rates(data, None)) - np.log(np.stack(rates, 1))
    assert np.abs(error).mean() < 0.25


# --- as decoders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_unobserved_value_has_no_influence(spec: LinearSpec) -> None:
    """Below the records, where a missing entry may hold anything."""
    data = batch(shape=(6, 10, 5))
    gone = data.exposure == 0
    other = replace(data, values=np.where(gone, 55.0, data.values))
    family = spec.family(np.ones(5))
    choice = Choice(2, {name: float(getattr(spec, name)) for name in spec.grids})
    models = [next(family.climb(family.first(d, choice), d, choice)) for d in (data, other)]
    np.testing.assert_array_equal(models[0].rates(data, None), models[1].rates(other, None))
    np.testing.assert_array_equal(models[0].rates(data, 1), models[1].rates(other, 1))


@pytest.mark.parametrize("spec", CAUSAL.values(), ids=CAUSAL)
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_causal_decoder_does_not_hear_the_future(spec: LinearSpec, lookahead: int) -> None:
    spec = spec.model_copy(update={"causal": True, "lookahead_bins": lookahead})
    data = stream(lengths=(14, 9, 14, 14, 3, 14, 14, 14, 14, 14))
    fitted = sbtt_models.fit(spec, data)
    counts = data.counts.copy()
    counts[:, 8:] = np.where(data.exposure[:, 8:] > 0, counts[:, 8:] + 5, 0)
    before, after = fitted.rates(data), fitted.rates(replace(data, counts=counts))
    np.testing.assert_array_equal(before[:, : 8 - lookahead], after[:, : 8 - lookahead])
    assert (before[:, 8 - lookahead] != after[:, 8 - lookahead]).any()


@pytest.mark.parametrize("spec", CAUSAL.values(), ids=CAUSAL)
def test_a_filter_that_waits_for_all_is_the_smoother(spec: LinearSpec) -> None:
    data = stream()
    smoothed = sbtt_models.fit(spec, data)
    patient = replace(smoothed, waits=14)
    # a Poisson filter linearises each bin once, before it hears of later ones
    tolerance = 0.15 if spec.kind == "poisson_lds" else 1e-5
    np.testing.assert_allclose(
        patient.rates(data), smoothed.rates(data), rtol=tolerance, atol=1e-5
    )


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_long_data_go_through_in_parts(spec: LinearSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of unequal length, a few at a time, each part without the bins that it lacks."""
    data = stream(0, (4, 12, 7, 12, 3, 9, 5, 8), 5, 0.6)
    whole = sbtt_models.fit(spec, data)
    monkeypatch.setattr(linear_data, "_CHUNK", 4 * 12 * 2)
    parts = sbtt_models.fit(spec, data)
    np.testing.assert_allclose(parts.rates(data), whole.rates(data), rtol=1e-4)


@pytest.mark.parametrize("spec", CAUSAL.values(), ids=CAUSAL)
def test_permuting_channels_permutes_rates(spec: LinearSpec) -> None:
    data, order = stream(), np.array([3, 0, 4, 1, 2])
    fitted = sbtt_models.fit(spec, data)
    model = fitted.model.system
    names = [n for n in ("loading", "offset", "noise") if hasattr(model, n)]
    turned = replace(model, **{name: getattr(model, name)[order] for name in names})
    other = replace(fitted, model=replace(fitted.model, system=turned), means=fitted.means[order])
    moved = replace(data, counts=data.counts[..., order], exposure=data.exposure[..., order])
    np.testing.assert_allclose(
        other.rates(moved), fitted.rates(data)[..., order], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize(
    "lengths", [(1,) * 8, (14, 9, 9, 9, 9), (30, 14, 14, 14, 14)], ids=["bin", "trial", "long"]
)
def test_little_and_odd_data_are_borne(
    spec: LinearSpec, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bin; one training trial; one longer than a window; a channel unseen and one silent."""
    monkeypatch.setattr("sbtt_models.decoders.linear.WINDOW", 14)
    monkeypatch.setattr("sbtt_models.linear_fit.WINDOW", 14)
    data = stream(lengths=lengths, share=0.9)
    gone = np.zeros(data.counts.shape, bool)
    gone[..., 1] = True
    counts = data.counts.copy()
    counts[..., 2] = 0
    data = replace(data, counts=counts).hide(gone)
    fitted = sbtt_models.fit(spec, data)
    for other in (fitted, replace(fitted, waits=1)):
        rates = other.rates(data)
        inside = np.arange(rates.shape[1]) < data.lengths[:, None]
        assert np.isfinite(rates).all()
        assert (rates[inside] > 0).all()
        assert rates[inside][:, 2].mean() < 0.3 * rates[inside].mean()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_all_silent_is_borne(spec: LinearSpec) -> None:
    data = stream()
    fitted = sbtt_models.fit(spec, replace(data, counts=np.zeros_like(data.counts)))
    assert np.isfinite(fitted.rates(data)).all()


def test_the_best_settings_are_kept() -> None:
    """The walk tries few settings, and its model has the least loss of all that were tried."""
    data = stream(lengths=(40,) * 14)
    whole = Batch.made(
        data.counts.astype(float)[data.split.train],
        data.exposure.astype(float)[data.split.train],
        data.lengths[data.split.train],
    )
    judge = Validation.of(data, np.ones(5))
    search = Search((1, 2, 3, 4, 5), {"prior": (1.0, 100.0)}, 6)
    found = find(KalmanFamily(np.ones(5), np.full(5, 0.1)), whole, judge, search)
    tried = {(row["size"], row["prior"]) for row in found.history}
    assert 3 <= len(tried) <= 6
    best = min(found.history, key=lambda row: row["valid_loss"])
    assert judge.loss(found.model) == best["valid_loss"]
    assert (found.choice.size, found.choice.settings["prior"]) == (best["size"], best["prior"])


@pytest.mark.parametrize("spec", [Kalman(), FactorAnalysis(), GPFA(), PoissonLDS()])
def test_no_more_settings_are_tried_than_smoothing_tries(spec: LinearSpec) -> None:
    data = stream(lengths=(20,) * 10, n_channels=4)
    brief = spec.model_copy(update={"iterations": 1})
    history = sbtt_models.fit(brief, data).history
    names = ["size", *spec.grids]
    assert 1 < len({tuple(row[name] for name in names) for row in history}) <= 36


def test_zero_filling_calls_gaps_silence() -> None:
    data = stream(share=0.5, lengths=(14, 9, 14, 14, 14, 14))
    filled = zero_filled(data)
    inside = np.arange(14) < data.lengths[:, None]
    assert np.array_equal(filled.exposure, np.repeat(inside[..., None], 5, 2).astype(np.float32))
    assert np.array_equal(filled.counts, data.counts)


def test_the_zero_filled_rival_is_low_by_the_share_unless_rescaled() -> None:
    data = stream(share=0.5, lengths=(14,) * 40)
    train = sbtt_models.Training(epochs=6, learning_rate=0.02)
    raw = sbtt_models.fit(ZeroFilled(rescale=False), data, train).rates(data)
    full = sbtt_models.fit(ZeroFilled(rescale=True), data, train).rates(data)
    mean = data.counts.sum((0, 1)) / data.exposure.sum((0, 1))
    share = data.exposure[data.split.train].mean((0, 1))
    np.testing.assert_allclose(raw, full * share, rtol=1e-5)
    assert raw.mean() == pytest.approx((mean * share).mean(), rel=0.1)
    assert full.mean() == pytest.approx(mean.mean(), rel=0.1)

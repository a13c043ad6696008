"""The Kalman smoother with gaps against the joint Gaussian written out, and EM against its law."""

import numpy as np
import pytest

from sbtt_models.linear_dynamics import (
    LinearDynamics,
    initial_guess,
    maximise,
    smooth_states,
)


def system(seed: int = 0, size: int = 2, n_channels: int = 5) -> LinearDynamics:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    innovation = rng.normal(size=(size, size))
    return LinearDynamics(
        0.9 * turn,
        0.1 * innovation @ innovation.T + 0.05 * np.eye(size),
        np.diag(rng.uniform(0.5, 1.5, size)),
        rng.normal(size=(n_channels, size)),
        rng.uniform(1, 3, n_channels),
        rng.uniform(0.2, 1.0, n_channels),
    )


def draw(
    model: LinearDynamics, seed: int, shape: tuple[int, int], share: float
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size, n_channels = model.transition.shape[0], model.offset.size
    state = rng.multivariate_normal(np.zeros(size), model.initial, shape[0])
    exposure = (rng.random((*shape, n_channels)) < share) * rng.choice(
        [0.5, 1.0], (*shape, n_channels)
    )
    values = np.zeros((*shape, n_channels))
    for t in range(shape[1]):
        noise = rng.normal(size=(shape[0], n_channels)) * np.sqrt(
            model.noise / np.maximum(exposure[:, t], 0.1)
        )
        values[:, t] = state @ model.loading.T + model.offset + noise
        step = rng.multivariate_normal(np.zeros(size), model.innovation, shape[0])
        state = state @ model.transition.T + step
    return np.where(exposure > 0, values, 77.0), exposure  # a missing value must not matter


def whole(values: np.ndarray) -> np.ndarray:
    """Lengths of sequences without padding."""
    return np.full(values.shape[0], values.shape[1])


def joint_posterior(
    model: LinearDynamics, values: np.ndarray, exposure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all states of one sequence, by conditioning one big Gaussian."""
    n_bins, size = values.shape[0], model.transition.shape[0]
    prior = np.zeros((n_bins * size, n_bins * size))
    covariance = model.initial
    for t in range(n_bins):
        block = covariance
        for u in range(t, n_bins):
            rows, columns = slice(u * size, (u + 1) * size), slice(t * size, (t + 1) * size)
            prior[rows, columns] = block
            prior[columns, rows] = block.T
            block = model.transition @ block
        covariance = model.transition @ covariance @ model.transition.T + model.innovation
    seen = [(t, c) for t in range(n_bins) for c in range(values.shape[1]) if exposure[t, c] > 0]
    h = np.zeros((len(seen), n_bins * size))
    for row, (t, c) in enumerate(seen):
        h[row, t * size : (t + 1) * size] = model.loading[c]
    y = np.array([values[t, c] - model.offset[c] for t, c in seen])
    r = np.diag([model.noise[c] / exposure[t, c] for t, c in seen])
    gain = prior @ h.T @ np.linalg.inv(h @ prior @ h.T + r)
    return (gain @ y).reshape(n_bins, size), prior - gain @ h @ prior


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_smoother_is_the_joint_gaussian(share: float) -> None:
    model = system()
    values, exposure = draw(model, 1, (3, 6), share)
    posterior = smooth_states(model, values, exposure, whole(values))
    for s in range(3):
        mean, covariance = joint_posterior(model, values[s], exposure[s])
        np.testing.assert_allclose(posterior.mean[s], mean, atol=1e-4)
        for t in range(6):
            block = covariance[2 * t : 2 * t + 2, 2 * t : 2 * t + 2]
            np.testing.assert_allclose(posterior.covariance[s, t], block, atol=1e-4)
        for t in range(5):
            block = covariance[2 * t + 2 : 2 * t + 4, 2 * t : 2 * t + 2]
            np.testing.assert_allclose(posterior.lagged[s, t], block, atol=1e-4)


def log_likelihood(model: LinearDynamics, values: np.ndarray, exposure: np.ndarray) -> float:
    """Of the observed entries, through the joint Gaussian."""
    total, size = 0.0, model.transition.shape[0]
    for y, e in zip(values, exposure, strict=True):
        n_bins = y.shape[0]
        seen = [(t, c) for t in range(n_bins) for c in range(y.shape[1]) if e[t, c] > 0]
        powers = [np.linalg.matrix_power(model.transition, k) for k in range(n_bins)]
        covariance = [model.initial]
        for _ in range(n_bins - 1):
            covariance.append(
                model.transition @ covariance[-1] @ model.transition.T + model.innovation
            )
        k = np.zeros((len(seen), len(seen)))
        for i, (t, c) in enumerate(seen):
            for j, (u, d) in enumerate(seen):
                first, gap = min(t, u), abs(t - u)
                block = powers[gap] @ covariance[first]
                block = block if t >= u else block.T
                k[i, j] = model.loading[c] @ block @ model.loading[d]
            k[i, i] += model.noise[c] / e[t, c]
        residual = np.array([y[t, c] - model.offset[c] for t, c in seen])
        total -= 0.5 * (residual @ np.linalg.solve(k, residual) + np.linalg.slogdet(k)[1])
    assert size == model.initial.shape[0]
    return total


def test_every_em_step_raises_the_likelihood() -> None:
    truth = system(3)
    values, exposure = draw(truth, 4, (8, 7), 0.6)
    inside, least = np.ones((8, 7)), np.full(5, 1e-3)
    model = initial_guess(np.where(exposure > 0, values, truth.offset), inside, 2, least)
    likelihoods = []
    for _ in range(8):
        likelihoods.append(log_likelihood(model, values, exposure))
        model = maximise(
            smooth_states(model, values, exposure, whole(values)), values, exposure, inside, least
        )
    # the prior on loadings and the jitter may cost a little, never more
    assert (np.diff(likelihoods) > -0.05).all()
    assert likelihoods[-1] > likelihoods[0] + 1


def test_padding_teaches_nothing() -> None:
    truth = system(5)
    values, exposure = draw(truth, 6, (6, 9), 0.7)
    least = np.full(5, 1e-3)
    posterior = smooth_states(truth, values, exposure, whole(values))
    narrow = maximise(posterior, values, exposure, np.ones((6, 9)), least)
    pad = ((0, 0), (0, 4), (0, 0))
    wide_values, wide_exposure = np.pad(values, pad, constant_values=5.0), np.pad(exposure, pad)
    wide_posterior = smooth_states(truth, wide_values, wide_exposure, whole(values))
    wide = maximise(
        wide_posterior,
        wide_values,
        wide_exposure,
        np.pad(np.ones((6, 9)), ((0, 0), (0, 4))),
        least,
    )
    for name in ("transition", "innovation", "loading", "offset", "noise"):
        np.testing.assert_allclose(
            getattr(wide, name), getattr(narrow, name), rtol=1e-4, atol=1e-5
        )


def test_a_silent_channel_is_not_infinitely_trusted() -> None:
    truth = system(7)
    values, exposure = draw(truth, 8, (4, 9), 1.0)
    values[..., 2] = 0.0
    least = np.full(5, 0.01)
    posterior = smooth_states(truth, values, exposure, whole(values))
    model = maximise(posterior, values, exposure, np.ones((4, 9)), least)
    assert model.noise[2] == pytest.approx(0.01)
    assert abs(model.offset[2]) < 1e-3


def test_sequences_of_unequal_length_do_not_touch_each_other() -> None:
    truth = system(9)
    values, exposure = draw(truth, 10, (5, 8), 0.8)
    lengths = np.array([3, 8, 1, 6, 8])
    exposure[np.arange(8) >= lengths[:, None]] = 0.0
    together = smooth_states(truth, values, exposure, lengths)
    for s, length in enumerate(lengths):
        one = slice(s, s + 1)
        alone = smooth_states(truth, values[one, :length], exposure[one, :length], lengths[one])
        np.testing.assert_allclose(together.mean[s, :length], alone.mean[0], atol=1e-10)
        np.testing.assert_allclose(
            together.covariance[s, :length], alone.covariance[0], atol=1e-10
        )
        assert not together.mean[s, length:].any()

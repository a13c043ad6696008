"""Selective backpropagation through time: what is not observed must not teach."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sbtt_models.losses import (
    autoregressive_kl,
    coordinated_dropout,
    gaussian_kl,
    poisson_nll,
    selective_loss,
    student_t_kl,
)
from sbtt_models.means import square_loss

SHAPE = (3, 7, 5)


def draw(seed: int, share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    exposure = (rng.random(SHAPE) < share) * rng.choice([0.25, 0.5, 1.0], SHAPE)
    counts = rng.poisson(2.0, SHAPE) * (exposure > 0)
    log_rates = torch.tensor(rng.normal(size=SHAPE), requires_grad=True)
    return log_rates, torch.tensor(counts, dtype=torch.float64), torch.tensor(exposure)


def test_poisson_by_hand() -> None:
    # rate 2, half a bin seen, 3 spikes: 2 * 0.5 - 3 ln 2
    nll = poisson_nll(*(torch.tensor([x]) for x in (math.log(2.0), 3.0, 0.5)))
    assert float(nll) == pytest.approx(1.0 - 3 * math.log(2.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_no_gradient_where_nothing_was_observed(seed: int, share: float) -> None:
    log_rates, counts, exposure = draw(seed, share)
    loss = selective_loss(log_rates, counts, exposure)
    loss.backward()
    assert torch.isfinite(loss)
    assert (log_rates.grad[exposure == 0] == 0).all()
    seen = exposure > 0
    expected = (log_rates.detach().exp() * exposure - counts)[seen] / max(int(seen.sum()), 1)
    assert torch.allclose(log_rates.grad[seen], expected)


def test_an_overflow_at_an_unobserved_entry_is_harmless() -> None:
    log_rates = torch.tensor([[[1e6, 0.0]]], requires_grad=True)
    loss = selective_loss(log_rates, torch.zeros(1, 1, 2), torch.tensor([[[0.0, 1.0]]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.0)
    assert log_rates.grad.tolist() == [[[0.0, 0.5 * 2]]]


def test_a_batch_with_nothing_observed_gives_zero() -> None:
    log_rates = torch.randn(SHAPE, requires_grad=True)
    loss = selective_loss(log_rates, torch.zeros(SHAPE), torch.zeros(SHAPE))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (log_rates.grad == 0).all()


def test_the_mean_is_over_observed_entries_not_over_all() -> None:
    log_rates, counts, exposure = draw(1, 0.3)
    nll = poisson_nll(log_rates, counts, exposure)
    loss = selective_loss(log_rates, counts, exposure)
    assert float(loss.detach()) == pytest.approx(float(nll[exposure > 0].detach().mean()))


def test_coordinated_dropout_teaches_only_from_what_it_hid() -> None:
    log_rates, counts, exposure = draw(2, 0.6)
    generator = torch.Generator().manual_seed(0)
    seen, seen_exposure, learns = coordinated_dropout(counts, exposure, 0.4, generator)
    assert ((seen_exposure == 0) | ~learns).all(), "an entry is both shown and taught"
    assert (seen[learns] == 0).all()
    assert torch.equal(seen[~learns], counts[~learns])
    value = selective_loss(log_rates, counts, exposure, learns)
    value.backward()
    everything = selective_loss(log_rates, counts, exposure)
    assert float(value.detach()) == pytest.approx(float(everything.detach()))
    teaches = log_rates.grad != 0
    assert torch.equal(teaches, learns & (exposure > 0))


def test_coordinated_dropout_draws_over_all_entries_at_its_rate() -> None:
    ones = torch.ones(50, 50, 20)
    _, _, learns = coordinated_dropout(ones, ones, 0.3, torch.Generator().manual_seed(3))
    assert float(learns.float().mean()) == pytest.approx(0.3, abs=0.01)


def test_gaussian_kl_against_torch() -> None:
    g = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(4, 3, generator=g), torch.randn(4, 3, generator=g)
    prior_mean, prior_log_var = torch.randn(3, generator=g), torch.randn(3, generator=g)
    ours = gaussian_kl(mean, log_var, prior_mean, prior_log_var)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(
        normal(mean, (0.5 * log_var).exp()), normal(prior_mean, (0.5 * prior_log_var).exp())
    )
    assert torch.allclose(ours, theirs.sum(1).mean())


def test_autoregressive_kl_against_the_joint_gaussian() -> None:
    """One sample's log ratio equals that of the stationary AR(1) covariance, written out."""
    n_bins, tau, noise_var = 6, 3.0, 0.2
    g = torch.Generator().manual_seed(1)
    sample, mean = (torch.randn(2, n_bins, 1, generator=g).double() for _ in range(2))
    log_var = torch.full_like(mean, -1.0)
    ours = autoregressive_kl(
        sample, mean, log_var, torch.tensor([math.log(tau)]), torch.tensor([math.log(noise_var)])
    )
    phi = math.exp(-1 / tau)
    lag = torch.arange(n_bins).double()
    covariance = noise_var / (1 - phi**2) * phi ** (lag[:, None] - lag[None]).abs()
    prior = torch.distributions.MultivariateNormal(torch.zeros(n_bins).double(), covariance)
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    theirs = posterior.log_prob(sample).sum((1, 2)) - prior.log_prob(sample[:, :, 0])
    assert float(ours) == pytest.approx(float(theirs.mean()), rel=1e-6)


def test_student_t_kl_against_torch() -> None:
    g = torch.Generator().manual_seed(3)
    sample, loc, log_scale = (torch.randn(4, 5, 2, generator=g).double() for _ in range(3))
    prior_loc, prior_log_scale = (torch.randn(2, generator=g).double() for _ in range(2))
    ours = student_t_kl(sample, loc, log_scale, prior_loc, prior_log_scale, 4.0)
    student = torch.distributions.StudentT
    posterior, prior = (
        student(4.0, loc, log_scale.exp()),
        student(4.0, prior_loc, prior_log_scale.exp()),
    )
    theirs = (posterior.log_prob(sample) - prior.log_prob(sample)).sum((1, 2)).mean()
    assert torch.allclose(ours, theirs, rtol=1e-10)


def test_squared_errors_rank_as_a_gaussian_likelihood_does() -> None:
    """Values of parts of a bin are as uncertain as their parts are small."""
    rng = np.random.default_rng(0)
    exposure = rng.uniform(0.05, 1, 300)
    values = exposure * 2 + rng.normal(size=300) * np.sqrt(exposure)

    def gaussian(mean: float) -> float:
        distance = (values - mean * exposure) ** 2 / exposure
        return float((0.5 * (distance + np.log(2 * np.pi * exposure))).mean())

    def squared(mean: float) -> float:
        return square_loss(values, exposure, np.full(300, mean))

    for mean in (0.0, 1.9, 2.1, 7.0):
        told = (squared(mean) - squared(2.0)) * exposure.mean() / 2
        assert told == pytest.approx(gaussian(mean) - gaussian(2.0), rel=1e-9)

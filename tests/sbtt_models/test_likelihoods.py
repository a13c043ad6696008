"""Each likelihood against torch's distributions, and what none may do."""

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models import metrics
from sbtt_models.decoders import LFADS, Kalman, PoissonLDS
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.errors import DataError
from sbtt_models.likelihoods import (
    AnyLikelihood,
    Gamma,
    Gaussian,
    Likelihood,
    Poisson,
    ZeroInflatedGamma,
)
from sbtt_models.losses import poisson_nll, selective_loss
from sbtt_models.means import Moments
from sbtt_models.nets.likelihoods import PoissonHead
from sbtt_models.saved import load
from sbtt_models.signals import MaskedStream
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream

ALL = {
    "poisson": Poisson(),
    "gaussian": Gaussian(),
    "gamma": Gamma(),
    "zero_inflated_gamma": ZeroInflatedGamma(),
}
SHAPE = (6, 5, 4)


def real_stream(kind: str, seed: int = 0) -> MaskedStream:
    """A stream that a likelihood takes: rates that go up and down, seen through its noise."""
    data = stream(seed)
    if kind == "poisson":
        return data
    rng = np.random.default_rng(seed)
    mean = 2 + np.sin(rng.uniform(0, 6, (14, 1, 1)) + np.arange(12)[:, None] / 3 + np.arange(4))
    values = rng.gamma(4, mean / 4)
    if kind == "gaussian":
        values = values - 3
    if kind == "zero_inflated_gamma":
        values = np.where(rng.random(mean.shape) < 0.4, values + 0.1, 0)
    values = np.where(data.observed, values, 0).astype(np.float32)
    return replace(data, counts=values)


def head_of(kind: str, data: MaskedStream):
    return ALL[kind].head(torch.from_numpy(ALL[kind].start(data)))


def case(kind: str, dtype=torch.float64, seed: int = 0):
    """Values, exposure and a read-out that a likelihood takes, and its head."""
    rng = np.random.default_rng(seed)
    data = real_stream(kind, seed)
    head = head_of(kind, data).to(dtype)
    read_out = head.start + torch.tensor(rng.normal(size=(6, 5, head.start.shape[0])))
    values = torch.tensor(data.counts[:6, :5].astype(float), dtype=dtype)
    exposure = torch.tensor(data.exposure[:6, :5], dtype=dtype)
    return head, read_out.to(dtype).requires_grad_(), values, exposure


def by_torch(kind: str, head, read_out, values, exposure):
    """The density as torch writes it, entry by entry; whatever it gives where none is observed."""
    parts = read_out.chunk(head.width, 2)
    if kind == "poisson":
        full = torch.distributions.Poisson(parts[0].exp() * exposure).log_prob(values)
        return -full - torch.lgamma(values + 1) + values * exposure.log()
    if kind == "gaussian":
        scale = (0.5 * parts[1]).exp() * exposure.sqrt()
        return -torch.distributions.Normal(parts[0] * exposure, scale).log_prob(values)
    if kind == "gamma":
        return -torch.distributions.Gamma(parts[0].exp() * exposure, parts[1].exp()).log_prob(
            values
        )
    q = parts[2].sigmoid()
    shape, rate = (p.sigmoid() * s for p, s in zip(parts[:2], head.scale, strict=True))
    event = torch.distributions.Gamma(shape, rate).log_prob((values - 0.1).clamp(min=1e-9))
    return -torch.where(values > 0, q.log() + event, (1 - q).log())


def test_all_likelihoods_are_tested() -> None:
    kinds = {one.model_fields["kind"].default for one in get_args(get_args(AnyLikelihood)[0])}
    assert kinds == set(ALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ALL)
def test_entries_and_gradients_are_those_of_torch(kind: str) -> None:
    torch.distributions.Distribution.set_default_validate_args(False)
    head, read_out, values, exposure = case(kind)
    if kind in ("gaussian", "gamma"):  # parts of bins, too
        exposure = exposure * 0.5
    observed = exposure > 0
    assert 0 < int(observed.sum()) < observed.numel()
    safe = torch.where(observed, exposure, torch.ones_like(exposure))
    known = torch.where(observed, values, torch.ones_like(values))
    ours = head.entries(read_out, values, exposure)
    theirs = by_torch(kind, head, read_out, known, safe)
    assert torch.allclose(ours[observed], theirs[observed], rtol=1e-9, atol=1e-9)
    assert (ours[~observed] == 0).all()
    inputs = [read_out, *head.parameters()]
    one = torch.autograd.grad(ours.sum(), inputs)
    other = torch.autograd.grad(theirs[observed].sum(), inputs)
    for a, b in zip(one, other, strict=True):
        assert (b != 0).any()
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_not_observed_or_not_taught_sends_nothing_back(kind: str) -> None:
    head, read_out, values, exposure = case(kind)
    spoilt = torch.where((exposure == 0).repeat(1, 1, head.width), 1e8, read_out.detach())
    read_out = spoilt.requires_grad_()
    learns = torch.rand(exposure.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    loss = head.loss(read_out, values, exposure, learns)
    whole = head.entries(read_out, values, exposure).sum() / (exposure > 0).sum()
    assert float(loss.detach()) == pytest.approx(float(whole.detach()))
    loss.backward()
    assert torch.isfinite(loss)
    taught = (learns & (exposure > 0)).repeat(1, 1, head.width)
    assert (read_out.grad[~taught] == 0).all()
    assert torch.isfinite(read_out.grad).all()
    assert (read_out.grad[taught] != 0).any()
    nothing = head.loss(read_out, values * 0, exposure * 0)
    assert float(nothing.detach()) == 0.0


@pytest.mark.parametrize("kind", ALL)
def test_extreme_read_outs_stay_finite_in_float32(kind: str) -> None:
    head, read_out, values, exposure = case(kind, torch.float32)
    for extreme in (-80.0, 80.0):
        far = torch.full_like(read_out, extreme).requires_grad_()
        loss = head.loss(far, values, exposure)
        loss.backward()
        if kind != "poisson" or extreme < 0:  # a rate of exp(80) is a divergence, and is named
            assert torch.isfinite(loss), (kind, extreme)
            assert torch.isfinite(far.grad).all(), (kind, extreme)


@pytest.mark.parametrize("kind", ALL)
def test_expected_values_are_means_of_draws(kind: str) -> None:
    head, read_out, _, _ = case(kind)
    parts = read_out.detach()[:1, :1].chunk(head.width, 2)
    torch.manual_seed(0)
    if kind == "poisson":
        draws = torch.poisson(parts[0].exp().expand(40_000, 1, 4))
    elif kind == "gaussian":
        draws = parts[0] + (0.5 * parts[1]).exp() * torch.randn(40_000, 1, 4)
    elif kind == "gamma":
        draws = torch.distributions.Gamma(parts[0].exp(), parts[1].exp()).sample((40_000,))[:, 0]
    else:
        shape, rate = (p.sigmoid() * s for p, s in zip(parts[:2], head.scale, strict=True))
        size = torch.distributions.Gamma(shape, rate).sample((40_000,))[:, 0] + 0.1
        draws = size * (torch.rand(size.shape) < parts[2].sigmoid())
    expected = head.expected(read_out[:1, :1])[0, 0]
    error = draws.std(0)[0] / math.sqrt(40_000)
    assert ((draws.mean(0)[0] - expected).abs() < 5 * error).all()


@pytest.mark.parametrize("kind", ALL)
def test_the_null_model_is_the_best_constant(kind: str) -> None:
    """A read-out is started where no other constant is much better, and its mean is the data's."""
    data = real_stream(kind)
    head = head_of(kind, data).double()
    values, exposure = torch.tensor(data.counts).double(), torch.tensor(data.exposure).double()

    def loss(start: torch.Tensor) -> float:
        flat = start.expand(*values.shape[:2], -1)
        return float(head.loss(flat, values, exposure).detach())

    best = head.start.double().clone().requires_grad_()
    optimiser = torch.optim.LBFGS([best], max_iter=200)

    def closure():
        optimiser.zero_grad()
        value = head.loss(best.expand(*values.shape[:2], -1), values, exposure)
        value.backward()
        return value

    optimiser.step(closure)
    assert loss(head.start.double()) < loss(best.detach()) + 0.05
    expected = head.expected(head.start.double()[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(expected, Moments.of(data).mean, rtol=0.15)


def test_poisson_is_the_fused_loss_to_the_bit() -> None:
    _, read_out, values, exposure = case("poisson", torch.float32)
    head, learns = PoissonHead(torch.zeros(4)), exposure > 0.5
    assert torch.equal(
        head.loss(read_out, values, exposure, learns),
        selective_loss(read_out, values, exposure, learns),
    )
    entries = head.entries(read_out, values, exposure)
    assert torch.equal(entries, poisson_nll(read_out, values, exposure))
    assert torch.equal(head.expected(read_out), read_out.exp())


@pytest.mark.parametrize("likelihood", ALL.values(), ids=ALL)
@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_every_network_takes_every_likelihood(
    spec: NeuralSpec, likelihood: Likelihood, tmp_path: Path
) -> None:
    data = real_stream(likelihood.kind)
    spec = spec.model_copy(update={"likelihood": likelihood})
    fitted = sbtt_models.fit(spec, data, QUICK)
    rates = fitted.rates(data)
    assert rates.shape == data.counts.shape
    assert rates.dtype == np.float32
    assert np.isfinite(rates).all()
    fitted.save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(rates, again.rates(data))
    assert again.spec.likelihood == likelihood


@pytest.mark.parametrize("likelihood", list(ALL.values())[1:], ids=list(ALL)[1:])
def test_a_network_learns_real_values(likelihood: Likelihood) -> None:
    """After some epochs the validation loss is below that of the null model."""
    data = real_stream(likelihood.kind)
    spec = NEURAL["state_space"].model_copy(update={"likelihood": likelihood})
    rules = QUICK.model_copy(update={"epochs": 40, "learning_rate": 0.02})
    fitted = sbtt_models.fit(spec, data, rules)
    losses = [row["valid_loss"] for row in fitted.history]
    assert min(losses) < losses[0] - 0.01
    if likelihood.kind == "zero_inflated_gamma":
        assert "scale" in fitted.history[0]


@pytest.mark.parametrize("kind", ["gaussian", "gamma"])
@pytest.mark.parametrize("name", ["state_space", "lfads"])
def test_a_network_does_not_depend_on_the_unit_of_real_values(kind: str, name: str) -> None:
    """A power of two scales without rounding, so that rates scale bit for bit."""
    data = real_stream(kind)
    spec = NEURAL[name].model_copy(update={"likelihood": ALL[kind]})
    rates = sbtt_models.fit(spec, data, QUICK).rates(data)
    for factor in (2.0**10, 2.0**-10):
        other = replace(data, counts=(factor * data.counts).astype(np.float32))
        assert np.array_equal(factor * rates, sbtt_models.fit(spec, other, QUICK).rates(other))


def test_values_far_from_0_are_learned_as_those_about_it() -> None:
    data = real_stream("gaussian")
    spec = NEURAL["state_space"].model_copy(update={"likelihood": Gaussian()})
    far = np.where(data.observed, data.counts + 1000 * data.exposure, 0).astype(np.float32)
    other = replace(data, counts=far)
    rates = sbtt_models.fit(spec, data, QUICK).rates(data)
    shifted = sbtt_models.fit(spec, other, QUICK).rates(other)
    inside = np.arange(12) < data.lengths[:, None]
    assert np.abs(shifted - 1000 - rates)[inside].max() < 0.02 * rates[inside].std()


def test_a_network_that_goes_on_keeps_the_unit_of_its_weights() -> None:
    data = real_stream("gaussian")
    spec = NEURAL["state_space"].model_copy(update={"likelihood": Gaussian()})
    earlier = sbtt_models.fit(spec, data, QUICK)
    other = replace(
        data, counts=np.where(data.observed, 3 * data.counts + 1, 0).astype(np.float32)
    )
    still = QUICK.model_copy(update={"epochs": 1, "learning_rate": 1e-12})
    later = sbtt_models.fit(spec, other, still, start=earlier)
    assert np.allclose(later.rates(other), earlier.rates(other), rtol=1e-4, atol=1e-5)


def test_values_that_a_likelihood_cannot_give_are_refused_by_name() -> None:
    gaussian, zig = real_stream("gaussian"), real_stream("zero_inflated_gamma")
    network = NEURAL["autoencoder"]
    for likelihood, data, text in (
        (Poisson(), gaussian, "poisson: .* values of the stream are no counts .*gaussian"),
        (Gamma(), zig, "gamma: .* are 0 or negative .*zero_inflated_gamma"),
        (ZeroInflatedGamma(), gaussian, "neither 0 nor above least_event 0.1"),
        (
            ZeroInflatedGamma(),
            replace(zig, exposure=zig.exposure * np.float32(0.5)),
            "see a part of their bin only",
        ),
    ):
        spec = network.model_copy(update={"likelihood": likelihood})
        with pytest.raises(DataError, match=text):
            sbtt_models.fit(spec, data, QUICK)
    with pytest.raises(DataError, match=r"poisson_lds: .* no counts"):
        sbtt_models.fit(PoissonLDS(size=2), gaussian)
    with pytest.raises(DataError, match="no counts"):
        metrics.bits_per_spike(gaussian.counts, np.ones(gaussian.counts.shape))
    with pytest.raises(DataError, match="NaN or infinite"):
        replace(gaussian, counts=np.where(gaussian.counts > 0, np.float32(np.nan), 0))


@pytest.mark.parametrize(
    "spec", [SMALL[k] for k in ("kalman", "factor_analysis", "gpfa", "smoothing", "interpolation")]
)
def test_gaussian_models_follow_values_of_any_sign(spec: DecoderSpec, tmp_path: Path) -> None:
    """Adding a constant to all values adds it to what is inferred: nothing is bounded at 0."""
    data = real_stream("gaussian")
    moved = replace(data, counts=np.where(data.observed, data.counts + 100, 0).astype(np.float32))
    fitted = sbtt_models.fit(spec, data, QUICK)
    rates = fitted.rates(data)
    assert rates.min() < 0
    fitted.save(tmp_path)
    assert np.array_equal(rates, load(tmp_path).rates(data))
    again = sbtt_models.fit(spec, moved, QUICK).rates(moved)
    np.testing.assert_allclose(again, rates + 100, atol=0.02)


def test_whole_numbers_may_come_as_floats() -> None:
    data = stream()
    floats = replace(data, counts=data.counts.astype(np.float32))
    assert floats.real
    assert floats.hide(floats.observed).counts.dtype == np.float32
    assert np.isfinite(sbtt_models.fit(SMALL["autoencoder"], floats, QUICK).rates(floats)).all()
    assert np.isfinite(sbtt_models.fit(Kalman(size=2, iterations=3), floats).rates(floats)).all()
    assert LFADS().likelihood == Poisson()

"""Parts of LFADS: priors, external inputs, posterior samples, and what the encoder never sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

import sbtt_models
from sbtt_models.decoders import LFADS, TrialMixture, ZeroFilled
from sbtt_models.decoders.around import AroundSpec
from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.decoders.lfads import Controller, InitialCondition
from sbtt_models.decoders.priors import AnyPrior, Autoregressive, Normal, StudentT
from sbtt_models.errors import DataError, SpecError
from sbtt_models.losses import selective_loss
from sbtt_models.nets.priors import prior_of
from sbtt_models.saved import load
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.trained import FittedNetwork
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream

PRIORS = {"autoregressive": Autoregressive(), "normal": Normal(), "student_t": StudentT(df=3)}


def lfads(**changes) -> LFADS:
    return LFADS.model_validate(SMALL["lfads"].model_dump() | changes)


def with_prior(prior: AnyPrior, **changes) -> LFADS:
    controller = {"encoder": 5, "size": 4, "outputs": 2, "prior": prior}
    return lfads(controller=controller, **changes)


def driven(seed: int = 0) -> MaskedStream:
    data = stream(seed)
    rng = np.random.default_rng(seed)
    return replace(data, external=rng.normal(size=(14, 12, 2)).astype(np.float32))


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_learns_or_stays(name: str, learn: bool) -> None:
    fields = ("learn_mean", "learn_variance") if name == "normal" else ("learn",)
    spec = PRIORS[name].model_copy(update=dict.fromkeys(fields, learn))
    prior = prior_of(spec, 3)
    assert len(list(prior.parameters())) == (2 if learn else 0)
    assert len(prior.state_dict()) == 2
    g = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(4, 6, 3, generator=g), torch.randn(4, 6, 3, generator=g)
    kl = prior.divergence(mean + prior.noise((4, 6, 3), g), mean.requires_grad_(), log_var)
    kl.backward()
    assert all((p.grad != 0).any() for p in prior.parameters())


@pytest.mark.parametrize("name", PRIORS)
def test_a_divergence_is_0_from_the_prior_itself_and_positive_on_average(name: str) -> None:
    prior = prior_of(PRIORS[name], 2)
    g = torch.Generator().manual_seed(1)
    shape = (4000, 3, 2)
    mean, log_var = torch.full(shape, 0.3), torch.full(shape, -3.0)
    sample = mean + (0.5 * log_var).exp() * prior.noise(shape, g)
    assert float(prior.divergence(sample, mean, log_var).detach()) > 0.1
    if name == "autoregressive":
        return  # its bins are not independent: no such posterior equals it
    scale = 0.5 * torch.tensor(0.1).log() if name == "normal" else torch.tensor(0.3).log()
    own = torch.full(shape, 2 * float(scale))
    same = prior.divergence(prior.noise(shape, g), torch.zeros(shape), own)
    assert abs(float(same.detach())) < 1e-5


@pytest.mark.parametrize("df", [1.0, 2.5, 30.0])
def test_student_noise_is_student(df: float) -> None:
    prior = prior_of(StudentT(df=df), 1)
    draws = prior.noise((20_000,), torch.Generator().manual_seed(0)).numpy()
    assert stats.kstest(draws, stats.t(df).cdf).pvalue > 0.01
    normal = prior_of(Normal(), 1).noise((20_000,), torch.Generator().manual_seed(0)).numpy()
    assert stats.kstest(normal, stats.t(2.5).cdf).pvalue < 1e-6, "the test could not fail"


def test_the_heaviest_tail_is_one_that_float32_holds() -> None:
    draws = prior_of(StudentT(df=0.5), 1).noise((4_000_000,), torch.Generator().manual_seed(0))
    assert torch.isfinite(draws).all()
    with pytest.raises(ValidationError, match="greater than or equal"):
        StudentT(df=0.3)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_every_prior_trains(prior: AnyPrior) -> None:
    data = stream()
    spec = with_prior(prior)
    if not isinstance(prior, Autoregressive):
        ic = InitialCondition(encoder=6, size=5, prior=prior)
        spec = spec.model_copy(update={"initial_condition": ic})
    fitted = sbtt_models.fit(spec, data, QUICK)
    assert np.isfinite(fitted.rates(data)).all()
    assert fitted.history[-1]["kl_co"] != 0
    assert fitted.history[-1]["kl_ic"] != 0


@pytest.mark.parametrize("controller", [True, False])
@pytest.mark.parametrize("to", ["generator", "controller", "both", "none"])
def test_external_inputs_reach_what_they_should(to: str, controller: bool) -> None:
    spec = lfads(external=to) if controller else lfads(external=to, controller=None)
    torch.manual_seed(0)
    network = spec.build(4, 12, torch.zeros(4), 2).eval()
    data = driven()
    counts, exposure = torch.tensor(data.counts).float(), torch.tensor(data.exposure)
    external = torch.tensor(data.external)
    changed = external.clone()
    changed[:, 5] += 1.0
    moved = network(counts, exposure, None, external).read_out - (
        network(counts, exposure, None, changed).read_out
    )
    reached = to in ("generator", "both") or (to == "controller" and controller)
    assert (moved[:, :5] == 0).all(), "an input acts before it is given"
    assert bool((moved[:, 5:] != 0).any()) == reached
    network.train()
    inferred = network(counts, exposure, torch.Generator().manual_seed(0), external)
    selective_loss(inferred.read_out, counts, exposure).backward()
    weight = network.generator.weight_ih
    if to in ("generator", "both"):
        assert (weight.grad[:, -2:] != 0).any(0).all()


def test_a_driven_population_is_told_by_its_input() -> None:
    """Rates that follow a random stimulus: with it, the model predicts entries it never saw."""
    rng = np.random.default_rng(0)
    drive = rng.normal(size=(80, 12, 1)).cumsum(1).astype(np.float32) / 2
    counts = rng.poisson(np.exp(np.concatenate([drive, -drive], 2) - 0.5)).astype(np.int32)
    observed = rng.random(counts.shape) < 0.15
    order = np.arange(80)
    data = MaskedStream(
        np.where(observed, counts, 0).astype(np.int32),
        observed.astype(np.float32),
        np.full(80, 12),
        0.02,
        Split(order[:60], order[60:70], order[70:]),
    )
    rules = Training(epochs=25, batch_size=16, learning_rate=0.03, ramp_epochs=10)
    spec = lfads(dropout=0.0)
    losses = [
        min(row["valid_loss"] for row in sbtt_models.fit(spec, one, rules).history)
        for one in (data, replace(data, external=drive))
    ]
    assert losses[1] < losses[0] - 0.05


def test_external_inputs_must_be_those_of_the_training(tmp_path: Path) -> None:
    data = driven()
    fitted = sbtt_models.fit(with_prior(StudentT()), data, QUICK)
    fitted.save(tmp_path)
    assert np.array_equal(load(tmp_path).rates(data), fitted.rates(data))
    with pytest.raises(DataError, match="has 0 external inputs, the network was trained with 2"):
        fitted.rates(replace(data, external=None))
    assert data.trials(np.array([3, 1])).external.shape == (2, 12, 2)
    for bad, text in (
        (np.zeros((14, 12, 0), np.float32), "at least one dimension"),
        (np.full((14, 12, 2), np.nan, np.float32), "NaN or infinite"),
    ):
        with pytest.raises(DataError, match=text):
            replace(data, external=bad)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_rates_average_posterior_samples(prior: AnyPrior) -> None:
    data = stream()
    # wide posteriors, so that the mean over samples differs from the rates of the mean
    fitted = sbtt_models.fit(with_prior(prior, samples=0), data, QUICK)
    assert isinstance(fitted, FittedNetwork)

    def sampled(n: int) -> np.ndarray:
        fitted.network.samples = n
        return fitted.rates(data)

    mean, few, many = sampled(0), sampled(4), sampled(64)
    assert np.array_equal(many, sampled(64)), "the samples are those of one seed"
    assert not np.allclose(many, mean, rtol=1e-3)
    inside = np.arange(12) < 12
    gap = np.abs(many - few)[:, inside].mean()
    assert 0 < gap < np.abs(many).mean()
    order = np.random.default_rng(0).permutation(14)
    np.testing.assert_allclose(fitted.rates(data.trials(order)), many[order], rtol=1e-5)
    counts, exposure = torch.tensor(data.counts[:5]).float(), torch.tensor(data.exposure[:5])
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        by_hand = torch.stack(
            [fitted.network(counts, exposure, draw).read_out.exp() for _ in range(64)]
        )
    np.testing.assert_allclose(by_hand.mean(0).numpy(), many[:5], rtol=1e-4)


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_held_out_channels_and_bins_are_taught_and_never_seen(spec: NeuralSpec) -> None:
    data = stream(lengths=(12,) * 30)
    spec = spec.model_copy(update={"held_out": (1,), "encoder_bins": 9})
    fitted = sbtt_models.fit(spec, data, QUICK)
    poisoned = data.counts.copy()
    poisoned[:, 9:] += 5 * data.observed[:, 9:]
    poisoned[:, :, 1] += 5 * data.observed[:, :, 1]
    other = replace(data, counts=poisoned)
    assert np.array_equal(fitted.rates(data), fitted.rates(other)), "an entry was seen"
    again = sbtt_models.fit(spec, other, QUICK)
    assert not np.array_equal(fitted.rates(data), again.rates(data)), "an entry does not teach"
    judged = [one.history[0]["valid_loss"] for one in (fitted, again)]
    assert abs(judged[1] - judged[0]) > 1, "an entry is not judged"


def test_hidden_entries_always_teach() -> None:
    """Whatever coordinated dropout draws: its draw says nothing of entries never shown."""
    from sbtt_models.batches import Batch
    from sbtt_models.nets.base import Inferred
    from sbtt_models.nets.likelihoods import PoissonHead
    from sbtt_models.objective import Objective

    shown = torch.ones(12, 4)
    shown[9:] = 0
    objective = Objective(
        0.3, 1.0, torch.Generator().manual_seed(0), PoissonHead(torch.zeros(4)), shown
    )
    read_out = torch.zeros(50, 12, 4, requires_grad=True)
    batch = Batch(torch.full((50, 12, 4), 3.0), torch.ones(50, 12, 4))
    told = []

    def infer(counts, exposure, *_):
        told.append(exposure)
        return Inferred(read_out)

    objective.terms(infer, batch)["nll"].backward()
    assert (told[0][:, 9:] == 0).all()
    taught = read_out.grad != 0
    assert taught[:, 9:].all()
    assert torch.equal(taught[:, :9], told[0][:, :9] == 0)


def test_what_cannot_be_hidden_is_refused() -> None:
    data = stream()
    for changes, text in (
        ({"held_out": (4,)}, "channels 0 to 3, 4 is not one of them"),
        ({"held_out": (0, 1, 2, 3)}, "names all 4 channels"),
    ):
        with pytest.raises(SpecError, match=text):
            sbtt_models.fit(lfads(**changes), data, QUICK)
    with pytest.raises(SpecError, match="trials of 12 bins are cut into windows of 6"):
        sbtt_models.fit(lfads(encoder_bins=5), replace(data, window_bins=6), QUICK)


@pytest.mark.parametrize("around", [None, ZeroFilled, TrialMixture])
def test_options_longer_than_a_window_are_refused(around: type[AroundSpec] | None) -> None:
    data = stream()
    lagging = [
        lfads(controller=SMALL["lfads"].controller.model_copy(update={"lag": lag}))
        for lag in (11, 12)
    ]
    wrap = (lambda network: network) if around is None else (lambda one: around(network=one))
    sbtt_models.fit(wrap(lagging[0]), data, QUICK)
    with pytest.raises(SpecError, match=r"controller\.lag: 12 bins .* at most 11"):
        sbtt_models.fit(wrap(lagging[1]), data, QUICK)
    with pytest.raises(SpecError, match="the 6 bins that the encoder sees; take at most 5"):
        sbtt_models.fit(wrap(lagging[0]), replace(data, window_bins=6), QUICK)
    if around is TrialMixture:
        return
    short = lagging[0].model_copy(update={"encoder_bins": 8})
    with pytest.raises(SpecError, match="the 8 bins that the encoder sees"):
        sbtt_models.fit(wrap(short), data, QUICK)
    sbtt_models.fit(wrap(lfads(encoder_bins=12)), data, QUICK)
    with pytest.raises(SpecError, match=r"encoder_bins: 800 .* take at most 12"):
        sbtt_models.fit(wrap(lfads(encoder_bins=800)), data, QUICK)


def test_the_encoder_runs_over_its_bins_only() -> None:
    """The state after the last bin seen is not washed out by bins that are not."""
    network = lfads(encoder_bins=4).build(4, 12, torch.zeros(4)).eval()
    counts, exposure = torch.ones(2, 12, 4), torch.ones(2, 12, 4)
    counts[:, 4:], exposure[:, 4:] = 0, 0
    short = lfads().build(4, 12, torch.zeros(4)).eval()
    short.load_state_dict(network.state_dict())
    ours = network(counts, exposure).read_out[:, :3]
    assert not torch.allclose(ours, short(counts, exposure).read_out[:, :3])
    own = short(counts[:, :4], exposure[:, :4]).read_out[:, :3]
    assert torch.allclose(ours, own, atol=1e-6)


def test_sizes_of_the_published_configuration() -> None:
    """lfads-torch's MC_Maze configuration, as this record writes it."""
    spec = LFADS(mask_input=False, held_out=tuple(range(137, 182)), encoder_bins=35, samples=50)
    network = spec.build(182, 45, torch.zeros(182))
    assert network.generator.weight_hh.shape == (600, 200)
    assert network.inputs.cell.weight_ih.shape == (192, 2 * 64 + 100)
    assert isinstance(spec.controller, Controller)
    assert spec.controller.prior == Autoregressive(tau=10.0, variance=0.1)
    assert spec.initial_condition.prior == Normal(variance=0.1)

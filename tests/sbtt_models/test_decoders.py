"""The contract of every decoder in the union, and what each adds."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models.batches import Batch
from sbtt_models.decoders import (
    GPFA,
    LFADS,
    AnyDecoder,
    AugmentedLDS,
    Autoencoder,
    FactorAnalysis,
    Interpolation,
    Kalman,
    PoissonLDS,
    Smoothing,
    StateSpace,
    Transformer,
    TrialMixture,
    ZeroFilled,
)
from sbtt_models.decoders.augmented_lds import Correction
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.decoders.lfads import Controller, InitialCondition
from sbtt_models.decoders.zero_filled import zero_filled
from sbtt_models.errors import DataError, DivergedError, SpecError
from sbtt_models.losses import selective_loss
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.objective import Objective
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.training import Training

SMALL = {
    "autoencoder": Autoencoder(hidden=6, generator=5),
    "lfads": LFADS(
        generator=8,
        factors=4,
        initial_condition=InitialCondition(encoder=6, size=5),
        controller=Controller(encoder=5, size=4, outputs=2),
    ),
    "state_space": StateSpace(hidden=6, blocks=2, modes=2),
    "transformer": Transformer(hidden=8, layers=1, feedforward=12),
    "kalman": Kalman(size=3, iterations=6),
    "factor_analysis": FactorAnalysis(size=2, prior=1.0, iterations=4),
    "gpfa": GPFA(size=2, order=2, scale_bins=3.0, prior=1.0, iterations=3),
    "poisson_lds": PoissonLDS(size=2, prior=1.0, iterations=2),
    "trial_mixture": TrialMixture(network=StateSpace(hidden=6, blocks=2, modes=2)),
    "augmented_lds": AugmentedLDS(
        smoothers=(
            PoissonLDS(size=2, prior=1.0, iterations=2),
            Kalman(size=2, prior=1.0, iterations=2),
        ),
        hidden=6,
        blocks=2,
        modes=2,
        folds=2,
    ),
    "zero_filled": ZeroFilled(network=Autoencoder(hidden=6, generator=5)),
    "smoothing": Smoothing(),
    "interpolation": Interpolation(),
}
NEURAL = {name: spec for name, spec in SMALL.items() if isinstance(spec, NeuralSpec)}
NETWORKS = NEURAL | {"augmented_lds": Correction(mask_input=False, hidden=6, blocks=2, modes=2)}
"""With the one inside a decoder that is no network by itself."""
QUICK = Training(epochs=4, batch_size=8, ramp_epochs=2)


def stream(
    seed: int = 0, lengths: tuple[int, ...] = (12,) * 14, share: float = 0.6
) -> MaskedStream:
    rng = np.random.default_rng(seed)
    n_bins, n_trials = max(lengths), len(lengths)
    phase = rng.uniform(0, 6.3, (n_trials, 1, 1)) + np.arange(n_bins)[None, :, None] / 3
    counts = rng.poisson(np.exp(np.sin(phase + np.arange(4))))
    observed = rng.random(counts.shape) < share
    observed &= (np.arange(n_bins) < np.array(lengths)[:, None])[:, :, None]
    order = np.arange(n_trials)
    return MaskedStream(
        np.where(observed, counts, 0).astype(np.int32),
        observed.astype(np.float32),
        np.array(lengths),
        0.02,
        Split(order[:-4], order[-4:-2], order[-2:]),
    )


def test_the_small_decoders_are_the_whole_union() -> None:
    kinds = {member.model_fields["kind"].default for member in get_args(get_args(AnyDecoder)[0])}
    assert kinds == set(SMALL)


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_rates_are_positive_finite_and_shaped(spec: DecoderSpec) -> None:
    data = stream(lengths=(12, 5, 9, 12, 1, 12, 7, 12, 3, 12))
    rates = sbtt_models.fit(spec, data, QUICK).rates(data)
    assert rates.shape == data.counts.shape
    assert rates.dtype == np.float32
    inside = np.arange(12) < data.lengths[:, None]
    assert np.isfinite(rates).all()
    assert (rates[inside] > 0).all()


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_fits_repeat_bitwise_and_leave_the_global_generator_alone(spec: DecoderSpec) -> None:
    data = stream()
    torch.manual_seed(5)
    before = torch.random.get_rng_state().clone()
    first = sbtt_models.fit(spec, data, QUICK, seed=3).rates(data)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    np.random.seed(1)  # noqa: NPY002 - the point is that the legacy state does not matter
    assert np.array_equal(first, sbtt_models.fit(spec, data, QUICK, seed=3).rates(data))


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_permuting_trials_permutes_rates(spec: DecoderSpec) -> None:
    data = stream()
    fitted = sbtt_models.fit(spec, data, QUICK)
    order = np.random.default_rng(0).permutation(data.lengths.size)
    np.testing.assert_allclose(
        fitted.rates(data.trials(order)), fitted.rates(data)[order], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_test_trials_teach_nothing(spec: DecoderSpec) -> None:
    """Whatever the test trials hold, the fitted decoder is the same."""
    data = stream()
    counts = data.counts.copy()
    counts[data.split.test] = 7 * data.observed[data.split.test]
    poisoned = replace(data, counts=counts)
    clean = sbtt_models.fit(spec, data, QUICK)
    other = sbtt_models.fit(spec, poisoned, QUICK)
    assert np.array_equal(clean.rates(data), other.rates(data))


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_padding_is_never_seen(spec: DecoderSpec) -> None:
    """A longer padding changes no rate inside the trial."""
    if spec.kind in ("smoothing", "interpolation"):
        spec = spec.model_copy(update={"sd_s": 0.04, "prior": 0.5})  # the grid draws per entry
    data = replace(stream(lengths=(9,) * 14), window_bins=9)
    wide = replace(
        data,
        counts=np.pad(data.counts, ((0, 0), (0, 5), (0, 0))),
        exposure=np.pad(data.exposure, ((0, 0), (0, 5), (0, 0))),
    )
    narrow_rates = sbtt_models.fit(spec, data, QUICK).rates(data)
    wide_rates = sbtt_models.fit(spec, wide, QUICK).rates(wide)
    np.testing.assert_allclose(wide_rates[:, :9], narrow_rates, rtol=1e-5)


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_nothing_observed_is_refused(spec: DecoderSpec, part: str) -> None:
    data = stream()
    gone = np.zeros(data.counts.shape, bool)
    gone[getattr(data.split, part)] = True
    with pytest.raises(DataError, match=f"no entry of the {part} trials is observed"):
        sbtt_models.fit(spec, data.hide(gone), QUICK)


def small_network(spec: NeuralSpec) -> tuple[Network, torch.Tensor | None]:
    """For the 14 trials of `stream`, and what drives it from outside."""
    torch.manual_seed(0)
    if not isinstance(spec, Correction):
        return spec.network(torch.zeros(4), 12, 0), None
    network = spec.network(torch.zeros(4), 12, 9)  # 1 + means and spreads of 2 states + 4 rates
    with torch.no_grad():  # both are 0 until a smoother is fitted, and a first step is made
        network.loading.normal_()
        network.inner.readout.weight.normal_()
    external = torch.rand(14, 12, 9) + 0.5
    external[:, :, 0] = 1
    return network, external


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_every_parameter_learns(spec: NeuralSpec) -> None:
    data = stream()
    network, external = small_network(spec)
    counts, exposure = torch.tensor(data.counts).float(), torch.tensor(data.exposure)
    inferred = network(counts, exposure, torch.Generator().manual_seed(0), external)
    loss = selective_loss(inferred.log_rates, counts, exposure) + sum(inferred.penalties.values())
    loss.backward()
    idle = [
        name for name, p in network.named_parameters() if p.grad is None or not (p.grad != 0).any()
    ]
    # the published generator listens to a channel that is always 0
    assert idle == (["generator.weight_ih_l0"] if spec.kind == "autoencoder" else [])


@pytest.mark.parametrize("name", ["trial_mixture", "zero_filled"])
def test_every_parameter_of_an_inner_network_learns(name: str) -> None:
    """Another learning rate moves all of them elsewhere."""
    rules = [
        QUICK.model_copy(update={"epochs": 1, "learning_rate": rate}) for rate in (1e-3, 1e-2)
    ]
    slow, fast = (sbtt_models.fit(SMALL[name], stream(), each).saved().arrays for each in rules)
    idle = [key for key in slow if key.startswith("network.") and (slow[key] == fast[key]).all()]
    assert idle == (["network.generator.weight_ih_l0"] if name == "zero_filled" else [])


def test_gaps_teach_a_zero_filled_network_silence() -> None:
    """What selective backpropagation leaves out, its rival is taught: the rate itself, as loss."""
    data = stream()
    filled = zero_filled(data)
    log_rates = torch.zeros(data.counts.shape, requires_grad=True)
    counts, exposure = torch.tensor(filled.counts).float(), torch.tensor(filled.exposure)
    selective_loss(log_rates, counts, exposure).backward()
    gone = torch.tensor(~data.observed)
    torch.testing.assert_close(
        log_rates.grad[gone], torch.full((int(gone.sum()),), 1 / counts.numel())
    )


def test_one_channel_is_zero_filled_without_a_warning() -> None:
    data = stream()
    one = replace(data, counts=data.counts[..., :1], exposure=data.exposure[..., :1])
    assert zero_filled(one).exposure.flags.writeable


@pytest.mark.parametrize("hidden", [0.0, 0.3])
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_what_is_not_observed_teaches_exactly_nothing(spec: NeuralSpec, hidden: float) -> None:
    """Whatever stands at unobserved entries, counts or rates: loss and gradients stay, bitwise."""
    data = stream()
    counts, exposure = torch.tensor(data.counts).float(), torch.tensor(data.exposure)
    gone = exposure == 0
    network, external = small_network(spec)

    def step(spoil: float) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(1)
        told = []

        def infer(_: torch.Tensor, *rest: torch.Tensor) -> Inferred:
            found = network(shown[0] * (rest[0] > 0), *rest)  # the stream itself holds zeros there
            told.append(found.read_out + spoil * gone)
            told[0].retain_grad()
            return replace(found, read_out=told[0])

        objective = Objective(hidden, 1.0, torch.Generator().manual_seed(0), network.head)
        spoilt = torch.where(gone, torch.full_like(counts, 9 * spoil), counts)
        batch = Batch(spoilt, exposure, external)
        shown = [counts]
        network.zero_grad()
        terms = objective.terms(infer, batch)
        sum(terms.values()).backward()
        return terms["nll"], told[0].grad, {n: p.grad for n, p in network.named_parameters()}

    (loss, given, grads), (other, spoilt, others) = step(0.0), step(80.0)
    assert torch.equal(loss, other)
    assert not given[gone].any()
    assert torch.equal(given, spoilt)
    assert given[~gone].any()
    for name, grad in grads.items():
        assert grad is others[name] is None or torch.equal(grad, others[name]), name


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_training_lowers_the_loss(spec: NeuralSpec) -> None:
    data = stream(lengths=(12,) * 60)
    fitted = sbtt_models.fit(spec, data, Training(epochs=25, learning_rate=0.03, batch_size=16))
    losses = [row["valid_loss"] for row in fitted.history]
    assert min(losses) < losses[0] - 0.05


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_the_best_validation_weights_are_kept(spec: NeuralSpec) -> None:
    """A training that goes on to spoil itself gives the rates of its best epoch."""
    data = stream()
    rules = Training(epochs=6, schedule="constant", learning_rate=0.5, clip_norm=1.0)
    fitted = sbtt_models.fit(spec, data, rules)
    best = int(np.argmin([row["valid_loss"] for row in fitted.history])) + 1
    if best == rules.epochs:
        pytest.fail("this case no longer spoils itself: choose a higher learning rate")
    shorter = sbtt_models.fit(spec, data, rules.model_copy(update={"epochs": best}))
    assert np.array_equal(fitted.rates(data), shorter.rates(data))


def test_early_stop_and_history() -> None:
    rules = Training(epochs=500, patience=3, learning_rate=0.5, schedule="constant", clip_norm=1.0)
    fitted = sbtt_models.fit(SMALL["autoencoder"], stream(), rules)
    assert fitted.epochs < 500
    assert len(fitted.history) == fitted.epochs


def test_a_diverging_training_names_the_term() -> None:
    data = stream()
    counts = np.where(data.observed, 90_000, 0).astype(np.int32)
    rules = Training(epochs=50, learning_rate=1.0, schedule="constant", clip_norm=1e9)
    with pytest.raises(DivergedError, match=r"epoch \d+: (nll|gradient_norm|valid_loss) is"):
        sbtt_models.fit(SMALL["autoencoder"], replace(data, counts=counts), rules)


def test_penalties_are_named_and_ramped() -> None:
    spec = LFADS(**(SMALL["lfads"].model_dump() | {"l2_scale": 1.0}))
    fitted = sbtt_models.fit(spec, stream(), QUICK)
    assert {"nll", "kl_ic", "kl_co", "l2"} <= set(fitted.history[0])


def test_the_published_demo_has_38779_parameters() -> None:
    network = Autoencoder(generator=50, mask_input=False).build(29, 50, torch.zeros(29))
    assert sum(p.numel() for p in network.parameters()) == 38_779


def test_the_controller_hears_late() -> None:
    """With a lag of one bin, the controller at bin t hears of t - 1 and t + 1, not of t."""
    spec = SMALL["lfads"]
    network = spec.build(4, 12, torch.zeros(4)).eval()
    counts = torch.ones(1, 12, 8)
    heard = network.inputs.read(counts)
    changed = counts.clone()
    changed[0, 6] += 1.0
    moved = (network.inputs.read(changed) != heard)[:, :, 0]
    ahead, back = moved.chunk(2, dim=1)
    assert not ahead[:7].any()
    assert ahead[7:].any(dim=1).all()
    assert not back[6:].any()
    assert back[:6].any(dim=1).all()


def test_smoothing_ignores_what_is_missing() -> None:
    """A constant rate is recovered exactly whatever the mask: no bias by the sampled fraction."""
    rng = np.random.default_rng(0)
    observed = rng.random((14, 30, 3)) < 0.2
    data = MaskedStream(
        np.where(observed, 4, 0).astype(np.int32),
        observed.astype(np.float32),
        np.full(14, 30),
        0.02,
        stream().split,
    )
    for spec in (Smoothing(sd="60 ms"), Interpolation(sd="60 ms")):
        rates = sbtt_models.fit(spec, data).rates(data)
        np.testing.assert_allclose(rates, 4.0, rtol=1e-5)


def test_smoothing_counts_exposure() -> None:
    """Half the exposure and half the spikes is the same rate."""
    data = stream(share=1.0)
    even = replace(data, counts=data.counts * 2)
    half = replace(data, exposure=data.exposure * np.float32(0.5))
    spec = Smoothing(sd="40 ms", prior=0.05)
    whole = sbtt_models.fit(spec, even).rates(even)
    partial = sbtt_models.fit(spec, half).rates(half)
    np.testing.assert_allclose(partial, whole, rtol=0.1, atol=0.05)


def test_interpolation_is_linear_between_samples() -> None:
    counts = np.zeros((14, 5, 1), np.int32)
    counts[:, 0], counts[:, 4] = 2, 6
    exposure = np.zeros((14, 5, 1), np.float32)
    exposure[:, [0, 4]] = 1
    data = MaskedStream(counts, exposure, np.full(14, 5), 0.02, stream().split)
    rates = sbtt_models.fit(Interpolation(sd="0.1 ms"), data).rates(data)
    np.testing.assert_allclose(rates[0, :, 0], [2, 3, 4, 5, 6], rtol=1e-4)


def test_devices_are_checked() -> None:
    with pytest.raises(SpecError, match="not one of auto, cpu, cuda"):
        sbtt_models.fit(SMALL["autoencoder"], stream(), QUICK, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(SpecError, match="finds no CUDA"):
            sbtt_models.fit(SMALL["autoencoder"], stream(), QUICK, device="cuda")


def test_patience_counts_validated_epochs_only() -> None:
    """Stopping before the first validation would return an untrained network."""
    rules = Training(epochs=12, patience=2, validate_every=5, learning_rate=0.02)
    fitted = sbtt_models.fit(SMALL["autoencoder"], stream(), rules)
    assert any("valid_loss" in row for row in fitted.history)


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_validation_judges_something_however_sparse(spec: DecoderSpec) -> None:
    """With one observed validation entry the loss is of that entry, never an empty 0."""
    data = stream()
    gone = np.zeros(data.counts.shape, bool)
    gone[data.split.valid] = True
    trial, bins, channel = (int(i[0]) for i in np.nonzero(data.observed & gone))
    gone[trial, bins, channel] = False
    fitted = sbtt_models.fit(spec, data.hide(gone), QUICK)
    assert all(row["valid_loss"] != 0.0 for row in fitted.history)


def test_sparse_sampling_gets_the_stronger_dropout() -> None:
    spec = Autoencoder(dropout=0.1, sparse_dropout=0.4)
    assert spec.suited_to(0.25) is spec
    assert spec.suited_to(0.24).dropout == 0.4
    assert SMALL["lfads"].suited_to(0.01) is SMALL["lfads"]


@pytest.mark.parametrize("name", ["state_space", "kalman", "smoothing", "augmented_lds"])
def test_external_inputs_are_never_ignored_in_silence(name: str) -> None:
    data = stream(lengths=(6,) * 8)
    data = replace(data, external=np.ones((8, 6, 1), np.float32))
    brief = QUICK.model_copy(update={"epochs": 1})
    with pytest.warns(UserWarning, match=f"not used by a decoder of kind {name}; lfads uses them"):
        sbtt_models.fit(SMALL[name], data, brief)


@pytest.mark.parametrize("name", ["kalman", "smoothing", "augmented_lds", "interpolation"])
def test_what_cannot_go_on_from_weights_says_so(name: str) -> None:
    data = stream(lengths=(6,) * 8)
    start = sbtt_models.fit(SMALL["smoothing"], data)
    with pytest.raises(SpecError, match=f"a decoder of kind {name} is fitted afresh"):
        sbtt_models.fit(SMALL[name], data, start=start)


def test_a_fit_does_not_depend_on_the_threads_of_its_caller() -> None:
    data, before = stream(lengths=(30,) * 40), torch.get_num_threads()
    spec, brief = StateSpace(), QUICK.model_copy(update={"epochs": 1, "batch_size": 64})
    try:
        found = []
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(sbtt_models.fit(spec, data, brief).rates(data))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*found)

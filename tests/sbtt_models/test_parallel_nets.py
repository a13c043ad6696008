"""The two networks that see a window at once: linear state spaces and a transformer."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

import sbtt_models
from sbtt_models.decoders import StateSpace, Transformer
from sbtt_models.decoders.base import NeuralSpec
from sbtt_models.losses import coordinated_dropout, selective_loss
from sbtt_models.nets import filters
from sbtt_models.nets.base import Network
from sbtt_models.nets.state_space import until_last_observed
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.training import Training

N_CHANNELS, N_BINS = 4, 12
SPECS: dict[str, NeuralSpec] = {
    "state_space": StateSpace(hidden=6, blocks=2, modes=3),
    "transformer": Transformer(hidden=8, heads=2, layers=2, feedforward=12),
}
CAUSAL: dict[str, NeuralSpec] = {
    f"{name}_{wait}": spec.model_copy(update={"causal": True, "lookahead_bins": wait})
    for name, spec in SPECS.items()
    for wait in (0, 3)
}
BOTH = SPECS | CAUSAL
QUICK = Training(epochs=3, batch_size=8)


def network(spec: NeuralSpec, n_channels: int = N_CHANNELS, n_bins: int = N_BINS) -> Network:
    torch.manual_seed(0)
    built = spec.build(n_channels, n_bins, torch.zeros(n_channels)).double().eval()
    for parameter in built.parameters():  # nothing may be hidden by a 0 to begin with
        torch.nn.init.normal_(parameter, std=0.5)
    return built


def window(seed: int = 0, n_windows: int = 3, n_bins: int = N_BINS) -> tuple[Tensor, Tensor]:
    """Counts and exposure, some of it partial, some missing."""
    rng = np.random.default_rng(seed)
    exposure = rng.choice([0.0, 0.0, 0.4, 1.0], (n_windows, n_bins, N_CHANNELS))
    counts = rng.poisson(2.0, exposure.shape) * (exposure > 0)
    return torch.tensor(counts).double(), torch.tensor(exposure)


def stream(n_trials: int = 14, n_bins: int = N_BINS, n_channels: int = N_CHANNELS) -> MaskedStream:
    rng = np.random.default_rng(0)
    exposure = rng.choice([0.0, 0.5, 1.0], (n_trials, n_bins, n_channels)).astype(np.float32)
    exposure[:, 0, 0] = 1.0  # no trial without a sample
    counts = rng.poisson(1.5, exposure.shape) * (exposure > 0)
    order = np.arange(n_trials)
    parts = (
        (order[:-2], order[-2:-1], order[-1:]) if n_trials > 2 else (order[:1],) + 2 * (order[1:],)
    )
    lengths = np.full(n_trials, n_bins)
    return MaskedStream(counts.astype(np.int32), exposure, lengths, 0.02, Split(*parts))


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_a_hidden_value_has_no_influence_but_its_mask_has(spec: NeuralSpec) -> None:
    net = network(spec)
    counts, exposure = window()
    hidden = torch.zeros_like(exposure, dtype=torch.bool)
    hidden[:, 5, 1] = True
    exposure[:, 5, 1] = 1.0
    rates = []
    for value in (1.0, 9.0):
        counts[:, 5, 1] = value
        rates.append(net(counts * ~hidden, exposure * ~hidden).log_rates)
    assert torch.equal(*rates)
    counts[:, 5, 1] = 0.0  # seen to be silent, instead of not seen
    assert (net(counts, exposure).log_rates != rates[0]).any()


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_only_hidden_observed_entries_teach(spec: NeuralSpec) -> None:
    """The loss has no gradient in rates that were missing, or seen by the encoder."""
    counts, exposure = window()
    draw = torch.Generator().manual_seed(0)
    seen, seen_exposure, learns = coordinated_dropout(counts, exposure, 0.4, draw)
    rates = network(spec).train()(seen, seen_exposure, draw).log_rates
    rates.retain_grad()
    selective_loss(rates, counts, exposure, learns).backward()
    assert torch.equal(rates.grad != 0, learns & (exposure > 0))


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_missing_targets_teach_no_parameter(spec: NeuralSpec) -> None:
    """Whatever a missing entry would have been: every gradient stays as it was, to the bit."""
    counts, exposure = window()
    grads = []
    for value in (0.0, 7.0):
        net = network(spec)
        targets = torch.where(exposure > 0, counts, torch.full_like(counts, value))
        selective_loss(net(counts, exposure).log_rates, targets, exposure).backward()
        grads.append([parameter.grad for parameter in net.parameters()])
    for one, other in zip(*grads, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_padding_has_no_influence(spec: NeuralSpec) -> None:
    """However much emptiness follows a trial, its rates are the same."""
    net = network(spec)
    counts, exposure = window()
    exposure[:, 8], counts[:, 9:], exposure[:, 9:] = 1.0, 0.0, 0.0
    short = net(counts[:, :9], exposure[:, :9]).log_rates
    padded = net(counts, exposure).log_rates
    torch.testing.assert_close(padded[:, :9], short, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", CAUSAL.values(), ids=CAUSAL)
def test_the_future_never_changes_the_past(spec: NeuralSpec) -> None:
    """A count at bin 8 moves the rates from 8 - look-ahead on, and not one before."""
    net = network(spec)
    counts, exposure = window()
    exposure[:, 8] = 1.0
    before = net(counts, exposure).log_rates
    counts[:, 8] += 3.0
    moved = (net(counts, exposure).log_rates != before).any(2).all(0)
    first = 8 - spec.lookahead_bins
    assert not moved[:first].any()
    assert moved[first:].all()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_otherwise_every_bin_hears_every_other(spec: NeuralSpec) -> None:
    net = network(spec)
    counts, exposure = window()
    exposure[:, -1], exposure[:, 0] = 1.0, 1.0
    before = net(counts, exposure).log_rates
    for bins in (0, -1):
        changed = counts.clone()
        changed[:, bins] += 3.0
        assert (net(changed, exposure).log_rates != before).any(2).all()


def slow_filter(u: Tensor, layers: filters.Filters, block: int) -> Tensor:
    """Run the recurrence z <- exp(-a + i omega) z + u of every mode, bin by bin, each way."""
    size, n_bins, _ = u.shape
    own = slice(block * size, (block + 1) * size)
    turn = torch.exp(torch.complex(-layers.log_decay.exp(), layers.frequency))[own, :, None]
    c, s = layers.weight[own].chunk(2, 2)
    out = layers.through[own, :, None] * u
    for direction in range(layers.weight.shape[1]):
        weight = torch.complex(c, -s)[:, direction, :, None]
        z = torch.zeros(1, dtype=turn.dtype)
        for t in range(n_bins):
            bins = t if direction == 0 else n_bins - 1 - t
            if direction == 0:
                z = turn * z + u[:, None, bins]
                out[:, bins] += (weight * z).real.sum(1)
            else:  # a bin's own input comes once, from the past
                z = turn * z
                out[:, bins] += (weight * z).real.sum(1)
                z = z + u[:, None, bins]
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dense", "chunk"), [(64, 64), (10, 7), (1, 1)])
def test_filters_equal_the_recurrence(
    causal: bool, dense: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one product, and in chunks, also where the last is not full; gradients too."""
    monkeypatch.setattr(filters, "_DENSE", dense)
    monkeypatch.setattr(filters, "_CHUNK", chunk)
    torch.manual_seed(0)
    layers = filters.Filters(StateSpace(hidden=3, blocks=2, modes=2, causal=causal), 33).double()
    parameters = list(layers.parameters())
    u = torch.randn(3, 33, 2, dtype=torch.float64, requires_grad=True)
    given = torch.randn(3, 33, 2, dtype=torch.float64)
    fast = [kernel.apply(u) for kernel in layers(33)]
    slow = [slow_filter(u, layers, block) for block in range(2)]
    for quick, naive in zip(fast, slow, strict=True):
        torch.testing.assert_close(quick, naive, rtol=1e-10, atol=1e-10)
    grads = [
        torch.autograd.grad(sum((given * out).sum() for out in outs), [u, *parameters])
        for outs in (fast, slow)
    ]
    for quick, naive in zip(*grads, strict=True):
        torch.testing.assert_close(quick, naive, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_gradients_are_those_of_finite_differences(spec: NeuralSpec) -> None:
    net = network(spec)
    counts, exposure = window(n_windows=2)
    counts.requires_grad_(True)

    def loss() -> Tensor:
        return net(counts, exposure).log_rates.square().mean()

    loss().backward()
    rng = np.random.default_rng(1)
    for leaf in (counts, *net.parameters()):
        where = tuple(rng.integers(0, n) for n in leaf.shape)
        with torch.no_grad():
            leaf[where] += 1e-6
            up = loss()
            leaf[where] -= 2e-6
            down = loss()
            leaf[where] += 1e-6
        assert leaf.grad[where].item() == pytest.approx(
            float(up - down) / 2e-6, rel=1e-4, abs=1e-7
        )


def test_long_windows_stay_finite_and_decay() -> None:
    """2,000 bins, with the slowest and the fastest modes that training could come to."""
    net = StateSpace(hidden=4, blocks=2).build(N_CHANNELS, 2000, torch.zeros(N_CHANNELS))
    with torch.no_grad():
        net.filters.log_decay.copy_(
            torch.linspace(-30, 6, net.filters.log_decay.numel()).view(8, 4)
        )
    counts = torch.full((2, 2000, N_CHANNELS), 5.0)
    rates = net(counts, torch.ones_like(counts)).log_rates
    rates.square().mean().backward()
    assert torch.isfinite(rates).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_an_empty_window_has_finite_rates(spec: NeuralSpec) -> None:
    nothing = torch.zeros(2, N_BINS, N_CHANNELS).double()
    net = network(spec)
    rates = net(nothing, nothing).log_rates
    rates.sum().backward()
    assert torch.isfinite(rates).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("shape", [(14, 12, 1), (14, 1, 4), (2, 12, 4), (2, 1, 1)])
def test_one_of_anything_is_enough(spec: NeuralSpec, shape: tuple[int, int, int]) -> None:
    """One channel, one bin, one trial in each part of the split; bins with partial exposure."""
    data = stream(*shape)
    rates = sbtt_models.fit(spec, data, QUICK).rates(data)
    assert rates.shape == data.counts.shape
    assert np.isfinite(rates).all()
    assert (rates > 0).all()


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_fits_repeat_bitwise_with_dropout(spec: NeuralSpec) -> None:
    data = stream()
    spec = spec.model_copy(update={"dropout": 0.3})
    first, again = (sbtt_models.fit(spec, data, QUICK, seed=4) for _ in range(2))
    assert np.array_equal(first.rates(data), again.rates(data))
    other = sbtt_models.fit(spec, data, QUICK, seed=5)
    assert not np.array_equal(first.rates(data), other.rates(data))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_saved_weights_are_all_parameters(spec: NeuralSpec, tmp_path: Path) -> None:
    data = stream()
    fitted = sbtt_models.fit(spec, data, QUICK)
    fitted.save(tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    assert sum(value.numel() for value in weights.values()) == fitted.n_parameters
    fresh = spec.build(N_CHANNELS, N_BINS, torch.zeros(N_CHANNELS))
    fresh.load_state_dict(weights)
    again = replace(fitted, network=fresh)
    assert np.array_equal(again.rates(data), fitted.rates(data))


def test_parameters_as_counted_by_hand() -> None:
    states = StateSpace(hidden=32, blocks=3, modes=4)
    embed, readout = 58 * 32 + 32, 32 * 29 + 29
    one_block = 32 * (4 + 4 + 2 * 8 + 1) + 32 + 32 * 32
    n = sum(p.numel() for p in states.build(29, 50, torch.zeros(29)).parameters())
    assert n == embed + 3 * one_block + readout
    attention = Transformer(hidden=8, heads=2, layers=2, feedforward=12)
    one_layer = 4 * 8 + (8 * 24 + 24) + (8 * 8 + 8) + (8 * 12 + 12) + (12 * 8 + 8)
    n = sum(p.numel() for p in attention.build(4, 12, torch.zeros(4)).parameters())
    assert n == (8 * 8 + 8) + 12 * 8 + 2 * one_layer + 2 * 8 + (8 * 4 + 4)


def test_the_context_of_attention_is_bounded() -> None:
    """Two layers with a context of 2 bins hear 4 bins far."""
    net = network(SPECS["transformer"].model_copy(update={"context_bins": 2}))
    counts, exposure = window()
    exposure[:, 5], exposure[:, -1] = 1.0, 1.0
    before = net(counts, exposure).log_rates
    counts[:, 5] += 3.0
    moved = (net(counts, exposure).log_rates != before).any(2).any(0)
    assert moved.tolist() == [abs(t - 5) <= 4 for t in range(N_BINS)]


def test_heads_must_divide_a_token() -> None:
    with pytest.raises(ValidationError, match="hidden 10 is not a multiple of heads 4"):
        Transformer(hidden=10, heads=4)


def test_the_last_sample_ends_a_window() -> None:
    exposure = torch.zeros(2, 5, 3)
    exposure[0, 1, 2] = 0.2
    exposure[0, 3, 0] = 1.0
    assert until_last_observed(exposure).tolist() == [[True] * 4 + [False], [False] * 5]


LEARNERS = {
    "state_space": (StateSpace(hidden=12, blocks=2), 20, 0.02),
    "transformer": (Transformer(hidden=32, feedforward=64, dropout=0.0), 30, 0.005),
}


@pytest.mark.parametrize(("spec", "epochs", "rate"), LEARNERS.values(), ids=LEARNERS)
def test_shared_rhythms_are_found_through_gaps(spec: NeuralSpec, epochs: int, rate: float) -> None:
    """Sines of random phase, a third of them sampled: most of their variance is recovered."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * math.pi, (150, 1, 1)) + np.arange(30)[None, :, None] / 3
    truth = np.exp(np.sin(phase + np.arange(6)))
    observed = rng.random(truth.shape) < 0.33
    counts = np.where(observed, rng.poisson(truth), 0).astype(np.int32)
    order = np.arange(150)
    split = Split(order[:110], order[110:130], order[130:])
    data = MaskedStream(counts, observed.astype(np.float32), np.full(150, 30), 0.02, split)
    rules = Training(epochs=epochs, learning_rate=rate, batch_size=16, validate_every=5)
    rates = sbtt_models.fit(spec, data, rules).rates(data)
    lost = ((rates - truth) ** 2)[split.test].mean() / truth[split.test].var()
    assert lost < 0.45

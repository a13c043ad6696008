"""The hand-written gradients against autograd, and what re-used buffers must not do."""

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sbtt_models.decoders import LFADS, Autoencoder
from sbtt_models.decoders.lfads import Controller, InitialCondition
from sbtt_models.device import kept_memory
from sbtt_models.losses import coordinated_dropout, poisson_nll, selective_loss
from sbtt_models.nets.coins import drop_inputs, random_bits
from sbtt_models.nets.gru import _lagged, encode
from sbtt_models.nets.lfads_scan import Control, Rules, scan
from sbtt_models.nets.sparse import SparseBins
from sbtt_models.nets.unroll import read_out, unroll
from sbtt_models.nets.workspace import Workspace, long_lived

SIZES = [(1, 1, 1, 1), (3, 2, 5, 4), (17, 9, 6, 13)]  # batch, bins, inputs, units


def agree(ours: torch.Tensor | None, theirs: torch.Tensor, tolerance: float) -> None:
    """Equal up to a share of the largest entry."""
    if ours is None:
        assert not theirs.any()
        return
    scale = max(float(theirs.abs().max()), 1e-30)
    assert float((ours - theirs).abs().max()) <= tolerance * scale


def gradients(outputs, inputs) -> list[torch.Tensor | None]:
    """Gradients of a fixed random sum of outputs."""
    draw = torch.Generator().manual_seed(7)
    total = sum(
        (one * torch.randn(one.shape, generator=draw, dtype=one.dtype)).sum() for one in outputs
    )
    return torch.autograd.grad(total, inputs, allow_unused=True)


def plain_encode(gru: nn.GRU, seen: torch.Tensor, lag: int) -> tuple[torch.Tensor, torch.Tensor]:
    states, last = gru(seen)
    ahead, back = states.chunk(2, dim=2)
    n_bins = seen.shape[1]
    ahead = functional.pad(ahead, (0, 0, lag, 0))[:, :n_bins]
    back = functional.pad(back, (0, 0, 0, lag))[:, lag:] if lag < n_bins else 0 * back
    return torch.cat([last[0], last[1]], dim=1), torch.cat([ahead, back], dim=2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("lag", [0, 1, 4])
@pytest.mark.parametrize("size", SIZES)
def test_the_encoder_equals_torch(size, lag, dtype, tolerance) -> None:
    batch, n_bins, n_inputs, units = size
    torch.manual_seed(0)
    gru = nn.GRU(n_inputs, units, batch_first=True, bidirectional=True).to(dtype)
    seen = torch.randn(batch, n_bins, n_inputs, dtype=dtype, requires_grad=True)
    last, states = encode([gru], seen, Workspace(), every_bin=True, lag=lag)
    ours = (last, states.permute(2, 0, 1))
    theirs = plain_encode(gru, seen, lag)
    inputs = [seen, *gru.parameters()]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=tolerance)
    for one, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        agree(one, other, tolerance)


def sparse_windows(n_bins: int, n_inputs: int, batch: int) -> torch.Tensor:
    """Windows with few entries that are not 0; bins, inputs and windows without any among them."""
    draw = torch.Generator().manual_seed(3)
    kept = torch.rand(n_bins, n_inputs, batch, generator=draw) < 0.1
    values = torch.randn(kept.shape, generator=draw, dtype=torch.float64) * kept
    values[1], values[:, 7], values[..., -1] = 0, 0, 0
    return values


@pytest.mark.parametrize("size", [(4, 9, 2), (5, 120, 7), (3, 10, 300), (260, 8, 256)])
@pytest.mark.parametrize("contiguous", [True, False])
def test_sparse_products_are_those_over_all_entries(size, contiguous: bool, monkeypatch) -> None:
    """More than 65 536 windows and bins, too, where the entries are sorted in another way."""
    monkeypatch.setattr("sbtt_models.nets.sparse._MANY", 1)
    bins = sparse_windows(*size)
    if not contiguous:
        bins = bins.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    sparse = SparseBins.of(bins)
    assert sparse is not None
    weights = torch.randn(size[1], 3, dtype=torch.float64)
    given = torch.randn(size[2], 3, dtype=torch.float64)
    for t in (0, 1, size[0] - 1):
        assert torch.allclose(sparse.times(t, weights), bins[t].t() @ weights, atol=1e-12)
        assert torch.allclose(sparse.gradient(t, given), bins[t] @ given, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_products_are_sparse_only_where_that_pays(value: float) -> None:
    full, few = torch.full((3, 200, 5), value), torch.zeros(3, 10, 5)
    assert (SparseBins.of(full) is None) == bool(value)
    assert SparseBins.of(few) is None


@pytest.mark.parametrize("wanted", [True, False], ids=["its gradient", "no gradient"])
def test_the_encoder_equals_torch_on_few_spikes(wanted: bool) -> None:
    bins = sparse_windows(5, 120, 7)
    assert SparseBins.of(bins) is not None
    torch.manual_seed(0)
    gru = nn.GRU(120, 6, batch_first=True, bidirectional=True).double()
    seen = bins.permute(2, 0, 1).requires_grad_(wanted)
    last, states = encode([gru], seen, Workspace(), every_bin=True, lag=1)
    ours, theirs = (last, states.permute(2, 0, 1)), plain_encode(gru, seen, 1)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    inputs = [*gru.parameters(), *([seen] if wanted else [])]
    again = encode([gru], seen, Workspace(), every_bin=True, lag=1)
    again = gradients((again[0], again[1].permute(2, 0, 1)), inputs)
    results = gradients(ours, inputs), gradients(theirs, inputs), again
    for one, other, repeated in zip(*results, strict=True):
        agree(one, other, 1e-12)
        assert torch.equal(one, repeated)


def test_encoders_side_by_side_are_those_alone() -> None:
    torch.manual_seed(5)
    grus = [nn.GRU(5, 4, batch_first=True, bidirectional=True).double() for _ in range(3)]
    seen = torch.randn(6, 7, 5, dtype=torch.float64, requires_grad=True)
    last, states = encode(grus, seen, Workspace(), every_bin=True, lag=1)
    alone = [encode([gru], seen, Workspace(), every_bin=True, lag=1) for gru in grus]
    inputs = [seen, *(p for gru in grus for p in gru.parameters())]
    theirs = torch.cat([one for one, _ in alone], dim=1), alone[-1][1]
    for one, other in zip((last, states), theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    for one, other in zip(
        gradients((last, states), inputs), gradients(theirs, inputs), strict=True
    ):
        agree(one, other, 1e-12)


@pytest.mark.parametrize("lag", [0, 1, 4, 9, 12])
def test_states_of_the_fused_kernel_are_lagged_alike(lag: int) -> None:
    """On an accelerator torch's own kernel is run, and its states are shifted afterwards."""
    torch.manual_seed(0)
    gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    seen = torch.randn(2, 9, 3)
    _, ours = encode([gru], seen, Workspace(), every_bin=True, lag=lag)
    assert torch.allclose(_lagged(gru(seen)[0], lag), ours, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("size", SIZES)
def test_the_generator_equals_torch(size, dtype, tolerance) -> None:
    batch, n_bins, n_channels, units = size
    torch.manual_seed(1)
    gru = nn.GRU(1, units, batch_first=True).to(dtype)
    readout = nn.Linear(units, n_channels).to(dtype)
    initial = (2 * torch.randn(batch, units, dtype=dtype)).requires_grad_()
    ours = unroll(gru, readout, initial, n_bins, Workspace())
    nothing = torch.zeros(batch, n_bins, 1, dtype=dtype)
    theirs = readout(gru(nothing, initial[None].contiguous())[0])
    inputs = [initial, *gru.parameters(), *readout.parameters()]
    assert torch.allclose(ours, theirs, atol=tolerance)
    for one, other in zip(gradients([ours], inputs), gradients([theirs], inputs), strict=True):
        agree(one, other, tolerance)


def test_the_gradient_is_the_derivative() -> None:
    """Against finite differences, with no other implementation in between."""
    torch.manual_seed(2)
    gru = nn.GRU(1, 3, batch_first=True).double()
    readout = nn.Linear(3, 2).double()
    workspace = Workspace()
    initial = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: unroll(gru, readout, x, 4, workspace), initial)
    states = torch.randn(3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: read_out(readout, x), states)


def plain_scan(generator, rows, initial, control, rules, external=None):
    """LFADS bin by bin, left to autograd."""
    clip, state = rules.clip, initial
    factor = state @ rows.T
    factors, samples, posteriors = [], [], []
    told = control.initial.expand(initial.shape[0], -1) if control else None
    for t in range(rules.n_bins):
        sample = initial.new_zeros(initial.shape[0], 1)
        if control:
            heard = torch.cat([control.heard[t].T, factor], dim=1)
            told = control.cell(heard, told).clamp(-clip, clip)
            posterior = control.posterior(told)
            mean, log_var = posterior.chunk(2, dim=1)
            noise = 0 if control.noise is None else (0.5 * log_var).exp() * control.noise[t].T
            sample = mean + noise
            samples.append(sample)
            posteriors.append(posterior)
        if external is not None:
            sample = torch.cat([sample, external[t].T], dim=1) if control else external[t].T
        state = generator(sample, state).clamp(-clip, clip)
        factor = state @ rows.T
        factors.append(factor)
    return [torch.stack(x).transpose(1, 2) for x in (factors, samples, posteriors) if x]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("clip", [0.3, 1.5, 5.0])
@pytest.mark.parametrize("n_external", [0, 3])
@pytest.mark.parametrize("kind", ["sampled", "means", "autonomous"])
def test_lfads_equals_autograd(
    kind: str, n_external: int, clip: float, dtype, tolerance: float
) -> None:
    torch.manual_seed(3)
    batch, n_bins, n_heard, n_factors, units, n_outputs = 5, 6, 4, 3, 7, 2
    draw = {"dtype": dtype, "requires_grad": True}
    n_inputs = n_external + (0 if kind == "autonomous" else n_outputs)
    generator = nn.GRUCell(max(n_inputs, 1), units).to(dtype)
    external = torch.randn(n_bins, n_external, batch, dtype=dtype) if n_external else None
    rows = torch.randn(n_factors, units, **draw)
    initial = (2 * torch.randn(batch, units, dtype=dtype)).requires_grad_()
    control, inputs = None, [initial, rows]
    if kind != "autonomous":
        cell = nn.GRUCell(n_heard + n_factors, 5).to(dtype)
        posterior = nn.Linear(5, 2 * n_outputs).to(dtype)
        start, heard = torch.randn(5, **draw), torch.randn(n_bins, n_heard, batch, **draw)
        noise = torch.randn(n_bins, n_outputs, batch, dtype=dtype) if kind == "sampled" else None
        control = Control(cell, posterior, start, heard, noise)
        inputs += [start, heard, *cell.parameters(), *posterior.parameters()]
    inputs += generator.parameters()
    rules = Rules(n_bins, clip, 0.0)
    ours = scan(generator, rows, initial, control, rules, Workspace(), external)
    theirs = plain_scan(generator, rows, initial, control, rules, external)
    ours = ours[: len(theirs)]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=10 * tolerance)
    for one, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        assert other is None or bool((other != 0).any()) or n_inputs == 0
        if other is not None:
            agree(one, other, tolerance)


def test_the_way_back_drops_what_the_way_there_dropped() -> None:
    """With dropout the gradient is that of the very masks drawn, by finite differences."""
    torch.manual_seed(4)
    kind = {"dtype": torch.float64, "requires_grad": True}
    generator, cell = nn.GRUCell(2, 5).double(), nn.GRUCell(7, 3).double()
    posterior = nn.Linear(3, 4).double()
    noise = torch.randn(4, 2, 3, dtype=torch.float64)
    workspace, rules = Workspace(), Rules(4, 5.0, 0.4)
    inputs = (
        torch.randn(4, 5, **kind),  # rows
        torch.randn(3, 5, **kind),  # initial
        torch.randn(3, **kind),  # controller's start
        torch.randn(4, 3, 3, **kind),  # heard
    )

    def run(rows, initial, start, heard):
        torch.manual_seed(0)  # the same masks each time
        control = Control(cell, posterior, start, heard, noise)
        return scan(generator, rows, initial, control, rules, workspace)

    assert torch.autograd.gradcheck(run, inputs)


NETWORKS = {
    "autoencoder": Autoencoder(hidden=6, generator=5, dropout=0.2),
    "lfads": LFADS(
        generator=8,
        factors=4,
        initial_condition=InitialCondition(encoder=6, size=5),
        controller=Controller(encoder=5, size=4, outputs=2),
        dropout=0.2,
    ),
}


def batch_of(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n)
    exposure = (torch.rand(n, 9, 4, generator=draw) < 0.6).float()
    return torch.poisson(exposure, generator=draw), exposure


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_two_passes_in_flight_share_no_buffer(spec) -> None:
    """A second forward pass before the first way back changes nothing, nor does its own."""
    torch.manual_seed(0)
    network = spec.build(4, 9, torch.zeros(4)).eval()
    parameters = [p for p in network.parameters() if p.requires_grad]

    def grads(batches):
        losses = [
            selective_loss(network(*data).log_rates, *data)
            for data in batches  # all forward first
        ]
        return [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in losses]

    data, other = batch_of(8), batch_of(8)
    other = (other[0] + other[1], other[1])
    alone = grads([data])[0]
    for together in (grads([data, other])[0], grads([other, data])[1]):
        for one, expected in zip(together, alone, strict=True):
            assert expected is None or torch.equal(one, expected)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_results_do_not_lie_in_buffers(spec) -> None:
    torch.manual_seed(0)
    network = spec.build(4, 9, torch.zeros(4)).eval()
    with torch.no_grad():
        first = network(*batch_of(8)).log_rates
        before = first.clone()
        network(*batch_of(8)), network(torch.ones(8, 9, 4), torch.ones(8, 9, 4))
    assert torch.equal(first, before)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_memory_of_the_batch_changes_no_rate(spec) -> None:
    """Whichever axis is contiguous."""
    torch.manual_seed(0)
    network = spec.build(4, 9, torch.zeros(4)).eval()
    counts, exposure = batch_of(8)
    turned = [x.permute(1, 2, 0).contiguous().permute(2, 0, 1) for x in (counts, exposure)]
    with torch.no_grad():
        rates = network(counts, exposure).log_rates
        assert torch.allclose(network(*turned).log_rates, rates, atol=1e-6)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_copies_have_buffers_of_their_own(spec) -> None:
    network = spec.build(4, 9, torch.zeros(4)).eval()
    with torch.no_grad():
        rates = network(*batch_of(8)).log_rates
        for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):  # noqa: S301
            assert twin.workspace is not network.workspace
            assert torch.equal(twin(*batch_of(8)).log_rates, rates)
        network.release()
        assert torch.equal(network(*batch_of(8)).log_rates, rates)


def test_buffers_come_back_when_the_graph_is_gone() -> None:
    workspace, made = Workspace(), []

    def make():
        made.append(1)
        return object()

    first = workspace.lend("key", make)
    second = workspace.lend("key", make)
    assert first.held is not second.held
    held = first.held
    del first
    gc.collect()
    assert workspace.lend("key", make).held is held
    assert len(made) == 2


@pytest.mark.parametrize("shape", [(3, 4), (1100, 1000)])
def test_long_lived_arrays_are_ordinary(shape: tuple[int, int]) -> None:
    like = torch.empty(0, dtype=torch.float64)
    array = long_lived(like, *shape).fill_(2.0)
    assert array.shape == shape
    assert array.dtype == like.dtype
    assert float(array.sum()) == 2.0 * array.numel()


def test_random_bits_are_fair_and_repeat() -> None:
    draw = [
        random_bits(200_001, torch.device("cpu"), torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    ones = [float(((draw[0].int() >> bit) & 1).double().mean()) for bit in range(16)]
    assert ones == pytest.approx([0.5] * 16, abs=0.006)  # five standard deviations


def test_dropped_inputs_keep_their_mean() -> None:
    torch.manual_seed(0)
    seen = torch.ones(64, 50, 20)
    dropped = drop_inputs(seen, 0.3)
    assert set(np.round(dropped.unique().numpy(), 5)) == {0.0, np.float32(np.round(1 / 0.7, 5))}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)
    assert bool((seen == 1).all()), "the counts themselves were changed"
    assert drop_inputs(seen, 0.0) is seen or torch.equal(drop_inputs(seen, 0.0), seen)


@pytest.mark.parametrize("turned", [False, True])
def test_the_fused_loss_equals_its_formula(turned: bool) -> None:
    """More entries than fit one piece, in either order of memory."""
    draw = torch.Generator().manual_seed(5)
    shape = (40, 70, 50)
    exposure = (torch.rand(shape, generator=draw) < 0.4).float()
    counts = torch.poisson(exposure, generator=draw)
    log_rates = torch.randn(shape, generator=draw)
    if turned:
        counts, exposure, log_rates = (
            x.permute(1, 2, 0).contiguous().permute(2, 0, 1) for x in (counts, exposure, log_rates)
        )
    _, _, learns = coordinated_dropout(counts, exposure, 0.3, draw)
    log_rates.requires_grad_()
    nll = poisson_nll(log_rates, counts, exposure)
    nll = torch.where(learns, nll, nll.detach()).sum() / (exposure > 0).sum()
    loss = selective_loss(log_rates, counts, exposure, learns)
    assert float(loss.detach()) == pytest.approx(float(nll.detach()), rel=1e-5)
    ours, theirs = (torch.autograd.grad(x, log_rates)[0] for x in (loss, nll))
    agree(ours, theirs, 1e-6)
    assert not ours[(exposure == 0) | ~learns].any()


def test_memory_settings_are_put_back() -> None:
    with kept_memory():
        array = torch.ones(2_000_000)
    assert float(array.sum()) == 2_000_000

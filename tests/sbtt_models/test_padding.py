"""Trials of unequal length: what comes after a trial is neither computed nor seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models.augment import shifted
from sbtt_models.batches import StreamOnDevice, _sizes
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.decoders.lfads import LFADS, Controller
from sbtt_models.decoders.priors import Autoregressive, StudentT
from sbtt_models.nets.base import Inferred, Network
from sbtt_models.nets.gru import encode, fused
from sbtt_models.nets.workspace import Workspace
from sbtt_models.objective import Objective
from sbtt_models.signals import MaskedStream
from sbtt_models.windows import Windows, cut
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream

UNEQUAL = (12, 5, 9, 12, 1, 30, 7, 11, 3, 12, 4, 12)
SEVERAL = NEURAL | {
    "lfads of other priors": SMALL["lfads"].model_copy(
        update={
            "initial_condition": SMALL["lfads"].initial_condition.model_copy(
                update={"prior": StudentT(df=4.0)}
            ),
            "controller": Controller(encoder=6, size=4, outputs=2, prior=Autoregressive()),
        }
    ),
    "lfads that predicts bins": SMALL["lfads"].model_copy(update={"encoder_bins": 8}),
    "autoencoder without a mask": SMALL["autoencoder"].model_copy(update={"mask_input": False}),
    "causal transformer": SMALL["transformer"].model_copy(update={"causal": True}),
    "causal state space": SMALL["state_space"].model_copy(
        update={"causal": True, "lookahead_bins": 2}
    ),
}


def on_device(data: MaskedStream) -> StreamOnDevice:
    return StreamOnDevice.of(data, int(data.lengths.max()), torch.device("cpu"))


def all_windows(data: MaskedStream) -> Windows:
    longest = int(data.lengths.max())
    return cut(data.lengths, np.arange(data.lengths.size), longest, longest)


def without_chance(network: Network) -> object:
    """The network at the means of its posteriors."""

    def infer(counts: torch.Tensor, exposure: torch.Tensor, _: object, *rest: object) -> Inferred:
        return network(counts, exposure, None, *rest)

    return infer


@pytest.mark.parametrize(
    ("name", "over_all"), [*((name, False) for name in SEVERAL), ("state_space", True)]
)
def test_parts_without_padding_give_the_loss_and_gradient_of_the_whole(
    name: str, over_all: bool
) -> None:
    data = stream(lengths=UNEQUAL)
    torch.manual_seed(0)
    spec: NeuralSpec = SEVERAL[name].model_copy(update={"dropout": 0.0})
    network = spec.network(torch.zeros(4), 30, 0)
    noise = torch.Generator().manual_seed(0)
    objective = Objective(0.0, 1.0, noise, network.head, over_all=over_all)
    found = []
    for padded in (True, False):
        (parts,) = on_device(data).steps(all_windows(data), 100, padded=padded)
        assert (len(parts) == 1) == padded
        network.zero_grad()
        terms = objective.terms_of(without_chance(network), parts)
        sum(terms.values()).backward()
        found.append((terms, [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    (whole, whole_grads), (parts_, grads) = found
    for name in whole:
        torch.testing.assert_close(parts_[name], whole[name], rtol=1e-5, atol=1e-6)
    assert any((grad != 0).any() for grad in grads)
    for grad, other in zip(grads, whole_grads, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-6)


INFERRING = NEURAL | {
    "sampling lfads": SMALL["lfads"].model_copy(update={"samples": 3}),
    "causal state space": SEVERAL["causal state space"],
}


@pytest.mark.parametrize("spec", INFERRING.values(), ids=INFERRING)
def test_rates_of_a_trial_do_not_depend_on_the_length_of_others(spec: DecoderSpec) -> None:
    data = stream(lengths=UNEQUAL)
    fitted = sbtt_models.fit(spec, data, QUICK.model_copy(update={"epochs": 1}))
    rates = fitted.rates(data)
    assert not rates[~(np.arange(30) < data.lengths[:, None])].any()
    short = np.flatnonzero(data.lengths <= 5)[::-1]
    np.testing.assert_allclose(
        fitted.rates(data.trials(short)), rates[short], rtol=2e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["lfads", "autoencoder"])
def test_an_encoder_starts_at_the_end_of_the_trial_not_of_its_padding(name: str) -> None:
    """A bin of padding changes what a backward encoder says of a trial, unless it is skipped."""
    torch.manual_seed(0)
    network = SMALL[name].network(torch.zeros(4), 9, 0).eval()
    data = stream(lengths=(5,) * 10)
    bare, wide = (
        [torch.nn.functional.pad(torch.tensor(a).float(), (0, 0, 0, more)) for more in (0, 4)]
        for a in (data.counts, data.exposure)
    )
    own = network(bare[0], wide[0]).read_out
    lengths = torch.full((10,), 5)
    padded = network(bare[1], wide[1], lengths=lengths).read_out[:, :5]
    torch.testing.assert_close(padded, own, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(network(bare[1], wide[1]).read_out[:, :5], own, atol=1e-5)


@pytest.mark.parametrize("lag", [0, 2])
def test_encoders_by_hand_skip_padding_as_packed_sequences_do(lag: int) -> None:
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 5, batch_first=True, bidirectional=True)
    seen, lengths = torch.randn(6, 9, 3), torch.tensor([9, 4, 12, 1, 9, 6])
    last, heard = encode([gru], seen, Workspace(), lengths, every_bin=True, lag=lag)
    want_last, want = fused([gru], seen, lengths, every_bin=True, lag=lag)
    torch.testing.assert_close(last, want_last)
    inside = (torch.arange(9)[:, None] < lengths)[:, None].expand_as(heard)
    torch.testing.assert_close(heard[inside], want[inside])


def test_a_batch_is_cut_where_it_spares_most_and_never_for_nothing() -> None:
    assert _sizes(np.full(32, 40)) == [32]
    assert _sizes(np.array([1])) == [1]
    assert _sizes(np.array([170, 160, *[20] * 30])) == [2, 30]
    rng = np.random.default_rng(0)
    for _ in range(50):
        bins = -np.sort(-rng.integers(1, 170, rng.integers(1, 64)))
        sizes = _sizes(bins)
        assert sum(sizes) == bins.size
        firsts = np.cumsum([0, *sizes[:-1]])
        filled = (bins[firsts] * sizes).sum()
        assert bins.sum() <= filled <= bins[0] * bins.size * (1 - (len(sizes) - 1) / 8)


def test_a_shifted_trial_is_not_cut_at_its_old_end() -> None:
    data = on_device(stream(lengths=(3,) * 40 + (20,) * 6, share=1.0))
    moved = shifted(data, 2, torch.Generator().manual_seed(0))
    windows = cut(np.array((3,) * 40 + (20,) * 6), np.arange(40), 20, 20)
    total = sum(batch.counts.sum() for batch in moved.batches(windows, 7))
    assert total == moved.counts[:40].sum()
    assert moved.counts[:40, 3:5].any()


def test_buffers_of_many_shapes_are_not_all_kept() -> None:
    workspace = Workspace()
    for n in range(100):
        workspace.lend(n, lambda: torch.zeros(3))
    first = workspace.lend(99, lambda: torch.zeros(4))
    assert first.held.numel() == 3  # the latest are
    assert workspace.lend(0, lambda: torch.zeros(4)).held.numel() == 4
    assert len(workspace._free) < 30


def test_a_training_on_unequal_trials_resumes_as_it_would_have_gone_on(tmp_path) -> None:
    data = stream(lengths=(30, 3, 3, 4, 30, 3, 5, 3, 4, 3, 30, 4, 3, 3))
    rules = QUICK.model_copy(update={"batch_size": 2, "checkpoint_every": 2})
    whole = sbtt_models.fit(SMALL["state_space"], data, rules).rates(data)

    class Killed(Exception):
        pass

    def kill(epoch: int, _: int) -> None:
        if epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        sbtt_models.fit(SMALL["state_space"], data, rules, folder=tmp_path, progress=kill)
    again = sbtt_models.fit(SMALL["state_space"], data, rules, folder=tmp_path)
    assert np.array_equal(again.rates(data), whole)


def test_external_inputs_are_cut_with_the_counts() -> None:
    data = stream(lengths=UNEQUAL)
    drive = np.random.default_rng(0).normal(size=(len(UNEQUAL), 30, 2)).astype(np.float32)
    drive[~(np.arange(30) < data.lengths[:, None])] = 0
    data = replace(data, external=drive)
    for batch in on_device(data).batches(all_windows(data).longest_first(data.lengths), 5):
        assert batch.external.shape[:2] == batch.counts.shape[:2]
    spec: LFADS = SMALL["lfads"]
    brief = QUICK.model_copy(update={"epochs": 1})
    fitted = sbtt_models.fit(spec.model_copy(update={"external": "both"}), data, brief)
    short = np.flatnonzero(data.lengths <= 5)
    np.testing.assert_allclose(
        fitted.rates(data.trials(short)), fitted.rates(data)[short], rtol=2e-5, atol=1e-6
    )

"""What each option of a training does, exactly, and that it does nothing when it is off."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import sbtt_models
from sbtt_models.augment import Spikes, held_samples, jittered, shifted, thinned
from sbtt_models.batches import Batch, StreamOnDevice
from sbtt_models.decoders import Transformer
from sbtt_models.errors import DataError
from sbtt_models.learning_rate import LearningRate
from sbtt_models.objective import Objective
from sbtt_models.training import Plateau, Training
from sbtt_models.validation import Validation
from sbtt_models.visible import rescaled
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL, stream


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def on_device(data=None):
    return StreamOnDevice.of(data or stream(), 12, torch.device("cpu"))


def moved_from(counts, exposure, n_bins, seed=0):
    spikes = Spikes.of(counts, exposure)
    return jittered(counts, exposure, n_bins, spikes, generator(seed))


def test_jitter_conserves_counts_and_lands_where_something_is_observed():
    data = on_device()
    moved = moved_from(data.counts, data.exposure, 3)
    assert torch.equal(moved.sum(1), data.counts.sum(1))
    assert (moved >= 0).all()
    assert not moved[data.exposure == 0].any()
    assert (moved != data.counts).any()


@pytest.mark.parametrize("n_bins", [1, 2])
def test_a_jittered_spike_moves_no_further_than_it_may(n_bins):
    counts = torch.zeros(400, 9, 1)
    counts[:, 4] = 2
    moved = moved_from(counts, torch.ones_like(counts), n_bins)
    reached = moved.sum(0)[:, 0]
    assert reached.sum() == 800
    assert (reached[4 - n_bins : 5 + n_bins] > 800 / (2 * n_bins + 1) - 80).all()
    assert not reached[: 4 - n_bins].any()
    assert not reached[5 + n_bins :].any()
    assert (moved == 1).any()  # the two spikes of a bin part


def test_a_spike_with_nowhere_to_go_stays():
    counts = torch.zeros(50, 9, 1)
    counts[:, 4] = 3
    moved = moved_from(counts, (counts > 0).float(), 2)
    assert torch.equal(moved, counts)


def test_a_trial_is_shifted_whole_with_its_mask():
    data = on_device()
    moved = shifted(data, 3, generator())
    seen = set()
    for trial in range(len(data.counts)):
        fits = []
        for shift in range(-3, 4):
            counts, exposure = (
                torch.roll(values[trial], shift, 0) for values in (data.counts, data.exposure)
            )
            outside = slice(0, shift) if shift > 0 else slice(len(counts) + shift, len(counts))
            if shift:
                counts[outside], exposure[outside] = 0, 0
            same = torch.equal(counts, moved.counts[trial])
            fits += [shift] if same and torch.equal(exposure, moved.exposure[trial]) else []
        assert fits
        seen.update(fits)
    assert len(seen) > 3


def test_a_redrawn_mask_takes_its_share_from_counts_and_exposure_alike():
    data = on_device(stream(lengths=(12,) * 200))
    one, other = (thinned(data, 0.3, noise) for noise in [generator()] * 2)
    for found in (one, other):
        kept = found.exposure > 0
        assert torch.equal(found.counts[kept], data.counts[kept])
        assert not found.counts[~kept].any()
        share = kept.sum() / (data.exposure > 0).sum()
        assert abs(share - 0.7) < 0.02
    assert (one.exposure != other.exposure).any()


SHOWN = {
    "redrawn_mask": 0.3,
    "jitter_bins": 2,
    "shift_bins": 2,
}


@pytest.mark.parametrize("name", SHOWN)
def test_each_epoch_sees_other_data_and_validation_the_same(name, monkeypatch):
    trained, judged = [], []
    real = Objective.terms, Objective.judge

    def terms(self, infer, batch):
        trained.append((batch.counts.clone(), batch.exposure.clone()))
        return real[0](self, infer, batch)

    def judge(self, infer, batch, hidden, **named):
        judged.append(batch.counts.clone())
        return real[1](self, infer, batch, hidden, **named)

    monkeypatch.setattr(Objective, "terms", terms)
    monkeypatch.setattr(Objective, "judge", judge)
    rules = QUICK.model_copy(update={"batch_size": 10, "epochs": 2})
    data = stream()
    for value in (0, SHOWN[name]):
        sbtt_models.fit(SMALL["autoencoder"], data, rules.model_copy(update={name: value}))
    plain, changed = trained[:2], trained[2:]

    def ordered(batches):
        return [sorted(map(str, counts.flatten(1).tolist())) for counts, _ in batches]

    assert ordered(plain)[0] == ordered(plain)[1]
    assert ordered(changed)[0] != ordered(changed)[1]
    assert all(torch.equal(judged[0], other) for other in judged[1:])
    for counts, exposure in changed:
        assert not counts[exposure == 0].any()


def test_a_loss_over_all_is_the_one_over_observed_times_their_share():
    data = on_device()
    network = SMALL["autoencoder"].network(torch.zeros(4), 24, 0).eval()
    batch = Batch(data.counts, data.exposure)
    terms = [
        Objective(0.0, 1.0, generator(), network.head, None, over_all).terms(network, batch)
        for over_all in (False, True)
    ]
    share = (data.exposure > 0).float().mean()
    torch.testing.assert_close(terms[1]["nll"], terms[0]["nll"] * share)


def test_samples_held_out_teach_nothing_and_are_judged():
    """Whatever was counted at them, the network is the same; only their own loss moves."""
    data = stream()
    rules = QUICK.model_copy(update={"sample_validation": 0.25})
    held = held_samples(data, 0.25)
    assert held[data.split.train].any()
    assert not held[data.split.valid].any()
    assert not held[data.split.test].any()
    assert data.observed[held].all()
    counts = np.where(held, data.counts + 3, data.counts).astype(np.int32)
    other = type(data)(counts, data.exposure, data.lengths, data.bin_s, data.split)
    fits = [sbtt_models.fit(SMALL["autoencoder"], s, rules) for s in (data, other)]
    before, after = (fit.network.state_dict() for fit in fits)
    assert all(torch.equal(before[name], after[name]) for name in before)
    for one, two in zip(*(fit.history for fit in fits), strict=True):
        assert one["valid_loss"] == two["valid_loss"]
        assert one["sample_loss"] != two["sample_loss"]


def test_the_sample_loss_can_choose_the_weights(monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.5])
    real = Validation.losses

    def validate(self, *arguments):
        return real(self, *arguments) | {"sample_loss": next(losses)}

    monkeypatch.setattr(Validation, "losses", validate)
    rules = QUICK.model_copy(
        update={"sample_validation": 0.25, "stop_by": "sample_loss", "patience": 2}
    )
    fitted = sbtt_models.fit(SMALL["autoencoder"], stream(), rules)
    assert fitted.epochs == 4
    assert fitted.history[1]["sample_loss"] == 1.0


def test_what_cannot_be_held_out_is_refused():
    with pytest.raises(ValidationError, match="needs a sample_validation above 0"):
        Training(stop_by="sample_loss")
    data = stream(lengths=(1,) * 6, share=0.5)
    with pytest.raises(DataError, match=r"sample_validation 1e-06: took 0 of"):
        sbtt_models.fit(SMALL["autoencoder"], data, Training(epochs=1, sample_validation=1e-6))


def test_a_rate_falls_on_a_plateau_and_no_further_than_its_end():
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plateau = Plateau(decay=0.5, patience=2, stop=0.2)
    rate = LearningRate(
        optimiser, Training(schedule="plateau", plateau=plateau, learning_rate=1.0), 1
    )
    told = []
    for loss in [5, 4, 4, 4, 4, 4, 4, 4, 3.9, 4, 4, 4, 4, 4, 4]:
        rate.judge(loss)
        told.append(rate.now)
    assert told == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]


def test_a_training_on_a_plateau_goes_on_where_it_was(tmp_path):
    rules = Training(epochs=30, batch_size=10, schedule="plateau", learning_rate=0.05,
                     plateau=Plateau(decay=0.5, patience=0), checkpoint_every=7,
                     jitter_bins=1, redrawn_mask=0.2, sample_validation=0.1)  # fmt: skip
    straight = sbtt_models.fit(SMALL["autoencoder"], stream(), rules)
    assert straight.history[-1]["learning_rate"] < 0.05

    def die(done, most):
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sbtt_models.fit(SMALL["autoencoder"], stream(), rules, folder=tmp_path, progress=die)
    resumed = sbtt_models.fit(SMALL["autoencoder"], stream(), rules, folder=tmp_path)
    assert resumed.history == straight.history


MIXED = [  # the slow ones spend their time in bfloat16 of a processor that has none
    pytest.param(spec, id=name, marks=() if name == "transformer" else pytest.mark.slow)
    for name, spec in NEURAL.items()
]


@pytest.mark.parametrize("spec", MIXED)
def test_mixed_precision_trains_and_stays_near(spec):
    """bfloat16 keeps 8 bits: losses stay within 0.03 nat per entry of those in float32."""
    data = stream(lengths=(12,) * 60)
    rules = Training(epochs=25, batch_size=16, learning_rate=0.03, precision="bfloat16")
    mixed = sbtt_models.fit(spec, data, rules)
    plain = sbtt_models.fit(spec, data, rules.model_copy(update={"precision": "float32"}))
    assert all(p.dtype == torch.float32 for p in mixed.network.parameters())
    losses = [[row["valid_loss"] for row in fit.history] for fit in (mixed, plain)]
    assert losses[0] != losses[1]
    assert min(losses[0]) < losses[0][0] - 0.05
    np.testing.assert_allclose(losses[0][:5], losses[1][:5], atol=0.03)
    assert abs(min(losses[0]) - min(losses[1])) < 0.03


def shown_to(spec, data, training):
    """What the network of a spec is given in its first step and at each inference."""
    given = []
    real = type(spec).build

    def build(self, *arguments):
        network = real(self, *arguments)
        network.register_forward_pre_hook(lambda _, seen: given.append(seen[:2]))
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(spec), "build", build)
        fitted = sbtt_models.fit(spec, data, training)
        first = given[0]
        del given[:]
        fitted.rates(data)
    return first, given[0]


@pytest.mark.parametrize(
    ("rule", "in_training", "later"),
    [(None, 1.0, 1.0), ("none", 1.0, 1.0), ("dropout", 2.0, 1.0), ("observed", None, None)],
)
def test_the_input_is_rescaled_as_asked(rule, in_training, later):
    data = stream(lengths=(12,) * 14, share=0.6)
    data = replace(data, counts=3 * data.observed.astype(np.int32))
    rules = QUICK.model_copy(update={"coordinated_dropout": 0.5, "epochs": 1})
    spec = SMALL["autoencoder"].model_copy(update={"rescale_input": rule})
    for (counts, exposure), factor in zip(
        shown_to(spec, data, rules), (in_training, later), strict=True
    ):
        seen = exposure.sum(2, keepdim=True).clamp(min=1)
        want = 3 * exposure * (4 / seen if factor is None else factor)
        torch.testing.assert_close(counts, want)


def test_without_the_mask_as_input_the_published_scale_is_the_default():
    blind = SMALL["autoencoder"].model_copy(update={"mask_input": False})
    told = [
        sbtt_models.fit(blind.model_copy(update={"rescale_input": rule}), stream(), QUICK).history
        for rule in (None, "dropout", "none")
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_a_bin_without_samples_stays_empty_and_less_than_one_channel_counts_as_one():
    nothing = torch.zeros(1, 2, 3)
    assert torch.equal(rescaled(nothing, nothing), nothing)
    exposure = torch.tensor([[[0.25, 0.0, 0.0], [1.0, 0.5, 0.0]]])
    counts = torch.tensor([[[2.0, 0.0, 0.0], [2.0, 3.0, 0.0]]])
    assert rescaled(counts, exposure).tolist() == [[[6.0, 0.0, 0.0], [4.0, 6.0, 0.0]]]


def test_of_a_crowded_bin_the_first_spikes_move_and_the_rest_stays():
    counts = torch.zeros(1, 3, 2)
    counts[0, 1, 1] = 100
    moved = moved_from(counts, torch.ones_like(counts), 1)
    assert moved.sum() == 100
    assert moved[0, 1, 1] >= 36
    assert (moved[0, :, 1] > 0).all()
    assert not moved[..., 0].any()


def test_jitter_leaves_bins_their_counts_in_proportion_to_their_exposure():
    exposure = torch.ones(4000, 9, 1)
    exposure[:, 1::2] = 0.2
    counts = torch.poisson(5 * exposure, generator=generator())
    moved = moved_from(counts, exposure, 3, seed=1)
    assert torch.equal(moved.sum(1), counts.sum(1))
    means = (moved.sum(0) / exposure.sum(0))[:, 0]
    torch.testing.assert_close(means, torch.full((9,), 5.0), rtol=0.06, atol=0)
    assert (moved != counts).float().mean() > 0.5


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_two_threads_repeat_bitwise() -> None:
    """Large enough for torch to divide the work, in few steps: threads wait for each other at all.

    The transformer has the fewest, and gives other bits with two threads than with one.
    """
    data, rules = stream(lengths=(30,) * 40), Training(epochs=1, batch_size=64, threads=2)
    spec = Transformer(hidden=64, layers=1, feedforward=64)
    first, again = (sbtt_models.fit(spec, data, rules) for _ in range(2))
    assert first.threads == 2
    assert np.array_equal(first.rates(data), again.rates(data))
    assert first.history == again.history

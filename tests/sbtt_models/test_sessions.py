"""Sessions of different channels around one core."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import sbtt_models
from sbtt_models.alignment import Alignment
from sbtt_models.decoders.base import Fitted
from sbtt_models.errors import DataError, SpecError
from sbtt_models.saved import save
from sbtt_models.sessions import FittedSession, add_session, fit_sessions, join
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.training import Training
from tests.sbtt_models.test_decoders import NEURAL, QUICK, SMALL


def session(n_channels: int, seed: int, n_trials: int = 12, n_bins: int = 10) -> MaskedStream:
    """Two conditions with a rhythm each, that every session's channels follow in their own way."""
    rng = np.random.default_rng(seed)
    phase = np.arange(n_bins)[None, :] / 2 + 2.0 * (np.arange(n_trials) % 2)[:, None]
    latent = np.stack([np.sin(phase), np.cos(phase)], 2)
    rates = np.exp(latent @ rng.normal(size=(2, n_channels)))
    observed = rng.random(rates.shape) < 0.7
    counts = np.where(observed, rng.poisson(rates), 0).astype(np.int32)
    order = np.arange(n_trials)
    split = Split(order[:-4], order[-4:-2], order[-2:])
    exposure = observed.astype(np.float32)
    return MaskedStream(counts, exposure, np.full(n_trials, n_bins), 0.02, split)


SESSIONS = [session(4, 0), session(3, 1, 10, 8), session(5, 2, 14)]


def test_joined_sessions_keep_their_samples_and_know_nothing_of_the_others() -> None:
    joined, parts = join(SESSIONS)
    assert joined.counts.shape == (36, 10, 12)
    first = 0
    for one, part in zip(SESSIONS, parts, strict=True):
        mine = slice(first, first + len(one.lengths))
        own = joined.counts[mine, : one.counts.shape[1], part]
        assert np.array_equal(own, one.counts)
        assert joined.observed[mine].sum() == one.observed.sum()
        for name in ("train", "valid", "test"):
            trials = getattr(joined.split, name)
            here = trials[(trials >= mine.start) & (trials < mine.stop)]
            assert np.array_equal(here - first, getattr(one.split, name))
        first = mine.stop


@pytest.mark.parametrize("align", [0, 2])
@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_every_network_takes_sessions(spec, align: int) -> None:
    labels = [np.arange(len(one.lengths)) % 2 for one in SESSIONS]
    fitted = fit_sessions(spec, SESSIONS, QUICK, conditions=labels, align=align)
    for one, own in zip(SESSIONS, fitted, strict=True):
        rates = own.rates(one)
        assert rates.shape == one.counts.shape
        assert np.isfinite(rates).all()
        assert (rates[:, : int(one.lengths[0])] > 0).all()
    assert fitted[0].whole is fitted[2].whole
    with pytest.raises(DataError, match="3 channels, but the decoder was fitted on 4"):
        fitted[0].rates(SESSIONS[1])


def test_aligned_read_ins_hear_the_same_of_the_same_activity() -> None:
    """Where two sessions' channels see one trajectory, their read-ins say nearly the same."""
    labels = [np.arange(200) % 2] * 2
    wide = [session(12, seed, 200) for seed in (3, 4)]
    found = Alignment.of(wide, labels, 2)
    heard = [
        (np.exp(latent_of(200) @ np.random.default_rng(seed).normal(size=(2, 12))) - mean) @ w.T
        for seed, mean, w in zip((3, 4), found.means, found.read_in, strict=True)
    ]
    for component in range(2):
        pair = np.corrcoef(heard[0][..., component].ravel(), heard[1][..., component].ravel())
        assert pair[0, 1] > 0.8
    _, parts = join(wide)
    network = NEURAL["lfads"].build(24, 10, torch.zeros(24))
    before = network.ic_encoder.weight_hh_l0.clone()
    found.put_into(network, parts, torch.Generator().manual_seed(0))
    assert torch.equal(before, network.ic_encoder.weight_hh_l0)
    weight = network.ic_encoder.weight_ih_l0.detach()
    for part, mean in zip(parts, found.means, strict=True):
        shown = weight[:, 24 + part.start : 24 + part.stop]
        assert torch.allclose(shown, -weight[:, part] * torch.tensor(mean).float(), atol=1e-5)


def latent_of(n_trials: int) -> np.ndarray:
    phase = np.arange(10)[None, :] / 2 + 2.0 * (np.arange(n_trials) % 2)[:, None]
    return np.stack([np.sin(phase), np.cos(phase)], 2)


def test_sessions_that_do_not_go_together_are_refused() -> None:
    one, spec = SESSIONS[0], NEURAL["lfads"]
    with pytest.raises(DataError, match="no streams"):
        join([])
    with pytest.raises(DataError, match=r"session 1: bins of 0\.05 s"):
        join([one, replace(one, bin_s=0.05)])
    labels = [np.zeros(12, int), np.ones(12, int)]
    with pytest.raises(DataError, match="no condition is in the training trials of all"):
        fit_sessions(spec, [one, one], QUICK, conditions=labels)
    for kind in ("kalman", "trial_mixture"):
        with pytest.raises(SpecError, match=f"takes networks, and a {kind} decoder is none"):
            fit_sessions(SMALL[kind], [one], QUICK)
    with pytest.raises(SpecError, match="Poisson likelihood and no held_out"):
        fit_sessions(spec.model_copy(update={"held_out": (1,)}), [one], QUICK)


@pytest.mark.parametrize("spec", NEURAL.values(), ids=NEURAL)
def test_a_new_session_learns_by_its_read_in_and_read_out_alone(spec) -> None:
    fitted = fit_sessions(spec, SESSIONS[:2], QUICK, align=0)
    whole = fitted[0].whole
    before = {name: value.clone() for name, value in whole.network.state_dict().items()}
    rules = QUICK.model_copy(update={"learning_rate": 0.05})
    new = session(6, 5, 40)  # one channel less than the others have together
    added = add_session(fitted[0], new, rules, seed=3)
    assert added.rates(new).shape == new.counts.shape
    own = added.whole.network.state_dict()
    apart = (*whole.network.read_in_parts, *whole.network.read_out_parts)
    for name, value in own.items():
        assert torch.equal(before[name], whole.network.state_dict()[name]), name
        if not name.startswith(apart):
            assert torch.equal(value, before[name]), name
    assert own["readout.weight"].shape[0] == 6
    again = add_session(fitted[1], new, rules, seed=3).whole.network.state_dict()
    assert all(torch.equal(own[name], again[name]) for name in own)


def test_a_trained_core_helps_a_session_that_is_short() -> None:
    """Read-in and read-out on a trained core infer more than on a core that knows nothing."""
    rules = Training(epochs=40, batch_size=8, ramp_epochs=2, learning_rate=0.01)
    spec, new = NEURAL["state_space"], session(6, 5, 12)
    cores = [
        fit_sessions(spec, [session(5, seed, 80) for seed in (1, 2)], one, align=0)[0]
        for one in (rules, rules.model_copy(update={"epochs": 1, "learning_rate": 1e-9}))
    ]
    trained, blank = (
        min(row["valid_loss"] for row in add_session(core, new, rules).history) for core in cores
    )
    assert trained < blank


STILL = Training(epochs=1, batch_size=16, learning_rate=1e-9)


@pytest.mark.parametrize(
    ("kind", "mask_input"), [*((kind, True) for kind in NEURAL), ("autoencoder", False)]
)
def test_a_new_session_that_is_aligned_begins_with_what_the_core_has_learned(
    kind: str, mask_input: bool
) -> None:
    spec = NEURAL[kind].model_copy(update={"mask_input": mask_input})
    rules = Training(epochs=30, batch_size=16, ramp_epochs=2, learning_rate=0.02)
    others, new = [session(8, seed, 40) for seed in (11, 12)], session(6, 15, 40)
    labels = [np.arange(40) % 2] * 2
    core = fit_sessions(spec, others, rules, conditions=labels)[1]
    random, aligned = (
        add_session(core, new, STILL, **how)
        for how in ({}, {"beside": others[1], "conditions": labels})
    )
    losses = [one.history[0]["valid_loss"] for one in (aligned, random)]
    assert losses[0] < losses[1] - 0.05
    apart = (*core.whole.network.read_in_parts, *core.whole.network.read_out_parts)
    theirs = core.whole.network.state_dict()
    for name, value in aligned.whole.network.state_dict().items():
        assert torch.equal(value, theirs[name]) or name.startswith(apart), name
    # the same channels once more, carried over through their components, infer nearly the same
    twin = add_session(core, others[1], STILL, beside=others[1], conditions=labels)
    rates = [np.log(one.rates(others[1])).ravel() for one in (twin, core)]
    assert np.corrcoef(*rates)[0, 1] > 0.8
    assert abs(rates[0].mean() - rates[1].mean()) < 0.2 * rates[1].std()


def test_a_session_is_aligned_with_its_own_recording_only() -> None:
    core = fit_sessions(NEURAL["state_space"], SESSIONS[:2], QUICK)[0]
    with pytest.raises(DataError, match="3 channels, but the decoder was fitted on 4"):
        add_session(core, SESSIONS[2], QUICK, beside=SESSIONS[1])
    with pytest.raises(DataError, match=r"stream: bins of 0\.05 s"):
        add_session(core, replace(SESSIONS[2], bin_s=0.05), QUICK, beside=SESSIONS[0])
    nearly = replace(SESSIONS[2], bin_s=float(np.float32(SESSIONS[2].bin_s)))
    assert add_session(core, nearly, QUICK, beside=SESSIONS[0]).channels.stop == nearly.n_channels
    labels = [np.zeros(12, int), np.ones(14, int)]
    with pytest.raises(SpecError, match="give the other as beside"):
        add_session(core, SESSIONS[2], QUICK, conditions=labels)
    with pytest.raises(DataError, match="no condition is in the training trials of all"):
        add_session(core, SESSIONS[2], QUICK, beside=SESSIONS[0], conditions=labels)


def test_a_session_is_saved_with_its_channels(tmp_path) -> None:
    fitted = fit_sessions(NEURAL["state_space"], SESSIONS, QUICK)[1]
    assert isinstance(fitted, Fitted)
    folders = [tmp_path / name for name in ("session", "whole", "again", "wrong")]
    for folder, one in zip(folders, (fitted, fitted.whole), strict=False):
        folder.mkdir()
        one.save(folder)
    loaded = sbtt_models.load(folders[0])
    assert isinstance(loaded, FittedSession)
    assert loaded.channels == slice(4, 7)
    assert np.array_equal(loaded.rates(SESSIONS[1]), fitted.rates(SESSIONS[1]))
    folders[2].mkdir()
    for path in loaded.save(folders[2]):
        assert path.read_bytes() == (folders[0] / path.name).read_bytes()
    assert add_session(loaded, SESSIONS[0], QUICK).rates(SESSIONS[0]).shape[2] == 4
    joined, _ = join(SESSIONS)  # folders of a network say nothing of sessions
    whole = sbtt_models.load(folders[1])
    assert np.array_equal(whole.rates(joined), fitted.whole.rates(joined))
    folders[3].mkdir()
    good = fitted.saved()
    for name, value, told in (
        ("session_end_channel", 13, "channels 4 to 12, in a network of 12"),
        ("session_first_channel", 7, "channels 7 to 6"),
        ("session_first_channel", -1, "session_first_channel is -1"),
        ("session_first_channel", None, "session_first_channel is None"),
    ):
        save(replace(good, facts={**good.facts, name: value}), folders[3])
        with pytest.raises(DataError, match=told):
            sbtt_models.load(folders[3])


def test_a_session_of_other_windows_is_refused_where_the_core_knows_its_bins() -> None:
    core = fit_sessions(NEURAL["transformer"], SESSIONS[:1], QUICK, align=0)[0]
    with pytest.raises(SpecError, match="windows of 20 bins, but the core was trained with 10"):
        add_session(core, session(4, 0, 12, 20), QUICK)
    with pytest.raises(DataError, match=r"bins of 0\.1 s, but the decoder was fitted on bins of"):
        add_session(core, replace(SESSIONS[1], bin_s=0.1), QUICK)


def test_conditions_and_values_that_do_not_fit_are_refused() -> None:
    labels = [np.arange(len(one.lengths)) % 2 for one in SESSIONS]
    spec = NEURAL["state_space"]
    with pytest.raises(DataError, match="session 1 has 10 trials and 9 conditions"):
        fit_sessions(spec, SESSIONS, QUICK, conditions=[labels[0], labels[1][:9], labels[2]])
    with pytest.raises(DataError, match="of 2 sessions, but there are 3"):
        fit_sessions(spec, SESSIONS, QUICK, conditions=labels[:2])
    real = replace(SESSIONS[1], counts=SESSIONS[1].counts.astype(np.float32))
    with pytest.raises(DataError, match="session 1: holds real values"):
        join([SESSIONS[0], real])

"""Sessions of different channels around one core."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sbtt_models.alignment import Alignment
from sbtt_models.sessions import fit_sessions, join
from sbtt_models.signals import MaskedStream, Split
from sbtt_models.spec import DataError, SpecError
from tests.sbtt_models.test_decoders import NEURAL, QUICK


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
    with pytest.raises(DataError, match="3 channels, this session was trained with 4"):
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
    with pytest.raises(SpecError, match="Poisson likelihood and no held_out"):
        fit_sessions(spec.model_copy(update={"held_out": (1,)}), [one], QUICK)

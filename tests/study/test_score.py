from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from implant_sim.study import score as room
from implant_sim.study.score import score
from implant_sim.study.scored_case import Case
from implant_sim.study.withhold import HeldOut, ScoreOptions, hold_out, withheld_entries
from sbtt_models import metrics
from sbtt_models.decoders import LFADS, Kalman, StateSpace, ZeroFilled
from sbtt_models.errors import DataError
from sbtt_models.signals import Behaviour, MaskedStream, Recording, Split, within


def make_recording(seed: int = 0, n_trials: int = 40, n_channels: int = 12) -> Recording:
    rng = np.random.default_rng(seed)
    n_bins = 24
    lengths = rng.integers(15, n_bins + 1, n_trials)
    inside = within(lengths, n_bins)
    condition = np.arange(n_trials) % 4
    phase = condition[:, None] * 1.5 + np.arange(n_bins) * 0.4 + rng.normal(0, 0.3, (n_trials, 1))
    latent = np.stack([np.sin(phase), np.cos(phase)], axis=2)
    rates = np.exp(latent @ rng.normal(0, 0.8, (2, n_channels)) + 0.3) * inside[:, :, None]
    counts = rng.poisson(rates).astype(np.int32)
    counts[:, :, 0] = 0  # a silent channel
    values = latent * inside[:, :, None]
    valid = inside.copy()
    valid[:, 3] = False
    return Recording(
        name="made up",
        counts=counts,
        bin_s=0.05,
        lengths=lengths,
        split=Split(np.arange(24), np.arange(24, 30), np.arange(30, n_trials)),
        rates_hz=rates / 0.05,
        expected=rates,
        behaviour=Behaviour(
            "hand velocity", "cm/s", np.where(valid[:, :, None], values, 0), valid
        ),
        condition=condition,
    )


def make_stream(recording: Recording, share: float = 1.0, seed: int = 1) -> MaskedStream:
    rng = np.random.default_rng(seed)
    observed = recording.available & (rng.random(recording.counts.shape) < share)
    return MaskedStream(
        counts=np.where(observed, recording.counts, 0).astype(np.int32),
        exposure=observed.astype(np.float32),
        lengths=recording.lengths,
        bin_s=recording.bin_s,
        split=recording.split,
    )


def oracle(recording: Recording):
    """Knows the truth; finds the trials of a stream by their lengths' place."""
    test = recording.split.test

    def rates_of(stream: MaskedStream) -> np.ndarray:
        whole = len(stream.counts) == len(recording.counts)
        return recording.expected[slice(None) if whole else test].astype(np.float32)

    return rates_of


def echo(stream: MaskedStream) -> np.ndarray:
    """A cheat: reports what it sees as the rate, the mean elsewhere."""
    mean = stream.counts.sum() / stream.exposure.sum()
    return np.where(stream.observed, stream.counts + 0.01, mean).astype(np.float32)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return make_recording()


@pytest.fixture(scope="module")
def stream(recording) -> MaskedStream:
    return make_stream(recording, 0.6)


# ---- planted leaks ---------------------------------------------------------------------------


def test_a_cheat_that_echoes_its_input_gains_nothing(recording, stream):
    scores = score(echo, stream, recording)
    assert scores.bits_per_spike < 0.02
    assert scores.bits_per_spike_all < 0.02


def test_the_cheat_would_be_caught_if_entries_were_left_in(recording, stream, monkeypatch):
    monkeypatch.setattr(MaskedStream, "hide", lambda self, entries: self)
    assert score(echo, stream, recording).bits_per_spike > 0.8


def test_the_scoring_pass_shows_nothing_of_the_withheld_entries(recording, stream):
    seen: list[MaskedStream] = []

    def spy(given: MaskedStream) -> np.ndarray:
        seen.append(given)
        return np.ones(given.counts.shape, np.float32)

    score(spy, stream, recording, repeat=2)
    entries = withheld_entries(recording, ScoreOptions(), 2)
    test = recording.split.test
    (full,) = [s for s in seen if s is stream]
    (scoring,) = [s for s in seen if s is not stream]
    assert full is stream
    assert len(scoring.counts) == len(test)
    assert not scoring.counts[entries[test]].any()
    assert not scoring.exposure[entries[test]].any()
    others = ~entries[test]
    assert (scoring.counts[others] == stream.counts[test][others]).all()
    assert (scoring.exposure[others] == stream.exposure[test][others]).all()


def test_behaviour_of_test_trials_never_reaches_the_fit(recording, stream):
    rates_of = oracle(recording)
    honest = score(rates_of, stream, recording).decoded
    noise = np.random.default_rng(9).normal(0, 1e3, recording.behaviour.values.shape)
    planted = recording.behaviour.values.copy()
    planted[recording.split.test] = noise[recording.split.test]
    lied = replace(recording, behaviour=replace(recording.behaviour, values=planted))
    result = score(rates_of, stream, lied)
    assert (result.decoded == honest).all()
    assert result.velocity_r2 < 0.1


def test_a_fit_that_saw_test_trials_would_be_caught(recording, stream, monkeypatch):
    everything = property(lambda self: np.arange(len(self.inside)))
    honest = score(oracle(recording), stream, recording)
    monkeypatch.setattr(Case, "fit_trials", everything)
    leaked = score(oracle(recording), stream, recording)
    assert not (leaked.decoded == honest.decoded).all()


def test_validation_trials_that_are_tested_are_not_fitted_on(recording, stream):
    split = Split(np.arange(24), np.arange(24, 40), np.arange(24, 40))
    demo, seen = replace(recording, split=split), replace(stream, split=split)
    whole = score(lambda s: np.ones(s.counts.shape, np.float32), seen, demo)
    assert whole.judged_twice
    planted = recording.behaviour.values.copy()
    planted[24:] *= 100.0
    lied = replace(demo, behaviour=replace(demo.behaviour, values=planted))
    honest = score(lambda s: echo(s), seen, demo)
    assert (score(lambda s: echo(s), seen, lied).decoded == honest.decoded).all()


def test_glm_sees_no_test_trial(recording, monkeypatch):
    parts = hold_out(recording, ScoreOptions(held_out=0.25), 0)
    asked = []
    fit = room.fit_poisson

    def spy(rates, counts, where):
        asked.append(where)
        return fit(rates, counts, where)

    monkeypatch.setattr(room, "fit_poisson", spy)
    score(oracle(parts.held_in), make_stream(parts.held_in), parts.held_in, parts.held_out)
    assert not asked[0][recording.split.test].any()
    assert asked[0][recording.split.valid].any()


# ---- withheld entries ------------------------------------------------------------------------


def test_withheld_entries_depend_on_recording_and_repeat_alone(recording):
    options = ScoreOptions()
    first = withheld_entries(recording, options, 0)
    assert (first == withheld_entries(replace(recording, name="other"), options, 0)).all()
    assert (first != withheld_entries(recording, options, 1)).any()
    changed = recording.counts.copy()
    changed[0, 0, 1] += 1
    assert (first != withheld_entries(replace(recording, counts=changed), options, 0)).any()


def test_withheld_entries_are_a_tenth_of_what_exists_in_test(recording):
    gap = np.ones(recording.counts.shape, bool)
    gap[:, 5:8, 3] = False
    recording = replace(recording, recorded=gap)
    entries = withheld_entries(recording, ScoreOptions(), 0)
    test = np.zeros(len(entries), bool)
    test[recording.split.test] = True
    assert not entries[~test].any()
    assert not (entries & ~recording.available).any()
    assert entries.sum() == round(0.1 * recording.available[test].sum())


def test_withheld_entries_are_spread_evenly(recording):
    repeats = [withheld_entries(recording, ScoreOptions(), r) for r in range(200)]
    test = recording.split.test
    share = np.mean(repeats, axis=0)[test][recording.available[test]]
    assert share.mean() == pytest.approx(0.1, abs=1e-3)
    # binomial with n = 200, p = 0.1: sd 0.021, so 5.5 sd over some thousand entries
    assert share.max() < 0.22


def test_all_score_does_not_depend_on_what_was_observed(recording):
    dense, sparse = make_stream(recording, 1.0), make_stream(recording, 0.2)
    a = score(oracle(recording), dense, recording)
    b = score(oracle(recording), sparse, recording)
    assert a.bits_per_spike_all == b.bits_per_spike_all
    assert a.bits_per_spike != b.bits_per_spike
    assert a.rate_r2_unobserved is None
    assert b.rate_r2_unobserved == pytest.approx(1.0)


# ---- what is scored --------------------------------------------------------------------------


def test_truth_scores_best(recording, stream):
    scores = score(oracle(recording), stream, recording)
    assert scores.rate_r2 == pytest.approx(1.0, abs=1e-6)
    assert scores.rate_r2_expected == pytest.approx(1.0, abs=1e-6)
    assert scores.rate_r2_log == pytest.approx(1.0, abs=1e-6)
    assert scores.ceiling_rate_r2 == pytest.approx(1.0, abs=1e-6)
    assert scores.bits_per_spike > 0.1
    assert scores.bits_per_spike_all > 0.1
    assert scores.velocity_r2 > 0.95
    assert scores.psth_r2 > 0.5
    assert scores.n_silent == 1
    assert scores.behaviour == "hand velocity"
    assert len(scores.velocity_r2_per_dim) == 2
    assert np.mean(scores.velocity_r2_per_dim) == pytest.approx(scores.velocity_r2)
    row = scores.to_row()
    assert row["velocity_r2_1"] == scores.velocity_r2_per_dim[1]
    assert not any(isinstance(v, np.ndarray | np.generic) for v in row.values())


def test_garbage_outside_trials_and_valid_bins_is_never_scored(recording, stream):
    outside = ~within(recording.lengths, recording.counts.shape[1])
    invalid = ~recording.behaviour.valid

    def poison(array, where):
        out = np.array(array, float)
        out[where] = np.nan
        return out

    dirty = replace(
        recording,
        expected=poison(recording.expected, outside),
        rates_hz=poison(recording.rates_hz, outside),
        behaviour=replace(recording.behaviour, values=poison(recording.behaviour.values, invalid)),
    )
    clean_rates = make_recording(3).expected.astype(np.float32) + 0.1

    def rates_of(fill):
        def call(given: MaskedStream) -> np.ndarray:
            whole = len(given.counts) == len(recording.counts)
            rates = clean_rates[slice(None) if whole else recording.split.test].copy()
            rates[~within(given.lengths, rates.shape[1])] = fill
            return rates

        return call

    clean = score(rates_of(0.0), stream, recording).to_row()
    assert clean == score(rates_of(np.nan), stream, dirty).to_row()
    assert clean["velocity_r2"] is not None


def test_rates_that_are_not_finite_are_refused(recording, stream):
    with pytest.raises(DataError, match="NaN or infinite"):
        score(lambda s: np.full(s.counts.shape, np.nan, np.float32), stream, recording)
    with pytest.raises(DataError, match="rates"):
        score(lambda s: np.ones((2, 2, 2), np.float32), stream, recording)
    with pytest.raises(DataError, match="was taken from"):
        score(echo, stream.trials(np.arange(5)), recording)


def test_partial_exposure_is_scored_as_such(recording):
    """A quarter of every bin: the oracle's full-bin rates still describe the counts."""
    rng = np.random.default_rng(5)
    exposure = np.where(recording.available, 0.25, 0.0).astype(np.float32)
    part = replace(
        make_stream(recording),
        counts=rng.binomial(recording.counts, 0.25).astype(np.int32),
        exposure=exposure,
    )
    scores = score(oracle(recording), part, recording)
    quarter = lambda s: oracle(recording)(s) / 4  # noqa: E731
    assert scores.bits_per_spike > 0.1
    assert scores.bits_per_spike > score(quarter, part, recording).bits_per_spike


def test_channels_never_observed(recording):
    seen = make_stream(recording)
    gone = np.zeros(recording.counts.shape, bool)
    gone[:, :, [4, 7]] = True
    subset = seen.hide(gone)
    rates_of = oracle(recording)
    scores = score(rates_of, subset, recording)
    assert scores.n_never_observed == 2
    assert scores.rate_r2_expected == pytest.approx(1.0, abs=1e-6)  # out of the mean
    train = recording.split.train
    kept = [c for c in range(12) if c not in (4, 7)]
    means = recording.counts[train].sum((0, 1)) / recording.available[train].sum((0, 1))
    inside = within(recording.lengths, 24)
    assert scores.rates[inside][:, 4] == pytest.approx(means[kept].mean(), rel=1e-6)
    assert (scores.rates[~inside] == 0).all()
    # they stay among the withheld entries
    full = score(rates_of, seen, recording)
    assert scores.bits_per_spike_all < full.bits_per_spike_all
    charged = score(rates_of, subset, recording, calibration_mean=means)
    assert charged.rates[inside][:, 7] == pytest.approx(means[7], rel=1e-6)
    assert charged.rate_r2_expected < 0.95
    assert charged.bits_per_spike_all > scores.bits_per_spike_all


def test_a_recording_of_counts_alone(recording, stream):
    bare = replace(recording, rates_hz=None, expected=None, behaviour=None, condition=None)
    row = score(echo, stream, bare).to_row()
    assert row["bits_per_spike_all"] is not None
    for name in ("rate_r2", "rate_r2_expected", "rate_r2_log", "velocity_r2", "psth_r2", "co_bps"):
        assert row[name] is None


def test_nothing_observed_in_test_has_no_experimenters_score(recording, stream):
    gone = np.zeros(recording.counts.shape, bool)
    gone[recording.split.test] = True
    scores = score(oracle(recording), stream.hide(gone), recording)
    assert scores.bits_per_spike is None
    assert scores.nll is None
    assert scores.bits_per_spike_all > 0.1


# ---- held-out channels -----------------------------------------------------------------------


def test_holding_out_channels():
    recording = make_recording(n_channels=41)
    options = ScoreOptions(held_out=0.25)
    parts = hold_out(recording, options, 0)
    assert isinstance(parts, HeldOut)
    assert parts.channels.size == 10
    assert parts.held_in.n_channels == 31
    assert 0 not in parts.channels  # silent
    together = np.concatenate([parts.held_in.counts, parts.held_out.counts], axis=2)
    assert together.sum() == recording.counts.sum()
    assert (parts.held_out.counts == recording.counts[:, :, parts.channels]).all()
    ranks = np.argsort(np.argsort(recording.counts[:24].sum((0, 1))[1:]))[parts.channels - 1]
    assert sorted(ranks // 4) == list(range(10))  # one from each stratum of four
    assert (hold_out(recording, options, 0).channels == parts.channels).all()
    assert (hold_out(recording, options, 1).channels != parts.channels).any()


def test_holding_out_nothing_or_all(recording):
    assert hold_out(recording, ScoreOptions(), 0).held_in is recording
    with pytest.raises(DataError, match="both need at least one"):
        hold_out(recording, ScoreOptions(held_out=0.01), 0)


def test_co_smoothing_tells_good_rates_from_flat_ones():
    recording = make_recording(n_channels=24)
    parts = hold_out(recording, ScoreOptions(held_out=0.25), 0)
    seen = make_stream(parts.held_in)
    good = score(oracle(parts.held_in), seen, parts.held_in, parts.held_out)
    flat = score(
        lambda s: np.ones(s.counts.shape, np.float32), seen, parts.held_in, parts.held_out
    )
    assert good.co_bps > 0.1
    assert flat.co_bps == pytest.approx(0.0, abs=0.02)


def test_what_a_network_is_not_shown_is_scored_by_itself(recording, stream):
    """Held-out channels where bins are shown, later bins of all channels; nothing else."""
    n_bins = recording.counts.shape[1]
    decoder = StateSpace(held_out=(1, 2), encoder_bins=n_bins - 4)
    truth = oracle(recording)

    def only_right_there(s):
        rates = np.full(s.counts.shape, 40.0, np.float32)  # badly wrong elsewhere
        right = truth(s)
        rates[:, :-4, [1, 2]], rates[:, -4:] = right[:, :-4, [1, 2]], right[:, -4:]
        return rates

    good = score(only_right_there, stream, recording, decoder=decoder)
    whole = score(truth, stream, recording, decoder=decoder)
    assert good.held_out_bps == whole.held_out_bps > 0.1
    assert good.forward_bps == whole.forward_bps
    apart = score(truth, stream, recording, decoder=StateSpace(encoder_bins=n_bins - 4))
    assert apart.held_out_bps is None
    assert apart.forward_bps == whole.forward_bps
    around = ZeroFilled(network=LFADS(held_out=(1, 2), encoder_bins=n_bins - 4))
    assert score(truth, stream, recording, decoder=around).forward_bps == whole.forward_bps
    test = recording.split.test
    later = recording.available[test] & (np.arange(n_bins) >= n_bins - 4)[:, None]
    flat = metrics.channel_means(recording.counts[test], where=later)

    def told_the_mean(s):
        return np.broadcast_to(flat, s.counts.shape)

    same = score(told_the_mean, stream, recording, decoder=decoder)
    assert same.forward_bps == pytest.approx(0, abs=1e-6)  # the mean of later bins tells nothing
    for nothing_hidden in (None, StateSpace(), Kalman()):
        row = score(truth, stream, recording, decoder=nothing_hidden).to_row()
        assert row["held_out_bps"] is None
        assert row["forward_bps"] is None


def test_co_smoothing_takes_no_gap_for_silence():
    """Bins that the file never held teach the regression nothing."""
    recording = make_recording(n_channels=24)
    gaps = np.ones(recording.counts.shape, bool)
    gaps[recording.split.fitted, ::2] = False
    counts = np.where(gaps, recording.counts, 0).astype(np.int32)
    holed = replace(recording, counts=counts, recorded=gaps)
    scores = []
    for offered in (recording, holed):
        parts = hold_out(offered, ScoreOptions(held_out=0.25), 0)
        truth = oracle(parts.held_in)
        got = score(truth, make_stream(parts.held_in), parts.held_in, parts.held_out)
        scores.append(got.co_bps)
    assert scores[1] == pytest.approx(scores[0], abs=0.05)


def test_lags():
    assert ScoreOptions().lags(0.05) == tuple(range(11))
    assert ScoreOptions().lags(0.1) == tuple(range(6))
    assert ScoreOptions(single_lag="80 ms").lags(0.01) == (8,)

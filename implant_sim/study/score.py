"""What a decoder's rates are worth: the room where test data could leak, and does not.

Two passes. The scoring pass hides a fixed tenth of the test entries from the decoder and asks for
them; everything else is scored from a pass that sees every delivered sample. Fits of any kind see
training and validation trials only, and never a trial that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float32

from implant_sim.study.glm import fit_poisson
from implant_sim.study.ridge import fit_ridge
from implant_sim.study.scored_case import Case, RatesOf, case_of, rates_in
from implant_sim.study.withhold import ScoreOptions, withheld_entries
from sbtt_models import metrics
from sbtt_models.decoders.around import AroundSpec
from sbtt_models.decoders.base import DecoderSpec, NeuralSpec
from sbtt_models.psth import psth_r2
from sbtt_models.signals import MaskedStream, Recording

__all__ = ["Scores", "score"]

_PSTH_SMOOTH_S = 0.07  # Pei et al. 2021, "Neural Latents Benchmark '21", for MC_Maze


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Every fidelity of one point and repeat; None where it does not apply."""

    nll: float | None
    """Poisson NLL without the ln k! term, on withheld entries that were observed. [nat/entry]"""
    bits_per_spike: float | None
    """On withheld entries that were observed. [bit/spike]"""
    bits_per_spike_all: float | None
    """On all withheld entries: the one to compare across schedules. [bit/spike]"""
    co_bps: float | None
    """On held-out channels. [bit/spike]"""
    held_out_bps: float | None
    """On channels that the decoder learns to predict and never sees. [bit/spike]"""
    forward_bps: float | None
    """On bins that the decoder predicts from earlier ones. [bit/spike]"""
    rate_r2: float | None
    rate_r2_expected: float | None
    rate_r2_log: float | None
    rate_r2_unobserved: float | None
    behaviour: str | None
    velocity_r2: float | None
    psth_r2: float | None
    ceiling_rate_r2: float | None
    """What the expected counts themselves reach against the published truth."""
    n_silent: int
    """Channels without a spike in the recording; left out of means over channels."""
    n_never_observed: int
    """Channels without a sample in the training trials; left out of rate R² unless calibrated."""
    judged_twice: bool
    """The test trials also chose the weights, as in the published demo."""
    velocity_r2_per_dim: tuple[float, ...]
    """One for each dimension of the behaviour that varies."""
    rates: Float32[np.ndarray, "trial bin channel"]
    """Expected spikes per full bin, from the pass that sees every delivered sample."""
    decoded: Float32[np.ndarray, "trial bin dim"] | None
    """Behaviour read out in the test trials; 0 elsewhere."""

    def to_row(self) -> dict[str, float | int | str | bool | None]:
        """Columns of the results table."""
        other = {"rates", "decoded", "velocity_r2_per_dim"}
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in other}
        return row | {f"velocity_r2_{i}": v for i, v in enumerate(self.velocity_r2_per_dim)}


def score(
    rates_of: RatesOf,
    stream: MaskedStream,
    recording: Recording,
    held_out: Recording | None = None,
    options: ScoreOptions | None = None,
    *,
    repeat: int = 0,
    calibration_mean: Float[np.ndarray, " channel"] | None = None,
    decoder: DecoderSpec | None = None,
) -> Scores:
    """Score a decoder on the test trials.

    Parameters
    ----------
    rates_of : callable
        Takes a `MaskedStream`, returns expected spikes per full bin, (trial, bin, channel). It
        must treat each trial on its own and ignore the stream's split.
    stream : MaskedStream
        What the decoder was trained on.
    recording : Recording
        What the implant was offered: the simulator's truth.
    held_out : Recording, optional
        Channels put aside by `hold_out`; gives `co_bps`.
    options : ScoreOptions, optional
        Defaults if None.
    repeat : int
        Chooses the withheld entries.
    calibration_mean : numpy.ndarray, shape (channel,), optional
        Mean spikes per bin known from a calibration that the ledger charges; used for channels
        never observed, which then count in rate R². [1/bin]
    decoder : DecoderSpec, optional
        Where it is a network, or around one, that hides channels (`held_out`) or bins
        (`encoder_bins`) from its encoders, these are scored by themselves.

    Returns
    -------
    Scores
        None where something does not apply.

    Raises
    ------
    DataError
        If stream and recording do not belong together, or rates are not finite.
    """
    options = options or ScoreOptions()
    case = case_of(stream, recording, options, repeat, calibration_mean)
    rates = rates_in(rates_of, case, stream)
    velocity, per_dim, decoded = _velocity(case, rates)
    return Scores(
        **_withheld_scores(case, rates_of),
        **_rate_scores(case, rates),
        **_unseen_scores(case, rates, decoder),
        co_bps=_co_bps(case, rates, held_out),
        behaviour=None if recording.behaviour is None else recording.behaviour.name,
        velocity_r2=velocity,
        velocity_r2_per_dim=per_dim,
        decoded=decoded,
        psth_r2=_psth(case, rates),
        n_silent=int(recording.silent_channels.size),
        n_never_observed=int(case.never.sum()),
        judged_twice=not recording.split.judged_once,
        rates=rates,
    )


def _withheld_scores(case: Case, rates_of: RatesOf) -> dict[str, float | None]:
    """The scoring pass: what does the decoder say about entries that it did not see?"""
    if case.recording.real:  # likelihoods of counts say nothing of them
        return dict.fromkeys(("nll", "bits_per_spike", "bits_per_spike_all"))
    recording, test = case.recording, case.recording.split.test
    entries = withheld_entries(recording, case.options, case.repeat)[test]
    offered = case.stream.trials(test)
    rates = rates_in(rates_of, case, offered.hide(entries))
    counts, available = recording.counts[test], recording.available[test]
    everything = metrics.bits_per_spike(
        counts, rates, metrics.channel_means(counts, where=available), where=entries
    )
    seen = entries & offered.observed
    if not seen.any():
        return {"nll": None, "bits_per_spike": None, "bits_per_spike_all": everything}
    exposure = offered.exposure
    delivered = rates if offered.detector is None else offered.detector.seen(rates)
    null = metrics.channel_means(
        offered.counts, where=available & offered.observed, exposure=exposure
    )
    return {
        "nll": metrics.poisson_nll(offered.counts, delivered, where=seen, exposure=exposure),
        "bits_per_spike": metrics.bits_per_spike(
            offered.counts, delivered, null, where=seen, exposure=exposure
        ),
        "bits_per_spike_all": everything,
    }


def _rate_scores(
    case: Case, rates: Float32[np.ndarray, "trial bin channel"]
) -> dict[str, float | None]:
    """R² against the truths that the recording knows, in the test trials."""
    recording, test = case.recording, case.recording.split.test
    published, expected = recording.rates_hz, recording.expected
    where = recording.available[test] & ~case.left_out
    hidden = where & ~case.stream.observed[test]
    counts, bin_s = rates[test], recording.bin_s
    scores: dict[str, float | None] = dict.fromkeys(
        ("rate_r2", "rate_r2_expected", "rate_r2_log", "rate_r2_unobserved", "ceiling_rate_r2")
    )
    if published is not None:
        truth = published[test] * bin_s
        scores["rate_r2"] = metrics.r2(truth, counts, where=where).mean
        if expected is not None:
            scores["ceiling_rate_r2"] = metrics.r2(truth, expected[test], where=where).mean
    best = expected[test] if expected is not None else None
    if best is None and published is not None:
        best = published[test] * bin_s
    if best is not None:
        log = metrics.r2(metrics.log_rates(best), metrics.log_rates(counts), where=where)
        scores["rate_r2_log"] = log.mean
        scores["rate_r2_unobserved"] = metrics.r2(best, counts, where=hidden).mean
    if expected is not None:
        scores["rate_r2_expected"] = metrics.r2(expected[test], counts, where=where).mean
    return scores


def _velocity(
    case: Case, rates: Float32[np.ndarray, "trial bin channel"]
) -> tuple[float | None, tuple[float, ...], Float32[np.ndarray, "trial bin dim"] | None]:
    """Behaviour decoded in the test trials: mean R², R² per dimension, the decoded values."""
    behaviour, test = case.recording.behaviour, case.recording.split.test
    if behaviour is None:
        return None, (), None
    judged = (behaviour.valid & case.only(test))[test]
    fitted = behaviour.valid & case.only(case.fit_trials)
    if not judged.any() or not fitted.any():
        return None, (), None
    target = np.where(behaviour.valid[:, :, None], behaviour.values, 0.0)
    readout = fit_ridge(
        rates,
        target,
        fitted,
        case.options.lags(case.stream.bin_s),
        n_folds=case.options.ridge_folds,
    )
    decoded = np.zeros(target.shape, np.float32)
    decoded[test] = np.where(judged[:, :, None], readout.predict(rates[test]), 0.0)
    where = np.broadcast_to(judged[:, :, None], target[test].shape)
    result = metrics.r2(target[test], decoded[test].astype(float), where=where)
    per_dim = tuple(float(v) for v in result.per_channel[result.scored])
    return result.mean, per_dim, decoded


def _co_bps(
    case: Case, rates: Float32[np.ndarray, "trial bin channel"], held_out: Recording | None
) -> float | None:
    """Do the rates of the seen channels tell about channels that nothing ever saw?"""
    if held_out is None:
        return None
    test = case.recording.split.test
    recorded = held_out.available.all(axis=2)  # a gap of the file is no silence
    readout = fit_poisson(rates, held_out.counts, case.only(case.fit_trials) & recorded)
    where = held_out.available[test]
    return metrics.bits_per_spike(
        held_out.counts[test],
        readout.predict(rates[test]),
        metrics.channel_means(held_out.counts[test], where=where),
        where=where,
    )


def _unseen_scores(
    case: Case, rates: Float32[np.ndarray, "trial bin channel"], decoder: DecoderSpec | None
) -> dict[str, float | None]:
    """What a network says of channels and bins that its encoders are never shown.

    As co-bps and fp-bps of the Neural Latents Benchmark: held-out channels are judged in the bins
    that the encoder sees, forward bins in all channels, both against each channel's mean there.
    """
    scores: dict[str, float | None] = dict.fromkeys(("held_out_bps", "forward_bps"))
    network = decoder.network if isinstance(decoder, AroundSpec) else decoder
    if not isinstance(network, NeuralSpec) or case.recording.real:
        return scores
    recording, test = case.recording, case.recording.split.test
    counts, available = recording.counts[test], recording.available[test]
    ahead = np.zeros(counts.shape[1:], bool)
    if network.encoder_bins is not None:
        ahead[network.encoder_bins :] = True
    aside = np.zeros(counts.shape[1:], bool)
    aside[:, list(network.held_out)] = True
    for name, entries in (("held_out_bps", aside & ~ahead), ("forward_bps", ahead)):
        where = available & entries
        if where.any():
            scores[name] = metrics.bits_per_spike(counts, rates[test], where=where)
    return scores


def _psth(case: Case, rates: Float32[np.ndarray, "trial bin channel"]) -> float | None:
    """Match of condition averages, where trials have conditions."""
    recording = case.recording
    if recording.condition is None:
        return None
    smooth_s = case.options.psth_smooth_s
    if smooth_s is None:
        smooth_s = _PSTH_SMOOTH_S if recording.expected is None else 0.0
    return psth_r2(
        recording.counts,
        rates,
        recording.condition,
        where=recording.available & ~case.left_out,
        judged=recording.split.test,
        smooth_bins=smooth_s / recording.bin_s,
    ).mean

"""Causal inference of every decoder: no word from the future, and the same numbers bin by bin."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

import sbtt_models
from sbtt_models.decoders import Autoencoder, Interpolation, Smoothing, StateSpace, Transformer
from sbtt_models.decoders.base import DecoderSpec, Fitted
from sbtt_models.errors import DataError, SpecError
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training
from sbtt_models.windows import up_to
from tests.sbtt_models.test_decoders import SMALL, stream

QUICK = Training(epochs=2, batch_size=8, ramp_epochs=2)
LENGTHS = (12, 5, 9, 12, 1, 12, 7, 12, 3, 12)
TWO_WAYS = {
    f"{name}_windows": SMALL[name].model_copy(update={"trained_causal": False})
    for name in ("state_space", "transformer")
}
CASES = {
    f"{name}_{wait}": spec.model_copy(update={"causal": True, "lookahead_bins": wait})
    for name, spec in (SMALL | TWO_WAYS).items()
    for wait in (0, 2)
} | {
    f"{name}_rescaled": SMALL[name].model_copy(
        update={"causal": True, "lookahead_bins": 1, "rescale_input": "observed"}
    )
    for name in ("state_space", "autoencoder")
}


def data_of(seed: int = 0) -> MaskedStream:
    """Trials of unequal length, most of them longer than a window."""
    return replace(stream(seed, LENGTHS), window_bins=6)


def fed_bin_by_bin(fitted: Fitted, data: MaskedStream, wait: int | None = None) -> np.ndarray:
    rates = np.zeros(data.counts.shape, np.float32)
    online = fitted.online(wait)
    for trial, length in enumerate(data.lengths):
        late = [online.push(data.counts[trial, t], data.exposure[trial, t]) for t in range(length)]
        n_late = min(online.lookahead_bins, length)
        assert [rates is None for rates in late] == [t < n_late for t in range(length)]
        rates[trial, :length] = [*late[n_late:], *online.finish()]
    return rates


@pytest.mark.parametrize("spec", CASES.values(), ids=CASES)
def test_bin_by_bin_gives_the_same_and_nothing_leaks(spec: DecoderSpec) -> None:
    data = data_of()
    fitted = sbtt_models.fit(spec, data, QUICK)
    rates = fitted.rates(data)
    inside = np.arange(12) < data.lengths[:, None]
    np.testing.assert_allclose(fed_bin_by_bin(fitted, data)[inside], rates[inside], rtol=2e-5)

    counts = data.counts.copy()
    counts[:, 8:] = np.where(data.exposure[:, 8:] > 0, counts[:, 8:] + 5, 0)
    moved = (fitted.rates(replace(data, counts=counts)) != rates) & inside[:, :, None]
    first = 8 - spec.lookahead_bins
    assert not moved[:, :first].any()
    if spec.kind != "factor_analysis":
        assert moved[:, first].any()  # it does wait for what it may hear


@pytest.mark.parametrize("spec", TWO_WAYS.values(), ids=TWO_WAYS)
def test_a_decoder_that_looks_both_ways_may_be_run_causally(spec: DecoderSpec) -> None:
    """One training; what it waits for is chosen afterwards."""
    data = data_of()
    fitted = sbtt_models.fit(spec, data, QUICK)
    same = sbtt_models.fit(
        spec.model_copy(update={"causal": True, "lookahead_bins": 3}), data, QUICK
    )
    inside = np.arange(12) < data.lengths[:, None]
    found = fed_bin_by_bin(fitted, data, 3)[inside]
    np.testing.assert_allclose(found, same.rates(data)[inside], rtol=2e-5)


def test_windows_end_where_they_should() -> None:
    lengths = np.array([5, 2, 1])
    found = {}
    for windows, bins in up_to(lengths, 3, 1):
        for trial, start, t in zip(windows.trial, windows.start, bins, strict=True):
            found[int(trial), int(t)] = (int(start), int(start + windows.n_bins))
    assert found == {
        (0, 0): (0, 2), (0, 1): (0, 3), (0, 2): (1, 4), (0, 3): (2, 5), (0, 4): (2, 5),
        (1, 0): (0, 2), (1, 1): (0, 2), (2, 0): (0, 1),
    }  # fmt: skip


@pytest.mark.parametrize("spec", [Interpolation(sd="40 ms"), Smoothing(sd="40 ms", prior=0.5)])
def test_smoothers_that_wait_for_all_are_the_whole_ones(spec: DecoderSpec) -> None:
    data = data_of()
    whole = sbtt_models.fit(spec, data).rates(data)
    patient = spec.model_copy(update={"causal": True, "lookahead_bins": 12})
    found = sbtt_models.fit(patient, data).rates(data)
    inside = np.arange(12) < data.lengths[:, None]
    np.testing.assert_allclose(found[inside], whole[inside], rtol=1e-5)


def test_what_cannot_be_is_refused() -> None:
    data = data_of()
    spec = StateSpace(hidden=4, blocks=1, modes=2, causal=True, lookahead_bins=1)
    fitted = sbtt_models.fit(spec, data, QUICK)
    with pytest.raises(SpecError, match="trained to wait for 1"):
        fitted.online(2)
    for kind in (Autoencoder, Smoothing):
        with pytest.raises(ValidationError, match="lookahead_bins 5: without causal: true"):
            kind(lookahead_bins=5)
    with pytest.raises(SpecError, match="6 bins do not fit a window of 6"):
        sbtt_models.fit(
            Autoencoder(hidden=4, generator=4, causal=True, lookahead_bins=6), data, QUICK
        )
    with pytest.raises(SpecError, match="7 bins do not fit a window of 6"):
        sbtt_models.fit(Transformer(hidden=4, heads=1, layers=1), data, QUICK).online(7)
    online, none = fitted.online(), np.zeros(4)
    with pytest.raises(DataError, match="fitted on 4 channels"):
        online.push(np.zeros(3), np.zeros(3))
    with pytest.raises(DataError, match="set it to 0"):
        online.push(none + 1, none)
    with pytest.raises(DataError, match="between 0 and 1"):
        online.push(none, none + 2)
    with pytest.raises(DataError, match="not negative"):
        online.push(none - 1, none + 1)
    assert online.push(none, none) is None
    assert online.finish().shape == (1, 4)
    assert online.finish().shape == (0, 4)

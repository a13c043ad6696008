"""Trained networks run as a closed loop must: no bin hears more than so many bins after it.

A network made to look back only runs through each trial once, if it may be of any length. Every
other one sees, for each bin, the window of the last bins up to its look-ahead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32
from typing_extensions import override

from sbtt_models.batches import Batch, StreamOnDevice
from sbtt_models.device import threads
from sbtt_models.inference import Inference
from sbtt_models.online import Step, WindowStep, refuse_long_wait
from sbtt_models.signals import MaskedStream, within
from sbtt_models.windows import cut, up_to

__all__ = ["causal_rates", "steps_of", "whole_rates"]


def causal_rates(
    inference: Inference, stream: MaskedStream, window_bins: int, wait: int, batch: int
) -> Float32[np.ndarray, "trial bin channel"]:
    """Rates of each bin from the window that ends `wait` bins after it, or with its trial.

    Windows hold `window_bins` bins, or fewer where the trial has only begun.

    Parameters
    ----------
    batch : int
        Windows that are inferred at a time.

    Raises
    ------
    SpecError
        If trials are longer than a window, and the look-ahead fills one.
    """
    if int(stream.lengths.max()) > window_bins:
        refuse_long_wait(wait, window_bins)
    device = next(inference.network.parameters()).device
    data = StreamOnDevice.of(stream, window_bins, device)
    rates = np.zeros(stream.counts.shape, np.float32)
    for windows, bins in up_to(stream.lengths, window_bins, wait):
        at = torch.from_numpy(bins - windows.start).to(device)
        pieces = []
        for number, part in enumerate(data.batches(windows, batch)):
            rows = torch.arange(part.counts.shape[0], device=device)
            expected = inference.expected(part)
            pieces.append(expected[rows, at[number * batch :][: len(rows)]].cpu().numpy())
        rates[windows.trial, bins] = np.concatenate(pieces)
    return rates


def whole_rates(
    inference: Inference, stream: MaskedStream, window_bins: int, batch: int
) -> Float32[np.ndarray, "trial bin channel"]:
    """Rates of a network that looks back only, run once through each trial."""
    n_bins = int(stream.lengths.max())
    data = StreamOnDevice.of(stream, n_bins, next(inference.network.parameters()).device)
    windows = cut(stream.lengths, np.arange(stream.lengths.size), n_bins, n_bins)
    windows = windows.longest_first(stream.lengths)
    rates = np.zeros(stream.counts.shape, np.float32)
    first = 0
    for part in data.batches(windows, max(batch * window_bins // n_bins, 1)):
        expected = inference.expected(part).cpu().numpy()
        rates[windows.trial[first : first + len(expected)], : expected.shape[1]] = expected
        first += len(expected)
    rates[~within(stream.lengths, stream.counts.shape[1])] = 0.0
    return rates


def steps_of(
    inference: Inference, n_channels: int, window_bins: int, wait: int, n_threads: int
) -> Callable[[], Step]:
    """Make what infers a trial bin by bin, as :func:`causal_rates` infers it at once."""
    if inference.network.endless and inference.shown is None:
        begin = inference.network.recurrence
        return (lambda: _Rescaled(begin())) if inference.rescale else begin
    refuse_long_wait(wait, window_bins)
    device = next(inference.network.parameters()).device

    def infer(
        counts: Float32[np.ndarray, "bin channel"], exposure: Float32[np.ndarray, "bin channel"]
    ) -> Float[np.ndarray, "bin channel"]:
        seen = [torch.from_numpy(rows[None]).to(device) for rows in (counts, exposure)]
        with threads(n_threads), torch.no_grad():
            return inference.expected(Batch(*seen))[0].cpu().numpy()

    return lambda: WindowStep(infer, window_bins, wait, n_channels)


class _Rescaled(Step):
    """A recurrence fed counts over the share of channels that is seen, as in training."""

    def __init__(self, inner: Step) -> None:
        super().__init__(inner.lookahead_bins, inner.n_channels)
        self._inner = inner

    @override
    def next(
        self, counts: Float[np.ndarray, " channel"], exposure: Float[np.ndarray, " channel"]
    ) -> Float[np.ndarray, " channel"] | None:
        share = max(float(exposure.sum()), 1.0) / self.n_channels
        return self._inner.next(counts / share, exposure)

    @override
    def rest(self) -> Float[np.ndarray, "waiting channel"]:
        return self._inner.rest()

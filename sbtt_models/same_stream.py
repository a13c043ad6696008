"""What a fitted decoder asks of a stream: the channels and the bins that it was fitted on."""

from __future__ import annotations

import math

from sbtt_models.errors import DataError
from sbtt_models.signals import MaskedStream

__all__ = ["SAME_BINS", "refuse_other"]

SAME_BINS = 1e-6
"""Of a bin width: what rounding may change."""


def refuse_other(stream: MaskedStream, n_channels: int, bin_s: float | None) -> None:
    """Refuse a stream of other channels or bins than a decoder was fitted on.

    Parameters
    ----------
    stream : MaskedStream
    n_channels : int
        Channels of the fit.
    bin_s : float or None
        Bin width of the fit. [s] None: not known, as of a decoder that was saved without it.

    Raises
    ------
    DataError
        Says what the stream has and what the decoder knows.
    """
    if stream.n_channels != n_channels:
        raise DataError(
            f"stream: {stream.n_channels} channels, but the decoder was fitted on {n_channels}; "
            "give the same channels in the same order, with an exposure of 0 where one has no "
            "samples, or fit another decoder"
        )
    if bin_s is not None and not math.isclose(stream.bin_s, bin_s, rel_tol=SAME_BINS):
        raise DataError(
            f"stream: bins of {stream.bin_s:g} s, but the decoder was fitted on bins of "
            f"{bin_s:g} s, and what it infers is per bin; bin alike, or fit another decoder"
        )

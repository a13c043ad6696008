"""A network of several sessions, seen through the channels of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from sbtt_models.decoders.base import Fitted
from sbtt_models.errors import DataError, SpecError
from sbtt_models.online import Online
from sbtt_models.same_stream import refuse_other
from sbtt_models.saved import Saved, save
from sbtt_models.signals import MaskedStream
from sbtt_models.trained import FittedNetwork

__all__ = ["FittedSession", "as_saved", "widened"]

_CHANNELS = ("session_first_channel", "session_end_channel")
"""What a manifest calls the channels of a session; the end is the first that it has not."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedSession:
    """A joint network, seen through the channels of one session."""

    whole: FittedNetwork
    """Of all sessions."""
    channels: slice
    """Of the recording in it."""

    @property
    def n_parameters(self) -> int:
        """Of the whole network."""
        return self.whole.n_parameters

    @property
    def epochs(self) -> int:
        """Of the joint training."""
        return self.whole.epochs

    @property
    def train_s(self) -> float:
        """Of the joint training. [s]"""
        return self.whole.train_s

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """Of the joint training."""
        return self.whole.history

    def rates(self, stream: MaskedStream) -> Float32[np.ndarray, "trial bin channel"]:
        """Expected values of the channels of its recording; see :class:`Fitted`.

        Raises
        ------
        DataError
            For a stream of another number of channels, or of other bins.
        """
        self.refuse_other(stream)
        return self.whole.rates(widened(stream, self.channels, self.whole.n_channels))[
            :, :, self.channels
        ]

    def refuse_other(self, stream: MaskedStream) -> None:
        """Refuse a stream that cannot be of its recording.

        Raises
        ------
        DataError
            For a stream of another number of channels, or of other bins.
        """
        refuse_other(stream, self.channels.stop - self.channels.start, self.whole.bin_s)

    def online(self, lookahead_bins: int | None = None) -> Online:
        """Not for a session.

        Raises
        ------
        SpecError
            Always: push the channels of all sessions to ``whole.online()``.
        """
        del lookahead_bins
        raise SpecError(
            "online: a session has no bin-by-bin decoder of its own; push the channels of all "
            "sessions to whole.online(), with an exposure of 0 for those of the others"
        )

    def saved(self) -> Saved:
        """The whole network, and which of its channels are those of the recording."""
        whole = self.whole.saved()
        own = dict(zip(_CHANNELS, (self.channels.start, self.channels.stop), strict=True))
        return replace(whole, facts={**whole.facts, **own})

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write the whole network, history and manifest."""
        return save(self.saved(), folder)


def as_saved(whole: FittedNetwork, saved: Saved) -> Fitted:
    """The session that was saved; the network itself, where that was.

    Raises
    ------
    DataError
        For channels that the network does not have.
    """
    if not any(name in saved.facts for name in _CHANNELS):
        return whole
    first, end = (saved.whole(name) for name in _CHANNELS)
    if not first < end <= whole.n_channels:
        raise DataError(
            f"{saved.where}: a session of channels {first} to {end - 1}, in a network of "
            f"{whole.n_channels}"
        )
    return FittedSession(whole, slice(first, end))


def widened(
    stream: MaskedStream, part: slice, n_channels: int, n_bins: int | None = None
) -> MaskedStream:
    """The stream among the channels of all sessions.

    Parameters
    ----------
    part : slice
        Its own channels.
    n_channels : int
        Of all sessions.
    n_bins : int, optional
        Of the longest trial of all. None: as many as it has.
    """
    shape = (len(stream.lengths), n_bins or stream.counts.shape[1], n_channels)

    def wide(values: Shaped[np.ndarray, "trial bin channel"]) -> Shaped[np.ndarray, "a b c"]:
        out = np.zeros(shape, values.dtype)
        out[:, : values.shape[1], part] = values
        return out

    return replace(stream, counts=wide(stream.counts), exposure=wide(stream.exposure))

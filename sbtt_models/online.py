"""Decoders fed bin by bin, as a closed loop feeds them. Torch-free.

The only objects of this library that remember something between two calls: what they heard of the
trial they are in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, Shaped
from typing_extensions import override

from sbtt_models.errors import DataError, SpecError

__all__ = ["Online", "Step", "WindowStep", "refuse_long_wait", "refuse_real_fit"]

Row = Float[np.ndarray, " channel"]


class Step(ABC):
    """A causal inference within one trial."""

    def __init__(self, lookahead_bins: int, n_channels: int) -> None:
        self.lookahead_bins = lookahead_bins
        self.n_channels = n_channels

    @abstractmethod
    def next(self, counts: Row, exposure: Row) -> Row | None:
        """Hear the next bin; the rates of the bin `lookahead_bins` before it, once it exists."""

    def rest(self) -> Float[np.ndarray, "waiting channel"]:
        """Rates of the bins still waited for, when no more will come.

        As here, where an empty bin tells no more than none.
        """
        nothing = np.zeros(self.n_channels)
        late = [self.next(nothing, nothing) for _ in range(self.lookahead_bins)]
        known = [rates for rates in late if rates is not None]
        return np.stack(known) if known else np.zeros((0, self.n_channels))


Infer = Callable[
    [Float32[np.ndarray, "bin channel"], Float32[np.ndarray, "bin channel"]],
    Float[np.ndarray, "bin channel"],
]
"""Counts and exposure of some bins in a row -> their rates."""


class WindowStep(Step):
    """Infers each bin from the last bins so far: at most a window of them, fewer at first."""

    def __init__(
        self, infer: Infer, window_bins: int, lookahead_bins: int, n_channels: int
    ) -> None:
        super().__init__(lookahead_bins, n_channels)
        self._infer = infer
        self._rows: deque[tuple[Row, Row]] = deque(maxlen=window_bins)

    @override
    def next(self, counts: Row, exposure: Row) -> Row | None:
        self._rows.append((counts.astype(np.float32), exposure.astype(np.float32)))
        at = len(self._rows) - 1 - self.lookahead_bins
        return None if at < 0 else self._all()[at]

    @override
    def rest(self) -> Float[np.ndarray, "waiting channel"]:
        n_late = min(self.lookahead_bins, len(self._rows))
        return self._all()[-n_late:] if n_late else np.zeros((0, self.n_channels))

    def _all(self) -> Float[np.ndarray, "bin channel"]:
        counts, exposure = zip(*self._rows, strict=True)
        return self._infer(np.stack(counts), np.stack(exposure))


def refuse_long_wait(lookahead_bins: int, window_bins: int) -> None:
    """Refuse a look-ahead that leaves no bin of a window to infer.

    Raises
    ------
    SpecError
    """
    if lookahead_bins >= window_bins:
        raise SpecError(
            f"decoder.lookahead_bins: {lookahead_bins} bins do not fit a window of {window_bins}; "
            f"wait for at most {window_bins - 1}"
        )


def refuse_real_fit(kind: str, real: bool) -> None:
    """Refuse to feed real values bin by bin.

    Raises
    ------
    SpecError
        For a decoder that was fitted to them.
    """
    if real:
        raise SpecError(
            f"online: takes counts, but this {kind} was fitted to real values; ask for the rates "
            "of a whole stream"
        )


class Online:
    """A fitted decoder in a closed loop: push one bin, get the rates of an earlier one.

    Examples
    --------
    >>> online = fitted.online(lookahead_bins=2)  # doctest: +SKIP
    >>> rates = online.push(counts, exposure)  # of two bins ago, or None  # doctest: +SKIP
    """

    def __init__(self, begin: Callable[[], Step]) -> None:
        self.begin = begin
        """Makes what infers one trial."""
        self._step = begin()

    @property
    def lookahead_bins(self) -> int:
        """Bins from the one that is inferred to the one that is pushed."""
        return self._step.lookahead_bins

    def push(
        self,
        counts: Shaped[np.ndarray, " channel"],
        exposure: Shaped[np.ndarray, " channel"],
    ) -> Float32[np.ndarray, " channel"] | None:
        """Hear the next bin of the trial.

        Parameters
        ----------
        counts : numpy.ndarray
            Delivered spikes; 0 where nothing was observed.
        exposure : numpy.ndarray
            Fraction of the bin with valid data, 0 to 1.

        Returns
        -------
        numpy.ndarray or None
            Expected counts of the bin `lookahead_bins` earlier; None while there is none.

        Raises
        ------
        DataError
            For arrays of another length, and for values that cannot be.
        """
        shape = (self._step.n_channels,)
        if counts.shape != shape or exposure.shape != shape:
            raise DataError(
                f"online: counts {counts.shape} and exposure {exposure.shape} of a bin; this "
                f"decoder was fitted on {shape[0]} channels"
            )
        if not ((exposure >= 0) & (exposure <= 1)).all():
            raise DataError("online: exposure must lie between 0 and 1")
        if not (np.isfinite(counts) & (counts >= 0)).all():
            raise DataError("online: counts must be finite and not negative")
        if counts[exposure == 0].any():
            raise DataError("online: a count is given where exposure is 0; set it to 0")
        rates = self._step.next(counts.astype(float), exposure.astype(float))
        return None if rates is None else rates.astype(np.float32)

    def finish(self) -> Float32[np.ndarray, "waiting channel"]:
        """End the trial: rates of the bins still waited for. The next push begins another."""
        rest = self._step.rest().astype(np.float32)
        self._step = self.begin()
        return rest

"""What counts must be before anything is computed from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32, Shaped

from sbtt_models.errors import DataError

__all__ = ["as_counts", "first_at"]

MAX_COUNT = 100_000  # spikes in one bin; anything above is a broken file, not a neuron


def as_counts(values: Shaped[np.ndarray, "..."], where: str) -> Int32[np.ndarray, "..."]:
    """Check that an array holds spike counts, and return it as int32.

    Parameters
    ----------
    values : numpy.ndarray
        Numbers of any kind, any shape. [spikes/bin]
    where : str
        File and data set, for the error.

    Raises
    ------
    DataError
        For values that are not numbers, NaN, infinite, negative, fractional or above 100,000.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: counts must be numbers, got dtype {values.dtype}")
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values)
        if bad.any():
            raise DataError(
                f"{where}: {int(bad.sum())} of {values.size} counts are NaN or infinite (first at "
                f"{first_at(bad)}); mark missing samples in a mask of their own ('observed')"
            )
        bad = values != np.round(values)
        if bad.any():
            raise DataError(
                f"{where}: {int(bad.sum())} of {values.size} counts are fractional (first "
                f"{float(values[bad].flat[0])!r} at {first_at(bad)}); give spikes per bin, not "
                "rates"
            )
    bad = (values < 0) if values.dtype.kind in "if" else np.zeros(values.shape, bool)
    if bad.any():
        raise DataError(
            f"{where}: {int(bad.sum())} counts are negative (first at {first_at(bad)})"
        )
    if values.size and float(values.max()) > MAX_COUNT:
        raise DataError(
            f"{where}: a count of {float(values.max()):g} in one bin exceeds {MAX_COUNT}; is this "
            "data set really spikes per bin?"
        )
    return values.astype(np.int32)


def first_at(bad: Bool[np.ndarray, "..."]) -> tuple[int, ...]:
    """Index of the first entry that is True."""
    return tuple(int(i[0]) for i in np.nonzero(bad))

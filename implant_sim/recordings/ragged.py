"""Cells of unequal size, read as one table: ``name``, and where each cell lies in it.

``name/start`` and ``name/length`` tell of the cells that hold anything, as trials do;
``name/count`` says how much each cell holds, with zeros for empty ones, as units do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from implant_sim.recordings.assemble import check_size
from sbtt_models.errors import DataError

__all__ = ["SUFFIXES", "base_of", "joined"]

SUFFIXES = ("/start", "/length", "/count")


def joined(
    cells: Sequence[Shaped[np.ndarray, "..."]], where: str
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Join cells along the one axis in which they differ.

    Parameters
    ----------
    cells : sequence of numpy.ndarray
        Of numbers, with one or two axes.
    where : str
        What they are, for errors.

    Returns
    -------
    dict
        The table under an empty name, and one array for each of `SUFFIXES`.

    Raises
    ------
    DataError
        For cells of something else, or that differ in both axes.
    LimitError
        For more than fits.
    """
    counts = np.array([cell.size for cell in cells])
    full = [cell for cell in cells if cell.size]
    if not full or any(c.dtype.kind not in "biuf" or c.ndim != full[0].ndim for c in full):
        raise DataError(f"{where}: is a cell array that does not hold one matrix for each trial")
    shapes = np.array([cell.shape for cell in full])
    varies = (shapes != shapes[0]).any(axis=0)
    if varies.all() and varies.size > 1:
        raise DataError(
            f"{where}: cells of {full[0].shape} and other shapes; one dimension (channels) must "
            "be the same in all trials"
        )
    axis = int(varies.argmax())  # the first where none varies
    check_size((int(counts.sum()),), 8, where)
    lengths = shapes[:, axis]
    table = np.concatenate(full, axis=axis)
    return {
        "": table.ravel() if (counts == 1).all() else table,  # single numbers are a vector
        "/start": np.cumsum(lengths) - lengths,
        "/length": lengths,
        "/count": counts,
    }


def base_of(name: str) -> tuple[str, str]:
    """The cells that ``name/start``, ``name/length`` or ``name/count`` tell of, and which it is.

    Examples
    --------
    >>> base_of("units/spikes/count"), base_of("units/spikes")
    (('units/spikes', '/count'), ('units/spikes', ''))
    """
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ""

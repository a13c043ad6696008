"""When a scanning microscope sees each cell, and bins fine enough to say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from implant_sim.recordings.assemble import Piece

__all__ = ["bin_in_frame", "scanned"]


def bin_in_frame(
    heights: Float[np.ndarray, " channel"], bins_per_frame: int, row_times: bool
) -> Int[np.ndarray, " channel"]:
    """The bin of a frame in which the line of each cell is scanned.

    Parameters
    ----------
    heights : numpy.ndarray, shape (channel,)
        Where in the image a cell lies, 0 for the first line, towards 1 for the last.
    bins_per_frame : int
        How many bins a frame is divided into.
    row_times : bool
        False: the middle bin for all, as if nobody knew when a line is scanned.

    Examples
    --------
    >>> bin_in_frame(np.array([0.0, 0.4, 0.99]), 3, row_times=True)
    array([0, 1, 2])
    """
    if row_times:
        return np.minimum(heights * bins_per_frame, bins_per_frame - 1).astype(np.int64)
    return np.full(len(heights), bins_per_frame // 2)


def scanned(piece: Piece, place: Int[np.ndarray, " channel"], bins_per_frame: int) -> Piece:
    """Put the value of each frame into the bin in which the cell's line was scanned.

    In the other bins nothing was recorded of that cell. Truth and behaviour, which have no place
    in a frame, are left out.

    Parameters
    ----------
    piece : Piece
        One row for each frame.
    place : numpy.ndarray, shape (channel,)
        Bin of the frame in which each channel is seen.
    bins_per_frame : int
        Bins of a frame.
    """
    n_frames, n_channels = piece.counts.shape
    shape = (n_frames * bins_per_frame, n_channels)
    row = np.arange(n_frames)[:, None] * bins_per_frame + place
    column = np.arange(n_channels)
    counts, recorded = np.zeros(shape, piece.counts.dtype), np.zeros(shape, np.bool_)
    counts[row, column] = piece.counts
    recorded[row, column] = True if piece.recorded is None else piece.recorded
    return replace(
        piece,
        counts=counts,
        recorded=recorded,
        rates_hz=None,
        expected=None,
        behaviour=None,
        external=None,
        origin=(piece.origin[0], piece.origin[1] * bins_per_frame),
    )

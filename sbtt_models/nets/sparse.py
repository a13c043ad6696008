"""Products with inputs that are mostly 0, as binned spikes are: only over what is not.

A bin of 20 ms holds a spike of few channels, fewer are sampled, and dropout hides more: at the
size published for MC_Maze one entry in twenty is left. A sum over those takes half as long as the
product over all entries, turning the result included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

__all__ = ["SparseBins"]

_FEW = 0.15
"""Share of entries: above it, setting up and summing gain little on the product; equal at 0.25."""
_MANY = 96
"""Inputs: with half as many, turning the result costs what the product does."""


@dataclass(frozen=True, slots=True)
class _Lists:
    """For each row of a matrix: the columns of its entries that are not 0, and these."""

    columns: Int[Tensor, " entry"]
    starts: Int[Tensor, " row"]
    values: Float[Tensor, " entry"]

    def times(self, other: Float[Tensor, "column out"]) -> Float[Tensor, "row out"]:
        product: Tensor = torch.embedding_bag(
            other, self.columns, self.starts, False, 0, False, self.values
        )[0]
        return product


@dataclass(frozen=True, slots=True)
class SparseBins:
    """What is not 0 in each bin of a batch of windows; made by :meth:`of`."""

    _by_window: list[_Lists]
    _by_input: list[_Lists]

    @classmethod
    def of(cls, bins: Float[Tensor, "bin input batch"]) -> SparseBins | None:
        """List the entries; None where products over all of them are as quick."""
        n_bins, n_inputs, batch = bins.shape
        if n_inputs < _MANY or bins.device.type != "cpu":
            return None
        dense = bins.detach().numpy()
        mask = dense != 0
        if np.count_nonzero(mask) > _FEW * dense.size:
            return None
        places = np.flatnonzero(mask)
        values = dense.reshape(-1)[places]
        row = places // batch  # of (bin, input)
        window = places - row * batch
        bin_ = row // n_inputs
        # numbers of 16 bits are sorted in a seventh of the time
        turned = (bin_ * batch + window).astype(np.min_scalar_type(n_bins * batch))
        order = np.argsort(turned, kind="stable")
        channel = row - bin_ * n_inputs
        return cls(
            _split(turned, (n_bins, batch), channel[order], values[order]),
            _split(row, (n_bins, n_inputs), window, values),
        )

    def times(self, t: int, weights: Float[Tensor, "input row"]) -> Float[Tensor, "batch row"]:
        """Product of the inputs of a bin and weights."""
        return self._by_window[t].times(weights)

    def gradient(self, t: int, given: Float[Tensor, "batch row"]) -> Float[Tensor, "input row"]:
        """Gradient of the weights from that of the product."""
        return self._by_input[t].times(given)


def _split(
    row: Integer[np.ndarray, " entry"],
    shape: tuple[int, int],
    columns: Int[np.ndarray, " entry"],
    values: Float[np.ndarray, " entry"],
) -> list[_Lists]:
    """Lists of each bin, from those of all; `row` counts over (bin, row)."""
    counts = np.bincount(row, minlength=shape[0] * shape[1])
    starts = (np.cumsum(counts) - counts).reshape(shape)
    first = starts[:, 0]
    ends = first[1:].tolist()
    parts = [torch.from_numpy(each).tensor_split(ends) for each in (columns, values)]
    within = torch.from_numpy(starts - first[:, None]).unbind(0)
    return [_Lists(*each) for each in zip(parts[0], within, parts[1], strict=True)]

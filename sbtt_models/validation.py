"""What a training is judged by: losses of entries that it was not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from sbtt_models.augment import hidden_from
from sbtt_models.batches import StreamOnDevice
from sbtt_models.nets.base import Network
from sbtt_models.objective import Objective
from sbtt_models.trained import INFER_BATCH
from sbtt_models.windows import Windows

__all__ = ["JUDGED", "Samples", "Validation"]

JUDGED = ("valid_loss", "sample_loss")
"""The losses, as histories name them."""

_Hidden = Sequence[Bool[Tensor, "..."] | None]  # (batch, bin, channel), of each batch its own


class Samples:
    """Entries of the training trials that are never taught: where they are, window by window."""

    def __init__(
        self, data: StreamOnDevice, held: Bool[np.ndarray, "trial bin channel"], windows: Windows
    ) -> None:
        entries = torch.from_numpy(held).to(data.counts.device)
        self.without = hidden_from(data, entries)
        self.windows = windows.longest_first(data.lengths)
        marked = replace(data, counts=entries.float())
        self.hidden = [batch.counts > 0 for batch in marked.batches(self.windows, INFER_BATCH)]


class Validation:
    """The windows of the validation trials, what is hidden of them, and samples held out.

    Parameters
    ----------
    data : StreamOnDevice
        Nothing of it held out.
    windows : Windows
        Of the validation trials.
    share : float
        Of their entries, hidden from the encoder and alone judged; 0 judges all that it sees.
    samples : Samples, optional
        Of the training trials.
    """

    def __init__(
        self, data: StreamOnDevice, windows: Windows, share: float, samples: Samples | None
    ) -> None:
        self._data, self._samples = data, samples
        self._windows = windows.longest_first(data.lengths)
        self._hidden = _hidden_of(data, windows, share)

    def losses(self, objective: Objective, network: Network) -> dict[str, float]:
        """Mean losses, by name. [nat per entry]"""
        network.eval()
        found = self._loss(objective, network, self._windows, self._hidden, taught=True)
        if self._samples is None:
            return {"valid_loss": found}
        windows, hidden = self._samples.windows, self._samples.hidden
        held = self._loss(objective, network, windows, hidden, taught=False)
        return {"valid_loss": found, "sample_loss": held}

    @torch.no_grad()
    def _loss(
        self,
        objective: Objective,
        network: Network,
        windows: Windows,
        hidden: _Hidden,
        *,
        taught: bool,
    ) -> float:
        """Mean loss of the entries that are hidden from the network, or of all. [nat]"""
        judged = [
            objective.judge(network, batch, entries, taught=taught)
            for batch, entries in zip(
                self._data.batches(windows, INFER_BATCH), hidden, strict=True
            )
        ]
        # read back once, so that an accelerator waits once
        totals, entries = (torch.stack(part).sum() for part in zip(*judged, strict=True))
        return float(totals / entries.clamp(min=1))


def _hidden_of(data: StreamOnDevice, windows: Windows, share: float) -> _Hidden:
    """Entries of each validation batch that the encoder must not see: the same every time."""
    draw = torch.Generator().manual_seed(0)
    # over whole windows as they were cut, so that it is the same whatever their order
    drawn = torch.rand((windows.trial.size, windows.n_bins, data.counts.shape[2]), generator=draw)
    order = torch.from_numpy(windows.by_length(data.lengths))
    entries = (drawn < share)[order].to(data.counts.device)
    hidden: list[Bool[Tensor, "..."] | None] = []
    judged = first = 0
    for batch in data.batches(windows.longest_first(data.lengths), INFER_BATCH):
        n_windows, n_bins, _ = batch.exposure.shape
        own = entries[first : first + n_windows, :n_bins]
        first += n_windows
        judged += int((own & (batch.exposure > 0)).sum())
        hidden.append(own if share > 0 else None)
    if share > 0 and judged == 0:  # so few samples that the draw took none: judge all
        return [torch.ones_like(batch) for batch in hidden if batch is not None]
    return hidden

"""The networks and training steps that benchmarks/speed/training.py measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from plain import PlainAutoencoder, PlainLFADS, plain_dropout, plain_loss
from torch import Tensor, nn

from sbtt_models.decoders import LFADS, Autoencoder
from sbtt_models.losses import coordinated_dropout, selective_loss


@dataclass(frozen=True)
class Case:
    """A network at a published size, and how it is trained."""

    title: str
    spec: Autoencoder | LFADS
    batch: int
    n_bins: int
    n_channels: int
    hidden: float
    """Coordinated dropout."""
    stepwise: bool = False
    """The plain side has its encoders go bin by bin, too."""
    sampled: float = 0.34
    """Share of the entries that are observed."""
    rate: float = 0.5
    """Of each channel. [spikes/bin]"""

    @property
    def n_inputs(self) -> int:
        return self.n_channels * (2 if self.spec.mask_input else 1)

    def ours(self) -> nn.Module:
        return self.spec.build(self.n_channels, self.n_bins, torch.zeros(self.n_channels))

    def plain(self) -> nn.Module:
        spec = self.spec
        if isinstance(spec, LFADS):
            return PlainLFADS(self.n_inputs, self.n_channels, spec.dropout, self.stepwise)
        return PlainAutoencoder(
            self.n_inputs, self.n_channels, spec.hidden, spec.generator, spec.dropout
        )

    def data(self) -> tuple[Tensor, Tensor]:
        shape = (self.n_bins, self.n_channels, self.batch)
        generator = torch.Generator().manual_seed(0)
        exposure = (torch.rand(shape, generator=generator) < self.sampled).float()
        counts = torch.poisson(self.rate * exposure, generator=generator)
        return counts.permute(2, 0, 1), exposure.permute(2, 0, 1)

    def arithmetic(self) -> float:
        """Additions and multiplications of the matrix products of one step, zeros included."""
        spec, entries = self.spec, 2.0 * self.batch * self.n_bins
        if isinstance(spec, Autoencoder):
            read, recur = 3 * spec.hidden * self.n_inputs, 3 * spec.hidden**2
            rest = 3 * spec.generator**2 + spec.generator * self.n_channels
            return entries * (2 * (2 * read + 3 * recur) + 3 * rest)
        control = spec.controller
        read = 3 * (spec.initial_condition.encoder + control.encoder) * self.n_inputs
        recur = 3 * (spec.initial_condition.encoder**2 + control.encoder**2)
        listened = 2 * control.encoder + spec.factors
        rest = 3 * control.size * (listened + control.size) + control.size * 2 * control.outputs
        rest += 3 * spec.generator * (control.outputs + spec.generator)
        rest += spec.generator * spec.factors + spec.factors * self.n_channels
        # the way back makes two products of each, but none towards the data
        return entries * (2 * (2 * read + 3 * recur) + 3 * rest)


CASES = {
    "published": Case(
        "autoencoder as published: generator 50, batch 64, 50 bins, 29 channels",
        Autoencoder(generator=50, dropout=0.1, mask_input=False),
        *(64, 50, 29),
        hidden=0.0,
    ),
    "curve": Case(
        "autoencoder of `sbtt_curve`: generator 128, mask as input, coordinated dropout",
        Autoencoder(),
        *(64, 50, 29),
        hidden=0.3,
    ),
    "lfads": Case(
        "LFADS at its MC_Maze size: batch 256, 45 bins, 182 channels, generator 200; plain: every "
        "recurrence step by step, as published",
        LFADS(mask_input=False),
        *(256, 45, 182),
        hidden=0.3,
        stepwise=True,
    ),
    "lfads_gru": Case(
        "the same; plain: encoders by `nn.GRU`",
        LFADS(mask_input=False),
        *(256, 45, 182),
        hidden=0.3,
    ),
    "lfads_mask": Case(
        "LFADS with the mask as input, too: plain every recurrence step by step",
        LFADS(),
        *(256, 45, 182),
        hidden=0.3,
        stepwise=True,
    ),
    "lfads_dense": Case(
        "LFADS with few zeros: all sampled at 2 spikes a bin, no product leaves any out; plain: "
        "every recurrence step by step",
        LFADS(mask_input=False),
        *(256, 45, 182),
        hidden=0.3,
        stepwise=True,
        sampled=1.0,
        rate=2.0,
    ),
}


def plain_step(case: Case) -> Callable[[], None]:
    torch.manual_seed(0)
    network = case.plain()
    counts, exposure = (x.contiguous() for x in case.data())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        seen, shown, learns = counts, exposure, None
        if case.hidden:
            seen, shown, learns = plain_dropout(counts, exposure, case.hidden)
        if case.spec.mask_input:
            seen = torch.cat([seen, shown], dim=2)
        log_rates, penalty = network(seen)
        if learns is not None:
            log_rates = torch.where(learns, log_rates, log_rates.detach())
        loss = plain_loss(log_rates, counts, exposure) + penalty
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 200.0)
        optimiser.step()

    return step


def our_step(case: Case) -> Callable[[], None]:
    torch.manual_seed(0)
    network, noise = case.ours(), torch.Generator().manual_seed(0)
    counts, exposure = case.data()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        seen, shown, learns = counts, exposure, None
        if case.hidden:
            seen, shown, learns = coordinated_dropout(counts, exposure, case.hidden, noise)
        inferred = network(seen, shown, noise)
        loss = selective_loss(inferred.log_rates, counts, exposure, learns)
        loss = loss + sum(inferred.penalties.values())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 200.0, foreach=True)
        optimiser.step()

    return step

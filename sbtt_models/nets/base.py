"""What every network gives back, and takes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sbtt_models.nets.likelihoods import Head, PoissonHead
from sbtt_models.nets.workspace import Workspace
from sbtt_models.online import Step

__all__ = ["Inferred", "Network", "together"]


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What a network says about a batch of windows."""

    read_out: Float[Tensor, "batch bin output"]
    """What the likelihood takes; for Poisson the log of the expected count of a full bin."""
    penalties: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Terms added to the loss, by name, already scaled; the training loop ramps them up."""

    @property
    def log_rates(self) -> Float[Tensor, "batch bin channel"]:
        """The read-out, as a Poisson likelihood takes it."""
        return self.read_out

    def in_float32(self) -> Inferred:
        """The same, where mixed precision has rounded it."""
        penalties = {name: value.float() for name, value in self.penalties.items()}
        return replace(self, read_out=self.read_out.float(), penalties=penalties)


class Network(nn.Module):
    """A network from a window with gaps to what a likelihood takes."""

    head: Head
    """The likelihood: Poisson, unless it is replaced."""
    samples: int = 0
    """Posterior samples that rates are averaged over; 0: rates of the posterior's mean."""

    encoder_parts: ClassVar[tuple[str, ...]] = ()
    """How the names of the encoder's parameters begin: what turns samples into latents."""
    read_in_parts: ClassVar[tuple[str, ...]] = ()
    """How those of the read-in begin: the first weights that samples are multiplied with."""
    read_out_parts: ClassVar[tuple[str, ...]] = ("readout.",)
    """How those of the read-out begin: the last weights."""

    def __init__(self) -> None:
        super().__init__()
        self.head = PoissonHead(torch.zeros(0))

    @abstractmethod
    def forward(
        self,
        counts: Float[Tensor, "batch bin channel"],
        exposure: Float[Tensor, "batch bin channel"],
        generator: torch.Generator | None = None,
        external: Float[Tensor, "batch bin external"] | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Inferred:
        """Infer.

        Parameters
        ----------
        counts, exposure : Tensor
            What the encoder may see; 0 where missing.
        generator : torch.Generator, optional
            Randomness of posterior samples. None: use posterior means. Out of training, the
            windows of a batch share their draws, so that each is treated alike wherever it stands.
        external : torch.Tensor, optional
            What drives the population from outside; for a network that was built for it.
        lengths : torch.Tensor, optional
            Bins of each window that lie in its trial, on the CPU. What comes after them is
            padding, and changes nothing before. None: all do.
        """

    @property
    def endless(self) -> bool:
        """Whether it looks back only and may run on for any time, as :meth:`recurrence` does."""
        return False

    def recurrence(self) -> Step:
        """What infers a trial bin by bin, if the network is endless.

        Raises
        ------
        NotImplementedError
            If it is not.
        """
        raise NotImplementedError(f"{type(self).__name__} sees windows of limited length")

    def release(self) -> None:
        """Give back the buffers that training used; they are made again when needed."""
        for module in self.modules():
            workspace = getattr(module, "workspace", None)
            if isinstance(workspace, Workspace):
                workspace.clear()


def together(
    counts: Float[Tensor, "batch bin channel"], exposure: Float[Tensor, "batch bin channel"]
) -> Float[Tensor, "batch bin input"]:
    """Counts and exposure side by side, in memory as (bin, input, batch)."""
    parts = [counts.permute(1, 2, 0), exposure.permute(1, 2, 0)]
    return torch.cat(parts, dim=1).permute(2, 0, 1)

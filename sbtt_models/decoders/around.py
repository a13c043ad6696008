"""What decoders share that put something around a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import model_validator
from typing_extensions import override

from sbtt_models.decoders.base import DecoderSpec, Fitted, NeuralSpec
from sbtt_models.saved import Saved, save

__all__ = ["AroundSpec", "FittedAround"]


class AroundSpec(DecoderSpec):
    """A network, and what is made of it; members narrow which networks."""

    network: NeuralSpec

    @property
    @override
    def goes_on(self) -> bool:
        return True

    @property
    @override
    def hears_external(self) -> bool:
        return self.network.hears_external

    @override
    def refuse_channels(self, n_channels: int) -> None:
        self.network.refuse_channels(n_channels)

    @override
    def refuse_window(self, n_bins: int) -> None:
        self.network.refuse_window(n_bins)

    @model_validator(mode="after")
    def _causal_in_one_place(self) -> AroundSpec:
        if self.network.causal or self.network.lookahead_bins:
            raise ValueError(
                "network.causal and network.lookahead_bins belong beside network, not in it"
            )
        return self


@dataclass(frozen=True, slots=True, eq=False)
class FittedAround(ABC):
    """A fitted network, and what was made of it."""

    spec: DecoderSpec
    fitted: Fitted
    """The network alone."""

    @property
    def n_parameters(self) -> int:
        """Of the network."""
        return self.fitted.n_parameters

    @property
    def epochs(self) -> int:
        """Of the network."""
        return self.fitted.epochs

    @property
    def train_s(self) -> float:
        """Of the network. [s]"""
        return self.fitted.train_s

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """Of the network."""
        return self.fitted.history

    @abstractmethod
    def saved(self) -> Saved:
        """What the network is, and what was made of it."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write arrays, history and manifest."""
        return save(self.saved(), folder)

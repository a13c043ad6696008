"""What a training is made of, as a checkpoint keeps it, and put back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from sbtt_models import kept
from sbtt_models.decoders.base import NeuralSpec, Setting
from sbtt_models.errors import DataError
from sbtt_models.nets.base import Network
from sbtt_models.signals import MaskedStream
from sbtt_models.training import Training

__all__ = [
    "Randomness",
    "digest_of_stream",
    "flat",
    "identity",
    "optimiser_arrays",
    "put_back",
    "weights_of",
]

_FREE = {"checkpoint_every"}
"""Fields of `Training` that change no result."""


def identity(
    spec: NeuralSpec,
    stream: MaskedStream,
    training: Training,
    setting: Setting,
    network: Network,
) -> dict[str, Any]:
    """What makes a training what it is: decoder, rules, data, seed, and where it begins."""
    blocks = {
        "decoder": spec.model_dump(mode="json"),
        "training": training.model_dump(mode="json", exclude=_FREE),
    }
    return flat(blocks) | {
        "seed": setting.seed,
        "adapt": setting.adapt,
        "device": next(network.parameters()).device.type,
        "stream": digest_of_stream(stream),
        "first weights": kept.digest_of(kept.pack(weights_of(network.state_dict()))),
    }


def flat(block: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested blocks as dotted keys with values."""
    found: dict[str, Any] = {}
    for key, value in block.items():
        name = f"{before}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def digest_of_stream(stream: MaskedStream) -> str:
    """SHA-256 of what a training may look at."""
    split = stream.split
    digest = hashlib.sha256(repr((stream.counts.shape, stream.window_bins)).encode())
    arrays = [stream.counts, stream.exposure, stream.lengths, split.train, split.valid]
    for array in arrays if stream.external is None else [*arrays, stream.external]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Weights, or anything else of tensors by name, as arrays."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in state.items()}


def optimiser_arrays(optimiser: torch.optim.Optimizer) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The moments of each parameter, by its number."""
    moments = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, state in moments.items()
        for name, value in weights_of(state).items()
    }


def put_back(
    optimiser: torch.optim.Optimizer, arrays: Mapping[str, Shaped[np.ndarray, "..."]]
) -> None:
    """Give an optimiser moments.

    Raises
    ------
    DataError
        If they are of other parameters.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition(".")
        fits = number.isdigit() and int(number) < len(parameters)
        if not fits or (name != "step" and array.shape != tuple(parameters[int(number)].shape)):
            raise DataError(f"checkpoint: moments {key!r:.40} fit no parameter")
        # a copy: the optimiser works in place, and others may go on from the same arrays
        state.setdefault(int(number), {})[name] = torch.from_numpy(array).clone()
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


class Randomness:
    """All generators of a training.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of batches.
    noise : torch.Generator
        Of what is hidden and sampled. Dropout draws from torch's own generators.
    """

    def __init__(self, rng: np.random.Generator, noise: torch.Generator) -> None:
        self.rng, self.noise = rng, noise

    @property
    def arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """The states of torch's generators."""
        states = {"own": torch.get_rng_state(), "noise": self.noise.get_state()}
        if self.noise.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.noise.device)
        return weights_of(states)

    @property
    def facts(self) -> dict[str, Any]:
        """The state of numpy's generator; texts, since its numbers are longer than JSON's."""
        state = self.rng.bit_generator.state
        return {
            "state": str(state["state"]["state"]),
            "inc": str(state["state"]["inc"]),
            "has_uint32": state["has_uint32"],
            "uinteger": state["uinteger"],
        }

    def restore(
        self, arrays: Mapping[str, Shaped[np.ndarray, "..."]], facts: Mapping[str, Any]
    ) -> None:
        """Put all generators where they were."""
        torch.set_rng_state(torch.from_numpy(arrays["own"]))
        self.noise.set_state(torch.from_numpy(arrays["noise"]))
        if self.noise.device.type == "cuda":
            torch.cuda.set_rng_state(torch.from_numpy(arrays["cuda"]), self.noise.device)
        self.rng.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": int(facts["state"]), "inc": int(facts["inc"])},
            "has_uint32": facts["has_uint32"],
            "uinteger": facts["uinteger"],
        }

"""A state-space network that looks back only, run by its recurrence: the same cost for each bin.

In numpy: on a few thousand numbers a call to torch costs more than the arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from sbtt_models.online import Step

if TYPE_CHECKING:
    from sbtt_models.nets.state_space import StateSpaceNetwork

__all__ = ["StateSpaceStep"]

_Row = Float[np.ndarray, " channel"]
_Features = Float[np.ndarray, " feature"]


class StateSpaceStep(Step):
    r"""Each oscillator keeps :math:`z_{t+1} = e^{-a + i \omega} z_t + u_t`; see `Filters`."""

    def __init__(self, network: StateSpaceNetwork, epsilon: float) -> None:
        super().__init__(network.wait, network.readout.out_features)
        spec, filters = network.spec, network.filters
        shape = (spec.blocks, spec.hidden, spec.modes)
        self._mask_input, self._epsilon = spec.mask_input, epsilon
        self._embed, self._readout = (
            (_array(layer.weight), _array(layer.bias))
            for layer in (network.embed, network.readout)
        )
        decay, frequency = np.exp(_array(filters.log_decay)), _array(filters.frequency)
        self._turn = np.exp(-decay + 1j * frequency).astype(np.complex64).reshape(shape)
        cosine, sine = np.split(_array(filters.weight)[:, 0], 2, axis=1)
        self._gain = (cosine - 1j * sine).astype(np.complex64).reshape(shape)
        self._through = _array(filters.through).reshape(shape[:2])
        self._bias, self._mix = _array(network.bias), _array(network.mix)
        self._state = np.zeros(shape, np.complex64)
        self._to_come = self.lookahead_bins

    @override
    def next(self, counts: _Row, exposure: _Row) -> _Row | None:
        log_rates = self.read_out(
            np.concatenate([counts, exposure]) if self._mask_input else counts
        )
        return None if log_rates is None else np.exp(log_rates)

    def read_out(self, seen: Float[np.ndarray, " input"]) -> Float[np.ndarray, " output"] | None:
        """Hear the next bin; what is read out of the bin `lookahead_bins` before it."""
        features = self._embed[0] @ seen.astype(np.float32) + self._embed[1]
        for block, state in enumerate(self._state):
            heard = self._normal(features)
            state *= self._turn[block]
            state += heard[:, None]
            filtered = (self._gain[block] * state).real.sum(1) + self._through[block] * heard
            features = features + self._mix[block] @ _silu(filtered + self._bias[block])
        if self._to_come:
            self._to_come -= 1
            return None
        found: np.ndarray = self._readout[0] @ self._normal(features) + self._readout[1]
        return found

    def _normal(self, features: _Features) -> _Features:
        scaled: _Features = features / np.sqrt(features @ features / features.size + self._epsilon)
        return scaled


def _silu(values: _Features) -> _Features:
    return values / (1.0 + np.exp(-values))


def _array(values: Tensor) -> Float[np.ndarray, "..."]:
    array: np.ndarray = values.detach().cpu().numpy()
    return array.copy()

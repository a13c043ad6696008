"""What the wires allow: an order of the multiplexer's own, one channel of a group at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from implant_sim.hardware.kernels import patterns
from implant_sim.hardware.schedules.view import View
from sbtt_models.errors import SpecError

__all__ = ["checked_channels", "refuse_fixed_order", "refuse_shared_wires"]


def checked_channels(channels: Sequence[int], view: View, key: str) -> Int[np.ndarray, " chosen"]:
    """Channels that a user has listed, as an array.

    Raises
    ------
    SpecError
        For one that the recording does not have, or two that share a wire.
    """
    chosen = np.array(channels)
    if chosen.max() >= view.n_channels:
        raise SpecError(
            f"schedule.{key}: channel {chosen.max()} of a recording with {view.n_channels}, "
            "counted from 0"
        )
    wires = view.groups.of[chosen]
    if len(np.unique(wires)) < len(wires):
        raise SpecError(
            f"schedule.{key}: two of them share a wire of the multiplexer, which holds one in a "
            "bin; choose others, or set implant.multiplexer.cycle: sample"
        )
    return chosen


def refuse_fixed_order(view: View, kind: str) -> None:
    """Refuse a multiplexer that steps through its group in an order of its own.

    Raises
    ------
    SpecError
        Where channels share wires and the multiplexer has ``any_order: false``.
    """
    if not (view.any_order or view.groups.free):
        raise SpecError(
            f"schedule.kind: {kind} needs a multiplexer that can hold any channel; this one has "
            "any_order: false; use round_robin, blocks or low_discrepancy"
        )


def refuse_shared_wires(sampled: Bool[np.ndarray, "step channel"], view: View, kind: str) -> None:
    """Refuse a mask that takes two channels of a wire in one step.

    Raises
    ------
    SpecError
        With the first such step, and both channels.
    """
    groups = view.groups
    if groups.free:
        return
    step, one, other = patterns.first_shared(sampled, groups.of, groups.n)
    if step >= 0:
        raise SpecError(
            f"schedule.kind: {kind} samples channels {one} and {other} in step {step}, but they "
            "share a wire of the multiplexer, which holds one channel; take them in different "
            "steps, or set implant.multiplexer.cycle: sample"
        )
